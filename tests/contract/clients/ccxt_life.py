"""Unmodified ccxt lives a whole trio on the simulator. Run by ``run.py`` in the contract environment."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any
from urllib.request import Request, urlopen

import ccxt  # type: ignore[import-not-found]
import ccxt.pro  # type: ignore[import-not-found]

SYMBOL = "BTC/USDT:USDT"


def say(what: str) -> None:
    print(f"  ccxt {ccxt.__version__}: {what}", flush=True)


def sim(base: str, path: str, body: dict[str, Any]) -> None:
    urlopen(Request(f"{base}/sim/{path}", data=json.dumps(body).encode(), method="POST"), timeout=10).read()


def exchange(base: str, key: str, secret: str) -> Any:
    made = ccxt.pro.binanceusdm({"apiKey": key, "secret": secret, "options": {"fetchCurrencies": False}})
    api = made.urls["api"]
    for name, url in list(api.items()):
        if isinstance(url, str):
            api[name] = base + "/" + url.split("/", 3)[3]
    api["ws"]["linear"] = base.replace("http", "ws") + "/ws"
    return made


async def orders_until(client: Any, wanted: str) -> list[str]:
    """Hear the user stream until an order with this client id is closed."""
    heard = []
    while True:
        for order in await client.watch_orders(SYMBOL):
            heard.append(f"{order['clientOrderId']} {order['status']}")
            if order["clientOrderId"] == wanted and order["status"] == "closed":
                return heard


async def live(base: str, key: str, secret: str) -> None:
    sim(base, "price", {"symbol": "BTCUSDT", "price": "63000"})
    client = exchange(base, key, secret)
    try:
        markets = await client.load_markets()
        assert len(markets) > 500
        assert markets[SYMBOL]["limits"]["cost"]["min"] == 100
        say(f"{len(markets)} markets")
        balance = await client.fetch_balance()
        assert balance["USDT"]["free"] == 10000
        await client.set_leverage(10, SYMBOL)
        say(f"balance {balance['USDT']['free']} USDT, leverage 10")
        ticker = await client.fetch_ticker(SYMBOL)
        bars = await client.fetch_ohlcv(SYMBOL, "1m", limit=10)
        book = await client.fetch_order_book(SYMBOL, 5)
        assert ticker["last"] == book["bids"][0][0] == 63000
        assert len(bars) == 10

        watching = asyncio.create_task(orders_until(client, "contract-tp"))
        await asyncio.sleep(0)
        while "linear" not in client.options or not client.options["linear"].get("listenKey"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)

        resting = await client.create_order(
            SYMBOL, "limit", "buy", 0.01, 60000, {"clientOrderId": "contract-limit"}
        )
        assert [o["id"] for o in await client.fetch_open_orders(SYMBOL)] == [resting["id"]]
        await client.cancel_order(resting["id"], SYMBOL)
        assert await client.fetch_open_orders(SYMBOL) == []
        say("limit order placed, found, cancelled")

        entry = await client.create_order(
            SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "contract-entry"}
        )
        assert entry["status"] == "closed"
        (position,) = await client.fetch_positions([SYMBOL])
        assert (position["side"], position["contracts"]) == ("long", 0.01)
        stop = await client.create_order(
            SYMBOL, "STOP_MARKET", "sell", None, None,
            {"stopPrice": 62000, "closePosition": True, "clientOrderId": "contract-sl"},
        )  # fmt: skip
        target = await client.create_order(
            SYMBOL, "TAKE_PROFIT_MARKET", "sell", None, None,
            {"stopPrice": 64000, "closePosition": True, "clientOrderId": "contract-tp"},
        )  # fmt: skip
        waiting = await client.fetch_open_orders(SYMBOL, params={"trigger": True})
        assert {o["id"] for o in waiting} == {stop["id"], target["id"]}
        say("entry filled, stop-loss and take-profit wait as algo orders")

        sim(base, "price", {"symbol": "BTCUSDT", "price": "64500"})
        heard = await asyncio.wait_for(watching, 10)
        assert await client.fetch_positions([SYMBOL]) == []
        assert await client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
        trades = await client.fetch_my_trades(SYMBOL)
        assert [(t["side"], t["price"]) for t in trades] == [("buy", 63000.1), ("sell", 64000.0)]
        say(f"take-profit triggered and filled, its sibling is gone; user stream said: {', '.join(heard)}")

        stray = await client.create_order(
            SYMBOL, "STOP_MARKET", "buy", 0.01, None, {"stopPrice": 70000, "clientOrderId": "contract-stray"}
        )
        await client.cancel_order(stray["id"], SYMBOL, {"trigger": True})
        assert await client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
        say("an algo order placed and cancelled")
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(live(*sys.argv[1:4]))

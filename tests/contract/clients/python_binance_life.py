"""Unmodified python-binance lives a whole trio on the simulator. Run by ``run.py`` in the contract environment."""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any
from urllib.request import Request, urlopen

from binance import AsyncClient, BinanceSocketManager  # type: ignore[import-not-found]

SYMBOL = "BTCUSDT"


def say(what: str) -> None:
    print(f"  python-binance {version('python-binance')}: {what}", flush=True)


def sim(base: str, path: str, body: dict[str, Any]) -> None:
    urlopen(Request(f"{base}/sim/{path}", data=json.dumps(body).encode(), method="POST"), timeout=10).read()


async def hear_until(socket: Any, wanted: str) -> list[str]:
    """Hear the user stream until the child of this algo order is filled."""
    heard = []
    async with socket as stream:
        while True:
            event = await stream.recv()
            body = event.get("o") if isinstance(event.get("o"), dict) else {}
            heard.append(f"{event['e']} {body.get('X', '')}".strip())
            if event["e"] == "ORDER_TRADE_UPDATE" and body.get("c") == wanted and body["X"] == "FILLED":
                return heard


async def live(base: str, key: str, secret: str) -> None:
    sim(base, "price", {"symbol": SYMBOL, "price": "63000"})
    client = AsyncClient(key, secret)
    client.FUTURES_URL = f"{base}/fapi"
    try:
        info = await client.futures_exchange_info()
        assert len(info["symbols"]) == 660
        (usdt,) = [row for row in await client.futures_account_balance() if row["asset"] == "USDT"]
        assert float(usdt["availableBalance"]) == 10000
        await client.futures_change_leverage(symbol=SYMBOL, leverage=10)
        say(f"{len(info['symbols'])} symbols, balance {usdt['availableBalance']} USDT, leverage 10")
        assert len(await client.futures_klines(symbol=SYMBOL, interval="1m", limit=10)) == 10
        assert (await client.futures_order_book(symbol=SYMBOL, limit=5))["bids"][0][0] == "63000.0"

        manager = BinanceSocketManager(client)
        manager.FSTREAM_URL = base.replace("http", "ws") + "/"
        watching = asyncio.create_task(hear_until(manager.futures_user_socket(), "contract-tp"))
        await asyncio.sleep(1)

        resting = await client.futures_create_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.010", price="60000",
            newClientOrderId="contract-limit",
        )  # fmt: skip
        assert [o["orderId"] for o in await client.futures_get_open_orders(symbol=SYMBOL)] == [
            resting["orderId"]
        ]
        await client.futures_cancel_order(symbol=SYMBOL, orderId=resting["orderId"])
        assert await client.futures_get_open_orders(symbol=SYMBOL) == []
        say("limit order placed, found, cancelled")

        entry = await client.futures_create_order(
            symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.010", newClientOrderId="contract-entry",
            newOrderRespType="RESULT",
        )  # fmt: skip
        assert entry["status"] == "FILLED"
        (position,) = [
            p for p in await client.futures_position_information(symbol=SYMBOL) if float(p["positionAmt"])
        ]
        assert position["positionAmt"] == "0.010"
        for kind, trigger, name in (
            ("STOP_MARKET", "62000", "contract-sl"),
            ("TAKE_PROFIT_MARKET", "64000", "contract-tp"),
        ):
            made = await client.futures_create_algo_order(
                symbol=SYMBOL,
                side="SELL",
                type=kind,
                triggerPrice=trigger,
                closePosition="true",
                clientAlgoId=name,
            )
            assert made["algoStatus"] == "NEW"
        assert len(await client.futures_get_open_algo_orders(symbol=SYMBOL)) == 2
        say("entry filled, stop-loss and take-profit wait as algo orders")

        sim(base, "price", {"symbol": SYMBOL, "price": "64500"})
        heard = await asyncio.wait_for(watching, 10)
        assert await client.futures_get_open_algo_orders(symbol=SYMBOL) == []
        assert [
            p for p in await client.futures_position_information(symbol=SYMBOL) if float(p["positionAmt"])
        ] == []
        trades = await client.futures_account_trades(symbol=SYMBOL)
        assert [(t["side"], t["price"]) for t in trades] == [("BUY", "63000.1"), ("SELL", "64000.0")]
        say(f"take-profit triggered and filled, its sibling is gone; user stream said: {', '.join(heard)}")

        # the library sends stops given to the old method on to the algo endpoint by itself
        stray = await client.futures_create_order(
            symbol=SYMBOL, side="BUY", type="STOP_MARKET", stopPrice="70000", quantity="0.010"
        )
        await client.futures_cancel_algo_order(algoId=stray["algoId"])
        assert await client.futures_get_open_algo_orders(symbol=SYMBOL) == []
        say("an algo order placed and cancelled")
    finally:
        await client.close_connection()


if __name__ == "__main__":
    asyncio.run(live(*sys.argv[1:4]))

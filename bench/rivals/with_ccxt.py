"""ccxt in a plain loop: ``python -m bench.rivals.with_ccxt``, in the contract tests' environment."""

from __future__ import annotations

from typing import Any

import ccxt  # type: ignore[import-not-found]

from bench.rivals import loop


def connect(url: str, key: str, secret: str) -> Any:
    # Its own pacing is off: the loop is as fast as the library can.
    client = ccxt.binanceusdm(
        {"apiKey": key, "secret": secret, "enableRateLimit": False, "options": {"fetchCurrencies": False}}
    )
    api = client.urls["api"]
    for name, address in list(api.items()):
        if isinstance(address, str):
            api[name] = url + "/" + address.split("/", 3)[3]
    client.load_markets()
    return client


def place(client: Any, trio: dict[str, Any]) -> None:
    symbol = client.markets_by_id[trio["symbol"]][0]["symbol"]
    client.create_order(symbol, "market", "buy", float(trio["quantity"]))
    for kind, level in (("STOP_MARKET", trio["stop"]), ("TAKE_PROFIT_MARKET", trio["target"])):
        words = {"stopPrice": float(level), "closePosition": True, "workingType": "MARK_PRICE"}
        client.create_order(symbol, kind, "sell", None, None, words)


if __name__ == "__main__":
    loop.run(f"ccxt {ccxt.__version__}", connect, place)

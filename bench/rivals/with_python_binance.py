"""python-binance in a plain loop: ``python -m bench.rivals.with_python_binance``, in the contract tests' environment."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from binance import Client  # type: ignore[import-not-found]

from bench.rivals import loop


def connect(url: str, key: str, secret: str) -> Any:
    client = Client(key, secret, ping=False)
    client.FUTURES_URL = f"{url}/fapi"
    client.futures_time()
    return client


def place(client: Any, trio: dict[str, Any]) -> None:
    symbol = trio["symbol"]
    client.futures_create_order(symbol=symbol, side="BUY", type="MARKET", quantity=trio["quantity"])
    for kind, level in (("STOP_MARKET", trio["stop"]), ("TAKE_PROFIT_MARKET", trio["target"])):
        client.futures_create_algo_order(
            symbol=symbol,
            side="SELL",
            type=kind,
            triggerPrice=level,
            closePosition="true",
            workingType="MARK_PRICE",
        )


if __name__ == "__main__":
    loop.run(f"python-binance {version('python-binance')}", connect, place)

"""The official library in a plain loop: ``python -m bench.rivals.official``."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from bench.rivals import loop

PACKAGE = "binance-sdk-derivatives-trading-usds-futures"


def connect(
    url: str, key: str, secret: str
) -> Any:  # it takes words where its types ask for members of an enum
    from binance_common.configuration import ConfigurationRestAPI
    from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
        DerivativesTradingUsdsFutures,
    )

    words = ConfigurationRestAPI(api_key=key, api_secret=secret, base_path=url, retries=0)
    client = DerivativesTradingUsdsFutures(config_rest_api=words).rest_api
    client.check_server_time()  # connected before the clock runs, as ours is
    return client


def place(client: Any, trio: dict[str, Any]) -> None:
    symbol = trio["symbol"]
    client.new_order(symbol=symbol, side="BUY", type="MARKET", quantity=trio["quantity"])
    for kind, level in (("STOP_MARKET", trio["stop"]), ("TAKE_PROFIT_MARKET", trio["target"])):
        client.new_algo_order(
            algo_type="CONDITIONAL", symbol=symbol, side="SELL", type=kind, trigger_price=level,
            close_position="true", working_type="MARK_PRICE",
        )  # fmt: skip


if __name__ == "__main__":
    loop.run(f"official library {version(PACKAGE)}", connect, place)

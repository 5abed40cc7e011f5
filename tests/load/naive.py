"""The official library in a plain loop: an entry, its stop and its target, one trio after the other, without a database.

What a script would do that nobody watches. ``python -m tests.load.naive`` is run by the bulk scenario in a process of
its own, on the same exchange, on accounts of its own: read from standard input, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def place_all(url: str, accounts: list[dict[str, str]], trios: list[dict[str, Any]]) -> dict[str, float]:
    """Place each trio; return how many seconds that took, and how many of processor time."""
    from binance_common.configuration import ConfigurationRestAPI
    from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
        DerivativesTradingUsdsFutures,
    )

    clients: list[Any] = [  # it takes words where its types ask for members of an enum
        DerivativesTradingUsdsFutures(
            config_rest_api=ConfigurationRestAPI(
                api_key=account["key"], api_secret=account["secret"], base_path=url, retries=0
            )
        ).rest_api
        for account in accounts
    ]
    for client in clients:
        client.check_server_time()  # connected before the clock runs, as ours is
    began, processor = time.monotonic(), time.process_time()
    for number, trio in enumerate(trios):
        client, symbol = clients[number % len(clients)], trio["symbol"]
        client.new_order(symbol=symbol, side="BUY", type="MARKET", quantity=trio["quantity"])
        for kind, level in (("STOP_MARKET", trio["stop"]), ("TAKE_PROFIT_MARKET", trio["target"])):
            client.new_algo_order(
                algo_type="CONDITIONAL", symbol=symbol, side="SELL", type=kind, trigger_price=level,
                close_position="true", working_type="MARK_PRICE",
            )  # fmt: skip
    return {"seconds": time.monotonic() - began, "processor": time.process_time() - processor}


if __name__ == "__main__":
    json.dump(place_all(**json.load(sys.stdin)), sys.stdout)

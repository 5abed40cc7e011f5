"""Sample bodies of the exchange, and orders of ours."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.types import (
    ExchangeMs,
    NewOrder,
    OrderRef,
    OrderType,
    PositionSide,
    Side,
    Stamp,
    TimeInForce,
    WorkingType,
)

DATA = Path(__file__).parents[2] / "data" / "binance"
NOW = ExchangeMs(1_591_702_613_943)
STAMP = Stamp(timestamp=NOW, recv_window=5000)
D = Decimal


def sample_text(name: str) -> str:
    return (DATA / f"{name}.json").read_text(encoding="utf-8")


def sample(name: str) -> Any:
    return json.loads(sample_text(name))


def a_limit(**changes: Any) -> NewOrder:
    return NewOrder(
        **{
            "client_id": "ab12-1-e1",
            "symbol": "BTCUSDT",
            "side": Side.BUY,
            "type": OrderType.LIMIT,
            "quantity": D("0.010"),
            "price": D("63000.10"),
            "time_in_force": TimeInForce.GTC,
            **changes,
        }
    )


def a_market(**changes: Any) -> NewOrder:
    return a_limit(**{"type": OrderType.MARKET, "price": None, "time_in_force": None, **changes})


def a_stop(**changes: Any) -> NewOrder:
    return NewOrder(
        **{
            "client_id": "ab12-1-s1",
            "symbol": "BTCUSDT",
            "side": Side.SELL,
            "type": OrderType.STOP_MARKET,
            "quantity": D("0.010"),
            "trigger_price": D("62000.0"),
            "working_type": WorkingType.MARK_PRICE,
            "price_protect": False,
            "reduce_only": True,
            **changes,
        }
    )


def a_closing_stop(**changes: Any) -> NewOrder:
    return a_stop(**{"quantity": None, "reduce_only": False, "close_position": True, **changes})


def a_hedge_stop(**changes: Any) -> NewOrder:
    return a_stop(**{"reduce_only": False, "position_side": PositionSide.LONG, **changes})


def a_trailing_stop(**changes: Any) -> NewOrder:
    usual: dict[str, Any] = {
        "type": OrderType.TRAILING_STOP_MARKET,
        "trigger_price": None,
        "callback_rate": Decimal("1.5"),
    }
    return a_stop(**(usual | changes))


ENTRY = OrderRef(symbol="BTCUSDT", client_id="ab12-1-e1", conditional=False)
STOP = OrderRef(symbol="BTCUSDT", client_id="ab12-1-s1", conditional=True)


def placed(**changes: Any) -> dict[str, Any]:
    """An order as a placement is answered today: no avgPrice, no cumQuote."""
    return {
        **sample("rest/new_order"),
        "clientOrderId": "ab12-1-e1",
        "side": "BUY",
        "positionSide": "BOTH",
        "origQty": "0.010",
        "price": "63000.10",
        "timeInForce": "GTC",
        **changes,
    }


def placed_algo(**changes: Any) -> dict[str, Any]:
    return {
        **sample("rest/new_algo_order"),
        "clientAlgoId": "ab12-1-s1",
        "symbol": "BTCUSDT",
        "orderType": "STOP_MARKET",
        "quantity": "0.010",
        "triggerPrice": "62000.0",
        "price": "0",
        **changes,
    }

"""Ordinary orders: Binance's samples, and bodies that cannot be read."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.body import ForeignShape, parse
from exchange.binance.mapping.orders import read_order
from exchange.types import OrderState, OrderType, PositionSide, Side
from tests.unit.exchange.samples import D, placed, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


def test_an_acknowledged_order() -> None:
    view = read_order(read("new_order"))
    assert (view.client_id, view.order_id, view.symbol) == ("testOrder", 22542179, "BTCUSDT")
    assert (view.side, view.position_side, view.type) == (Side.SELL, PositionSide.SHORT, OrderType.LIMIT)
    assert (view.state, view.quantity, view.executed) == (OrderState.NEW, D(10), D(0))
    assert view.average_price is None  # not told any more since July 2026
    assert view.price is None  # Binance writes 0
    assert view.updated_at == 1566818724722
    assert not view.conditional


def test_a_queried_order_tells_its_average_price_once_there_is_one() -> None:
    assert read_order(read("query_order")).average_price is None
    filled = {**read("order_response_with_average"), "executedQty": "0.001", "avgPrice": "50000.10"}
    assert read_order(filled).average_price == D("50000.10")


def test_a_cancelled_order_may_carry_fills() -> None:
    view = read_order({**read("cancel_order"), "executedQty": "3"})
    assert (view.state, view.executed) == (OrderState.CANCELED, D(3))


def test_a_trailing_orders_stop_price_means_nothing() -> None:
    trailing = read("cancel_order")
    assert (trailing["type"], trailing["stopPrice"]) == ("TRAILING_STOP_MARKET", "9300")
    assert read_order(trailing).trigger_price is None
    assert read_order({**trailing, "type": "STOP_MARKET"}).trigger_price == D(9300)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("EXPIRED_IN_MATCH", OrderState.EXPIRED),
        ("EXPIRED", OrderState.EXPIRED),
        ("FILLED", OrderState.FILLED),
        ("PARTIALLY_FILLED", OrderState.PARTIALLY_FILLED),
        ("REJECTED", OrderState.REJECTED),
        ("NEW_ADL", OrderState.UNKNOWN),
        ("UNKNOWN", OrderState.UNKNOWN),
        ("SOMETHING_NEW", OrderState.UNKNOWN),
    ],
)
def test_unknown_words_are_kept_not_crashed_on(word: str, state: OrderState) -> None:
    view = read_order(placed(status=word))
    assert view.state is state
    assert view.raw["status"] == word


def test_an_unknown_type_or_position_side_does_not_hide_the_order() -> None:
    view = read_order(placed(type="HOLOGRAM", positionSide="SIDEWAYS"))
    assert (view.type, view.position_side) == (None, PositionSide.BOTH)


@pytest.mark.parametrize(
    "changes",
    [
        {"orderId": None},
        {"orderId": "x"},
        {"orderId": True},
        {"clientOrderId": 7},
        {"symbol": ""},
        {"side": "BOTH"},
        {"status": None},
        {"executedQty": "many"},
        {"executedQty": True},
        {"executedQty": []},
        {"price": "Infinity"},
        {"reduceOnly": "perhaps"},
    ],
)
def test_an_order_that_cannot_be_read_is_foreign(changes: dict[str, Any]) -> None:
    with pytest.raises(ForeignShape):
        read_order(placed(**changes))

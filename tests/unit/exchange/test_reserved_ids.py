"""The exchange's own orders are known by their client ids, in answers and in events."""

from __future__ import annotations

import pytest

from exchange.binance.mapping.body import read_frame
from exchange.binance.mapping.orders import read_order
from exchange.binance.mapping.user_events import read_user_event
from exchange.binance.reserved_ids import CLOSING, RESERVED, closed_by
from exchange.types import ClosedBy, OrderEvent
from tests.unit.exchange.samples import placed, sample_text


@pytest.mark.parametrize(
    ("client_id", "reason"),
    [
        ("autoclose-1234567890123456", ClosedBy.LIQUIDATION),
        ("adl_autoclose", ClosedBy.ADL),
        ("settlement_autoclose-17", ClosedBy.SETTLEMENT),
        ("delivery_autoclose-17", ClosedBy.DELIVERY),
        ("ab12-1-e1", None),
        ("x-broker", None),
        ("my-autoclose-1", None),
        ("", None),
    ],
)
def test_an_order_of_the_exchanges_own_says_why_it_closed(client_id: str, reason: ClosedBy | None) -> None:
    assert closed_by(client_id) is reason
    if client_id:
        assert read_order(placed(clientOrderId=client_id)).closed_by is reason
    body = read_frame(sample_text("ws/order_update_trade"))
    event = read_user_event({**body, "o": {**body["o"], "c": client_id}})
    assert isinstance(event, OrderEvent)
    assert event.order.closed_by is reason


def test_every_reason_has_a_prefix_that_none_of_our_orders_may_take() -> None:
    assert set(CLOSING.values()) == set(ClosedBy)
    assert set(CLOSING) <= set(RESERVED)


def test_the_reasons_are_what_rows_hold_already() -> None:
    assert [reason.value for reason in ClosedBy] == [
        "liquidation",
        "auto-deleveraging",
        "settlement",
        "delivery",
    ]

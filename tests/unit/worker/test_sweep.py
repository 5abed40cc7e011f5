"""The exchange against our books."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.gateways import exchange_for
from exchange.types import Stamp, WireRequest
from orders.clock import exchange_now_ms
from orders.domain.words import LegState, Role
from tests.builders import Desk, story

D = Decimal


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_a_written_off_entry_that_filled_in_secret_is_found_and_taken_off(
    desk: Desk, protection: str
) -> None:
    # Given an entry proved absent, whose trio has ended
    desk.simulator.fault(
        {"method": "POST", "path": "/fapi/v1/order"},
        {"do": "answer", "status": 503, "body": "", "execute": False},
        1,
    )
    trio = desk.queued(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=protection))
    desk.advance(trio)
    desk.carry_until(trio, "ROLLED_BACK")
    entry = trio.legs.get(role=Role.ENTRY)
    assert entry.state == LegState.WRITTEN_OFF

    # When it turns up filled after all, and no event tells of it
    desk.deaf = True
    request = entry.requests.get()
    reply = _place_by_hand(desk, dict(request.payload) | {"price": "101000"})
    assert reply["status"] in ("NEW", "FILLED")
    desk.hear()
    desk.sweep()

    # Then the sweep finds it, and the position is taken off again
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "LATE", story(trio)
    assert desk.simulator.position("BTCUSDT").is_flat
    assert desk.resting == []


def test_executions_are_booked_under_their_trios_lock(desk: Desk) -> None:
    # Given a position of whose executions no event told
    desk.deaf = True
    trio = desk.placed(desk.a_trio())
    assert not trio.fills.exists()

    # When a sweep fetches them
    with CaptureQueriesContext(connection) as asked:
        desk.sweep()

    # Then the trio's row is locked first: an event that books the same one locks it first, too
    assert trio.fills.exists()
    words = [query["sql"] for query in asked]
    booked = next(n for n, sql in enumerate(words) if sql.startswith('INSERT INTO "orders_fill"'))
    began = max(n for n, sql in enumerate(words[:booked]) if sql == "BEGIN")
    assert any("FROM orders_trioorder" in sql and "FOR UPDATE" in sql for sql in words[began:booked])


def _place_by_hand(desk: Desk, payload: dict[str, str]) -> dict[str, str]:
    """Let the exchange have the order it never saw, under the very same id."""
    exchange = exchange_for(desk.account.pk)
    view = exchange.send(
        WireRequest("POST", "/fapi/v1/order", payload), stamp=Stamp(exchange_now_ms("PAPER"), 5000)
    )
    assert view is not None
    return {"status": view.state.value}

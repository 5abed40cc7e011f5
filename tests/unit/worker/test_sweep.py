"""The exchange against our books."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.gateways import exchange_for
from exchange.types import OrderRef, Stamp, WireRequest
from orders.domain.enums import LegState, Role
from orders.exchange_data.clock import exchange_now_ms
from orders.models import Leg, Slot
from tests.builders import Desk, story
from worker.sweep import _falls_due, sweep

D = Decimal
RESTING_ETH = {
    "symbol": "ETHUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "2000",
    "newClientOrderId": "by-hand-2",
}


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


def test_slots_that_are_flat_as_before_are_written_down_at_once(desk: Desk) -> None:
    # Given two slots that a sweep has found flat
    places = [("BTCUSDT", "BOTH"), ("ETHUSDT", "BOTH")]
    for symbol, side in places:
        Slot.objects.create(account=desk.account, symbol=symbol, position_side=side)
    desk.sweep()
    before = dict(Slot.objects.values_list("symbol", "as_of"))

    with CaptureQueriesContext(connection) as asked:
        desk.sweep()

    # Then both are as of now, by one statement
    assert all(as_of > before[symbol] for symbol, as_of in Slot.objects.values_list("symbol", "as_of"))
    assert len([query for query in asked if "UPDATE" in query["sql"] and "orders_slot" in query["sql"]]) == 1


def test_a_position_or_a_stranger_in_a_quiet_slot_is_seen(desk: Desk) -> None:
    # Given slots that were flat at the last sweep
    for symbol in ("BTCUSDT", "ETHUSDT"):
        Slot.objects.create(account=desk.account, symbol=symbol)
    desk.sweep()
    desk.sweep()

    # When somebody trades by hand in one, and rests an order in the other
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    _place_by_hand(desk, market | {"newClientOrderId": "by-hand-1"})
    _place_by_hand(desk, RESTING_ETH)
    desk.sweep()

    btc, eth = Slot.objects.order_by("symbol")
    assert (btc.quantity, btc.flat_since) == (D("0.010"), None)
    assert eth.strangers
    assert "by-hand-2" in eth.strangers[0]

    # And when both are gone again, that is seen too
    back = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.010"}
    _place_by_hand(desk, back | {"newClientOrderId": "by-hand-3"})
    _cancel_by_hand(desk, "ETHUSDT", "by-hand-2")
    desk.sweep()
    btc, eth = Slot.objects.order_by("symbol")
    assert (btc.quantity, eth.strangers) == (D(0), [])
    assert btc.flat_since is not None


def test_a_position_that_has_changed_wakes_its_trio_and_one_that_has_not_grows_younger(desk: Desk) -> None:
    # Given an open trio, swept
    trio = desk.placed(desk.a_trio())
    desk.carry()
    desk.sweep()
    slot = Slot.objects.get()
    before, locks = slot.as_of, "FOR UPDATE;"

    # When a sweep finds everything as it was, it locks no trio's row and wakes nobody
    with CaptureQueriesContext(connection) as asked:
        found = sweep(desk.account)
    assert found.woken == frozenset()
    assert [query for query in asked if locks in query["sql"]] == []
    slot.refresh_from_db()
    assert slot.as_of > before
    assert slot.strangers_as_of == slot.as_of
    assert slot.mark_as_of >= before

    # And when a person adds to the position, unheard, the next one sees it
    more = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.005"}
    _place_by_hand(desk, more | {"newClientOrderId": "by-hand-1"})
    assert sweep(desk.account).woken == {trio.pk}
    slot.refresh_from_db()
    assert slot.quantity == D("0.015")


def test_a_sweep_that_took_long_writes_nothing_older_over_what_was_told_meanwhile(desk: Desk) -> None:
    # Given a quiet slot of which something newer was told while the sweep was under way
    Slot.objects.create(account=desk.account, symbol="BTCUSDT")
    desk.sweep()
    later = exchange_now_ms("PAPER") + 60_000
    for newer in ("as_of", "strangers_as_of"):
        Slot.objects.update(**{"as_of": 0, "strangers_as_of": 0, newer: later})

        # When the sweep writes down what it read before
        desk.sweep()

        # Then that is not dated back
        assert getattr(Slot.objects.get(), newer) == later


def test_a_sweep_of_some_symbols_says_nothing_about_the_others(desk: Desk) -> None:
    # Given a trio whose stop rests on one symbol, and a stranger's order known on another
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    _place_by_hand(desk, RESTING_ETH)
    Slot.objects.create(account=desk.account, symbol="ETHUSDT")
    desk.sweep()
    eth = Slot.objects.filter(symbol="ETHUSDT")
    known = eth.get()
    assert known.strangers

    # When the stranger's order goes and only the first symbol is listed
    _cancel_by_hand(desk, "ETHUSDT", "by-hand-2")
    asked = len(desk.simulator.log)
    sweep(desk.account, {"BTCUSDT"})

    # Then the other one's position is dated anew, but not what rests there
    assert eth.get().as_of > known.as_of
    assert (eth.get().strangers, eth.get().strangers_as_of) == (known.strangers, known.strangers_as_of)
    paths = [(entry.path, entry.params.get("symbol")) for entry in desk.simulator.log[asked:]]
    assert paths == [
        ("/fapi/v3/positionRisk", None),
        ("/fapi/v1/openAlgoOrders", "BTCUSDT"),
        ("/fapi/v1/openOrders", "BTCUSDT"),
    ]

    # And a trio whose symbol was not listed misses no order of its own, however long ago it was seen
    Leg.objects.filter(trio=trio).update(seen_ts=0)
    assert sweep(desk.account, {"ETHUSDT"}).woken == frozenset()
    assert not trio.legs.exclude(look_at=None).exists()
    assert eth.get().strangers == []


def test_a_flat_slot_that_was_not_listed_is_dated_by_its_position_alone(desk: Desk) -> None:
    slot = Slot.objects.create(account=desk.account, symbol="ETHUSDT")
    desk.sweep()
    desk.sweep()
    slot.refresh_from_db()

    sweep(desk.account, ())

    after = Slot.objects.get()
    assert after.as_of > slot.as_of
    assert after.strangers_as_of == slot.strangers_as_of


def test_a_full_listing_counts_the_conditional_orders_that_are_not_ours(desk: Desk) -> None:
    desk.placed(desk.a_trio())  # its stop and target are ours
    _place_by_hand(desk, RESTING_ETH)
    stop = {"symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET", "algoType": "CONDITIONAL"}
    stop |= {"quantity": "0.1", "triggerPrice": "1000", "clientAlgoId": "by-hand-stop"}
    _place_by_hand(desk, stop, path="/fapi/v1/algoOrder")

    assert sweep(desk.account).stranger_conditionals == 1
    assert sweep(desk.account, {"ETHUSDT"}).stranger_conditionals is None


def test_executions_that_the_exchange_never_reports_are_asked_for_ever_more_rarely() -> None:
    hour, day = 3_600_000, 86_400_000
    sweeps = range(15_000, day, 15_000)
    due = [_falls_due(0, before=at - 15_000, at=at) for at in sweeps]
    assert sum(due) <= 40
    assert _falls_due(0, before=hour, at=2 * hour)  # nor is a long gap between sweeps forgotten


def test_a_flat_slot_for_which_a_trio_waits_is_looked_at_by_itself(desk: Desk) -> None:
    # Given a trio that waits for its entry, in a slot that is flat
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    desk.sweep()
    with CaptureQueriesContext(connection) as asked:
        desk.sweep()
    assert trio.slot is not None
    held = [
        query["sql"]
        for query in asked
        if "slot_id" in query["sql"] and "holds_slot FOR UPDATE" in query["sql"]
    ]
    assert len(held) == 1  # its trio's row is locked first, and it would be woken


def _cancel_by_hand(desk: Desk, symbol: str, client_id: str) -> None:
    exchange = exchange_for(desk.account.pk)
    gone = exchange.cancel_request(OrderRef(symbol, client_id, conditional=False))
    exchange.send(gone, stamp=Stamp(exchange_now_ms("PAPER"), 5000))


def _place_by_hand(desk: Desk, payload: dict[str, str], path: str = "/fapi/v1/order") -> dict[str, str]:
    """Let the exchange have the order it never saw, under the very same id."""
    exchange = exchange_for(desk.account.pk)
    view = exchange.send(WireRequest("POST", path, payload), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    assert view is not None
    return {"status": view.state.value}

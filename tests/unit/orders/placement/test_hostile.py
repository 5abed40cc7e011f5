"""A correct exchange that behaves otherwise than ours, and processes that stop in the worst places."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import connection, transaction

from exchange.types import ExchangeMs, OrderState, OrderView, PositionSide, PositionView, Side
from orders import services
from orders.domain import client_ids
from orders.domain.enums import LegState, Role
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.installation import install_row
from orders.models import TrioOrder
from orders.placement import finish, ingest
from orders.placement.ingest import order_seen, record_position
from orders.placement.perform import Answer, ObserveCall
from orders.placement.service import TurnContext, TurnResult
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import WHOLE, TurnRows, rows_read, turn_rows
from orders.trio_lock import locked_read
from tests.builders import Desk, story, the, until

D = Decimal


@contextmanager
def elsewhere(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """Run ``work`` in a thread of its own, with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(timeout=15)
        assert not thread.is_alive()


def test_a_process_paused_while_it_takes_in_an_event_does_not_keep_the_trio(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an open trio, and a process that is stopped while it holds the trio's row
    trio = desk.placed(desk.a_trio())
    desk.carry()
    woken, go_on = threading.Event(), threading.Event()

    def paused(*args: object) -> bool:
        woken.set()
        go_on.wait(timeout=10)
        return False

    entry, fill = trio.legs.get(role=Role.ENTRY), trio.fills.get()
    view = OrderView(
        client_id=entry.client_id, symbol="BTCUSDT", side=Side.BUY, type=None, state=OrderState.FILLED,
        position_side=PositionSide.BOTH, quantity=entry.quantity, executed=entry.filled,
        updated_at=fill.time_ts, conditional=False,
    )  # fmt: skip
    monkeypatch.setattr(ingest, "book_fill", paused)

    with elsewhere(lambda: order_seen(desk.account.pk, view, trades=(fill,))):  # type: ignore[arg-type]
        assert woken.wait(timeout=5)
        # When a person closes meanwhile
        began = time.monotonic()
        services.trio_close(trio_id=trio.pk, by="test")
        desk.advance(trio)
        took = time.monotonic() - began
        go_on.set()

    # Then it is closed within the bound, long before the paused process goes on
    assert took < 2.0
    desk.carry_until(trio, "CLOSED")


def test_a_decision_that_waited_for_the_row_sees_what_changed_the_slot_meanwhile(desk: Desk) -> None:
    # Given a trio whose row is locked by somebody who writes its position
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    assert trio.slot is not None
    seen: list[Decimal] = []
    told, waiting = threading.Event(), threading.Event()
    take_in = desk.service._decide

    def decide(rows: TurnRows, context: TurnContext) -> TurnResult:
        assert rows.trio.slot is not None
        seen.append(rows.trio.slot.quantity)
        return take_in(rows, context)

    desk.service._decide = decide  # type: ignore[method-assign]

    def decider() -> None:
        told.wait(timeout=5)
        waiting.set()
        desk.service.advance(trio.pk)

    with elsewhere(decider), transaction.atomic():
        TrioOrder.objects.select_for_update().get(pk=trio.pk)
        told.set()
        waiting.wait(timeout=5)
        until(lambda: _waits_for_a_lock(), why="nobody waits for the row")
        view = PositionView("BTCUSDT", PositionSide.BOTH, D("0.004"), D("99000"))
        ingest.slot_take_in(trio.slot.pk, view, as_of=exchange_now_ms("PAPER"), from_event=True)

    # Then the decision that waited sees the position
    assert seen[0] == D("0.004"), story(trio)
    assert "WORKING → OPEN" in story(trio)


def _waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_a_persons_order_with_the_same_number_on_another_symbol_is_not_ours(desk: Desk) -> None:
    # Given an exchange that numbers each symbol's orders by itself
    trio = desk.placed(desk.a_trio())
    desk.carry()
    entry = trio.legs.get(role=Role.ENTRY)
    assert entry.order_id is not None
    theirs = OrderView(
        client_id="web_1", symbol="ETHUSDT", side=Side.SELL, type=None, state=OrderState.FILLED,
        position_side=PositionSide.BOTH, quantity=D(5), executed=D(5), updated_at=exchange_now_ms("PAPER"),
        conditional=False, order_id=entry.order_id,
    )  # fmt: skip

    assert order_seen(desk.account.pk, theirs) is None

    entry.refresh_from_db()
    assert entry.filled == D("0.010")


# --- an exchange whose answers tell little ------------------------------------------------------


def carried_for(desk: Desk, seconds: float) -> None:
    """Do what a runworker does, without its pauses, for so long."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        desk.carry()
        time.sleep(0.01)


def test_a_market_entry_answered_as_new_is_read_when_the_stream_is_silent(desk: Desk) -> None:
    # Given an exchange that acknowledges a market order before it fills it, and a stream that says nothing
    desk.deaf = True
    trio = desk.queued(desk.a_trio(protection="ON_FIRST_FILL"))
    body = {
        "orderId": 1, "symbol": "BTCUSDT", "status": "NEW", "side": "BUY", "type": "MARKET",
        "clientOrderId": _id_of(trio, "e1"), "origQty": "0.010", "executedQty": "0", "updateTime": 1,
    }  # fmt: skip
    desk.simulator.fault(
        {"path": "/fapi/v1/order", "type": "MARKET"},
        {"do": "answer", "status": 200, "body": body, "execute": True},
    )

    desk.advance(trio)

    # Then its fill is read, not waited for until the next sweep
    desk.carry_until(trio, "OPEN", seconds=2)
    desk.carry()
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)


def test_exits_into_an_outage_grow_apart(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.carry()
    desk.simulator.fault({"path": "/fapi/v1/order", "type": "MARKET"}, {"do": "answer", "status": 500})

    services.trio_close(trio_id=trio.pk, by="test")
    carried_for(desk, 2.0)

    # Then the second went at once, the others with pauses; and it is closed when the exchange is back
    assert 3 <= trio.legs.filter(role=Role.EXIT).count() <= 8, story(trio)
    desk.simulator.clear_faults()
    desk.carry_until(trio, "CLOSED")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_cancels_into_an_outage_do_not_run_hot(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    desk.simulator.fault({"path": "/fapi/v1/order", "method": "DELETE"}, {"do": "answer", "status": 500})

    services.trio_cancel(trio_id=trio.pk, by="test")
    carried_for(desk, 1.5)

    assert 2 <= len(desk.requests("DELETE", "/fapi/v1/order")) <= 8
    desk.simulator.clear_faults()
    desk.carry_until(trio, "CANCELLED")


def test_a_cancel_that_takes_effect_later_is_looked_for_each_second(desk: Desk) -> None:
    # Given an exchange that takes a cancel, answers with the order as it stands, and cancels it later
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    entry = trio.legs.get(role=Role.ENTRY)
    body = {
        "orderId": entry.order_id, "symbol": "BTCUSDT", "status": "NEW", "side": "BUY", "type": "LIMIT",
        "clientOrderId": entry.client_id, "origQty": "0.010", "executedQty": "0", "updateTime": entry.seen_ts,
    }  # fmt: skip
    there = {"do": "answer", "status": 200, "body": body}
    for method in ("DELETE", "GET"):
        desk.simulator.fault({"path": "/fapi/v1/order", "method": method}, there)

    services.trio_cancel(trio_id=trio.pk, by="test")
    carried_for(desk, 1.5)

    assert len(desk.requests("GET", "/fapi/v1/order")) <= 4, story(trio)
    assert the(trio).state == "WITHDRAWING", story(trio)


def test_an_order_in_a_state_nobody_knows_is_read_each_second_and_no_more(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    entry = trio.legs.get(role=Role.ENTRY)
    body = {
        "orderId": entry.order_id, "symbol": "BTCUSDT", "status": "NEW_ADL", "side": "BUY", "type": "LIMIT",
        "clientOrderId": entry.client_id, "origQty": "0.010", "executedQty": "0", "updateTime": entry.seen_ts,
    }  # fmt: skip
    desk.simulator.fault(
        {"path": "/fapi/v1/order", "method": "GET"}, {"do": "answer", "status": 200, "body": body}
    )

    services.trio_refresh(trio_id=trio.pk, by="test")
    carried_for(desk, 1.5)

    assert 1 <= len(desk.requests("GET", "/fapi/v1/order")) <= 3
    assert the(trio).state == "WORKING"


def test_a_target_stuck_at_its_trigger_is_read_each_second_and_no_more(desk: Desk, settings: object) -> None:
    settings.NAKED_LIMIT_MS = 600  # type: ignore[attr-defined]
    desk.simulator.fault({"type": "TAKE_PROFIT_MARKET"}, {"do": "stick_triggering"})
    trio = desk.placed(desk.a_trio())
    desk.carry()
    desk.simulator.set_price("BTCUSDT", "111000")
    carried_for(desk, 0.7)

    before = len(desk.requests("GET", "/fapi/v1/algoOrder"))
    carried_for(desk, 1.5)

    assert trio.legs.get(role=Role.TAKE_PROFIT).state == LegState.TRIGGERED, story(trio)
    assert len(desk.requests("GET", "/fapi/v1/algoOrder")) - before <= 3


# --- an exchange whose lists lag ----------------------------------------------------------------


def test_a_position_list_that_lags_behind_its_event_is_doubted_for_three_seconds(desk: Desk) -> None:
    # Given an open trio whose position an event told
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    assert trio.slot is not None
    told = exchange_now_ms("PAPER") + 1000
    there = PositionView("BTCUSDT", PositionSide.BOTH, D("0.010"), D("100000"))
    record_position(desk.account.pk, there, as_of=told, from_event=True)

    def believed(after_ms: int) -> bool:
        """Is the trio flat, to be believed, once the list shows none that long after the event?"""
        flat = ingest.flat_view("BTCUSDT", "BOTH")
        record_position(desk.account.pk, flat, as_of=told + after_ms, from_event=False)
        whole = the_whole(trio)
        rows = rows_read(whole)
        return snapshot_of(whole, rows, now=db_now(), offset_ms=0, install=install_row()).flat_believed

    # Then a list that shows none is believed only when lag does not explain it any more
    assert [believed(ms) for ms in (100, 1200, 2500, 3100)] == [False, False, False, True]


def the_whole(trio: TrioOrder) -> TrioOrder:
    return TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio.pk)


def test_what_one_side_observes_is_still_news_to_the_trio_on_the_other(hedge_desk: Desk) -> None:
    # Given a long and a short trio, the short one's position closed in the app, and nobody told
    desk = hedge_desk
    long, short = desk.placed(desk.a_trio()), desk.placed(desk.a_trio(side="SELL"))
    carried_for(desk, 0.3)
    before = short.slot
    assert before is not None
    TrioOrder.objects.filter(pk=short.pk).update(wake_at=None)

    # When the long one observes the symbol
    seen = Answer(ObserveCall("BTCUSDT", ExchangeMs(exchange_now_ms("PAPER") + 5000), 100))
    locked_read(
        lambda row: finish.record(turn_rows(row), seen, offset_ms=0),
        trio_id=long.pk,
        read=WHOLE.statement,
        values=[long.pk],
        what="a look",
    )

    # Then the short one's slot is as it was, and the next who reads it wakes its trio
    before.refresh_from_db()
    assert before.quantity == D("-0.010")
    flat = ingest.flat_view("BTCUSDT", "SHORT")
    later = exchange_now_ms("PAPER") + 6000
    assert record_position(desk.account.pk, flat, as_of=later, from_event=False) == short.pk


def test_a_resting_entry_is_not_written_off_on_one_lagging_look(desk: Desk) -> None:
    # Given a resting entry that the look-up by id has lost, while the exchange's history shows it
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    desk.simulator.fault({"path": "/fapi/v1/order", "method": "GET"}, {"do": "refuse", "code": -2013})
    services.trio_refresh(trio_id=trio.pk, by="test")

    carried_for(desk, 2.5)

    assert trio.legs.get(role=Role.ENTRY).state == LegState.ACCEPTED, story(trio)


def test_executions_that_cannot_be_fetched_do_not_spoil_a_sweep(desk: Desk) -> None:
    desk.deaf = True
    desk.placed(desk.a_trio())
    desk.simulator.fault({"path": "/fapi/v1/userTrades"}, {"do": "answer", "status": 404})
    asked = len(desk.requests("GET", "/fapi/v1/userTrades"))
    desk.sweep()
    assert len(desk.requests("GET", "/fapi/v1/userTrades")) > asked


def test_an_order_of_ours_that_lingers_in_a_list_is_no_stranger_to_the_next_trio(desk: Desk) -> None:
    # Given a cancelled trio, and a list of orders that still shows its entry
    first = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    entry = first.legs.get(role=Role.ENTRY)
    services.trio_cancel(trio_id=first.pk, by="test")
    desk.carry_until(first, "CANCELLED")
    body = [{
        "orderId": entry.order_id, "symbol": "BTCUSDT", "status": "NEW", "side": "BUY", "type": "LIMIT",
        "clientOrderId": entry.client_id, "origQty": "0.010", "executedQty": "0", "updateTime": entry.seen_ts,
    }]  # fmt: skip
    desk.simulator.fault({"path": "/fapi/v1/openOrders"}, {"do": "answer", "status": 200, "body": body})

    desk.sweep()

    # Then the next trio is placed
    assert desk.placed(desk.a_trio()).state == "OPEN"


def _id_of(trio: TrioOrder, end: str) -> str:
    return f"{client_ids.stem(install_row().token, trio.pk)}-{end}"

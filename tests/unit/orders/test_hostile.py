"""A correct exchange that behaves otherwise than ours, and processes that stop in the worst places."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from django.db import connection, transaction

from exchange.types import OrderState, OrderView, PositionSide, PositionView, Side
from orders import facts, services
from orders.clock import exchange_now_ms
from orders.domain.words import LegState, Role
from orders.facts import order_seen, position_fact
from orders.models import Leg, Slot, TrioOrder
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
    monkeypatch.setattr(facts, "fill_book", paused)

    with elsewhere(lambda: order_seen(desk.account.pk, view, trades=(fill,))):  # type: ignore[arg-type, func-returns-value]
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

    def decide(trio: TrioOrder, *args: object) -> object:
        assert trio.slot is not None
        seen.append(trio.slot.quantity)
        return take_in(trio, *args)  # type: ignore[arg-type]

    desk.service._decide = decide  # type: ignore[method-assign, assignment]

    def decider() -> None:
        told.wait(timeout=5)
        waiting.set()
        desk.service.advance(trio.pk)

    with elsewhere(decider):
        with transaction.atomic():
            TrioOrder.objects.select_for_update().get(pk=trio.pk)
            told.set()
            waiting.wait(timeout=5)
            until(lambda: _waits_for_a_lock(), why="nobody waits for the row")
            view = PositionView("BTCUSDT", PositionSide.BOTH, D("0.004"), D("99000"))
            facts.slot_take_in(trio.slot.pk, view, as_of=exchange_now_ms("PAPER"), from_event=True)

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

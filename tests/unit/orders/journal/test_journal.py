"""The journal: whole after every kind of story, and nobody changes it unnoticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from accounts.gateways import exchange_for
from exchange.types import OrderRef
from orders import risk_gates
from orders.domain.decision import decide
from orders.domain.enums import Role, Source
from orders.exchange_data.clock import exchange_now_ms
from orders.journal.append import journal_append
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import Leg, TrioOrder
from orders.placement.ingest import order_seen
from tests.builders import Desk, story, the
from tests.unit.orders.journal.stories import STORIES, a_sighting, ended_by, partly_filled_then_stopped

D = Decimal
Story = Callable[[Desk], TrioOrder]


# --- whole after any story ---------------------------------------------------------------------


@pytest.mark.parametrize("name", STORIES)
def test_after_any_story_the_journal_is_whole_and_tells_the_same_as_the_books(desk: Desk, name: str) -> None:
    # Given a trio that has lived through something
    trio = STORIES[name](desk)
    desk.deaf = False
    desk.sweep()
    desk.carry()

    # Then its journal is whole, every line of it counted
    verdict = journal_verify()
    assert verdict.breaks == []
    lines = trio.requests.count() + trio.outcomes.count() + trio.sightings.count()
    assert (verdict.trios, verdict.rows) == (1, lines)

    # And the trio rebuilt from it is the trio in the books
    replayed = trio_replay(trio)
    assert replayed.differences == [], story(trio)
    assert set(replayed.legs) == set(trio.legs.values_list("client_id", flat=True))
    if the(trio).state == "CLOSED" and name != "in the app":
        assert replayed.bought == replayed.sold > 0
    assert the(trio).journal_length == lines


@pytest.mark.parametrize("answer", [None, -2019])
def test_a_dry_run_is_journaled_too(desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: int | None) -> None:
    monkeypatch.setattr(risk_gates, "is_dry_run", lambda trio: True)
    if answer:
        desk.simulator.fault({"path": "/fapi/v1/order/test"}, {"do": "refuse", "code": answer})
    trio = desk.placed(desk.a_trio())

    assert trio.state == ("REFUSED" if answer else "DRY_RUN"), story(trio)
    assert trio_replay(trio).differences == []
    assert journal_verify().breaks == []


def test_what_tells_nothing_new_is_no_line(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    before = the(trio).journal_length
    ref = OrderRef("BTCUSDT", trio.legs.get(role=Role.ENTRY).client_id, False)
    view = exchange_for(desk.account.pk).find_order(ref, at=exchange_now_ms("PAPER"))
    assert view is not None

    assert order_seen(desk.account.pk, view, source=Source.LIST) is None

    assert the(trio).journal_length == before


# --- the replay tells a wrong book --------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "CANCELLED"),
        ("filled", D("0.009")),
        ("average_price", D("1")),
        ("order_id", 7),
        ("refused_code", -1),
        ("ended_ts", 1),
        ("generation", 9),
        ("trigger_price", D("2")),
        ("seen_ts", 1),
    ],
)
def test_a_leg_that_the_journal_does_not_bear_out_is_named(desk: Desk, field: str, value: Any) -> None:
    trio = ended_by("111000")(desk)
    target = trio.legs.get(role=Role.TAKE_PROFIT)
    Leg.objects.filter(pk=target.pk).update(**{field: value})

    replayed = trio_replay(trio)

    (difference,) = replayed.differences
    assert difference.startswith(f"{target.client_id}: {field}")


def test_an_end_that_the_orders_do_not_bear_out_is_told(desk: Desk) -> None:
    trio = ended_by("111000")(desk)
    TrioOrder.objects.filter(pk=trio.pk).update(result="STOP_LOSS")
    assert trio_replay(trio).differences == [
        "The trio is CLOSED by STOP_LOSS, but no stop-loss executed anything."
    ]

    TrioOrder.objects.filter(pk=trio.pk).update(state="CANCELLED", result="")
    assert trio_replay(trio).differences == ["The trio has ended CANCELLED, but its entry filled 0.01."]


def test_a_leg_or_fill_from_nowhere_is_told(desk: Desk) -> None:
    trio = ended_by("111000")(desk)
    trio.fills.filter(leg__role=Role.ENTRY).update(quantity=D("0.011"))
    stop = trio.legs.get(role=Role.STOP_LOSS)
    stop.pk, stop.generation, stop.client_id = None, 7, "zzzz-1-s7"
    stop.save(force_insert=True)

    unknown, executed = trio_replay(trio).differences

    assert unknown == "zzzz-1-s7 is in the books, but no request of the journal placed it."
    assert "executions of 0.011 are booked, the journal knows of 0.01" in executed


# --- one chain, whoever writes ------------------------------------------------------------------


def test_two_who_write_at_once_never_fork_the_chain(desk: Desk) -> None:
    # Given a resting trio, and two threads that hear of different executions at the same instant
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    entry = trio.legs.get(role=Role.ENTRY)
    ref = OrderRef("BTCUSDT", entry.client_id, False)
    seen = exchange_for(desk.account.pk).find_order(ref, at=exchange_now_ms("PAPER"))
    assert seen is not None
    before, start = the(trio).journal_length, threading.Barrier(2)

    def hear(price: int) -> None:
        try:
            for step in range(20):
                start.wait(timeout=10)
                order_seen(desk.account.pk, replace(seen, average_price=D(price + step)))
        finally:
            connection.close()

    # When both write line after line
    with ThreadPoolExecutor(2) as pool:
        for work in [pool.submit(hear, price) for price in (1000, 2000)]:
            work.result(timeout=30)

    # Then every line found its own place in one chain
    assert journal_verify().breaks == []
    assert the(trio).journal_length == before + 40


def test_a_line_without_its_head_cannot_be_committed(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())

    @transaction.atomic
    def forgetful() -> None:
        locked = TrioOrder.objects.select_for_update().get(pk=trio.pk)
        journal_append(locked, a_sighting(locked))

    with pytest.raises(DatabaseError, match="without its head"):
        forgetful()

    assert journal_verify().breaks == []


def test_a_stale_copy_of_the_trio_cannot_take_its_journal_back(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    stale = TrioOrder.objects.get(pk=trio.pk)
    desk.advance(trio)

    with pytest.raises(DatabaseError, match="only grows"):
        stale.save()


def test_a_decision_that_raises_keeps_the_answer_in_the_chain(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a trio whose next decision after an answer raises
    trio = desk.queued(desk.a_trio(protection="ON_FIRST_FILL"))
    turns = iter([False, True])

    def breaking(snapshot: Any) -> Any:
        if next(turns, False):
            raise ZeroDivisionError
        return decide.decide(snapshot)

    monkeypatch.setattr("orders.placement.service.decide", breaking)
    desk.advance(trio)

    # Then the answer is kept, and so is the journal's head
    assert the(trio).failures == 1
    assert trio.outcomes.count() == 1
    assert journal_verify().breaks == []


# --- what was there before ----------------------------------------------------------------------


def test_a_journal_from_before_the_chain_is_taken_into_it(desk: Desk) -> None:
    # Given trios whose rows were written by the release before
    trios = [partly_filled_then_stopped(desk)]
    desk.simulator.set_price("BTCUSDT", "100000")
    trios.append(desk.placed(desk.a_trio()))
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()  # of every app: those that build on it went back with it
    executor.migrate([("orders", "0003_holding_time")])

    # When the database is brought forward
    MigrationExecutor(connection).migrate(newest)

    # Then they are chained, told by the books, and go on from there
    assert journal_verify().breaks == []
    assert [trio_replay(trio).differences for trio in trios] == [[], []]
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trios[1], "CLOSED")
    assert journal_verify().breaks == []
    assert trio_replay(trios[1]).differences == []

"""The pool that advances trios."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from django.conf import settings
from django.db import OperationalError

from accounts.services import account_add
from exchange.types import ExchangeMs, OrderEvent, OrderRef, PositionSide, PositionView
from orders import jobs
from orders.domain.decision.steps import Rest
from orders.exchange_data.clock import db_now
from orders.models import Leg, TrioOrder, Watch
from orders.placement.inbox import Inbox
from orders.placement.news import OrderNews, PositionNews
from orders.placement.perform import Answer, LookCall
from tests.builders import WATCH, Desk, until
from worker.due_poll import SLOW_MS, SOON_MS, AdvancePool, advance_due, due_begun, due_queued, due_soon

D = Decimal
ETHER: dict[str, Any] = {"stop_loss": D("1000"), "take_profit": D("9000"), "quantity": D("1")}

pytestmark = pytest.mark.django_db(transaction=True)


class Service:
    """A placement service that loses its database connection so many times."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.recorded: list[Answer] = []
        self.advanced: list[int] = []

    def advance(self, trio_id: int, *, answers: list[Answer], **_: Any) -> Rest:
        if self.losses:
            self.losses -= 1
            raise OperationalError("server closed the connection unexpectedly")
        self.recorded += answers
        self.advanced.append(trio_id)
        return Rest(None)


class Turns:
    """A placement service whose turns take as long as the test says, and that notes what each was given."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[Any], list[Answer]]] = []
        self.inside, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()

    def advance(self, trio_id: int, *, answers: list[Answer], news: Inbox, brought: Any, **_: Any) -> Rest:
        found = news.take()
        news.recorded()
        self.taken.append((found, list(answers)))
        self.inside.set()
        self.goes_on.wait(10)
        if more := brought():
            self.taken.append(([], more))
        return Rest(None)


def position_news(trio_id: int = 7) -> PositionNews:
    view = PositionView("BTCUSDT", PositionSide.BOTH, D("0.01"), D(100))
    return PositionNews(trio_id, 1, 1, view, 5)


def order_news(trio_id: int = 7) -> OrderNews:
    return OrderNews(trio_id, 1, 1, cast(OrderEvent, None))


def lost() -> None:
    raise AssertionError("nothing may be lost")


# --- what comes together is taken together -----------------------------------------------------------


def test_a_position_waits_for_the_execution_that_changed_it() -> None:
    turns = Turns()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]

    pool.tell(position_news(), lost)
    pool.tell(order_news(), lost)
    until(lambda: pool.is_idle)
    pool.stop()

    assert turns.taken[0] == ([position_news(), order_news()], [])


def test_a_position_alone_is_taken_in_soon() -> None:
    turns = Turns()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]

    pool.tell(position_news(), lost)
    until(lambda: turns.taken)
    pool.stop()

    assert turns.taken == [([position_news()], [])]


def test_what_an_answer_has_told_waits_for_other_answers_but_not_for_long() -> None:
    # Given a trio in the middle of a turn
    turns = Turns()
    turns.goes_on.clear()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]
    pool.submit(7)
    turns.inside.wait(10)
    inbox = pool._inboxes[7]

    # When an execution is reported whose order is known, nobody is called away for it at once
    known = replace(order_news(), may_wait=True)
    pool.tell(known, lost)
    rung_at_once = inbox.bell.done()
    # but soon
    until(inbox.bell.done)
    assert not rung_at_once

    # And it is taken in when the turn has ended
    turns.goes_on.set()
    until(lambda: pool.is_idle)
    pool.stop()
    assert turns.taken == [([], []), ([known], [])]


def test_what_nobody_knows_yet_calls_a_turn_away_at_once() -> None:
    turns = Turns()
    turns.goes_on.clear()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]
    pool.submit(7)
    turns.inside.wait(10)
    pool.tell(order_news(), lost)
    assert pool._inboxes[7].bell.done()
    turns.goes_on.set()
    pool.stop()


def test_a_position_that_waits_when_the_worker_stops_is_not_lost() -> None:
    turns = Turns()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]

    pool.tell(position_news(), lost)
    pool.stop()

    assert [news for news, _ in turns.taken] == [[position_news()]]


def test_an_answer_that_comes_during_a_turn_is_recorded_by_the_next_one_of_the_same_go() -> None:
    turns, answer = Turns(), an_answer()
    turns.goes_on.clear()
    pool = AdvancePool(threads=1, service=turns)  # type: ignore[arg-type]

    pool.submit(7)
    turns.inside.wait(10)
    pool.submit(7, answer)
    turns.goes_on.set()
    until(lambda: pool.is_idle)
    pool.stop()

    assert turns.taken == [([], []), ([], [answer])]


def an_answer() -> Answer:
    return Answer(LookCall(1, OrderRef("BTCUSDT", "x-e1", conditional=False), ExchangeMs(0), 600))


@pytest.mark.parametrize(("losses", "kept"), [(0, True), (1, True), (2, False)])
def test_an_answer_survives_a_lost_connection_once(losses: int, kept: bool) -> None:
    service, answer = Service(losses), an_answer()
    pool = AdvancePool(threads=1, service=service)  # type: ignore[arg-type]
    pool.submit(7, answer)
    pool.stop()
    assert service.recorded == ([answer] if kept else [])  # lost twice, the order is looked up


def test_work_without_an_answer_is_left_to_the_poll() -> None:
    service = Service(1)
    pool = AdvancePool(threads=1, service=service)  # type: ignore[arg-type]
    pool.submit(7)
    pool.stop()
    assert service.recorded == []


def test_of_what_is_queued_each_account_has_its_turn(desk: Desk) -> None:
    # Given an account with two trios queued before the first one of another account
    desk.simulator.add_account("other", "other-key", "other-secret")
    other = account_add(name="other", environment="PAPER", api_key="other-key", api_secret="other-secret")
    first = desk.queued(desk.a_trio())
    second = desk.queued(desk.a_trio("ETHUSDT", **ETHER))
    third = desk.a_trio()
    now = db_now()
    for trio, account, age in ((first, desk.account, 3), (second, desk.account, 2), (third, other, 1)):
        wake_at = now - timedelta(seconds=age)
        TrioOrder.objects.filter(pk=trio.pk).update(account=account, wake_at=wake_at, state="QUEUED")

    assert [trio_id for trio_id, _ in due_queued()] == [first.pk, third.pk, second.pk]


def test_who_watches_an_account_places_its_trios_too(desk: Desk) -> None:
    # Given a trio on an account that the test watches
    queued = desk.queued(desk.a_trio())
    TrioOrder.objects.filter(pk=queued.pk).update(wake_at=db_now())

    assert [trio_id for trio_id, _ in due_queued(WATCH)] == [queued.pk]
    assert due_queued("another process") == []

    # When who watches it falls silent, or does not get to it
    Watch.objects.update(beat=db_now() - timedelta(milliseconds=settings.TAKEOVER_MS + 1))
    assert [trio_id for trio_id, _ in due_queued("another process")] == [queued.pk]
    Watch.objects.update(beat=db_now())
    assert due_queued("another process") == []
    TrioOrder.objects.filter(pk=queued.pk).update(wake_at=db_now() - timedelta(milliseconds=SLOW_MS + 1))
    assert [trio_id for trio_id, _ in due_queued("another process")] == [queued.pk]


def test_a_job_leaves_a_large_set_to_who_watches_the_account(desk: Desk) -> None:
    """A large set is due at once; one trio is not yet when its job begins, which then places it."""
    in_a_set, alone = desk.queued(desk.a_trio()), desk.queued(desk.a_trio("ETHUSDT", **ETHER))
    TrioOrder.objects.filter(pk=in_a_set.pk).update(wake_at=db_now())
    TrioOrder.objects.filter(pk=alone.pk).update(wake_at=db_now() + timedelta(seconds=10))

    jobs.place(in_a_set.pk, alone.pk)

    assert not Leg.objects.filter(trio=in_a_set).exists()
    assert Leg.objects.filter(trio=alone, role="ENTRY").exists()


def test_what_is_due_before_the_next_poll_is_served_at_its_moment(desk: Desk) -> None:
    # Given trios that some other process let rest: one until soon, one for longer
    soon = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    service = Service(0)
    TrioOrder.objects.filter(pk=soon.pk).update(wake_at=db_now() + timedelta(seconds=10))
    assert due_soon() == []
    ends = db_now() + timedelta(milliseconds=SOON_MS - 50)
    TrioOrder.objects.filter(pk=soon.pk).update(wake_at=ends)

    ((trio_id, in_ms),) = due_soon()
    assert (trio_id, 0 < in_ms < SOON_MS) == (soon.pk, True)

    pool = AdvancePool(service=service)  # type: ignore[arg-type]
    advance_due(pool)
    assert service.advanced == []
    until(lambda: service.advanced == [soon.pk])
    assert db_now() >= ends
    pool.stop()


@pytest.mark.parametrize("wish", ["cancel_wanted_at", "close_wanted_at", "panic_wanted_at", "place_before"])
def test_what_is_queued_and_taken_back_or_too_late_asks_for_no_room(desk: Desk, wish: str) -> None:
    queued = desk.queued(desk.a_trio())
    TrioOrder.objects.filter(pk=queued.pk).update(wake_at=db_now())
    assert due_begun() == []

    TrioOrder.objects.filter(pk=queued.pk).update(**{wish: db_now()})

    assert due_begun() == [queued.pk]

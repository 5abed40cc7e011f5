"""The pool that advances trios."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

from accounts.services import account_add
from exchange.types import ExchangeMs, OrderRef
from orders.domain.decision.steps import Rest
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.placement.perform import Answer, LookCall
from tests.builders import Desk, until
from worker.due_poll import SOON_MS, AdvancePool, advance_due, due_begun, due_queued, due_soon

D = Decimal

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
    second = desk.queued(desk.a_trio("ETHUSDT", stop_loss=D("1000"), take_profit=D("9000"), quantity=D("1")))
    third = desk.a_trio()
    now = db_now()
    for trio, account, age in ((first, desk.account, 3), (second, desk.account, 2), (third, other, 1)):
        wake_at = now - timedelta(seconds=age)
        TrioOrder.objects.filter(pk=trio.pk).update(account=account, wake_at=wake_at, state="QUEUED")

    assert [trio_id for trio_id, _ in due_queued()] == [first.pk, third.pk, second.pk]


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

"""Of several processes that were called for one trio, the first decides; the others see that it was carried on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders.domain.decision.steps import Rest
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.placement import service
from orders.story import wake
from tests.builders import Desk, story, the

D = Decimal


def a_resting_trio(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    desk.carry()
    return the(trio)


def test_who_comes_after_another_asks_once_and_decides_nothing(desk: Desk) -> None:
    trio = a_resting_trio(desk)
    TrioOrder.objects.filter(pk=trio.pk).update(wake_at=db_now() + timedelta(milliseconds=700))
    due_in: list[int] = []

    with CaptureQueriesContext(connection) as asked:
        step = desk.service.advance(trio.pk, if_due=True, again=due_in.append)

    assert len(asked) == 1
    assert isinstance(step, Rest)
    assert 0 < due_in[0] <= 700  # whoever called is told when it is due, as the other was
    assert the(trio).failures == 0


def test_who_waited_for_the_row_looks_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a trio that was due when it was called for, and was carried on while its row was waited for
    trio = a_resting_trio(desk)
    before = TrioOrder.objects.filter(pk=trio.pk).values().get()
    stood = service.read_standing(trio.pk)._replace(due_in_ms=0)
    monkeypatch.setattr(service, "read_standing", lambda _: stood)
    monkeypatch.setattr(service, "decide", lambda _: pytest.fail("nothing was to be decided"))

    desk.service.advance(trio.pk, if_due=True)

    assert TrioOrder.objects.filter(pk=trio.pk).values().get() == before


def test_a_trio_that_a_fact_has_woken_is_carried_on(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    TrioOrder.objects.filter(pk=trio.pk).update(close_wanted_at=db_now(), wake_at=None)

    desk.service.advance(trio.pk, if_due=True)
    assert the(trio).state == "OPEN", story(trio)

    wake(trio.pk, db_now())
    desk.service.advance(trio.pk, if_due=True)
    assert the(trio).state != "OPEN", story(trio)

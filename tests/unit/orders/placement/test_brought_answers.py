"""An entry's failed look-up and its answer, recorded by one turn: nothing stays scheduled that nobody wakes for."""

from __future__ import annotations

import time
from concurrent.futures import Future
from decimal import Decimal

import pytest

from orders.domain.enums import Role
from orders.placement.perform import Answer
from tests.builders import Desk, story, the, until
from worker.price_watch import schedule_read

pytestmark = pytest.mark.django_db(transaction=True)
IN_DOUBT_SECONDS = 0.7  # its patience is over: it is looked up


def test_an_answer_that_comes_during_a_failing_look_up_leaves_nothing_scheduled(desk: Desk) -> None:
    # Given a resting entry whose answer is late
    late: list[Future[Answer]] = []
    trio = desk.a_trio(entry_type="LIMIT", price=Decimal(99000), protection="ON_FIRST_FILL")
    desk.queued(trio)
    desk.deaf = True
    desk.service.advance(trio.pk, later=late.append)
    answer = late[0].result()
    began = time.monotonic()
    until(lambda: time.monotonic() - began > IN_DOUBT_SECONDS)

    # When its look-up fails, and the answer comes while that is waited for
    desk.beat()
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v1/order"}, {"do": "answer", "status": 503, "body": ""}, [1]
    )
    came = [[answer]]
    desk.service.advance(trio.pk, later=late.append, brought=lambda: came.pop() if came else [])

    # Then it rests, and is read as soon as the price reaches it
    leg = trio.legs.get(role=Role.ENTRY)
    assert leg.state == "ACCEPTED", story(trio)
    assert the(trio).state == "WORKING", story(trio)
    assert leg.look_at is None or the(trio).wake_at is not None, story(trio)
    assert schedule_read(leg.pk, trio.pk, in_ms=500) or leg.look_at is not None

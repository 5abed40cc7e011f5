"""A worker in bad weather: slow answers, cut streams, a database that goes away."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest

from orders.domain.words import LegState, Protection, Role
from orders.models import TrioOrder
from tests.builders import Desk, story, the, until
from worker.due import Advancer, due_once

D = Decimal


@pytest.fixture
def advancer() -> Iterator[Advancer]:
    made = Advancer()
    yield made
    made.stop()
    gc.collect()  # ended threads drop their database connections


def covered(trio: TrioOrder) -> bool:
    return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()


def test_cover_does_not_wait_for_the_entrys_answer(desk: Desk, advancer: Advancer) -> None:
    # Given an exchange that fills at once and takes three seconds to answer, and a single worker
    desk.simulator.fault({"path": "/fapi/v1/order", "type": "MARKET"}, {"do": "delay", "ms": 3000})
    trio = desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    began = time.monotonic()
    advancer.call(trio.pk)

    # When the stream tells the fill before the answer is there
    def one_pass() -> bool:
        desk.beat()
        desk.hear()
        due_once(advancer)
        return covered(trio)

    until(one_pass, seconds=2.5, why=f"no stop: {story(trio)}")

    # Then the stop rests long before, and the late answer does no harm
    assert time.monotonic() - began < 2.0, story(trio)
    until(lambda: advancer.idle, seconds=8)
    assert the(trio).state == "OPEN", story(trio)
    assert trio.legs.filter(role=Role.ENTRY).count() == 1

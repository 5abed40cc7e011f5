"""Lanes: order where it matters, no waiting where it does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from worker.keyed_executor import Lanes


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    made = Lanes(2, name="test")
    yield made
    made.stop()


def test_one_lane_keeps_its_order(lanes: Lanes) -> None:
    done: list[int] = []
    for number in range(200):
        lanes.submit("one", partial(done.append, number))

    assert lanes.rest(timeout=5)
    assert done == list(range(200))


def test_a_lane_that_is_held_up_holds_up_no_other(lanes: Lanes) -> None:
    held, other = threading.Event(), threading.Event()
    lanes.submit("held", partial(held.wait, 10))
    lanes.submit("other", other.set)

    assert other.wait(5), "the other lane went on"
    assert not lanes.rest(timeout=0)
    held.set()
    assert lanes.rest(timeout=5)


def test_work_that_goes_wrong_does_not_end_its_lane(lanes: Lanes) -> None:
    after = threading.Event()

    def wrong() -> None:
        raise ValueError("for the test")

    lanes.submit("one", wrong)
    lanes.submit("one", after.set)

    assert after.wait(5)

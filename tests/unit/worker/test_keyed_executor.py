"""The keyed executor: order within a key, no waiting between keys."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from worker.keyed_executor import KeyedExecutor


@pytest.fixture
def executor() -> Iterator[KeyedExecutor]:
    made = KeyedExecutor(2, name="test")
    yield made
    made.shutdown()


def test_work_of_one_key_is_done_in_order(executor: KeyedExecutor) -> None:
    done: list[int] = []
    for number in range(200):
        executor.submit("one", partial(done.append, number))

    assert executor.wait_until_idle(timeout=5)
    assert done == list(range(200))


def test_a_blocked_key_blocks_no_other(executor: KeyedExecutor) -> None:
    release, other = threading.Event(), threading.Event()
    executor.submit("blocked", partial(release.wait, 10))
    executor.submit("other", other.set)

    assert other.wait(5), "the other key waited for the blocked one"
    assert not executor.wait_until_idle(timeout=0)
    release.set()
    assert executor.wait_until_idle(timeout=5)


def test_work_that_raises_does_not_stop_its_key(executor: KeyedExecutor) -> None:
    after = threading.Event()

    def fail() -> None:
        raise ValueError("for the test")

    executor.submit("one", fail)
    executor.submit("one", after.set)

    assert after.wait(5)

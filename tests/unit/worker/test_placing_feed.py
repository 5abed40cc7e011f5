"""Queued trios are handed over as room in the air allows, and their threads never hold up protection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orders.domain.decision.steps import Rest
from orders.placement.admission import Admission
from tests.builders import until
from worker import placing_feed
from worker.due_poll import PLACING_THREADS, AdvancePool
from worker.placing_feed import PlacingFeed

Room = dict[int, Admission]


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Say what is answered for each trio; FULL for those not named."""
    said: Room = {}

    def admit_each(wanted: Sequence[tuple[int, int]]) -> list[Admission]:
        return [said.get(trio_id, Admission.FULL) for trio_id, _ in wanted]

    monkeypatch.setattr(placing_feed, "admit_each", admit_each)
    return said


def fed(feed_to: Callable[[int], None], *trios: int) -> PlacingFeed:
    feed = PlacingFeed(feed_to)
    feed.offer([(trio, 1) for trio in trios])
    return feed


def test_what_is_admitted_is_handed_over_once_and_the_rest_asks_again(room: Room) -> None:
    placed: list[int] = []
    room.update({1: Admission.ADMITTED, 2: Admission.IN_AIR})
    feed = fed(placed.append, 1, 2, 3)
    until(lambda: placed == [1])

    room[3] = Admission.ADMITTED

    until(lambda: placed == [1, 3])
    feed.stop()
    assert placed == [1, 3]


def test_a_trio_that_cannot_be_handed_over_keeps_no_other_from_it(room: Room) -> None:
    placed: list[int] = []
    failed: list[int] = []

    def place(trio_id: int) -> None:
        if trio_id == 1:
            failed.append(trio_id)
            raise RuntimeError("a bug of ours")
        placed.append(trio_id)

    room.update({1: Admission.ADMITTED, 2: Admission.ADMITTED})
    feed = PlacingFeed(place)

    def offered() -> bool:  # as each poll does
        feed.offer([(1, 1), (2, 1)] if not failed else [(2, 1)])
        return 2 in placed

    until(offered)
    feed.stop()
    assert failed


def test_a_long_queue_is_read_again_when_little_of_it_is_left_or_a_second_has_passed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = PlacingFeed(lambda _: None)
    assert feed.wants_more

    feed.offer([(trio, 1) for trio in range(placing_feed.ASKED_AT_ONCE)])
    assert not feed.wants_more

    room[3] = Admission.ADMITTED
    until(lambda: feed.wants_more)

    feed.offer([(trio, 1) for trio in range(100, 100 + placing_feed.ASKED_AT_ONCE)])
    now = time.monotonic() + placing_feed.OFFER_AGAIN_SECONDS
    monkeypatch.setattr("worker.placing_feed.time.monotonic", lambda: now)
    assert feed.wants_more
    monkeypatch.undo()
    feed.stop()


class Service:
    """A placement service whose placing hangs until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.hanging = threading.Semaphore(0)
        self.protected: list[int] = []

    def advance(self, trio_id: int, *, admitted: Admission | None, **_: Any) -> Rest:
        if admitted is None:
            self.protected.append(trio_id)
        else:
            self.hanging.release()
            assert self.let_go.wait(timeout=10)
        return Rest(None)


@pytest.mark.django_db(transaction=True)
def test_protection_never_waits_for_a_thread_that_places(room: Room) -> None:
    service = Service()
    pool = AdvancePool(threads=1, service=service)  # type: ignore[arg-type]
    trios = range(2 * PLACING_THREADS)
    room.update(dict.fromkeys(trios, Admission.ADMITTED))
    try:
        pool.place([(trio, 1) for trio in trios])
        for _ in range(PLACING_THREADS):
            assert service.hanging.acquire(timeout=10)

        pool.submit(1000)

        until(lambda: service.protected == [1000])
    finally:
        service.let_go.set()
        pool.stop()

"""A poll that is to end finishes what it is at, and begins nothing more."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from worker.polls import Poll, Work


def test_once_the_process_is_to_end_nothing_more_is_begun(db: None) -> None:
    # Given two things that are due, and a process that is told to end during the first
    done: list[str] = []
    stopping = threading.Event()

    def first() -> None:
        stopping.set()
        done.append("first")

    class Two(Poll):
        def _due(self) -> Iterable[Work]:
            return [("first", first), ("second", lambda: done.append("second"))]

    # When it looks, and is stopped
    poll = Two(stopping=stopping)
    poll.poll()
    poll.stop()

    # Then the first is finished, and the second left to another process
    assert done == ["first"]

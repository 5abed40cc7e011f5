"""The wake timer: each trio on time, once, the earliest first."""

from __future__ import annotations

import queue
import time

import pytest

from worker.wake_timer import WakeTimer


def test_the_earliest_is_called_first_and_none_before_its_time() -> None:
    # Given three delays, scheduled in another order than they end
    called: queue.Queue[tuple[int, float]] = queue.Queue()
    timer = WakeTimer(lambda trio: called.put((trio, time.monotonic())))
    began = time.monotonic()
    for trio, in_ms in ((3, 90), (1, 30), (2, 60)):
        timer.schedule(trio, in_ms=in_ms)

    # Then each is called for when its delay is over
    for trio, in_ms in ((1, 30), (2, 60), (3, 90)):
        found, at = called.get(timeout=5)
        assert (found, at - began >= in_ms / 1000) == (trio, True)
    timer.stop()


def test_a_stopped_timer_calls_nobody() -> None:
    called: queue.Queue[int] = queue.Queue()
    timer = WakeTimer(called.put)
    timer.schedule(1, in_ms=50)
    timer.stop()

    with pytest.raises(queue.Empty):
        called.get(timeout=0.1)

"""The alarm: what is due soon is called for on time, once, and in its order."""

from __future__ import annotations

import queue
import time

import pytest

from worker.wake_timer import Alarm


def test_what_is_due_first_is_called_for_first_and_not_before_its_time() -> None:
    # Given three rests, set in another order than they end
    called: queue.Queue[tuple[int, float]] = queue.Queue()
    alarm = Alarm(lambda trio: called.put((trio, time.monotonic())))
    began = time.monotonic()
    for trio, in_ms in ((3, 90), (1, 30), (2, 60)):
        alarm.set(trio, in_ms)

    # Then each is called for when its rest is over
    for trio, in_ms in ((1, 30), (2, 60), (3, 90)):
        found, at = called.get(timeout=5)
        assert (found, at - began >= in_ms / 1000) == (trio, True)
    alarm.stop()


def test_a_stopped_alarm_calls_for_nothing() -> None:
    called: queue.Queue[int] = queue.Queue()
    alarm = Alarm(called.put)
    alarm.set(1, 50)
    alarm.stop()

    with pytest.raises(queue.Empty):
        called.get(timeout=0.1)

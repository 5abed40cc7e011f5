from __future__ import annotations

import pytest

from exchange.clock_offset import ClockReading, best_reading, measure_offset


def test_the_offset_is_measured_from_the_middle_of_the_question() -> None:
    reading = measure_offset(before_ms=1000, server_ms=6050, after_ms=1100)
    assert reading == ClockReading(offset_ms=5000, uncertainty_ms=50)
    assert reading.exchange_time(2000) == 7000


def test_an_exchange_behind_us_gives_a_negative_offset() -> None:
    assert measure_offset(before_ms=1000, server_ms=400, after_ms=1000).offset_ms == -600


def test_a_clock_that_ran_backwards_is_not_believed() -> None:
    with pytest.raises(ValueError, match="measure again"):
        measure_offset(before_ms=1000, server_ms=1000, after_ms=999)


def test_the_quickest_question_is_the_best_reading() -> None:
    slow, quick = ClockReading(90, 40), ClockReading(100, 3)
    assert best_reading([slow, quick]) is quick

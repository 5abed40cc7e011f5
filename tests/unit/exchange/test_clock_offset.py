from __future__ import annotations

import pytest

from exchange.clock_offset import ClockReading, measure_offset, read_offset
from exchange.errors import ExchangeUnavailable


def test_the_offset_is_measured_from_the_middle_of_the_question() -> None:
    reading = measure_offset(before_ms=1000, server_ms=6050, after_ms=1100)
    assert reading == ClockReading(offset_ms=5000, round_trip_ms=100)
    assert reading.exchange_time(2000) == 7000


def test_an_exchange_behind_us_gives_a_negative_offset() -> None:
    assert measure_offset(before_ms=1000, server_ms=400, after_ms=1000).offset_ms == -600


def test_a_clock_that_ran_backwards_is_not_believed() -> None:
    with pytest.raises(ValueError, match="measure again"):
        measure_offset(before_ms=1000, server_ms=1000, after_ms=999)


def test_of_several_readings_the_quickest_counts() -> None:
    # Given a line that takes 80, 30 and 50 ms, and an exchange 1000 ms ahead of the middle of each
    ours = iter([0, 80, 100, 130, 200, 250])
    servers = iter([1040, 1115, 1225])

    assert read_offset(lambda: next(servers), lambda: next(ours), tries=3) == ClockReading(1000, 30)


def test_a_quick_reading_needs_no_other() -> None:
    ours = iter([0, 10])

    assert read_offset(lambda: 5, lambda: next(ours), tries=3) == ClockReading(0, 10)


def test_a_reading_during_which_our_clock_ran_backwards_is_made_again() -> None:
    ours = iter([100, 90, 200, 210])

    assert read_offset(lambda: 205, lambda: next(ours), tries=2).offset_ms == 0
    with pytest.raises(ExchangeUnavailable, match="ran backwards"):
        read_offset(lambda: 0, iter([100, 90]).__next__, tries=1)

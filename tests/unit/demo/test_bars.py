"""The recordings that the demo replays are where it looks for them, and hold the stretches it asks for."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest

from demo.bars import STEP_SHARE, WALKS, Bar, Walk, in_small_steps, stretch
from demo.scenarios import SCENARIOS


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.symbol)
def test_every_recording_has_the_stretch_that_the_demo_replays(walk: Walk) -> None:
    found = walk.bars()

    start = found[0].open
    assert found[-1].high >= start * (1 + walk.rise)
    assert start * (1 - walk.dip) <= min(bar.low for bar in found) <= start * (1 - walk.dip / 2)
    assert len(found) <= walk.bars_max


def bar(minute: int, low: str, high: str) -> Bar:
    return Bar(minute * 60_000, Decimal(100), Decimal(high), Decimal(low), Decimal(100))


def test_a_stretch_dips_before_it_rises_and_never_too_far() -> None:
    # Given bars that rise without a dip, then fall too far, then dip and rise
    bars = [
        bar(0, "100", "103"),
        bar(1, "90", "100"),
        bar(2, "97", "100"),
        bar(3, "100", "102"),
        bar(4, "100", "100"),
    ]
    wanted = {"dip": Decimal("0.04"), "rise": Decimal("0.02")}

    assert stretch(bars, bars_max=2, **wanted) == bars[2:4]
    with pytest.raises(ValueError, match="no such stretch"):
        stretch(bars[:2], bars_max=1, **wanted)


def test_a_rising_bar_visits_its_low_first_and_a_falling_one_its_high() -> None:
    rising = Bar(0, Decimal(10), Decimal(13), Decimal(9), Decimal(12))
    falling = Bar(0, Decimal(12), Decimal(13), Decimal(9), Decimal(10))

    assert list(rising.walk()) == [10, 9, 13, 12]
    assert list(falling.walk()) == [12, 13, 9, 10]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.symbol)
def test_no_step_jumps_over_the_way_from_an_entry_to_its_stop(walk: Walk) -> None:
    way = [price for bar in walk.bars() for price in bar.walk()]

    small = list(in_small_steps(way, share_max=STEP_SHARE))

    longest = max(abs(after - before) / before for before, after in itertools.pairwise(small))
    nearest = min(
        abs(scenario.stop - (scenario.limit or Decimal(0)))
        for scenario in SCENARIOS
        if scenario.symbol == walk.symbol
    )
    assert longest <= STEP_SHARE < nearest / 2
    # And it is the same way still
    assert (small[0], small[-1], min(small), max(small)) == (way[0], way[-1], min(way), max(way))
    assert set(way) <= set(small)

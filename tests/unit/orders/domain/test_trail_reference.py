"""A trail over recorded bars goes where its definition says, to the tick: against a reference that knows nothing of the code.

The reference is written from the definition alone, in whole ticks. Each path is a stretch of recorded one-minute bars, walked
through open, low and high (in the order of the bar's direction) and close, until the stop is touched.
"""

from __future__ import annotations

import csv
import gzip
import itertools
from decimal import Decimal as D
from functools import cache
from pathlib import Path

import pytest

from exchange.types import Side
from orders.domain.trailing import PriceSpan, TrailTerms, TrailUnit, best_in, best_of, next_stop

RECORDED = Path(__file__).parents[4] / "simulator" / "data" / "ADAUSDT_1m.csv.gz"
TICK = D("0.0001")
BARS = 400
PATHS = 20
Bar = tuple[int, int, int, int]  # open, high, low, close in ticks


@cache
def recorded() -> list[Bar]:
    with gzip.open(RECORDED, "rt") as file:
        rows = list(csv.DictReader(file))
    return [
        tuple(int(D(row[name]) / TICK) for name in ("open", "high", "low", "close"))  # type: ignore[misc]
        for row in rows
    ]


def walked(bars: list[Bar]) -> list[int]:
    """Return the prices of some bars, in ticks: a rising bar goes by its low first."""
    found: list[int] = []
    for opened, high, low, closed in bars:
        found += [opened, low, high, closed] if closed >= opened else [opened, high, low, closed]
    return found


def stretch(number: int) -> list[Bar]:
    bars = recorded()
    start = number * (len(bars) - BARS) // PATHS
    return bars[start : start + BARS]


# --- the reference ------------------------------------------------------------------------------


def reference(
    prices: list[int],
    *,
    long: bool,
    stop: int,
    distance: int | None,
    permille: int | None,
    activation: int | None,
    step: int,
) -> list[int]:
    """Return every place of the stop, in ticks, up to where the price touches it. A short is a long of mirrored prices."""
    sign = 1 if long else -1
    places, active, best = [stop], False, 0
    for price in prices:
        if sign * (price - places[-1]) <= 0:
            return places  # the stop triggers
        active = active or activation is None or sign * (price - activation) >= 0
        if not active:
            continue
        best = price if best == 0 or sign * (price - best) > 0 else best
        if distance is not None:
            wish = best - sign * distance
        else:  # best × (1000 ∓ permille) / 1000, up for a long and down for a short
            assert permille is not None
            wish = -((-best * (1000 - permille)) // 1000) if long else best * (1000 + permille) // 1000
        if sign * (wish - price) >= 0:
            wish = price - sign
        if sign * (wish - places[-1]) >= step:
            places.append(wish)
    return places


# --- what the code does -------------------------------------------------------------------------


def followed(trail: TrailTerms, stop: D, prices: list[int]) -> list[int]:
    best, places = None, [stop]
    for price in (ticks * TICK for ticks in prices):
        touched = price <= places[-1] if trail.side is Side.BUY else price >= places[-1]
        if touched:
            break
        best = best_of(trail, best, price)
        level = next_stop(trail, best=best, stop=places[-1], price=price)
        if level is not None:
            places.append(level)
    return [int(place / TICK) for place in places]


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("number", range(PATHS))
def test_twenty_paths_to_the_tick_on_both_sides(number: int, side: Side) -> None:
    prices, long = walked(stretch(number)), side is Side.BUY
    first, sign = prices[0], 1 if long else -1
    moves = 0
    for distance, permille, activation, step in itertools.product(
        (5, 12, None), (3, 8), (None, first + sign * 6), (1, 4)
    ):
        stop = first - sign * 40
        trail = TrailTerms(
            side,
            distance=distance * TICK if distance else D(permille) / 10,
            tick=TICK,
            step=step * TICK,
            unit=TrailUnit.PRICE if distance else TrailUnit.PERCENT,
            activation=None if activation is None else activation * TICK,
        )
        expected = reference(
            prices,
            long=long,
            stop=stop,
            distance=distance,
            permille=permille,
            activation=activation,
            step=step,
        )
        found = followed(trail, stop * TICK, prices)
        assert found == expected, trail.words
        assert found == sorted(found, reverse=not long), "never looser"
        moves += len(found) - 1
    assert moves  # it was no idle path


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("number", range(PATHS))
def test_prices_that_were_missed_are_made_up_for_by_their_bars(number: int, side: Side) -> None:
    bars = stretch(number)
    trail = TrailTerms(side, distance=5 * TICK, tick=TICK, step=TICK)
    heard = None
    for price in walked(bars):
        heard = best_of(trail, heard, price * TICK)

    # The middle half is missed: what is read of it are its bars
    quarter = BARS // 4
    made_up = None
    for price in walked(bars[:quarter]):
        made_up = best_of(trail, made_up, price * TICK)
    spans = [
        PriceSpan(60_000 * at, high * TICK, low * TICK)
        for at, (_, high, low, _) in enumerate(bars[quarter : 3 * quarter], start=quarter)
    ]
    missed = best_in(side, spans, since_ts=0)
    assert missed is not None
    made_up = best_of(trail, made_up, missed)
    for price in walked(bars[3 * quarter :]):
        made_up = best_of(trail, made_up, price * TICK)
    assert made_up == heard

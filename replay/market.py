"""How the price goes through a recorded bar. Pure.

A rising bar goes open, low, high, close; a falling one open, high, low, close. Where a bar holds both the stop and the
target of a trio, nobody knows which came first: the stop is counted first, and it is reported. Where an entry waits for its
trigger, and the bar holds trigger and stop, the entry is counted first, then the stop.

The price pauses where an entry waits, so that what it opens is covered before the price goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from simulator.prices.recorded import Candle


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a living trio's stop and target are. The stop of a long lies below its target.

    ``entry``: where its entry waits, if it does; ``by_trigger``: for a trigger, beyond the market.
    """

    stop: Decimal
    target: Decimal
    entry: Decimal | None = None
    by_trigger: bool = False

    @property
    def is_long(self) -> bool:
        return self.stop < self.target

    def both_in(self, candle: Candle) -> bool:
        return all(candle.low <= level <= candle.high for level in (self.stop, self.target))

    def waits_in(self, candle: Candle) -> bool:
        """Does the bar reach its trigger, but not at once, and its stop?"""
        if self.entry is None or not self.by_trigger or not candle.low <= self.stop <= candle.high:
            return False
        if self.is_long:
            return candle.open < self.entry <= candle.high
        return candle.low <= self.entry < candle.open


@dataclass(frozen=True, slots=True)
class Way:
    """The corners of a bar in order, the open first. ``is_ambiguous``: it held a stop and its target, or its entry."""

    corners: tuple[Decimal, ...]
    is_ambiguous: bool


def way_through(candle: Candle, living: Iterable[Levels]) -> Way:
    """Return how the price goes through a bar while these trios live."""
    low_first = candle.close >= candle.open
    living = list(living)
    for levels in living:
        if levels.waits_in(candle):
            assert levels.entry is not None
            turns = (candle.low, candle.high) if levels.is_long else (candle.high, candle.low)
            return Way((candle.open, levels.entry, *turns, candle.close), is_ambiguous=True)
    both = [levels for levels in living if levels.both_in(candle)]
    if both:
        low_first = both[0].is_long
    turns = (candle.low, candle.high) if low_first else (candle.high, candle.low)
    return Way((candle.open, *turns, candle.close), bool(both))


def pauses(way_from: Decimal, way_to: Decimal, living: Iterable[Levels]) -> list[Decimal]:
    """Return where the price pauses between two corners, in order: at each entry that waits there."""
    low, high = min(way_from, way_to), max(way_from, way_to)
    entries = {levels.entry for levels in living if levels.entry is not None and low < levels.entry < high}
    return sorted(entries, reverse=way_to < way_from)

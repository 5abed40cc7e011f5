"""How the price goes through a recorded bar. Pure.

A rising bar goes open, low, high, close; a falling one open, high, low, close. Where a bar holds both the stop and the
target of a trio, nobody knows which came first: the stop is counted first, and it is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from simulator.prices.recorded import Candle


@dataclass(frozen=True, slots=True)
class Levels:
    """Where a living trio's stop and target are. The stop of a long lies below its target."""

    stop: Decimal
    target: Decimal

    def both_in(self, candle: Candle) -> bool:
        return all(candle.low <= level <= candle.high for level in (self.stop, self.target))


@dataclass(frozen=True, slots=True)
class Way:
    """The corners of a bar in order, the open first. ``is_ambiguous``: it held a stop and its target."""

    corners: tuple[Decimal, Decimal, Decimal, Decimal]
    is_ambiguous: bool


def way_through(candle: Candle, living: Iterable[Levels]) -> Way:
    """Return how the price goes through a bar while these trios live."""
    low_first = candle.close >= candle.open
    both = [levels for levels in living if levels.both_in(candle)]
    if both:
        low_first = both[0].stop < both[0].target
    turns = (candle.low, candle.high) if low_first else (candle.high, candle.low)
    return Way((candle.open, *turns, candle.close), bool(both))

"""Recorded bars: the ones that are shipped, files, and parts of both. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final

from simulator.prices.intervals import INTERVALS
from simulator.prices.recorded import Candle, bundled_candles, load
from simulator.prices.source import BUNDLED

LENGTHS: Final = {interval.length: name for name, interval in INTERVALS.items() if not interval.is_month}


class NoRecording(ValueError):
    """There are no such bars; the text says what there is."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Bars of one symbol, oldest first."""

    symbol: str
    timeframe: str
    length: int
    candles: tuple[Candle, ...]

    @property
    def digest(self) -> str:
        """A short hash of what the bars say."""
        text = "\n".join(f"{c.start} {c.open} {c.high} {c.low} {c.close} {c.volume}" for c in self.candles)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def between(self, first: int | None, last: int | None) -> Recording:
        """The bars that open in a span of time (exchange ms). Raises NoRecording when there are none."""
        candles = tuple(
            c
            for c in self.candles
            if (first is None or c.start >= first) and (last is None or c.start <= last)
        )
        if len(candles) < 2:
            raise NoRecording(f"{self.symbol}: fewer than two bars lie in that span.")
        return Recording(self.symbol, self.timeframe, self.length, candles)

    def first(self, count: int) -> Recording:
        return Recording(self.symbol, self.timeframe, self.length, self.candles[:count])


def recording(symbol: str, path: Path | None) -> Recording:
    """Return the bars of a file, or those that are shipped. Raises NoRecording."""
    if path is None:
        if symbol not in BUNDLED:
            raise NoRecording(
                f"No bars of {symbol} are shipped: name a file with --klines {symbol}=FILE. Shipped are "
                f"{', '.join(sorted(BUNDLED))}."
            )
        return _made(symbol, bundled_candles(BUNDLED[symbol]))
    try:
        return _made(symbol, tuple(load(path).candles))
    except ValueError as error:
        raise NoRecording(str(error)) from error


def _made(symbol: str, candles: tuple[Candle, ...]) -> Recording:
    """Raises NoRecording for bars that no exchange has: out of order, of no known length, impossible prices."""
    if len(candles) < 2:
        raise NoRecording(f"{symbol}: fewer than two bars.")
    steps = [after.start - before.start for before, after in pairwise(candles)]
    length = min(steps)
    if length not in LENGTHS:
        raise NoRecording(f"{symbol}: bars {length} ms apart are of no timeframe, or not in order.")
    for candle in candles:
        inside = candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
        if not inside or candle.low <= 0 or not candle.high.is_finite() or candle.volume < Decimal(0):
            raise NoRecording(f"{symbol}: the bar of {candle.start} cannot be.")
    return Recording(symbol, LENGTHS[length], length, candles)

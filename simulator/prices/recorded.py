"""Recorded bars, and the path of the price inside one.

A rising bar (close at or above open) goes open → low → high → close, a falling one open → high → low → close. The
first turning point lies at one quarter of the bar's time, the second at three quarters; in between the price moves
evenly. After the last bar the recording is played backwards, so that the price never jumps.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from simulator.engine.data_files import bundled, read_maybe_gzipped


@dataclass(frozen=True, slots=True)
class Candle:
    """One recorded bar. ``start`` is when it was recorded, not when it is replayed."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    def reversed(self) -> Candle:
        return Candle(self.start, self.close, self.high, self.low, self.open, self.volume)


def parse(text: str, what: str) -> list[Candle]:
    """Read bars from CSV with the columns open_time, open, high, low, close, volume. Raises ValueError."""
    candles = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            candles.append(
                Candle(int(row["open_time"]), Decimal(row["open"]), Decimal(row["high"]), Decimal(row["low"]),
                       Decimal(row["close"]), Decimal(row["volume"] or 0))
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise ValueError(
                f"{what}, line {number}: expected the columns open_time, open, high, low, close, volume."
            ) from error
    if len(candles) < 2:
        raise ValueError(f"{what} holds fewer than two bars.")
    return candles


class Recording:
    """A row of bars of one length, aligned with the market clock."""

    def __init__(self, candles: list[Candle]) -> None:
        self.candles = candles
        self.length = min(b.start - a.start for a, b in itertools.pairwise(candles))
        self.origin = 0  # market time at which bar 0 starts

    def start_at(self, market_ms: int, *, history: int) -> None:
        """Align the recording: at this market time so many bars are history, and the next one is open."""
        history = min(history, len(self.candles) - 1)
        self.origin = market_ms - market_ms % self.length - history * self.length

    def bar(self, number: int) -> Candle:
        """The bar with this number; the recording runs forwards and backwards in turn."""
        count = len(self.candles)
        lap, at = divmod(number, count)
        return self.candles[at] if lap % 2 == 0 else self.candles[count - 1 - at].reversed()

    def number_at(self, market_ms: int) -> int:
        return (market_ms - self.origin) // self.length

    def points(self, number: int) -> list[tuple[int, Decimal]]:
        """The corners of the path inside one bar: (market time, price)."""
        bar, start = self.bar(number), self.origin + number * self.length
        first, second = (bar.low, bar.high) if bar.close >= bar.open else (bar.high, bar.low)
        quarter = self.length // 4
        return [(start, bar.open), (start + quarter, first), (start + 3 * quarter, second),
                (start + self.length - 1, bar.close)]  # fmt: skip

    def path(self, after: int, until: int) -> Iterator[tuple[int, Decimal]]:
        """The prices between two market times, each with its own: every corner passed, then where the path is at the end."""
        for number in range(self.number_at(after), self.number_at(until) + 1):
            for moment, price in self.points(number):
                if after < moment <= until:
                    yield moment, price
        yield until, self.price_at(until)

    def price_at(self, market_ms: int) -> Decimal:
        points = self.points(self.number_at(market_ms))
        for (t0, p0), (t1, p1) in itertools.pairwise(points):
            if market_ms <= t1:
                return p0 + (p1 - p0) * (market_ms - t0) / (t1 - t0)
        return points[-1][1]


def load(path: Path) -> Recording:
    """Load recorded bars from a CSV file, gzipped or not. Raises ValueError."""
    try:
        return Recording(parse(read_maybe_gzipped(path).decode(), str(path)))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file.") from error


@functools.cache
def bundled_candles(name: str) -> tuple[Candle, ...]:
    return tuple(parse(bundled(name).decode(), name))


def bundled_recording(name: str) -> Recording:
    return Recording(list(bundled_candles(name)))


@functools.cache
def daily_closes() -> dict[str, Decimal]:
    """Real daily closes, to start symbols from."""
    rows = csv.DictReader(io.StringIO(bundled("daily_closes.csv.gz").decode()))
    return {row["symbol"]: Decimal(row["close"]) for row in rows}

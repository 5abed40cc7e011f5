"""Stretches of real recorded bars in which something happens, and the walk through them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

RECORDINGS = Path(__file__).resolve().parent.parent / "simulator" / "data"
STEP_SHARE = Decimal("0.002")  # of the price, at most, from one to the next


@dataclass(frozen=True, slots=True)
class Bar:
    """One recorded bar; ``time_ms`` is when it opened."""

    time_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def walk(self) -> Iterator[Decimal]:
        """Yield the way through the bar: a rising bar visits its low first, a falling one its high."""
        yield self.open
        yield from (self.low, self.high) if self.close >= self.open else (self.high, self.low)
        yield self.close


def recorded(name: str) -> list[Bar]:
    """Read a recording, oldest bar first."""
    with gzip.open(RECORDINGS / name, "rt", newline="") as file:
        return [
            Bar(
                int(row["open_time"]),
                *(Decimal(row[column]) for column in ("open", "high", "low", "close")),
            )
            for row in csv.DictReader(file)
        ]


def in_small_steps(prices: Iterable[Decimal], *, share_max: Decimal) -> Iterator[Decimal]:
    """Yield the same way with more stops on it: none is further from the one before than this share of it.

    So an entry that fills on the way can be covered before its stop's level is reached.
    """
    last: Decimal | None = None
    for price in prices:
        if last is not None:
            steps = int(abs(price - last) / (last * share_max)) + 1
            for number in range(1, steps):
                yield last + (price - last) * number / steps
        yield price
        last = price


@dataclass(frozen=True, slots=True)
class Walk:
    """Which stretch of a recording moves the price of one symbol. ``dip`` and ``rise`` are shares of its first open."""

    symbol: str
    recording: str
    dip: Decimal
    rise: Decimal
    bars_max: int = 40

    def bars(self) -> list[Bar]:
        return stretch(recorded(self.recording), dip=self.dip, rise=self.rise, bars_max=self.bars_max)


WALKS = (
    Walk("ADAUSDT", "ADAUSDT_1m.csv.gz", dip=Decimal("0.004"), rise=Decimal("0.008")),
    Walk("XRPUSDT", "XRPUSDT_5m.csv.gz", dip=Decimal("0.006"), rise=Decimal("0.010")),
)


def stretch(bars: Sequence[Bar], *, dip: Decimal, rise: Decimal, bars_max: int) -> list[Bar]:
    """Return the first stretch that, from its first open, never falls below ``-dip`` before it has risen by
    ``rise``, and does so within ``bars_max`` bars after having dipped at least half as far as allowed.

    Both are shares of the first open. Raises ValueError when the recording has none.
    """
    for first in range(len(bars) - bars_max):
        start = bars[first].open
        dipped = False
        for offset in range(bars_max):
            bar = bars[first + offset]
            if bar.low < start * (1 - dip):
                break
            dipped = dipped or bar.low <= start * (1 - dip / 2)
            if dipped and bar.high >= start * (1 + rise):
                return list(bars[first : first + offset + 1])
    raise ValueError("the recording has no such stretch")

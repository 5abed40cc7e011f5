"""Closed bars of one symbol and timeframe, in order and without a gap. Pure.

A bar's key is the exchange's own open time, never one computed from a length: weeks begin on Mondays, months are not
equally long. A bar is closed only when the stream says so (``x``), or when it was read and had ended on the exchange's
clock by then. The open bar is never given to anybody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from exchange.types import Kline

KEPT: Final = 2000  # what strategies look back on, and what they may still have to decide about


@dataclass(frozen=True, slots=True)
class Bar:
    """One closed bar. ``closed_at``: the exchange's time at which it was over.

    That is the end of it, but where a market runs faster than its exchange's clock (the simulator's may): there it is
    when the exchange said so.
    """

    open_time: int
    close_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    closed_at: int = field(compare=False)

    @property
    def length(self) -> int:
        """How long it was, in milliseconds; the next one may be longer or shorter."""
        return self.close_time - self.open_time + 1


def act_before(bar: Bar, *, max_age_ms: int) -> int:
    """Until when (exchange ms) a decision about a bar may act: the next bar's close, or an age, what is earlier."""
    return bar.closed_at + min(bar.length, max_age_ms)


class Series:
    """The newest closed bars of one symbol and timeframe, oldest first. Late, doubled and missing ones do no harm."""

    def __init__(self, keep: int = KEPT) -> None:
        self._keep = keep
        self._bars: list[Bar] = []

    @property
    def last(self) -> Bar | None:
        return self._bars[-1] if self._bars else None

    @property
    def since(self) -> int | None:
        """The open time of the bar that comes next; None while nothing is known."""
        return self._bars[-1].close_time + 1 if self._bars else None

    def after(self, open_time: int) -> list[Bar]:
        """The closed bars that opened later than this one did."""
        return self._bars[bisect_right(self._bars, open_time, key=_open_time) :]

    def until(self, open_time: int, count: int) -> list[Bar]:
        """So many closed bars at most, of which the last opened then."""
        end = bisect_right(self._bars, open_time, key=_open_time)
        return self._bars[max(0, end - count) : end]

    def hear(self, kline: Kline) -> bool:
        """Take in a frame of the stream. Returns whether bars before it are missing and have to be read."""
        if self.since is None or kline.open_time > self.since:
            return True  # also when it is closed: what is read holds it too
        if kline.open_time == self.since and kline.closed:
            self._add(kline, closed_at=min(kline.close_time + 1, kline.time))
        return False

    def read(self, rows: Sequence[Kline], *, asked_at: int) -> None:
        """Take in bars as they were read, oldest first. ``asked_at``: the exchange's time when they were asked for.

        A bar that another one follows is over, whatever the clock says: the exchange itself went on.
        """
        for place, row in enumerate(rows, start=1):
            is_over = row.close_time < asked_at or place < len(rows)
            if is_over and (self.since is None or row.open_time >= self.since):
                self._add(row, closed_at=min(row.close_time + 1, asked_at))

    def _add(self, kline: Kline, *, closed_at: int) -> None:
        self._bars.append(
            Bar(
                kline.open_time, kline.close_time, kline.open, kline.high, kline.low, kline.close, kline.volume,
                closed_at,
            )
        )  # fmt: skip
        del self._bars[: -self._keep]


def _open_time(bar: Bar) -> int:
    return bar.open_time

"""The average true range of closed bars: how far a price goes in a bar. Pure.

A bar's true range reaches from its low to its high, and to the close before it. The average is Wilder's, as charts
and TA-Lib draw it: first the mean of so many true ranges; from then on each bar moves it by its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from exchange.types import Kline

ATR_BARS: Final = 14  # Wilder's own choice
READ_BARS: Final = 300  # so many that where they begin no longer shows


def average_true_range(bars: Sequence[Kline], *, length: int = ATR_BARS) -> Decimal:
    """Return the average true range over ``length`` bars at the last of these closed bars, oldest first.

    Raises ValueError for fewer than ``length + 1`` bars: the first has no close before it.
    """
    if length < 1 or len(bars) < length + 1:
        raise ValueError(f"The average true range over {length} bars takes {length + 1} closed bars.")
    ranges = [_true_range(bar, before) for before, bar in pairwise(bars)]
    average = sum(ranges[:length], Decimal(0)) / length
    for each in ranges[length:]:
        average = (average * (length - 1) + each) / length
    return average


def _true_range(bar: Kline, before: Kline) -> Decimal:
    return max(bar.high, before.close) - min(bar.low, before.close)

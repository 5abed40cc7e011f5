"""The few indicators that the examples use, in decimals: the same bars always give the same digits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from signals.strategies.api import Candle


def mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def deviation(values: Sequence[Decimal]) -> Decimal:
    """The standard deviation of all these values (not of a sample)."""
    middle = mean(values)
    return mean([(value - middle) ** 2 for value in values]).sqrt()


def true_range(before: Candle, candle: Candle) -> Decimal:
    """How far the price went in a bar, counted from the close before it."""
    return max(candle.high, before.close) - min(candle.low, before.close)


def average_true_range(candles: Sequence[Candle], count: int) -> Decimal:
    """The mean true range of the last ``count`` bars; one more than that is needed."""
    some = candles[-count - 1 :]
    return mean([true_range(before, candle) for before, candle in pairwise(some)])

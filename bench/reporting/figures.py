"""Numbers made of numbers: percentiles, medians, how far rounds lie apart."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("There is no percentile of nothing.")
    rank = max(1, math.ceil(len(values) * percent / 100))
    return sorted(values)[rank - 1]


def median(values: Sequence[float]) -> float:
    """Return the middle value. Raises ValueError for none."""
    if not values:
        raise ValueError("There is no median of nothing.")
    return float(statistics.median(values))


def ratio(ours: float, theirs: float) -> float:
    """Return how many times theirs ours is; nothing can be said of nothing: NaN."""
    return ours / theirs if theirs else math.nan


def short(value: object) -> str:
    """Return a figure as a table shows it: three digits that say something, whole from 100 on."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–" if value is None else str(value)
    if not math.isfinite(value):
        return "–"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Return the median of some rounds, and the least and the most of them."""
    if not values:
        return "–"
    middle = short(median(values))
    return middle if len(values) == 1 else f"{middle} ({short(min(values))}–{short(max(values))})"

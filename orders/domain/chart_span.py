"""Which bars a picture of some time is drawn from. Pure; times are exchange milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE_MS: Final = 60_000
TIMEFRAMES: Final = {
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}
BARS: Final = 120  # that the time itself takes at most
AROUND: Final = 30  # before it, to see where the price came from, and after it


@dataclass(frozen=True, slots=True)
class Span:
    """Bars of one timeframe that opened from ``since`` on, ``limit`` of them at most."""

    timeframe: str
    since: int
    limit: int


def span_of(begins: int, ends: int) -> Span:
    """Return the finest bars that show this time, with some before and after it."""
    length = max(0, ends - begins)
    name = next((name for name, ms in TIMEFRAMES.items() if length <= BARS * ms), "1d")
    ms = TIMEFRAMES[name]
    since = (begins // ms - AROUND) * ms
    return Span(name, max(0, since), min(1000, length // ms + 2 * AROUND + 1))

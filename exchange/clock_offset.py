"""How far the exchange's clock is from ours; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockReading:
    """``offset_ms`` is exchange minus ours; the truth lies within ``uncertainty_ms`` of it."""

    offset_ms: int
    uncertainty_ms: int

    def exchange_time(self, ours_ms: int) -> int:
        """Return the exchange's time (ms) at our time ``ours_ms``."""
        return ours_ms + self.offset_ms


def measure_offset(*, before_ms: int, server_ms: int, after_ms: int) -> ClockReading:
    """Work out the offset from a server time read between two of our own readings (all ms).

    Raises ValueError when our clock ran backwards in between: measure again.
    """
    if after_ms < before_ms:
        raise ValueError("Our clock went backwards while the exchange was asked for its time: measure again.")
    return ClockReading(
        offset_ms=server_ms - (before_ms + after_ms) // 2,
        uncertainty_ms=(after_ms - before_ms + 1) // 2,
    )


def best_reading(readings: Iterable[ClockReading]) -> ClockReading:
    """Return the most certain of several readings. Raises ValueError when there is none."""
    return min(readings, key=lambda reading: reading.uncertainty_ms)

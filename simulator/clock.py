"""Exchange time: the machine's clock, or one that is moved by hand."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]  # milliseconds since the epoch


def wall_clock() -> int:
    """The machine's time."""
    return time.time_ns() // 1_000_000


class SteppedClock:
    """Exchange time that stands still until it is moved; for runs that must be the same every time."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms

    def forward(self, ms: int) -> None:
        """Move on by so many milliseconds."""
        if ms < 0:
            raise ValueError("Time moves forward only.")
        self.ms += ms

"""The exchange's time for questions asked by a person; the one seam to how it is measured."""

from __future__ import annotations

import time
from dataclasses import dataclass

from accounts import gateways


@dataclass(frozen=True, slots=True)
class ClockReading:
    """``exchange`` in ms since the epoch; ``offset`` = exchange minus ours, ``round_trip``, in ms."""

    exchange: int
    offset: int
    round_trip: int


def clock_read(environment: str) -> ClockReading:
    """Ask the exchange for its time between two readings of ours. Raises ``exchange.errors``."""
    before = time.time_ns() // 1_000_000
    exchange = gateways.public_exchange(environment).server_time()
    after = time.time_ns() // 1_000_000
    return ClockReading(exchange, exchange - (before + after) // 2, after - before)


def exchange_time(environment: str) -> int:
    """Return the exchange's time now, in ms, asked anew. Raises ``exchange.errors``."""
    return clock_read(environment).exchange

"""The exchange's time for requests made on a person's behalf, measured anew each time."""

from __future__ import annotations

import time

from accounts import gateways
from exchange.clock_offset import ClockReading, read_offset
from exchange.types import ExchangeMs, OurMs

ANY_MS = 600_000  # a person waits: the first reading will do


def our_ms() -> OurMs:
    """Return this machine's time, in ms."""
    return OurMs(time.time_ns() // 1_000_000)


def clock_read(environment: str) -> ClockReading:
    """Ask the exchange for its time between two readings of this machine's clock. Raises ``exchange.errors``."""
    return read_offset(gateways.public_exchange(environment).server_time, our_ms, tries=3, quick_ms=ANY_MS)


def exchange_time(environment: str) -> ExchangeMs:
    """Return the exchange's time now, in ms, measured anew. Raises ``exchange.errors``."""
    return clock_read(environment).exchange_time(our_ms())

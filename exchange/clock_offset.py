"""How far the exchange's clock is from ours; pure, and the one place where it is worked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import ExchangeUnavailable
from exchange.types import ExchangeMs, OurMs


@dataclass(frozen=True, slots=True)
class ClockReading:
    """``offset_ms`` is exchange minus ours; the truth lies within half of ``round_trip_ms`` of it."""

    offset_ms: int
    round_trip_ms: int

    def exchange_time(self, ours_ms: OurMs) -> ExchangeMs:
        """Return the exchange's time (ms) at our time ``ours_ms``."""
        return ExchangeMs(ours_ms + self.offset_ms)


def measure_offset(*, before_ms: OurMs, server_ms: ExchangeMs, after_ms: OurMs) -> ClockReading:
    """Work out the offset from a server time read between two of our own readings (all ms).

    Raises ValueError when our clock ran backwards in between: measure again.
    """
    if after_ms < before_ms:
        raise ValueError("Our clock went backwards while the exchange was asked for its time: measure again.")
    return ClockReading(
        offset_ms=server_ms - (before_ms + after_ms) // 2,
        round_trip_ms=after_ms - before_ms,
    )


def read_offset(
    server_time: Callable[[], ExchangeMs],
    our_time: Callable[[], OurMs],
    *,
    tries: int = 1,
    quick_ms: int = 20,
) -> ClockReading:
    """Ask for the server's time between two readings of our clock (all ms); of several tries the quickest counts.

    A round trip within ``quick_ms`` is good enough to stop. Raises what ``server_time`` raises, and
    ExchangeUnavailable when our clock ran backwards during every try.
    """
    best: ClockReading | None = None
    for _ in range(tries):
        before = our_time()
        server = server_time()
        try:
            reading = measure_offset(before_ms=before, server_ms=server, after_ms=our_time())
        except ValueError:
            continue
        if best is None or reading.round_trip_ms < best.round_trip_ms:
            best = reading
        if best.round_trip_ms <= quick_ms:
            break
    if best is None:
        raise ExchangeUnavailable(
            "Our clock ran backwards while the exchange was asked for its time, so its offset is not known. "
            "Look at this machine's clock, then try again."
        )
    return best

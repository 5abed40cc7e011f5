"""What carries one request: one send, one deadline, and a record of what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from exchange.binance.answer import Answer


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as the library has formatted and signed it. It has no body: everything is in its query."""

    method: str
    url: str  # up to the query
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


class Transport(Protocol):
    """Sends a request once and returns its whole answer. Safe to use from several threads."""

    def send(self, outgoing: Outgoing, flight: Flight) -> Answer:
        """Call ``flight.leave`` right before the first byte may leave. Raises OSError or ValueError when no whole answer came."""
        ...


def _no_objection() -> None:
    pass


@dataclass(slots=True)
class Flight:
    """What becomes of one request.

    ``sent``: a byte may have left. From then on only an answer says what became of it. ``last_word``: asked once more
    before that; raises where it must not leave after all.
    """

    deadline: float
    sent: bool = False
    last_word: Callable[[], None] = _no_objection

    def leave(self) -> None:
        """Note that the first byte leaves now. Raises what the last word raises; nothing was sent then."""
        self.last_word()
        self.sent = True

    @property
    def overdue(self) -> bool:
        return time.monotonic() >= self.deadline


def time_left(deadline: float) -> float:
    """Return the seconds to the deadline. Raises TimeoutError when there are none."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline has passed")
    return seconds

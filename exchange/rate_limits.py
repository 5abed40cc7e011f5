"""The exchange's limits, and who may use how much of them: pure, no network and no clock.

Request weight is counted for the address a request leaves from, orders for the account. Every request is
charged before it leaves; who sends it says how much it matters, with ``spending``.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from exchange.refusals import Refusal

CONDITIONALS_MAX: Final = 200  # open conditional orders of an account, documented for 2025-12-29


class Priority(enum.IntEnum):
    """Who may use the limits first; a class may use what the classes below it leave."""

    PROTECT = 0  # stops, exits, cancels, look-ups of what may be uncovered
    MOVE = 1  # stops that follow the price, while another one covers
    PLACE = 2  # entries, the legs that rest before them, and what placing has to read
    WATCH = 3  # sweeps, streams, clocks, settings
    PAGE = 4  # what a person looks at


@dataclass(frozen=True, slots=True)
class Limits:
    """What the exchange allows: weight a minute to an address, orders to an account in each window."""

    weight_1m: int = 2400
    orders_10s: int = 300
    orders_1m: int = 1200


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request uses up. ``pledge``: orders that must still find room after it (an entry's legs)."""

    weight: int = 0
    orders: int = 0
    pledge: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer said about the limits. ``None``: it did not say; ``closed_ms``: for how long they are shut.

    ``cause`` is BANNED or RATE_WEIGHT (about the address) or RATE_ORDERS (about the account's windows). ``is_told``: the
    answer said for how long; without that it is the longest that it can be.
    """

    weight_1m: int | None = None
    orders_10s: int | None = None
    orders_1m: int | None = None
    cause: Refusal | None = None
    closed_ms: int = 0
    is_told: bool = True


class RateGate(Protocol):
    """What every request of one account passes before it leaves, and its answer afterwards."""

    def enter(self, cost: Cost, priority: Priority) -> None:
        """Reserve ``cost``. Raises ExchangeUnavailable, with the time to wait, when it must not leave now."""
        ...

    def confirm(self, passed: float) -> None:
        """Ask once more before the first byte leaves: a connection may have taken long to open since the gate was passed
        (``passed``: our monotonic clock). Raises ExchangeUnavailable when the address was barred meanwhile.
        """
        ...

    def leave(self, usage: Usage) -> Usage:
        """Note what the answer said; return it as it is understood here."""
        ...

    def learn(self, limits: Limits) -> None:
        """Note the limits the exchange has published."""
        ...


@dataclass(frozen=True, slots=True)
class Spending:
    """On whose behalf requests of this thread are made, and what each order pledges."""

    priority: Priority = Priority.PAGE
    pledge: int = 0


_PAGE: Final = Spending()
_spending: Final[ContextVar[Spending]] = ContextVar("spending", default=_PAGE)


@contextlib.contextmanager
def spending(priority: Priority, *, pledge: int = 0) -> Iterator[None]:
    """Charge the requests made inside, in this thread, as ``priority``. Outside, they are a page's."""
    token = _spending.set(Spending(priority, pledge))
    try:
        yield
    finally:
        _spending.reset(token)


def spending_now() -> Spending:
    """Return on whose behalf this thread makes requests at present."""
    return _spending.get()


class OpenGate:
    """Lets everything pass: for tests, and where nothing is shared."""

    def enter(self, cost: Cost, priority: Priority) -> None:
        pass

    def confirm(self, passed: float) -> None:
        pass

    def leave(self, usage: Usage) -> Usage:
        return usage

    def learn(self, limits: Limits) -> None:
        pass

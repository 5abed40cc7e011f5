"""Send what was committed to the exchange, and return what came of it. No database here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import connection

from exchange.errors import CredentialsRefused, ExchangeError, ExchangeUnavailable, OrderRejected
from exchange.port import Exchange
from exchange.rate_limits import Priority, spending
from exchange.refusals import Refusal
from exchange.types import ExchangeMs, OrderRef, OrderView, PositionView, Stamp, WireRequest
from orders.domain.enums import RequestKind, Verdict

ORDER_OFF_THE_RULES = (Refusal.BAD_STEP, Refusal.TOO_SMALL, Refusal.TOO_LARGE, Refusal.PRICE_OUT_OF_RANGE)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendCall:
    """Send one committed request. ``pledge``: orders that must still find room after an entry."""

    request_id: int
    leg_id: int
    kind: RequestKind
    wire: WireRequest
    stamp: Stamp
    timeout_ms: int
    priority: Priority = Priority.PROTECT
    pledge: int = 0


@dataclass(frozen=True, slots=True)
class LookCall:
    """Look one order up by our id; with ``witness_since`` also in the symbol's order history, as a second witness."""

    leg_id: int
    ref: OrderRef
    at: ExchangeMs
    timeout_ms: int
    witness_since: int | None = None


@dataclass(frozen=True, slots=True)
class ObserveCall:
    """Read the positions of one symbol."""

    symbol: str
    at: ExchangeMs
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class LookForeignCall:
    """Look up somebody else's order, which was cancelled on request."""

    ref: OrderRef
    at: ExchangeMs
    timeout_ms: int


Call = SendCall | LookCall | ObserveCall | LookForeignCall


@dataclass(frozen=True, slots=True)
class Answer:
    """What the exchange made of a call."""

    call: Call
    view: OrderView | None = None
    positions: tuple[PositionView, ...] = ()
    witnessed: bool = False
    error: ExchangeError | None = None
    bug: str = ""
    latency_ms: int = 0

    @property
    def clock_refused(self) -> bool:
        return self.error is not None and self.error.refusal is Refusal.CLOCK

    @property
    def rules_refused(self) -> bool:
        """Was an order off the symbol's rules, so that they may have changed since they were read?"""
        return self.error is not None and self.error.refusal in ORDER_OFF_THE_RULES

    @property
    def verdict(self) -> Verdict:
        error = self.error
        if self.bug:
            return Verdict.UNKNOWN
        if error is None:
            return Verdict.ACCEPTED
        if isinstance(error, CredentialsRefused):
            return Verdict.KEY_REFUSED
        if isinstance(error, ExchangeUnavailable):
            return Verdict.NOT_EXECUTED
        return Verdict.REFUSED if isinstance(error, OrderRejected) else Verdict.UNKNOWN


_pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="exchange")
# Entries may be waited for long; what protects never queues up behind them.
_entries = ThreadPoolExecutor(max_workers=16, thread_name_prefix="entry")


class InsideTransaction(RuntimeError):
    """A request was about to be sent with a transaction open: its record could still be rolled back."""


def perform_all(
    calls: Iterable[Call], exchange: Exchange, later: Callable[[Future[Answer]], None] | None
) -> set[Future[Answer]]:
    """Have calls performed; return those to wait for."""
    awaited = set()
    for call in calls:
        slow = isinstance(call, SendCall) and call.timeout_ms > settings.PROTECT_TIMEOUT_MS
        future = (_entries if slow else _pool).submit(perform, call, exchange)
        if slow and later is not None:
            later(future)
        else:
            awaited.add(future)
    return awaited


def perform(call: Call, exchange: Exchange) -> Answer:
    """Send what was committed, once. Never raises: no answer is an outcome too."""
    started = time.monotonic_ns()
    try:
        answer = _asked(call, exchange)
    except ExchangeError as error:
        answer = Answer(call, error=error)
    except Exception as error:  # a bug of ours after the request may have left: its fate is unknown
        logger.exception("an exchange call failed in our own code")
        answer = Answer(call, bug=f"{type(error).__name__} in our own code")
    return replace(answer, latency_ms=(time.monotonic_ns() - started) // 1_000_000)


def _asked(call: Call, exchange: Exchange) -> Answer:
    match call:
        case SendCall():
            with spending(call.priority, pledge=call.pledge):
                view = exchange.send(call.wire, stamp=call.stamp, timeout_ms=call.timeout_ms)
            return Answer(call, view=view)
        case LookCall():
            with spending(Priority.PROTECT):
                return _looked_up(call, exchange)
        case LookForeignCall():
            with spending(Priority.PROTECT):
                return Answer(
                    call, view=exchange.find_order(call.ref, at=call.at, timeout_ms=call.timeout_ms)
                )
        case ObserveCall():
            with spending(Priority.PROTECT):
                positions = exchange.positions(call.symbol, at=call.at, timeout_ms=call.timeout_ms)
            return Answer(call, positions=tuple(positions))


def _looked_up(call: LookCall, exchange: Exchange) -> Answer:
    view = exchange.find_order(call.ref, at=call.at, timeout_ms=call.timeout_ms)
    if view is not None or call.witness_since is None:
        return Answer(call, view=view)
    history = exchange.order_history(call.ref.symbol, since=call.witness_since, at=call.at)
    found = [order for order in history if order.client_id == call.ref.client_id]
    # The order born at a trigger may have its client id: what was sent comes first, with what its child did.
    view = min(found, key=lambda order: order.conditional is not call.ref.conditional, default=None)
    return Answer(call, view=view, witnessed=True)


def refuse_inside_transaction() -> None:
    if connection.in_atomic_block:
        raise InsideTransaction("The exchange must not be asked while a database transaction is open.")

"""What is asked of an exchange once it is committed, and what came of it. No database here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.errors import CredentialsRefused, ExchangeError, ExchangeUnavailable, OrderRejected
from exchange.port import Exchange
from exchange.types import OrderRef, OrderView, PositionView, Stamp, WireRequest
from orders.domain.words import RequestKind, Verdict

# Refusals that `binance-futures` marks "reconcile" but whose meaning for a leg is told (design §3.5).
TOLD = frozenset({-2011, -2021, -2022, -4118, -4129, -4130, -4131, -4509})
ALREADY_THERE = -4116  # an open order has this id: an earlier try of ours landed
CLOCK_CODES = frozenset({-1021, -5028})


@dataclass(frozen=True, slots=True)
class SendCall:
    """Send one committed request."""

    request_id: int
    leg_id: int
    kind: RequestKind
    wire: WireRequest
    stamp: Stamp
    timeout_ms: int

    def ask(self, exchange: Exchange, latency: Callable[[], int]) -> Answer:
        view = exchange.send(self.wire, stamp=self.stamp, timeout_ms=self.timeout_ms)
        return Answer(self, view=view, latency_ms=latency())


@dataclass(frozen=True, slots=True)
class LookCall:
    """Look one order up by our id. ``witness_since``: and ask its symbol's history as a second witness."""

    leg_id: int
    ref: OrderRef
    at: int
    timeout_ms: int
    witness_since: int | None = None

    def ask(self, exchange: Exchange, latency: Callable[[], int]) -> Answer:
        view = exchange.find_order(self.ref, at=self.at, timeout_ms=self.timeout_ms)
        witness = False
        if view is None and self.witness_since is not None:
            history = exchange.order_history(self.ref.symbol, since=self.witness_since, at=self.at)
            view = next((order for order in history if order.client_id == self.ref.client_id), None)
            witness = True
        return Answer(self, view=view, witnessed=witness, latency_ms=latency())


@dataclass(frozen=True, slots=True)
class ObserveCall:
    """Read the positions of one symbol."""

    symbol: str
    at: int
    timeout_ms: int

    def ask(self, exchange: Exchange, latency: Callable[[], int]) -> Answer:
        positions: tuple[PositionView, ...] = tuple(
            exchange.positions(self.symbol, at=self.at, timeout_ms=self.timeout_ms)
        )
        return Answer(self, positions=positions, latency_ms=latency())


Call = SendCall | LookCall | ObserveCall


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call came to."""

    call: Call
    view: OrderView | None = None
    positions: tuple[PositionView, ...] = ()
    witnessed: bool = False
    error: ExchangeError | None = None
    bug: str = ""
    latency_ms: int = 0

    @property
    def clock_refused(self) -> bool:
        return self.error is not None and self.error.code in CLOCK_CODES

    @property
    def verdict(self) -> Verdict:
        error = self.error
        if self.bug:
            return Verdict.UNKNOWN
        if error is None:
            return Verdict.ACCEPTED
        if error.code in TOLD and error.status < 500:  # a 5xx says nothing about what was done
            return Verdict.REFUSED
        if error.code == ALREADY_THERE:
            return Verdict.UNKNOWN
        if isinstance(error, CredentialsRefused):
            return Verdict.KEY_REFUSED
        if isinstance(error, ExchangeUnavailable):
            return Verdict.NOT_EXECUTED
        return Verdict.REFUSED if isinstance(error, OrderRejected) else Verdict.UNKNOWN

"""The venue: one running exchange that brings time forward, serves requests and keeps the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from simulator.engine import cover
from simulator.engine.catalogue import Catalogue
from simulator.engine.cover import CoverHistory
from simulator.engine.decimals import MONEY
from simulator.engine.errors import ApiError, refusal
from simulator.engine.exchange import Exchange
from simulator.engine.funding import fund
from simulator.engine.orphans import orphans
from simulator.engine.profile import Profile
from simulator.engine.request_log import LogEntry, RequestLog
from simulator.engine.retention import forget_ended
from simulator.engine.timers import run_timers
from simulator.engine.verdict import verdict
from simulator.faults.fault import Fault
from simulator.faults.injector import FaultInjector
from simulator.prices.history import History
from simulator.prices.source import Prices
from simulator.protocol.context import Route
from simulator.protocol.limits import Limits
from simulator.protocol.routes import PATHS, ROUTES
from simulator.venue.admission import admit, charge
from simulator.venue.delayed import DelayedRequest, DelayedRequests
from simulator.venue.execution import execute
from simulator.venue.fault_actions import Injection, inject
from simulator.venue.protection import note_protection
from simulator.venue.reply import HTML_TYPE, Outcome, Reply
from simulator.venue.request import Request

RETENTION_EVERY_MS = 60_000
NOT_LOGGED = frozenset({"signature", "listenKey"})  # what signs, or opens a stream


@dataclass(slots=True)
class Venue:
    """One running exchange. Not thread-safe: one caller at a time."""

    ex: Exchange
    prices: Prices
    faults: FaultInjector
    history: History
    limits: Limits
    request_log: RequestLog = field(default_factory=RequestLog)
    cover: CoverHistory = field(default_factory=CoverHistory)
    delayed: DelayedRequests = field(default_factory=DelayedRequests)
    dropped_streams: list[str] = field(default_factory=list)  # accounts whose sockets are to be cut
    collects_events: bool = False  # somebody publishes events and trades; without that they are not collected
    next_retention: int = 0
    persist: Callable[[bool], None] | None = None  # saves what changed, before anything is answered

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        """Do everything that happens by itself up to this time, and save it."""
        with localcontext(MONEY):
            self.advance(now)
            self._save()

    @contextmanager
    def change_by_hand(self, now: int) -> Iterator[None]:
        """Let something be changed from outside the protocol, and save it at once."""
        with localcontext(MONEY):
            yield
            cover.refresh(self.ex, self.cover, now)
            self._save(by_hand=True)

    def advance(self, now: int) -> None:
        """Do everything that happens by itself up to this time."""
        if not self.collects_events:
            self.ex.pending_events.clear()
            self.ex.public_trades.clear()
            self.ex.moved_symbols.clear()
        for delayed in self.delayed.take_due(now):
            self._execute_delayed(delayed, now)
        self.prices.advance(self.ex, now)
        run_timers(self.ex, now)
        fund(self.ex, now)
        if now >= self.next_retention:
            self.next_retention = now + RETENTION_EVERY_MS
            for book in self.ex.books.values():
                forget_ended(self.ex, book, now)
        cover.refresh(self.ex, self.cover, now)

    def _save(self, *, by_hand: bool = False) -> None:
        """Save what changed. Prices that move by themselves may wait a little, what was done by hand may not."""
        if self.persist is not None:
            self.persist(by_hand)

    # -- requests -------------------------------------------------------------------------------------------------

    def handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, now: int, ip: str = "127.0.0.1"
    ) -> Reply:
        """Serve one request. Never raises: whatever is wrong becomes a reply."""
        path, _, query = target.partition("?")
        api_key = headers.get("x-mbx-apikey") or headers.get("X-MBX-APIKEY") or ""
        sender = self.ex.by_key.get(api_key)
        request = Request(
            method, path, query, body, api_key, ip, now, sender=sender.account.name if sender else ""
        )
        with localcontext(MONEY):
            self.advance(now)
            route = ROUTES.get((method, path))
            if route is None:
                return self._serve_unknown(request)
            reply = self._serve(route, request)
            cover.refresh(self.ex, self.cover, now)
            self._save()
            return reply

    def _serve_unknown(self, request: Request) -> Reply:
        status, text = (405, "Method Not Allowed") if request.path in PATHS else (404, "Not Found")
        body = f"<html><body><h2>{status} {text}</h2></body></html>".encode()
        try:
            charge(request, 1, self.limits)
            outcome = Outcome(Reply(status, {"Content-Type": HTML_TYPE, **request.headers}, body), "refused")
        except ApiError as error:
            outcome = Outcome.of_refusal(error, request.headers)
        self._log(request, outcome)
        return outcome.reply

    def _serve(self, route: Route, request: Request) -> Reply:
        fault = None
        try:
            admit(request, route, self.ex, self.limits)
            fault = self.faults.for_request(request.fields, request.now)
            if fault is None:
                outcome = execute(self.ex, self.history, route, request)
            else:
                outcome = inject(self._injection(fault, route, request))
        except ApiError as error:
            outcome = Outcome.of_refusal(error, request.headers)
        note_protection(self.ex, self.cover, request, outcome)
        self._log(request, outcome, fault.name if fault else "")
        return outcome.reply

    def _injection(self, fault: Fault, route: Route, request: Request) -> Injection:
        return Injection(
            route,
            request,
            fault.action,
            self.ex,
            self.history,
            self.faults,
            self.delayed,
            self.dropped_streams,
        )

    def _execute_delayed(self, delayed: DelayedRequest, now: int) -> None:
        """Execute a request that a fault held back, unless its recvWindow is over; its reply waits to be fetched."""
        request = replace(delayed.request, now=now, weight=0, orders=0, headers={})
        try:
            if request.expires and delayed.due > request.expires:
                raise refusal(-5028)
            outcome = execute(self.ex, self.history, ROUTES[request.method, request.path], request)
            outcome.effect = "executed"
        except ApiError as error:
            outcome = Outcome.of_refusal(error, {})
        self.delayed.keep_reply(delayed.ident, outcome.reply)
        self._log(request, outcome, "late")

    # -- records --------------------------------------------------------------------------------------------------

    def _log(self, request: Request, outcome: Outcome, fault: str = "") -> None:
        params = {name: value for name, value in request.values.items() if name not in NOT_LOGGED}
        entry = LogEntry(
            self.ex.next_id("log"), request.now, request.sender, request.method, request.path, params,
            outcome.reply.status, outcome.code, request.client_id, outcome.effect, fault,
            request.ip, request.weight, self.limits.usage(request.ip).used, *self._orders_used(request),
        )  # fmt: skip
        self.request_log.add(entry, save=self.persist is not None)

    def _orders_used(self, request: Request) -> tuple[int, int]:
        """What its account has used of its windows, by an order that counts in them."""
        if request.book is None or not request.orders:
            return 0, 0
        return request.book.orders_10s[1], request.book.orders_1m[1]

    def verdict(self, now: int, **client_times: int) -> dict[str, Any]:
        """Judge what has happened so far. ``client_times``: the client's recv_window and absence_margin."""
        with localcontext(MONEY):
            cover.refresh(self.ex, self.cover, now)
            return verdict(self.ex, self.cover, self.request_log, now, **client_times)

    def orphans(self, now: int, **client_times: int) -> list[dict[str, Any]]:
        """The protective orders that are orphans now."""
        return orphans(self.ex, self.cover, now, self.request_log.entries_asked, **client_times)


def open_venue(
    profile: Profile, catalogue: Catalogue, *, seed: int, prices: str, market_ms: int,
    klines: dict[str, Path] | None = None, speed: Decimal | int = 1,
) -> Venue:  # fmt: skip
    """Put an exchange together. Raises ValueError that says what does not fit."""
    source = Prices(catalogue, mode=prices, seed=seed, files=klines, speed=speed)
    ex = Exchange(profile, catalogue, seed=seed, start_price=source.start_price)
    with localcontext(MONEY):
        source.begin(ex, market_ms)
    faults = FaultInjector(seed)
    ex.event_filter = faults.filter_event
    return Venue(ex, source, faults, History(source, seed), Limits(profile))

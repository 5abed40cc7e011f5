"""One watched account: its event stream, its sweeps, and regular checks of settings that send no event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from django.conf import settings
from django.db import close_old_connections
from django.db.models import QuerySet

from accounts.errors import AccountsError
from accounts.gateways import exchange_for, user_stream
from accounts.models import ExchangeAccount, SymbolSetting
from exchange.errors import CredentialsRefused, ExchangeError
from exchange.port import Exchange
from exchange.refusals import Refusal
from exchange.types import ConfigEvent, Connected, Disconnected, OrderEvent, PositionEvent, StreamEvent
from infrastructure.connections import connection_look_after
from orders.exchange_data.clock import clock_measure, db_now
from orders.models import Watch
from orders.placement.ingest import order_fact, position_fact
from worker.pools import WatchPools
from worker.settings_drift import margins_look, modes_look, symbols_look
from worker.sweep import sweep_and_record

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
RETRY_ACCOUNT_SECONDS = 5.0  # for an account that we or the exchange refuse: it takes a person to change that
STALE_SECONDS = 6.0  # an account we have not reached for so long may be reached from elsewhere
SETTINGS_SECONDS = 60.0

Event = Connected | Disconnected | StreamEvent


class AccountWatch:
    """One account's stream and sweeps, as long as this incarnation holds its watch.

    ``swept`` is set once a sweep was complete while the stream was connected: nothing is missed from then on.
    """

    def __init__(
        self, account: ExchangeAccount, incarnation: str, *, pools: WatchPools, advance: Callable[[int], None]
    ) -> None:
        self.account = account
        self.incarnation = incarnation
        self.swept = threading.Event()
        self.problem = ""
        self._pools = pools
        self._advance = advance  # has a trio advanced
        self._stopped = threading.Event()
        self._stream: asyncio.Future[None] | None = None
        self._connected = False
        self._reached_at = self._problem_since = time.monotonic()
        self._sweeping: Future[None] | None = None
        self._sweep_at = 0.0
        self._gaps = 0  # how often events may have been missed: a sweep begun before a gap proves nothing
        self._settings_check: Future[None] | None = None
        self._settings_at = self._symbols_at = 0.0

    @property
    def is_stale(self) -> bool:
        """Have both stream and sweeps failed for a while? A stream that breaks off once is no reason."""
        since = max(self._reached_at, self._problem_since)
        return bool(self.problem) and time.monotonic() - since > STALE_SECONDS

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start_stream(), self._pools.loop)

    def stop(self) -> None:
        self._stopped.set()
        self._pools.loop.call_soon_threadsafe(lambda: self._stream and self._stream.cancel())

    def _note_problem(self, reason: str) -> None:
        if not self.problem:
            self._problem_since = time.monotonic()
        self.problem = reason

    def _note_gap(self) -> None:
        """Events may have been missed: sweep at once, and once more if a sweep is under way already."""
        self._gaps += 1
        self._sweep_at = 0.0

    def _row(self) -> QuerySet[Watch]:
        """Return the watch's row, as long as it is ours."""
        return Watch.objects.filter(account=self.account, incarnation=self.incarnation)

    # --- the stream -------------------------------------------------------------------------------

    async def _start_stream(self) -> None:
        self._stream = asyncio.ensure_future(self._read_stream())

    async def _read_stream(self) -> None:
        """Read the stream until the watch is stopped. Its events are recorded elsewhere, in order."""
        while not self._stopped.is_set():
            try:
                exchange = await asyncio.to_thread(_exchange_on_live_connection, self.account.pk)
            except Exception as error:  # also a lost database: the reader must go on trying
                known = isinstance(error, (AccountsError, ExchangeError))
                pause = RETRY_ACCOUNT_SECONDS if known else RETRY_SECONDS
                reason = str(error) if known else f"Its API key could not be read ({type(error).__name__})."
                self._submit(Disconnected(reason, retry_in=pause))
                await asyncio.sleep(pause)
                continue
            stream = user_stream(self.account.environment, exchange)
            async with contextlib.aclosing(stream.events()) as events:
                async for event in events:
                    self._submit(event)

    def _submit(self, event: Event) -> None:
        """Have an event recorded, after the earlier ones about the same symbol."""
        if self._stopped.is_set():
            return
        for symbol, part in _by_symbol(event):
            self._pools.facts.submit((self.account.pk, symbol), partial(self._record, part))

    def _record(self, event: Event) -> None:
        connection_look_after()
        if self._stopped.is_set():
            return
        try:
            match event:
                case Connected():
                    self._on_connected()
                case Disconnected():
                    self._on_disconnected(event)
                case _:
                    self._on_event(event)
        except Exception:
            logger.exception(
                "account %s: an event could not be recorded; sweeping the account", self.account.pk
            )
            self._note_gap()

    def _on_connected(self) -> None:
        self._connected = True
        self.swept.clear()
        self._note_gap()
        self._row().update(stream_since=db_now(), note="connected, sweeping")
        self.sweep_when_due()

    def _on_disconnected(self, event: Disconnected) -> None:
        self._connected = False
        self._note_problem(self.problem or event.reason)
        reason = event.reason
        if isinstance(event.error, CredentialsRefused):
            reason = f"The exchange refuses the account's API key: {reason}"
        self._row().update(stream_since=None, note=reason[:500])
        logger.warning(
            "account %s: its event stream is closed (%s); reconnecting, nothing new is placed until it is back",
            self.account.pk,
            reason,
        )

    def _on_event(self, event: StreamEvent) -> None:
        woken: list[int | None] = []
        match event:
            case OrderEvent():
                woken = [order_fact(self.account.pk, event)]
            case PositionEvent():
                woken = [
                    position_fact(self.account.pk, view, as_of=event.time, from_event=True)
                    for view in event.positions
                ]
            case ConfigEvent():
                SymbolSetting.objects.filter(account=self.account, symbol=event.symbol).update(
                    leverage=event.leverage, read_at=db_now()
                )
            case _:
                logger.info("account %s: %s", self.account.pk, event)
        for trio_id in woken:
            if trio_id is not None:
                self._advance(trio_id)

    # --- settings ---------------------------------------------------------------------------------

    def check_settings_when_due(self) -> None:
        """Check from time to time what may change without an event. Waits for nothing, delays no sweep."""
        busy = self._settings_check is not None and not self._settings_check.done()
        now = time.monotonic()
        if busy or self._stopped.is_set() or not self.swept.is_set() or now < self._settings_at:
            return
        checks = [modes_look]
        if now >= self._symbols_at:
            checks += [margins_look, symbols_look]
            self._symbols_at = now + settings.SYMBOLS_SECONDS
        self._settings_at = now + SETTINGS_SECONDS
        self._settings_check = self._pools.settings_checks.submit(self._check_settings, *checks)

    def _check_settings(self, *checks: Callable[[ExchangeAccount], set[int]]) -> None:
        close_old_connections()
        for check in checks:
            try:
                for trio_id in check(self.account):
                    self._advance(trio_id)
            except (ExchangeError, AccountsError) as error:
                self._symbols_at = 0.0  # the next check repeats all of it
                logger.warning(
                    "account %s: its settings could not be read (%s); the next check tries again",
                    self.account.pk,
                    error,
                )
            except Exception:  # neither a sweep nor the next check may be lost to it
                self._symbols_at = 0.0
                logger.exception("account %s: checking its settings failed", self.account.pk)

    # --- sweeps -----------------------------------------------------------------------------------

    def sweep_when_due(self) -> None:
        """Start a sweep if one is due and none is under way. Also without a stream: sweeps are the backstop."""
        busy = self._sweeping is not None and not self._sweeping.done()
        if busy or self._stopped.is_set() or time.monotonic() < self._sweep_at:
            return
        self._sweeping = self._pools.sweeps.submit(self._sweep)

    def _sweep(self) -> None:
        close_old_connections()
        connected, gaps = self._connected, self._gaps
        try:
            self._correct_stream_since(connected)
            if not self.swept.is_set():
                # What a person changed while nobody watched must be known before anything new may begin.
                # Protection needs none of it, so what cannot be read is left to the next check.
                self._check_settings(modes_look, margins_look)
            sweep_and_record(self.account, self.incarnation, advance=self._advance)
        except (ExchangeError, AccountsError) as error:
            self._on_sweep_failed(error)
            return
        except Exception:
            self._sweep_at = time.monotonic() + RETRY_SECONDS
            logger.exception(
                "account %s: the sweep failed; trying again in %.0f s", self.account.pk, RETRY_SECONDS
            )
            return
        self._reached_at = time.monotonic()
        if gaps != self._gaps:  # it may have read the account before the gap: sweep again at once
            return
        self._sweep_at = time.monotonic() + settings.SWEEP_SECONDS
        if connected and self._connected:
            self.problem = ""
            self.swept.set()

    def _on_sweep_failed(self, error: ExchangeError | AccountsError) -> None:
        if getattr(error, "refusal", None) is Refusal.CLOCK:
            with contextlib.suppress(ExchangeError):
                clock_measure(self.account.environment)
        pause = getattr(error, "retry_after", None) or RETRY_SECONDS
        self._sweep_at = time.monotonic() + pause
        self._note_problem(f"The account could not be read: {error}")
        self._row().update(note=self.problem[:500])
        logger.warning(
            "account %s: the sweep failed (%s); trying again in %.0f s", self.account.pk, error, pause
        )

    def _correct_stream_since(self, connected: bool) -> None:
        """Correct what the row says of the stream: it could not be written while the database was away."""
        wrong = self._row().filter(stream_since__isnull=connected)
        wrong.update(stream_since=db_now() if connected else None)


def _by_symbol(event: Event) -> Iterator[tuple[str, Event]]:
    """Split an event into its parts by symbol; what concerns no symbol stands under an empty one."""
    match event:
        case OrderEvent():
            yield event.order.symbol, event
        case PositionEvent():
            for view in event.positions:
                yield view.symbol, replace(event, positions=(view,))
        case _:
            yield "", event


def _exchange_on_live_connection(account_id: int) -> Exchange:
    """Return the account's exchange; the helper thread's database connection may be long gone."""
    close_old_connections()
    return exchange_for(account_id)

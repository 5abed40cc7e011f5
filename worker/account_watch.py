"""One watched account: its event stream, its sweeps, and now and then a look at what is told by no event."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
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
from worker.sweep import sweep_and_note

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
USELESS_SECONDS = 6.0  # an account not reached for so long may be reached from elsewhere
DRIFT_SECONDS = 60.0


class AccountWatch:
    """One account's stream and sweeps, as long as this incarnation holds its watch."""

    def __init__(
        self, account: ExchangeAccount, incarnation: str, *, pools: WatchPools, call: Callable[[int], None]
    ) -> None:
        self.account = account
        self.incarnation = incarnation
        self.swept = threading.Event()
        self._pools = pools
        self._call = call  # has a trio carried forward
        self._stopped = threading.Event()
        self._task: asyncio.Future[None] | None = None
        self._sweeping: Future[None] | None = None
        self._sweep_at = 0.0
        self._gaps = 0  # how often something may have been missed: a sweep begun before does not tell
        self._connected = False
        self._drifting: Future[None] | None = None
        self._drift_at = self._symbols_at = 0.0
        self._reached_at = self._troubled_at = time.monotonic()
        self.trouble = ""

    @property
    def is_useless(self) -> bool:
        """Has neither stream nor sweep got through for a while? A stream that breaks off once is no reason."""
        since = max(self._reached_at, self._troubled_at)
        return bool(self.trouble) and time.monotonic() - since > USELESS_SECONDS

    def _in_trouble(self, why: str) -> None:
        if not self.trouble:
            self._troubled_at = time.monotonic()
        self.trouble = why

    def _missed(self) -> None:
        """Something may have been missed: sweep at once, also when a sweep is under way already."""
        self._gaps += 1
        self._sweep_at = 0.0

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._begin(), self._pools.loop)

    async def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._listen())

    def stop(self) -> None:
        self._stopped.set()
        self._pools.loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    async def _listen(self) -> None:
        """Read the stream for ever; what it says is taken in elsewhere, in order."""
        while not self._stopped.is_set():
            try:
                exchange = await asyncio.to_thread(_exchange_afresh, self.account.pk)
            except Exception as error:  # also a lost database: whoever listens goes on trying
                known = isinstance(error, (AccountsError, ExchangeError))
                pause = 5.0 if known else RETRY_SECONDS
                reason = str(error) if known else f"its key could not be read ({type(error).__name__})"
                self._take_in(Disconnected(reason, retry_in=pause))
                await asyncio.sleep(pause)
                continue
            stream = user_stream(self.account.environment, exchange)
            async with contextlib.aclosing(stream.events()) as events:
                async for event in events:
                    self._take_in(event)

    def _take_in(self, event: Connected | Disconnected | StreamEvent) -> None:
        if self._stopped.is_set():
            return
        match event:
            case OrderEvent():
                parts: list[tuple[str, Connected | Disconnected | StreamEvent]] = [
                    (event.order.symbol, event)
                ]
            case PositionEvent():
                parts = [(view.symbol, replace(event, positions=(view,))) for view in event.positions]
            case _:
                parts = [("", event)]
        for symbol, part in parts:
            self._pools.facts.submit((self.account.pk, symbol), partial(self._fact, part))

    def _fact(self, event: Connected | Disconnected | StreamEvent) -> None:
        connection_look_after()
        if self._stopped.is_set():
            return
        try:
            self._write(event)
        except Exception:  # the sweep finds what was not taken in
            logger.exception("account %s: an event could not be taken in", self.account.pk)
            self._missed()

    def _write(self, event: Connected | Disconnected | StreamEvent) -> None:
        woken: set[int | None] = set()
        match event:
            case Connected():
                self._connected = True
                self.swept.clear()
                self._missed()
                self._mine().update(stream_since=db_now(), note="connected, being read")
                self.sweep_when_due()
            case Disconnected(reason=reason, error=error):
                self._connected = False
                self._in_trouble(self.trouble or reason)
                if isinstance(error, CredentialsRefused):
                    reason = f"The exchange refuses the account's API key: {reason}"
                self._mine().update(stream_since=None, note=reason[:500])
                logger.warning("account %s: stream gone: %s", self.account.pk, reason)
            case OrderEvent():
                woken.add(order_fact(self.account.pk, event))
            case PositionEvent():
                for view in event.positions:
                    woken.add(position_fact(self.account.pk, view, as_of=event.time, from_event=True))
            case ConfigEvent():
                SymbolSetting.objects.filter(account=self.account, symbol=event.symbol).update(
                    leverage=event.leverage, read_at=db_now()
                )
            case _:
                logger.info("account %s: %s", self.account.pk, event)
        for trio_id in woken:
            if trio_id is not None:
                self._call(trio_id)

    def _read_settings(self) -> None:
        """Read what a person may have changed while nobody watched, before anything new may begin.

        Protecting hinges on none of it: what cannot be read is read with the next look.
        """
        self._look(modes_look, margins_look)

    def look_for_drift_when_due(self) -> None:
        """Look now and then at what may change without an event. Waits for nothing, and holds no sweep up."""
        busy = self._drifting is not None and not self._drifting.done()
        now = time.monotonic()
        if busy or self._stopped.is_set() or not self.swept.is_set() or now < self._drift_at:
            return
        looks = [modes_look]
        if now >= self._symbols_at:
            looks += [margins_look, symbols_look]
            self._symbols_at = now + settings.SYMBOLS_SECONDS
        self._drift_at = now + DRIFT_SECONDS
        self._drifting = self._pools.settings_checks.submit(self._look, *looks)

    def _look(self, *looks: Callable[[ExchangeAccount], set[int]]) -> None:
        close_old_connections()
        for look in looks:
            try:
                for trio_id in look(self.account):
                    self._call(trio_id)
            except (ExchangeError, AccountsError) as error:
                self._symbols_at = 0.0  # all of it once more with the next look
                logger.warning("account %s: its settings could not be read: %s", self.account.pk, error)
            except Exception:  # neither a sweep nor the next look shall be missed for it
                self._symbols_at = 0.0
                logger.exception("account %s: looking for what was changed went wrong", self.account.pk)

    def _say_connected(self, connected: bool) -> None:
        """Set right what the row says of the stream: it was not told while the database was away."""
        wrong = self._mine().filter(stream_since__isnull=connected)
        wrong.update(stream_since=db_now() if connected else None)

    def _mine(self) -> QuerySet[Watch]:
        return Watch.objects.filter(account=self.account, incarnation=self.incarnation)

    # --- sweeps -----------------------------------------------------------------------------------

    def sweep_when_due(self) -> None:
        """Start a sweep when one is due and none is under way. Also without a stream: it is the backstop."""
        busy = self._sweeping is not None and not self._sweeping.done()
        if busy or self._stopped.is_set() or time.monotonic() < self._sweep_at:
            return
        self._sweeping = self._pools.sweeps.submit(self._sweep)

    def _sweep(self) -> None:
        close_old_connections()
        connected, gaps = self._connected, self._gaps
        try:
            self._say_connected(connected)
            if not self.swept.is_set():
                self._read_settings()
            sweep_and_note(self.account, self.incarnation, call=self._call)
        except (ExchangeError, AccountsError) as error:
            if getattr(error, "refusal", None) is Refusal.CLOCK:
                with contextlib.suppress(ExchangeError):
                    clock_measure(self.account.environment)
            wait = getattr(error, "retry_after", None) or RETRY_SECONDS
            self._sweep_at = time.monotonic() + wait
            self._in_trouble(f"could not be read: {error}")
            self._mine().update(note=self.trouble[:500])
            logger.warning("account %s: sweep failed: %s", self.account.pk, error)
            return
        except Exception:
            self._sweep_at = time.monotonic() + RETRY_SECONDS
            logger.exception("account %s: sweep failed", self.account.pk)
            return
        self._reached_at = time.monotonic()
        if gaps != self._gaps:  # it may have been read before what was missed: once more, at once
            return
        self._sweep_at = time.monotonic() + settings.SWEEP_SECONDS
        if connected and self._connected:
            self.trouble = ""
            self.swept.set()


def _exchange_afresh(account_id: int) -> Exchange:
    """Return the account's exchange; the thread may have sat on a connection that is long gone."""
    close_old_connections()
    return exchange_for(account_id)

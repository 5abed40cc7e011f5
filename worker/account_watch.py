"""One watched account: its event stream, its sweeps, and regular checks of settings that send no event.

How often and what is swept comes from the schedule that all accounts of the address share. In between, what
happens is swept for: a stream that connects, a symbol on which a trio begins to live, a stranger's order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.db.models import QuerySet

from accounts.errors import AccountsError, CredentialsUnreadable, KeyRefused
from accounts.gateways import exchange_for, user_stream
from accounts.models import ExchangeAccount
from exchange.errors import CredentialsRefused, ExchangeError
from exchange.port import Exchange
from exchange.rate_limits import Limits, Priority, spending
from exchange.refusals import Refusal
from exchange.types import (
    ConfigEvent,
    Connected,
    Disconnected,
    MarginCallEvent,
    OrderEvent,
    OrderState,
    PositionEvent,
    PositionView,
    SettingsEvent,
    StreamEvent,
)
from infrastructure.connections import connection_look_after
from orders.domain.sweep_schedule import EARLY, IDLE_TIMES, SweepPlan, listing, plan_sweeps
from orders.exchange_data.clock import clock_measure, db_now
from orders.models import Watch
from orders.placement.ingest import leg_find, record_margin_call, record_order_event, record_position
from orders.placement.news import News, NoNews, order_news, position_news
from worker.income_reading import IncomeReader
from worker.pools import WatchPools
from worker.settings_drift import brackets_look, leverage_told, margins_look, modes_look, symbols_look
from worker.sweep import sweep, sweep_and_record

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0  # after the first failure; doubling
RETRY_SECONDS_MAX = 30.0
SETTINGS_RETRY_SECONDS = 60.0
SETTINGS_AGAIN_SECONDS = 10.0  # however often an event says that a setting of the account has changed
# That an order rests is what the answer to its request says, too, as a rule a little later: then nothing need be recorded.
RESTS_WAITS_SECONDS = 0.15
STALE_SECONDS = 6.0  # an account we have not reached for so long may be reached from elsewhere
STREAM_STALE_SECONDS = 20.0  # the same where sweeps succeed and only the stream does not
CONNECT_SECONDS = 2.0  # so long the first sweep of an account without living trios waits for its stream
LINGER_SECONDS = (
    120.0  # so long a symbol counts as lived on after its trio has ended: news of it may come late
)
EXTRA_SECONDS = 1.0  # between sweeps for what happens; doubling while it goes on, up to the regular interval
FRESH_SECONDS = (
    3.0  # so long a symbol on which a trio begins to live waits for others: one sweep lists them all
)
FULL_WINDOW_SECONDS = 60.0  # a third full sweep within that waits, so that a stream that flaps costs little
AT_ONCE_SECONDS = 0.02  # after such a wait, for an account on which trios live
AFTER_WAIT_SECONDS = (0.3, 1.3)  # after a wait the exchange asked for: what protects goes first


Event = Connected | Disconnected | StreamEvent


class AccountWatch:
    """One account's stream and sweeps, as long as this incarnation holds its watch.

    ``swept`` is set once everything was swept while the stream was connected: nothing is missed from then on.
    ``refused``: why its key cannot be used. It takes a person to change that, so the watch is given back.
    """

    def __init__(
        self,
        account: ExchangeAccount,
        incarnation: str,
        *,
        pools: WatchPools,
        advance: Callable[[int], None],
        tell: Callable[[News, Callable[[], None]], None] | None = None,
    ) -> None:
        self.account = account
        self.incarnation = incarnation
        self.swept = threading.Event()
        self.problem = self.refused = ""
        self._pools = pools
        self._advance = advance  # has a trio advanced
        self._tell = tell  # has news of a trio recorded by its next turn, unless it is in the middle of one
        self._stopped = threading.Event()
        self._stream: asyncio.Future[None] | None = None
        self._connected = False
        self._reached_at = self._problem_since = time.monotonic()
        self._started_at = self._reached_at
        self._blind = False  # the last sweep failed: what was lost since is not known
        self._held_back_until = 0.0  # the exchange, or our budget, asked us to wait: no reason to let go
        self._gaps = 0  # how often events may have been missed: a sweep begun before a gap proves nothing
        self._settings_check: Future[bool] | None = None
        self._settings_at = self._rules_at = 0.0
        self._settings_from = float("-inf")  # when the account's own were last read
        self._settings_failures = 0
        self._settings_gap = -1  # the gap after which the settings were read
        self._income = IncomeReader(account, pools.income)
        self._plan = _plan_alone(account)
        self._shown_ms = 0  # the interval as the row has it
        self._sweeping: Future[None] | None = None
        self._sweep_failures = 0
        self._not_before = 0.0  # after a failure
        self._swept_from = float("-inf")  # when the last regular sweep began
        self._full_from = self._started_at  # when everything was last listed
        self._full_gap = -1  # the gap after which everything was listed
        self._fulls = 0  # how many full sweeps there were in a row, each soon after the other
        self._listed_from: dict[str, float] = {}  # by symbol
        self._lock = threading.Lock()  # of what the poll, events and sweeps touch alike
        self._left: dict[str, float] = {}  # symbols whose trio has ended: until when they are still listed
        self._wanted: set[str] = set()  # symbols whose orders are to be listed soon
        self._wanted_at = self._extra_at = 0.0
        self._extra_pause = EXTRA_SECONDS

    @property
    def is_stale(self) -> bool:
        """Have we failed to reach it for a while? A stream that breaks off once is no reason."""
        now = time.monotonic()
        if not self.problem or now < self._held_back_until:
            return False
        if not self._sweep_failures:
            return self.swept_before and now - self._problem_since > STREAM_STALE_SECONDS
        return now - max(self._reached_at, self._problem_since) > STALE_SECONDS

    @property
    def swept_before(self) -> bool:
        return self._swept_from > float("-inf")

    @property
    def cannot_sweep(self) -> bool:
        """Did its last sweep fail, so that another process would hardly do better at once?"""
        return bool(self._sweep_failures)

    @property
    def has_living_trios(self) -> bool:
        return self._plan.symbols is None or bool(self._plan.symbols)

    @property
    def is_idle(self) -> bool:
        """Does nothing live here or end lately, and is nothing under way, so that another process may begin anew?"""
        if not self.swept.is_set() or self.problem or self.has_living_trios or self._wanted:
            return False
        ended_lately = any(until > time.monotonic() for until in list(self._left.values()))
        return not ended_lately and not _under_way(self._sweeping) and not _under_way(self._settings_check)

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
        """Events may have been missed: sweep all at once, and once more if a sweep is under way already."""
        self._gaps += 1

    def _row(self) -> QuerySet[Watch]:
        """Return the watch's row, as long as it is ours."""
        return Watch.objects.filter(account=self.account, incarnation=self.incarnation)

    # --- the stream -------------------------------------------------------------------------------

    async def _start_stream(self) -> None:
        self._stream = asyncio.ensure_future(self._read_stream())

    async def _read_stream(self) -> None:
        """Read the stream until the watch is stopped. Its events are recorded elsewhere, in order."""
        with spending(Priority.WATCH):
            failures = 0
            while not self._stopped.is_set() and not self.refused:
                try:
                    exchange = await asyncio.to_thread(_exchange_on_live_connection, self.account.pk)
                except Exception as error:  # also a lost database: the reader must go on trying
                    if _is_refused(error):
                        self.refused = str(error)
                    known = isinstance(error, (AccountsError, ExchangeError))
                    pause = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2**failures)
                    failures = min(failures + 1, 16)
                    reason = (
                        str(error) if known else f"Its API key could not be read ({type(error).__name__})."
                    )
                    self._submit(Disconnected(reason, retry_in=pause))
                    await asyncio.sleep(pause)
                    continue
                failures = 0
                stream = user_stream(self.account.environment, exchange)
                async with contextlib.aclosing(stream.events()) as events:
                    async for event in events:
                        if _may_wait(event):
                            self._pools.loop.call_later(RESTS_WAITS_SECONDS, self._submit, event)
                        else:
                            self._submit(event)
                        if isinstance(event, Disconnected) and _is_refused(event.error):
                            self.refused = f"The exchange refuses the account's API key: {event.reason}"
                            return

    def _submit(self, event: Event) -> None:
        """Have an event recorded, after the earlier ones about the same symbol."""
        if self._stopped.is_set():
            return
        if isinstance(event, PositionEvent) and event.is_funding:
            self._income.want()
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
        if event.error is not None and event.error.wait_ms:
            self._hold_back(event.retry_in)
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
                woken = [self._on_order(event)]
            case PositionEvent():
                woken = [self._on_position(view, as_of=event.time) for view in event.positions]
            case ConfigEvent():
                woken = list(leverage_told(self.account, event.symbol, event.leverage))
            case MarginCallEvent():
                logger.warning("account %s: %s", self.account.pk, event)
                record_margin_call(self.account.pk, event)
            case SettingsEvent():
                self._settings_at = min(self._settings_at, self._settings_from + SETTINGS_AGAIN_SECONDS)
            case _:
                logger.info("account %s: %s", self.account.pk, event)
        for trio_id in woken:
            if trio_id is not None:
                self._advance(trio_id)

    def _on_order(self, event: OrderEvent) -> int | None:
        """Have an order event recorded; return the trio that is to be advanced for it."""
        news = order_news(self.account.pk, event)
        if news is NoNews.KNOWN:
            return None
        if news is not NoNews.NOT_FOUND:
            return None if self._told(news) else record_order_event(self.account.pk, event)
        woken = record_order_event(self.account.pk, event)
        if woken is None and leg_find(self.account.pk, event.order) is None:
            self._want({event.order.symbol})  # a stranger's
        return woken

    def _on_position(self, view: PositionView, *, as_of: int) -> int | None:
        """Have a position recorded; return the trio that is to be advanced for it."""
        news = position_news(self.account.pk, view, as_of=as_of)
        if news is not None and self._told(news):
            return None
        return record_position(self.account.pk, view, as_of=as_of, from_event=True)

    def _told(self, news: News) -> bool:
        """Have it recorded by the turn that decides about it, where there is somebody to take such turns."""
        if self._tell is None:
            return False
        self._tell(news, self._note_gap)
        return True

    # --- settings ---------------------------------------------------------------------------------

    def check_settings_when_due(self) -> None:
        """Check from time to time what may change without an event. Waits for nothing, delays no sweep."""
        now = time.monotonic()
        if _under_way(self._settings_check) or self._stopped.is_set() or not self.swept.is_set():
            return
        checks = []
        if now >= self._settings_at:
            checks += [modes_look]
            self._settings_from = now
            self._settings_at = now + self._plan.modes_ms / 1000
        if now >= self._rules_at:
            checks += [margins_look, symbols_look, brackets_look]
            self._rules_at = now + self._plan.rules_ms / 1000
        if not checks:
            return
        self._settings_check = self._pools.settings_checks.submit(self._check_settings, *checks)

    def _check_settings(self, *checks: Callable[[ExchangeAccount], set[int]]) -> bool:
        """Make these checks; return whether all could be made."""
        close_old_connections()
        complete, wait = True, 0.0
        for check in checks:
            try:
                with spending(Priority.WATCH):
                    found = check(self.account)
                for trio_id in found:
                    self._advance(trio_id)
            except (ExchangeError, AccountsError) as error:
                complete, wait = False, max(wait, _wait_seconds(error))
                logger.warning(
                    "account %s: its settings could not be read (%s); the next check tries again",
                    self.account.pk,
                    error,
                )
                if _is_refused(error):
                    self.refused = str(error)
                    return False
            except Exception:  # neither a sweep nor the next check may be lost to it
                complete = False
                logger.exception("account %s: checking its settings failed", self.account.pk)
        if complete:
            self._settings_failures = 0
        else:  # the next check repeats all of it
            pause = SETTINGS_RETRY_SECONDS * 2 ** min(self._settings_failures, 10)
            self._settings_at = time.monotonic() + max(wait, min(pause, self._plan.rules_ms / 1000))
            self._rules_at = self._settings_at
            self._settings_failures += 1
        return complete

    def read_income_when_due(self) -> None:
        """Have the account's income read from time to time. Waits for nothing, delays nothing."""
        if not self._stopped.is_set() and not self.refused and self.swept.is_set():
            self._income.poll()

    # --- sweeps -----------------------------------------------------------------------------------

    def follow(self, plan: SweepPlan) -> None:
        """Sweep by this plan from now on; soon, where a trio has begun to live."""
        now, before, after = time.monotonic(), self._plan.symbols or frozenset(), plan.symbols or frozenset()
        fresh = after - before
        lingering = {
            symbol: until for symbol, until in self._left.items() if until > now and symbol not in after
        }
        self._left = lingering | dict.fromkeys(before - after, now + LINGER_SECONDS)
        self._plan = plan
        if before - after:  # a trio has ended
            self._income.want()
        # Where everything was listed, and all that happened since was heard, the next regular sweep is soon enough.
        all_heard = self._connected and self._full_gap == self._gaps
        if fresh and self.swept_before and not all_heard:
            lately = plan.interval_ms / 1000
            unlisted = {s for s in fresh if now - self._listed_from.get(s, self._full_from) > lately}
            self._want(unlisted, within=FRESH_SECONDS)
        if plan.interval_ms > self._shown_ms and self.swept_before:
            # A longer interval is promised at once, a shorter one by the first sweep that keeps it.
            self._shown_ms = plan.interval_ms
            self._row().update(interval_ms=plan.interval_ms)

    def _want(self, symbols: Collection[str], *, within: float = 0.0) -> None:
        """Have the orders of these symbols listed soon; ``within`` so many seconds, so that others may join them."""
        with self._lock:
            if symbols:
                at = time.monotonic() + within
                self._wanted_at = min(self._wanted_at, at) if self._wanted else at
            self._wanted |= set(symbols)

    def _take_wanted(self) -> set[str]:
        with self._lock:
            wanted, self._wanted = self._wanted, set()
        return wanted

    def sweep_when_due(self) -> None:
        """Start a sweep if one is due and none is under way. Also without a stream: sweeps are the backstop."""
        now = time.monotonic()
        if self._stopped.is_set() or self.refused or now < self._not_before:
            return
        with self._lock:
            if not _under_way(self._sweeping) and (
                self._full_due(now) or self._regular_due(now) or self._extra_due(now)
            ):
                self._sweeping = self._pools.sweeps.submit(self._sweep)

    def _full_due(self, now: float) -> bool:
        """Must everything be listed? At once after a gap; the third time within a minute, only after a pause."""
        if now - self._full_from >= EARLY * self._plan.full_ms / 1000:
            return True
        if not self._connected or self._full_gap == self._gaps:
            return False
        pause = 2.0 ** (self._fulls - 2) if self._fulls >= 2 else 0.0
        return now - self._full_from >= min(pause, RETRY_SECONDS_MAX)

    def _regular_due(self, now: float) -> bool:
        if self.swept_before:
            lately_active = self._left and not self.has_living_trios
            interval_ms = self._plan.interval_ms / (IDLE_TIMES if lately_active else 1)
            return now - self._swept_from >= EARLY * interval_ms / 1000
        # What lives is read at once. Otherwise everything is read as soon as the stream is connected.
        return self.has_living_trios or bool(self.problem) or now - self._started_at >= CONNECT_SECONDS

    def _extra_due(self, now: float) -> bool:
        return bool(self._wanted) and now >= max(self._extra_at, self._wanted_at)

    def _sweep(self) -> None:
        close_old_connections()
        if self._blind and self.has_living_trios:
            self._catch_up()
            return
        with spending(Priority.WATCH):
            self._sweep_as_due()

    def _catch_up(self) -> None:
        """After a failure, look first at what lives: its cover may be gone. Everything else comes with the next sweep."""
        try:
            with spending(Priority.PROTECT):
                found = sweep(self.account, self._plan.symbols)
        except (ExchangeError, AccountsError) as error:
            self._on_sweep_failed(error)
            return
        except Exception:
            pause = self._pause_after_failure()
            logger.exception("account %s: the sweep failed; trying again in %.0f s", self.account.pk, pause)
            return
        self._blind = False
        for trio_id in found.woken:
            self._advance(trio_id)

    def _sweep_as_due(self) -> None:
        connected, gaps, began = self._connected, self._gaps, time.monotonic()
        symbols: frozenset[str] | None = None
        wanted: set[str] = set()
        regular = True
        try:
            self._correct_stream_since(connected)
            if connected and self._settings_gap != gaps and not self.swept.is_set():
                # What a person changed while nobody watched must be known before anything new may begin.
                # Protection needs none of it, so what cannot be read is left to the next check.
                if self._check_settings(modes_look, margins_look):
                    self._settings_gap = gaps
                    self._settings_at = time.monotonic() + self._plan.modes_ms / 1000
                if self.refused:
                    return
            asked_at = db_now()  # before it is chosen what to list: a connect meanwhile is later than this
            wanted = self._take_wanted()
            full = self._full_due(began) or (self._connected and self._full_gap != self._gaps)
            regular = full or self._regular_due(began)
            if not full:
                usual = (self._plan.symbols or frozenset()) | set(self._left) if regular else frozenset[str]()
                everything = regular and self._plan.symbols is None
                symbols = None if everything else listing(wanted | usual)
            regular = regular or symbols is None
            if regular:
                sweep_and_record(
                    self.account,
                    self.incarnation,
                    advance=self._advance,
                    symbols=symbols,
                    asked_at=asked_at,
                    interval_ms=self._plan.interval_ms,
                )
            else:
                for trio_id in sweep(self.account, symbols).woken:
                    self._advance(trio_id)
        except (ExchangeError, AccountsError) as error:
            self._want(wanted)
            self._on_sweep_failed(error)
            return
        except Exception:
            self._want(wanted)
            pause = self._pause_after_failure()
            logger.exception("account %s: the sweep failed; trying again in %.0f s", self.account.pk, pause)
            return
        self._reached_at = time.monotonic()
        self._sweep_failures = 0
        self._note_swept(symbols, began, gaps, regular=regular, extra=bool(wanted))
        if connected and self._connected and gaps == self._gaps == self._full_gap:
            self.problem = ""
            if not self.swept.is_set():
                self._row().update(failures=0, failed_at=None, retry_at=None)
                self.swept.set()

    def _note_swept(
        self, symbols: frozenset[str] | None, began: float, gaps: int, *, regular: bool, extra: bool
    ) -> None:
        """Note what was listed, and when the next sweep for what happens may come."""
        now = time.monotonic()
        if symbols is None:
            again = began - self._full_from < FULL_WINDOW_SECONDS and self._full_gap >= 0
            self._fulls = self._fulls + 1 if again else 1
            self._full_from, self._full_gap = began, gaps
            self._listed_from.clear()
        else:
            self._listed_from |= dict.fromkeys(symbols, began)
        if regular:
            self._swept_from, self._shown_ms = began, self._plan.interval_ms
        if extra:
            usual = self._plan.interval_ms / 1000
            quiet = now - self._extra_at > max(usual, 2 * self._extra_pause)
            self._extra_pause = EXTRA_SECONDS if quiet else min(2 * self._extra_pause, usual)
            self._extra_at = now + self._extra_pause

    def _hold_back(self, seconds: float) -> None:
        self._held_back_until = time.monotonic() + seconds + RETRY_SECONDS

    def _pause_after_failure(self, error: Exception | None = None) -> float:
        """Return how long to wait after a failure: as long as the exchange asks, or ever longer."""
        pause: float = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2.0 ** min(self._sweep_failures, 16))
        if asked := _wait_seconds(error):
            spread = AT_ONCE_SECONDS if self.has_living_trios else random.uniform(*AFTER_WAIT_SECONDS)
            pause = asked + spread
            self._hold_back(pause)
        self._sweep_failures += 1
        self._not_before = time.monotonic() + pause
        return pause

    def _on_sweep_failed(self, error: ExchangeError | AccountsError) -> None:
        self._note_problem(f"The account could not be read: {error}")
        if _is_refused(error):
            self.refused = self.problem
        if getattr(error, "refusal", None) is Refusal.CLOCK:
            with contextlib.suppress(ExchangeError):
                clock_measure(self.account.environment)
        self._blind = True
        pause = self._pause_after_failure(error)
        self._row().update(note=self.problem[:500])
        logger.warning(
            "account %s: the sweep failed (%s); trying again in %.0f s", self.account.pk, error, pause
        )

    def _correct_stream_since(self, connected: bool) -> None:
        """Correct what the row says of the stream: it could not be written while the database was away."""
        wrong = self._row().filter(stream_since__isnull=connected)
        wrong.update(stream_since=db_now() if connected else None)


def _under_way(work: Future[Any] | None) -> bool:
    return work is not None and not work.done()


def _plan_alone(account: ExchangeAccount) -> SweepPlan:
    """Return the plan of an account until it is known what else shares its address."""
    sweep_ms, rules_ms = 1000 * settings.SWEEP_SECONDS, 1000 * settings.SYMBOLS_SECONDS
    return plan_sweeps({account.pk: ()}, weight_1m=Limits().weight_1m, sweep_ms=sweep_ms, rules_ms=rules_ms)[
        account.pk
    ]


def _may_wait(event: Event) -> bool:
    """Does an event say no more than that an order rests, so that nothing is to be done about it at once?"""
    return isinstance(event, OrderEvent) and event.trade is None and event.order.state is OrderState.NEW


def _is_refused(error: BaseException | None) -> bool:
    """Is it the key that cannot be used, so that trying again is of no use before a person has acted?"""
    return isinstance(error, (CredentialsRefused, CredentialsUnreadable, KeyRefused))


def _wait_seconds(error: Exception | None) -> float:
    """Return how long the exchange, or our own budget, asks us to wait; 0 when neither does."""
    return error.wait_ms / 1000 if isinstance(error, ExchangeError) else 0.0


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

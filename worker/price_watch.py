"""Watching by price: when the market reaches an order's level, an event about that order is due.

That costs no request while nothing happens, however many orders rest. Only an entry is read once when it is
first watched, for what traded before; and once more with the first price of its symbol, if that came in later:
what traded between the two showed no price. When the event does not come within half a second,
the order is read (a due read; ``orders.domain.decision.decide`` does it), and again each second until the
exchange has shown its state. While the price stream itself is silent, some orders are read each second instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from django.db import connection
from django.db.models import F, Q

from accounts.gateways import market_stream
from exchange.types import Connected, Disconnected, PriceKind, PriceTick
from infrastructure.connections import connection_look_after
from orders.domain.enums import LegState
from orders.domain.stepped_clock import STEP_MS
from orders.models import Leg, TrioOrder
from orders.trio_lock import locked
from worker.chase_watch import ChaseWatch
from worker.keyed_executor import KeyedExecutor
from worker.price_levels import LevelKey, PriceLevel, price_levels
from worker.trail_watch import TrailWatch

logger = logging.getLogger(__name__)

EVENT_DUE_MS = 500
FIRST_READ_MS = 150  # for what may have filled before we listened: no price will reveal it
SILENCE_SECONDS = 2.0
SILENCE_SHOWN_SECONDS = 5.0  # a stream that connects anew is nothing to alarm anybody about
SILENT_READ_SECONDS = 1.0
SILENT_READS_MAX = 10  # each second: a quarter of production's request weight, the rest is for acting
REFRESH_SECONDS = 0.25
REFRESH_SECONDS_MAX = 1.0
REFRESH_SHARE = 10  # it takes at most one part in so many of this thread's time
# What is dated far ahead of a tick is dated by a clock that was set back since.
STORE_MARKS = """
    UPDATE orders_slot slot SET mark_price = tick.price, mark_as_of = tick.time, updated_at = clock_timestamp()
    FROM unnest(%(symbols)s::text[], %(prices)s::numeric[], %(times)s::bigint[]) AS tick (symbol, price, time)
    WHERE slot.symbol = tick.symbol AND slot.account_id = ANY (%(accounts)s)
      AND (slot.mark_as_of < tick.time OR slot.mark_as_of > tick.time + %(step_ms)s)
"""
NOT_TRIGGERED = (LegState.ACCEPTED, LegState.PARTIALLY_FILLED)
Feed: TypeAlias = tuple[str, PriceKind]  # the prices of one kind of a symbol
# A look-up that has left already does not see what happens now.
NOT_CALLED_FOR = Q(look_at=None) | Q(looking_since__gte=F("look_at"))


class PriceWatch:
    """The prices of one environment, for the accounts this process watches."""

    def __init__(
        self,
        environment: str,
        *,
        accounts: Callable[[], Iterable[int]],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environment = environment
        self._accounts = accounts
        self._loop = loop
        self._clock = clock
        self._stream = market_stream(environment)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="prices")
        self._reads = KeyedExecutor(8, name="due-reads")  # a hanging process may hold a trio's row
        # What follows a price asks the exchange for bars, too: no due read waits behind that.
        self._follows = KeyedExecutor(4, name="follow")
        self._trails = TrailWatch(environment, accounts=accounts, submit=self._follows.submit, clock=clock)
        self._chases = ChaseWatch(environment, accounts=accounts, submit=self._follows.submit, clock=clock)
        self._levels: dict[str, list[PriceLevel]] = {}  # by symbol
        self._reached: set[LevelKey] = set()
        self._entries: set[LevelKey] = set()  # entries that were read when we first watched them there
        self._heard: set[Feed] = set()  # prices that came in since something was first watched by them
        self._refresh_at = 0.0
        self._refresh_pause = REFRESH_SECONDS
        self._heard_at = clock()
        self._silent_read_at = 0.0
        self._task: asyncio.Future[None] | None = None
        self._lock = threading.Lock()
        self._marks: dict[str, PriceTick] = {}  # by symbol, not stored yet
        self._queued: set[Callable[[], object]] = set()  # what this thread is to do and has not begun
        asyncio.run_coroutine_threadsafe(self._start(), loop)

    async def _start(self) -> None:
        self._task = asyncio.ensure_future(self._read_stream())

    async def _read_stream(self) -> None:
        async with contextlib.aclosing(self._stream.events()) as events:
            async for event in events:
                self.handle(event)

    def stop(self) -> None:
        """Close the stream and finish what is under way."""
        self._trails.stop()
        self._chases.stop()
        cancelled = asyncio.run_coroutine_threadsafe(self._cancel(), self._loop)
        with contextlib.suppress(TimeoutError):
            cancelled.result(timeout=5)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reads.shutdown()
        self._follows.shutdown()

    async def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def poll(self) -> None:
        """Refresh what to watch, and notice silence. Returns at once: everything slow runs elsewhere."""
        now = self._clock()
        if now >= self._refresh_at:
            self._refresh_at = now + self._refresh_pause
            self._have_done(self._refresh)
        watching = bool(self._levels)
        if watching and now - self._heard_at > SILENCE_SECONDS and now >= self._silent_read_at:
            self._silent_read_at = now + SILENT_READ_SECONDS
            self._have_done(self._read_some)

    @property
    def silence(self) -> str:
        """Return a sentence for people once prices of what we watch have been missing for a while; else nothing."""
        if not self._levels or self._clock() - self._heard_at <= SILENCE_SHOWN_SECONDS:
            return ""
        return (
            f"The exchange ({self._environment}) has sent no prices for more than {SILENCE_SHOWN_SECONDS:.0f} s: it is "
            "stopped, or cannot be reached. Orders that rest there stay; orders are read one by one instead."
        )

    def handle(self, event: Connected | Disconnected | PriceTick) -> None:
        """Process one event of the stream: the first time a level is reached, a due read is scheduled."""
        if isinstance(event, Disconnected):
            return
        self._heard_at = self._clock()
        if not isinstance(event, PriceTick):
            return
        self._schedule_reads(self._entries_unheard(event), in_ms=0)
        self._schedule_reads(self._newly_reached(event), in_ms=EVENT_DUE_MS)
        if event.kind is PriceKind.MARK and event.symbol in self._levels:
            self._keep_mark_price(event)
        if self._trails.hear(event):
            self._have_done(self._trails.act)
        if self._chases.hear(event):
            self._have_done(self._chases.act)

    def _entries_unheard(self, tick: PriceTick) -> list[PriceLevel]:
        """Return the entries that waited for a price of which this is the first that came in."""
        feed = (tick.symbol, tick.kind)
        watched = [level for level in self._levels.get(tick.symbol, ()) if level.kind is tick.kind]
        if not watched or feed in self._heard:
            return []
        self._heard.add(feed)
        return [level for level in watched if level.is_entry]

    def _newly_reached(self, tick: PriceTick) -> list[PriceLevel]:
        """Return the levels this price reaches that the one before did not."""
        found = []
        for level in self._levels.get(tick.symbol, ()):
            if level.kind is not tick.kind:
                continue
            if not level.reached_by(tick.price):
                self._reached.discard(level.key)
            elif level.key not in self._reached:
                self._reached.add(level.key)
                found.append(level)
        return found

    def _refresh(self) -> None:
        began = time.monotonic()
        by_symbol: dict[str, list[PriceLevel]] = {}
        for level in price_levels(self._accounts()):
            by_symbol.setdefault(level.symbol, []).append(level)
        if not self._levels and by_symbol:
            self._heard_at = self._clock()  # silence counts from when there is something to watch
        self._levels = by_symbol
        levels = [level for watched in by_symbol.values() for level in watched]
        self._reached &= {level.key for level in levels}
        self._heard &= {(level.symbol, level.kind) for level in levels}
        followed = self._trails.refresh() | self._chases.refresh()
        self._loop.call_soon_threadsafe(self._stream.watch, list(followed.union(by_symbol)))
        entries = {level.key for level in levels if level.is_entry}
        fresh = [level for level in levels if level.key in entries - self._entries]
        self._schedule_reads(fresh, in_ms=FIRST_READ_MS)
        self._entries = entries
        self._trails.act()
        self._chases.act()
        # With thousands of orders this reads for long: it must not take the time of what acts.
        took = time.monotonic() - began
        self._refresh_pause = min(REFRESH_SECONDS_MAX, max(REFRESH_SECONDS, REFRESH_SHARE * took))

    def _read_some(self) -> None:
        """Read the orders that were read longest ago; entries before stops, stops before targets."""
        known = {level.leg_id: level for watched in self._levels.values() for level in watched}
        legs = Leg.objects.filter(pk__in=known).order_by("role", F("looked_ts").asc(nulls_first=True), "pk")
        oldest = legs.values_list("pk", flat=True)[:SILENT_READS_MAX]
        self._schedule_reads((known[leg_id] for leg_id in oldest), in_ms=0)

    def _schedule_reads(self, levels: Iterable[PriceLevel], *, in_ms: int) -> None:
        for level in levels:
            read = partial(schedule_read, level.leg_id, level.trio_id, in_ms=in_ms)
            self._reads.submit(level.trio_id, partial(self._run_logged, read))

    def _keep_mark_price(self, tick: PriceTick) -> None:
        """Have a mark price stored, together with those of other symbols that come before its turn."""
        with self._lock:
            self._marks[tick.symbol] = tick
        self._have_done(self._store_mark_prices)

    def _store_mark_prices(self) -> None:
        with self._lock:
            ticks, self._marks = list(self._marks.values()), {}
        marks_store(self._accounts(), ticks)

    def _have_done(self, work: Callable[[], object]) -> None:
        """Have work done by this watch's own thread, once for all who ask before it begins.

        Prices come faster than a busy machine may act on them: what waits behind them must not wait ever longer.
        """
        with self._lock:
            if work in self._queued:
                return
            self._queued.add(work)
        self._pool.submit(self._do_queued, work)

    def _do_queued(self, work: Callable[[], object]) -> None:
        with self._lock:
            self._queued.discard(work)
        self._run_logged(work)

    def _run_logged(self, work: Callable[[], object]) -> None:
        connection_look_after()
        try:
            work()
        except Exception:
            logger.exception(
                "%s: a price could not be acted on; the next sweep finds what it would have revealed",
                self._environment,
            )


def marks_store(accounts: Iterable[int], ticks: Sequence[PriceTick]) -> None:
    """Keep these mark prices in the slots of these accounts."""
    values: dict[str, Any] = {
        "accounts": list(accounts),
        "symbols": [tick.symbol for tick in ticks],
        "prices": [tick.price for tick in ticks],
        "times": [tick.time for tick in ticks],
        "step_ms": STEP_MS,
    }
    with connection.cursor() as cursor:
        cursor.execute(STORE_MARKS, values)


def schedule_read(leg_id: int, trio_id: int, *, in_ms: int) -> bool:
    """Have a resting order read in ``in_ms`` unless an event reports it first, or a read is scheduled already.

    Returns whether one was scheduled.
    """
    if not Leg.objects.filter(NOT_CALLED_FOR, pk=leg_id).exists():
        return False  # seen without waiting for the trio's row
    return locked(
        partial(_schedule_read, leg_id, trio_id, in_ms), trio_id=trio_id, what=f"trio {trio_id}: a due read"
    )


def _schedule_read(leg_id: int, trio_id: int, in_ms: int, now: datetime) -> bool:
    due = now + timedelta(milliseconds=in_ms)
    if not Leg.objects.filter(NOT_CALLED_FOR, pk=leg_id, state__in=NOT_TRIGGERED).update(look_at=due):
        return False
    sooner = Q(wake_at=None) | Q(wake_at__gt=due)
    TrioOrder.objects.filter(sooner, pk=trio_id).update(wake_at=due)
    return True

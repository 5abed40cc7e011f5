"""Watching by price: when the market reaches an order's level, an event about that order is due.

It costs no request while nothing happens, however many trios rest; only what an entry met between coming
to rest and our first hearing of its price is asked for, once. When the event does not come within
half a second, the order is read (a due read; ``orders.domain.decision.decide`` does it), and again each second
until the exchange has told its state. When the price stream itself is silent, the orders it should have
told about are read each second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from django.db.models import F, Q

from accounts.gateways import market_stream
from exchange.types import Connected, Disconnected, PriceKind, PriceTick, Side
from infrastructure.connections import connection_look_after
from infrastructure.rows import fetch_all
from orders.domain.enums import LegState, Role
from orders.models import Leg, Slot, TrioOrder
from orders.trio_lock import locked
from worker.keyed_executor import KeyedExecutor

logger = logging.getLogger(__name__)

EVENT_DUE_MS = 500
FIRST_READ_MS = 150  # for what may have filled before we listened: nobody tells of that any more
SILENCE_SECONDS = 2.0
SILENT_READ_SECONDS = 1.0
SILENT_READS_MAX = 10  # each second: a quarter of production's request weight, the rest is for acting
REFRESH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Interest:
    """One resting order and the price at which something must happen to it."""

    leg_id: int
    trio_id: int
    symbol: str
    level: Decimal
    kind: PriceKind
    at_or_above: bool
    role: Role = Role.ENTRY

    @property
    def is_entry(self) -> bool:
        return self.role is Role.ENTRY

    @property
    def is_target(self) -> bool:
        return self.role is Role.TAKE_PROFIT

    def reached_by(self, price: Decimal) -> bool:
        return price >= self.level if self.at_or_above else price <= self.level


class Resting(NamedTuple):
    """What of a resting order is read to know its level."""

    leg_id: int
    trio_id: int
    symbol: str
    side: str
    role: str
    price: Decimal | None
    trigger_price: Decimal | None


RESTING = """
    SELECT leg.id, leg.trio_id, symbol.symbol, leg.side, leg.role, leg.price, leg.trigger_price
    FROM orders_leg leg
    JOIN orders_trioorder trio ON trio.id = leg.trio_id
    JOIN accounts_exchangeaccount account ON account.id = trio.account_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    WHERE trio.account_id = ANY (%s) AND trio.holds_slot AND trio.state IN ('PLACING', 'WORKING', 'OPEN')
      AND leg.state IN ('ACCEPTED', 'PARTIALLY_FILLED') AND leg.role IN ('ENTRY', 'STOP_LOSS', 'TAKE_PROFIT')
      AND NOT (leg.role = 'ENTRY' AND trio.protection = 'PRE_ARMED' AND account.position_mode = 'ONE_WAY')
    ORDER BY leg.id
"""


def interests(account_ids: Iterable[int]) -> list[Interest]:
    """Return the orders to watch: resting entries that nothing armed covers, and legs.

    A target that executed while nobody told leaves a stop of its quantity alone on a flat side.

    In hedge mode an armed stop covers nothing of a partial fill, so its entry is watched too.
    """
    found = [
        interest
        for row in fetch_all(RESTING, list(account_ids))
        if (interest := interest_of(Resting(*row))) is not None
    ]
    # The mark price is told each second, also what it was before we listened: a target that executed then is
    # noticed by it. A trade is told once.
    return found + [replace(each, kind=PriceKind.MARK) for each in found if each.is_target]


def interest_of(leg: Resting) -> Interest | None:
    """Return what to watch for one resting order, if a price decides about it."""
    buys = leg.side == Side.BUY
    if leg.role == Role.ENTRY:
        level, kind, above = (
            leg.price,
            PriceKind.LAST,
            not buys,
        )  # a resting BUY fills when the price falls to it
    elif leg.role == Role.TAKE_PROFIT:
        level, kind, above = leg.trigger_price, PriceKind.LAST, not buys
    else:
        level, kind, above = leg.trigger_price, PriceKind.MARK, buys
    if level is None:
        return None
    return Interest(leg.leg_id, leg.trio_id, leg.symbol, level, kind, above, Role(leg.role))


def read_due(leg_ids: Iterable[int], *, in_ms: int) -> list[int]:
    """Have resting orders read after ``in_ms`` unless an event tells of them first; return their trios."""
    legs = Leg.objects.filter(pk__in=list(leg_ids), look_at=None).values_list("pk", "trio_id")
    return [
        trio_id
        for leg_id, trio_id in legs
        if locked(
            partial(_have_read, leg_id, trio_id, in_ms=in_ms),
            trio_id=trio_id,
            what=f"trio {trio_id}: a due read",
        )
    ]


def _have_read(leg_id: int, trio_id: int, now: datetime, *, in_ms: int) -> bool:
    due = now + timedelta(milliseconds=in_ms)
    live = (LegState.ACCEPTED, LegState.PARTIALLY_FILLED)
    if not Leg.objects.filter(pk=leg_id, look_at=None, state__in=live).update(look_at=due):
        return False
    sooner = Q(wake_at=None) | Q(wake_at__gt=due)
    TrioOrder.objects.filter(sooner, pk=trio_id).update(wake_at=due)
    return True


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
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="prices")
        self._rows = KeyedExecutor(8, name="due-reads")  # a trio's row may be held by a process that hangs
        self._by_symbol: dict[str, list[Interest]] = {}
        self._reached: set[tuple[int, PriceKind]] = set()
        self._entries: set[int] = set()
        self._refresh_at = 0.0
        self._heard_at = clock()
        self._silent_read_at = 0.0
        self._task: asyncio.Future[None] | None = None
        asyncio.run_coroutine_threadsafe(self._begin(), loop)

    async def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._listen())

    def stop(self) -> None:
        """Close the stream and let the look under way finish."""
        ended = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        with contextlib.suppress(TimeoutError):
            ended.result(timeout=5)
        self._worker.shutdown(wait=True, cancel_futures=True)
        self._rows.shutdown()

    async def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def poll(self) -> None:
        """Called from the poll: refresh what to watch, notice silence. Everything slow is elsewhere."""
        now = self._clock()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_SECONDS
            self._worker.submit(self._guarded, self._refresh)
        watching = bool(self._by_symbol)
        if watching and now - self._heard_at > SILENCE_SECONDS and now >= self._silent_read_at:
            self._silent_read_at = now + SILENT_READ_SECONDS
            self._worker.submit(self._guarded, self._read_some)

    def _guarded(self, what: Callable[[], object]) -> None:
        connection_look_after()
        try:
            what()
        except Exception:  # the sweep finds what was not noticed
            logger.exception("prices of %s: a look failed", self._environment)

    def _refresh(self) -> None:
        found: dict[str, list[Interest]] = {}
        for interest in interests(self._accounts()):
            found.setdefault(interest.symbol, []).append(interest)
        if not self._by_symbol and found:
            self._heard_at = self._clock()  # silence is counted from when there is something to hear
        self._by_symbol = found
        self._reached &= {(i.leg_id, i.kind) for watched in found.values() for i in watched}
        self._loop.call_soon_threadsafe(self._stream.watch, list(found))
        # What traded between an entry's coming to rest and our first hearing its price is asked for, once.
        entries = [i for watched in found.values() for i in watched if i.is_entry]
        self._have_read((i for i in entries if i.leg_id not in self._entries), in_ms=FIRST_READ_MS)
        self._entries = {i.leg_id for i in entries}

    def _read_some(self) -> None:
        """Read the orders that were read longest ago, resting entries before stops, those before targets."""
        known = {i.leg_id: i for watched in self._by_symbol.values() for i in watched}
        legs = Leg.objects.filter(pk__in=known).order_by("role", F("looked_ts").asc(nulls_first=True), "pk")
        oldest = legs.values_list("pk", flat=True)[:SILENT_READS_MAX]
        self._have_read((known[leg_id] for leg_id in oldest), in_ms=0)

    def _have_read(self, interests: Iterable[Interest], *, in_ms: int) -> None:
        for i in interests:
            work = partial(self._guarded, partial(read_due, [i.leg_id], in_ms=in_ms))
            self._rows.submit(i.trio_id, work)

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._stream.events()) as events:
            async for event in events:
                self.hear(event)

    def hear(self, event: Connected | Disconnected | PriceTick) -> None:
        """Take in one frame; a level reached for the first time makes an event due."""
        if isinstance(event, Disconnected):
            return
        self._heard_at = self._clock()
        if not isinstance(event, PriceTick):
            return
        reached = []
        for interest in self._by_symbol.get(event.symbol, ()):
            if interest.kind is not event.kind:
                continue
            if not interest.reached_by(event.price):
                self._reached.discard((interest.leg_id, interest.kind))
            elif (interest.leg_id, interest.kind) not in self._reached:
                self._reached.add((interest.leg_id, interest.kind))
                reached.append(interest)
        self._have_read(reached, in_ms=EVENT_DUE_MS)
        if event.kind is PriceKind.MARK and event.symbol in self._by_symbol:
            self._worker.submit(self._guarded, lambda: self._mark(event))

    def _mark(self, tick: PriceTick) -> None:
        Slot.objects.filter(
            account_id__in=list(self._accounts()), symbol=tick.symbol, mark_as_of__lt=tick.time
        ).update(mark_price=tick.price, mark_as_of=tick.time)

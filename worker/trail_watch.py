"""Stops that follow the price, and break-even that waits for one: what each price means for them.

Prices come from the stream the levels are watched by. The best price of a trail is kept in its row, so that another process
goes on from there; what was missed in between (a restart, a silent stream) is read from bars of one minute. Every move
is a wish like a person's (``orders.services.trail_step``): what covers stays until its successor is acknowledged.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from django.db import InterfaceError, OperationalError

from accounts.gateways import limits_of, public_exchange
from exchange.errors import ExchangeError
from exchange.rate_limits import Priority, spending
from exchange.rate_meter import moves_for
from exchange.types import Kline, PriceKind, PriceTick
from infrastructure.connections import connection_look_after, error_line
from orders import services
from orders.domain.trailing import PriceSpan, best_in, best_of, next_stop, reached, target_is_near
from orders.exchange_data.clock import exchange_now_ms
from orders.follow_rows import (
    BREAK_EVEN,
    TRAIL,
    AwaitedPrice,
    FollowedTrail,
    best_save,
    heard_save,
    prices_awaited,
    targets_filled,
    trails_followed,
)
from worker.trail_pace import MovePace

logger = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0  # after a wish that could not be made yet
MARK_EVERY_MS: Final = 1000  # mark prices come each second
GAP_MS: Final = 3000  # after a longer pause some may be missing
SILENT_SECONDS: Final = 5.0
READ_EVERY_SECONDS: Final = 10.0
MINUTE_MS: Final = 60_000
BARS_MAX: Final = 1000  # in one request: of more it is not certain that the exchange takes it
RECENT_MAX: Final = 256

Submit = Callable[[Hashable, Callable[[], object]], None]


@dataclass(slots=True)
class _Trailing:
    """One trail. ``stop``: where its stop is, or is on its way to."""

    row: FollowedTrail
    stop: Decimal
    best: Decimal | None
    best_ts: int
    saved: Decimal | None
    moving: bool = False
    not_before: float = 0.0
    moved_at: float | None = None
    target: Decimal | None = None  # where its take-profit is, or is on its way to
    target_moving: bool = False
    target_not_before: float = 0.0

    def hear(self, price: Decimal, ts: int) -> bool:
        """Take a price in; return whether it is better than all before."""
        best = best_of(self.row.terms, self.best, price)
        if best == self.best:
            return False
        self.best, self.best_ts = best, ts
        return True

    def wanted(self, mark: Decimal | None) -> Decimal | None:
        return next_stop(self.row.terms, best=self.best, stop=self.stop, price=mark)

    @property
    def target_is_near(self) -> bool:
        """Is the take-profit to make way?"""
        return self.target is not None and target_is_near(self.row.terms, best=self.best, target=self.target)

    def nearness(self, mark: Decimal | None) -> Decimal:
        """Return how far the stop is from the price, as a part of it."""
        price = mark or self.best or self.stop
        return abs(price - self.stop) / price


@dataclass(slots=True)
class _Waiting:
    """One break-even that waits for a price."""

    row: AwaitedPrice
    reached_ts: int | None
    moving: bool = False
    not_before: float = 0.0

    def hear(self, price: Decimal, ts: int) -> bool:
        if self.reached_ts is None and reached(self.row.side, self.row.price, price):
            self.reached_ts = ts
        return self.reached_ts is not None


@dataclass(slots=True)
class _Market:
    """One symbol: what follows its price, and how much of that price is known."""

    symbol: str
    heard_at: float
    trails: dict[int, _Trailing] = field(default_factory=dict)
    awaited: dict[int, _Waiting] = field(default_factory=dict)
    mark: PriceTick | None = None
    heard_ts: int = 0  # up to when prices were heard (exchange ms)
    missing_from: int | None = None  # since when some may be missing
    gaps: int = 0
    is_reading: bool = False
    read_at: float = 0.0

    @property
    def mark_price(self) -> Decimal | None:
        return None if self.mark is None else self.mark.price

    @property
    def accounted_ts(self) -> int:
        """Return up to when no price is missing."""
        return self.heard_ts if self.missing_from is None else self.missing_from

    @property
    def kinds(self) -> set[PriceKind]:
        """Return which prices are followed here; the mark price always is, for it triggers the stops."""
        return {PriceKind.MARK} | {trailing.row.terms.watches for trailing in self.trails.values()}

    def miss(self, since_ts: int) -> None:
        self.missing_from = since_ts if self.missing_from is None else min(self.missing_from, since_ts)
        self.gaps += 1


class TrailWatch:
    """What follows the prices of one environment, for the accounts this process watches.

    ``submit``: have work done elsewhere, work of one key in order. ``hear`` returns at once and may be called from any
    thread; ``refresh`` and ``act`` ask the database.
    """

    def __init__(
        self,
        environment: str,
        *,
        accounts: Callable[[], Iterable[int]],
        submit: Submit,
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._accounts = accounts
        self._submit = submit
        self._clock = clock
        self._lock = threading.RLock()
        self._markets: dict[str, _Market] = {}
        # The newest prices of every symbol: a trail is asked for a moment before it is found here.
        self._recent: dict[tuple[str, PriceKind], deque[PriceTick]] = {}
        self._paces: dict[int, MovePace] = {}
        self._refresh_at = 0.0
        self._save_at = 0.0
        self._is_stopped = False

    def stop(self) -> None:
        """Begin nothing more; what is under way is finished."""
        self._is_stopped = True

    # --- prices -----------------------------------------------------------------------------------

    def hear(self, tick: PriceTick) -> bool:
        """Take a price in; return whether there may be something to do."""
        with self._lock:
            self._recent.setdefault((tick.symbol, tick.kind), deque(maxlen=RECENT_MAX)).append(tick)
            market = self._markets.get(tick.symbol)
            if market is None:
                return False
            if tick.kind is PriceKind.MARK:
                self._beat(market, tick)
            is_due = market.missing_from is not None
            for trailing in market.trails.values():
                if trailing.row.terms.watches is tick.kind and trailing.hear(tick.price, tick.time):
                    is_due = (
                        is_due
                        or trailing.saved is None
                        or trailing.target_is_near
                        or trailing.wanted(market.mark_price) is not None
                    )
            if tick.kind is PriceKind.MARK:
                waiting = [waiting.hear(tick.price, tick.time) for waiting in market.awaited.values()]
                is_due = is_due or any(waiting)
        return is_due

    def _beat(self, market: _Market, tick: PriceTick) -> None:
        """Mark prices come each second, whatever is traded: they show whether the stream is whole."""
        market.mark = tick
        if market.heard_ts and tick.time - market.heard_ts > GAP_MS:
            market.miss(market.heard_ts)
        market.heard_ts = max(market.heard_ts, tick.time)
        market.heard_at = self._clock()

    # --- rows -------------------------------------------------------------------------------------

    def refresh(self) -> set[str]:
        """Read what follows the price, when that is due; return its symbols."""
        if self._clock() >= self._refresh_at:
            self._refresh_at = self._clock() + REFRESH_SECONDS
            accounts = list(self._accounts())
            self._take_in(trails_followed(accounts), prices_awaited(accounts))
            for trio_id in targets_filled(accounts):
                moved = partial(services.break_even_after_target, trio_id)
                self._submit(trio_id, partial(self._run, moved))
        return set(self._markets)

    def _take_in(self, trails: list[FollowedTrail], awaited: list[AwaitedPrice]) -> None:
        rows: list[FollowedTrail | AwaitedPrice] = [*trails, *awaited]
        with self._lock:
            known = {pk for market in self._markets.values() for pk in market.trails}
            known_awaited = {pk for market in self._markets.values() for pk in market.awaited}
        is_new = any(row.pk not in known for row in trails) or any(
            row.pk not in known_awaited for row in awaited
        )
        now_ts = exchange_now_ms(self._environment) if is_new else 0
        with self._lock:
            for symbol in {row.symbol for row in rows} - set(self._markets):
                self._markets[symbol] = _Market(symbol, self._clock())
            for trail in trails:
                self._take_trail(self._markets[trail.symbol], trail, now_ts)
            for price in awaited:
                self._take_awaited(self._markets[price.symbol], price, now_ts)
            trail_ids, price_ids = {row.pk for row in trails}, {row.pk for row in awaited}
            for symbol, market in list(self._markets.items()):
                market.trails = {pk: kept for pk, kept in market.trails.items() if pk in trail_ids}
                market.awaited = {pk: kept for pk, kept in market.awaited.items() if pk in price_ids}
                if not market.trails and not market.awaited:
                    del self._markets[symbol]

    def _take_trail(self, market: _Market, row: FollowedTrail, now_ts: int) -> None:
        known = market.trails.get(row.pk)
        if known is not None:
            known.row = row
            if not known.moving:
                known.stop = row.stop
            if not known.target_moving:
                known.target = row.target
            return
        trailing = _Trailing(
            row, row.stop, row.best, row.best_ts or row.since_ts, row.best, target=row.target
        )
        market.trails[row.pk] = trailing
        for tick in self._heard_since(row.symbol, row.terms.watches, row.since_ts):
            trailing.hear(tick.price, tick.time)
        self._begin_at(market, row.heard_ts, now_ts)

    def _take_awaited(self, market: _Market, row: AwaitedPrice, now_ts: int) -> None:
        if row.pk in market.awaited:
            return
        waiting = _Waiting(row, row.reached_ts)
        market.awaited[row.pk] = waiting
        for tick in self._heard_since(row.symbol, PriceKind.MARK, row.since_ts):
            waiting.hear(tick.price, tick.time)
        self._begin_at(market, row.heard_ts, now_ts)

    def _heard_since(self, symbol: str, kind: PriceKind, since_ts: int) -> list[PriceTick]:
        return [tick for tick in self._recent.get((symbol, kind), ()) if tick.time >= since_ts]

    def _begin_at(self, market: _Market, heard_ts: int, now_ts: int) -> None:
        """What nobody has heard since ``heard_ts`` is to be read."""
        recent = self._recent.get((market.symbol, PriceKind.MARK))
        # What another process heard last is a second before what this one heard first, or some of it is missing.
        gap_ms = GAP_MS if market.heard_ts else MARK_EVERY_MS
        if (recent[0].time if recent else now_ts) - heard_ts > gap_ms:
            market.miss(heard_ts)
        if not market.heard_ts:
            market.heard_ts = heard_ts
            for tick in recent or ():
                self._beat(market, tick)

    # --- what is to be done -----------------------------------------------------------------------

    def act(self) -> None:
        """Have missed prices read, keep what is known, and let stops follow: the nearest to the price first."""
        if self._is_stopped or not self._markets:
            return
        self._read_missing()
        self._save_when_due()
        with self._lock:
            work = [*self._targets(), *self._steps(), *self._break_evens()]
        for trio_id, step in work:
            self._submit(trio_id, partial(self._run, step))

    def _steps(self) -> list[tuple[int, Callable[[], object]]]:
        now, found = self._clock(), list[tuple[int, Callable[[], object]]]()
        by_account: dict[int, list[tuple[Decimal, _Market, _Trailing]]] = {}
        for market in self._markets.values():
            for trailing in market.trails.values():
                place = trailing.nearness(market.mark_price), market, trailing
                by_account.setdefault(trailing.row.account_id, []).append(place)
        moves = moves_for(limits_of(self._environment))
        for account_id, places in by_account.items():
            places.sort(key=lambda place: (place[0], place[2].row.pk))
            pace = self._paces.setdefault(account_id, MovePace())
            for rank, (_, market, trailing) in enumerate(places):
                if trailing.moving or now < trailing.not_before or trailing.best is None:
                    continue
                if trailing.wanted(market.mark_price) is None:
                    if trailing.saved is None:  # that it is active is part of the story
                        found.append(self._step(market, trailing, trailing.moved_at))
                    continue
                if pace.may_move(
                    now,
                    is_nearest=rank == 0,
                    last=trailing.moved_at,
                    trails=len(places),
                    moves=moves,
                    orders=trailing.row.orders,
                ):
                    before, trailing.moved_at = trailing.moved_at, now
                    pace.note(now)
                    found.append(self._step(market, trailing, before))
        return found

    def _step(
        self, market: _Market, trailing: _Trailing, moved_at: float | None
    ) -> tuple[int, Callable[[], object]]:
        trailing.moving = True
        return trailing.row.trio_id, partial(self._follow, market, trailing, moved_at)

    def _follow(self, market: _Market, trailing: _Trailing, moved_at: float | None) -> None:
        """Wish for the next level; ``moved_at``: when it moved last, before this."""
        with self._lock:
            best, best_ts, mark = trailing.best, trailing.best_ts, market.mark
        assert best is not None
        row, move, saved = trailing.row, None, trailing.saved
        try:
            move = services.trail_step(
                trail_id=row.pk, trio_id=row.trio_id, best=best, best_ts=best_ts, mark=mark
            )
            saved = best
        finally:
            with self._lock:
                trailing.moving, trailing.saved = False, saved
                if move is not None:
                    trailing.stop = move.level
                else:
                    trailing.not_before = self._clock() + AGAIN_SECONDS
                    self._not_moved(trailing, moved_at)

    def _not_moved(self, trailing: _Trailing, moved_at: float | None) -> None:
        """What was reckoned for a move that was not made is free again."""
        if trailing.moved_at is not None and trailing.moved_at != moved_at:
            self._paces[trailing.row.account_id].take_back(trailing.moved_at)
        trailing.moved_at = moved_at

    def _targets(self) -> list[tuple[int, Callable[[], object]]]:
        """Have take-profits make way: seldom, and before their stops move on."""
        now, found = self._clock(), list[tuple[int, Callable[[], object]]]()
        for market in self._markets.values():
            for trailing in market.trails.values():
                due = trailing.target_is_near and not trailing.target_moving
                if due and now >= trailing.target_not_before:
                    trailing.target_moving = True
                    found.append((trailing.row.trio_id, partial(self._make_way, market, trailing)))
        return found

    def _make_way(self, market: _Market, trailing: _Trailing) -> None:
        with self._lock:
            best, best_ts, mark = trailing.best, trailing.best_ts, market.mark
        assert best is not None
        row, move = trailing.row, None
        try:
            move = services.trail_target_step(
                trail_id=row.pk, trio_id=row.trio_id, best=best, best_ts=best_ts, mark=mark
            )
        finally:
            with self._lock:
                trailing.target_moving = False
                if move is not None:
                    trailing.target = move.level
                else:
                    trailing.target_not_before = self._clock() + AGAIN_SECONDS

    def _break_evens(self) -> list[tuple[int, Callable[[], object]]]:
        now, found = self._clock(), list[tuple[int, Callable[[], object]]]()
        for market in self._markets.values():
            for waiting in market.awaited.values():
                if waiting.reached_ts is not None and not waiting.moving and now >= waiting.not_before:
                    waiting.moving = True
                    found.append((waiting.row.trio_id, partial(self._break_even, market, waiting)))
        return found

    def _break_even(self, market: _Market, waiting: _Waiting) -> None:
        assert waiting.reached_ts is not None
        try:
            services.break_even_reached(
                waiting_id=waiting.row.pk,
                trio_id=waiting.row.trio_id,
                reached_ts=waiting.reached_ts,
                mark=market.mark,
            )
        finally:
            with self._lock:
                waiting.moving, waiting.not_before = False, self._clock() + AGAIN_SECONDS

    # --- what is kept -----------------------------------------------------------------------------

    def _save_when_due(self) -> None:
        """Keep best prices, and up to when prices are known: the second never before the first."""
        if self._clock() < self._save_at:
            return
        self._save_at = self._clock() + SAVE_SECONDS
        with self._lock:
            markets = [market for market in self._markets.values() if market.heard_ts]
            # What a price has begun, and is not in the rows yet, is to be found again by who goes on.
            heard = {
                pk: market.accounted_ts
                for market in markets
                for pk, trailing in market.trails.items()
                if trailing.best is None or trailing.saved is not None
            }
            waiting = {
                pk: market.accounted_ts
                for market in markets
                for pk, awaited in market.awaited.items()
                if awaited.reached_ts is None
            }
            better = {
                pk: (trailing.best, trailing.best_ts)
                for market in markets
                for pk, trailing in market.trails.items()
                if trailing.best is not None
                and trailing.saved is not None
                and trailing.best != trailing.saved
            }
        if better:
            best_save(better)
        if heard:
            heard_save(TRAIL, heard)
        if waiting:
            heard_save(BREAK_EVEN, waiting)
        with self._lock:
            for market in markets:
                for pk, (best, _) in better.items():
                    if pk in market.trails:
                        market.trails[pk].saved = best

    # --- what was missed --------------------------------------------------------------------------

    def _read_missing(self) -> None:
        now = self._clock()
        with self._lock:
            due = [market for market in self._markets.values() if self._must_read(market, now)]
            for market in due:
                market.is_reading, market.read_at = True, now + READ_EVERY_SECONDS
        for market in due:
            self._submit(("bars", market.symbol), partial(self._run, partial(self._read, market)))

    def _must_read(self, market: _Market, now: float) -> bool:
        is_silent = now - market.heard_at > SILENT_SECONDS
        return (
            (market.missing_from is not None or is_silent) and not market.is_reading and now >= market.read_at
        )

    def _read(self, market: _Market) -> None:
        """Read the bars since some prices are missing; a trail takes those in that began after it was asked for."""
        with self._lock:
            since, gaps, kinds = market.accounted_ts, market.gaps, market.kinds
        try:
            for kind in sorted(kinds):
                asked_ts = exchange_now_ms(self._environment)
                bars = self._bars(market.symbol, kind, since - since % MINUTE_MS, asked_ts)
                self._take_bars(market, kind, bars, asked_ts)
        except (ExchangeError, OperationalError, InterfaceError) as error:
            logger.warning(
                "%s: prices that were missed could not be read (%s)", market.symbol, error_line(error)
            )
            return
        finally:
            with self._lock:
                market.is_reading = False
        with self._lock:
            if market.gaps == gaps:
                market.missing_from = None
        self.act()

    def _bars(self, symbol: str, kind: PriceKind, since: int, now_ts: int) -> list[Kline]:
        exchange = public_exchange(self._environment)
        read = exchange.mark_klines if kind is PriceKind.MARK else exchange.klines
        found: list[Kline] = []
        missing = max(0, now_ts - since) // MINUTE_MS + 2
        while True:
            with spending(Priority.WATCH):
                rows = read(symbol, "1m", since=since, limit=99 if missing < 99 else BARS_MAX)
            found += rows
            if len(rows) < BARS_MAX:
                return found
            since = rows[-1].open_time + 1

    def _take_bars(self, market: _Market, kind: PriceKind, bars: list[Kline], asked_ts: int) -> None:
        if not bars:
            return
        spans = [PriceSpan(bar.open_time, bar.high, bar.low) for bar in bars]
        newest = bars[-1].open_time
        with self._lock:
            if kind is PriceKind.MARK and (market.mark is None or market.mark.time < asked_ts):
                market.mark = PriceTick(market.symbol, kind, bars[-1].close, asked_ts)
            for trailing in market.trails.values():
                terms, row = trailing.row.terms, trailing.row
                best = best_in(terms.side, spans, since_ts=row.since_ts)
                if terms.watches is kind and best is not None:
                    trailing.hear(best, max(newest, row.since_ts))
            for waiting in market.awaited.values() if kind is PriceKind.MARK else ():
                best = best_in(waiting.row.side, spans, since_ts=waiting.row.since_ts)
                if best is not None:
                    waiting.hear(best, max(newest, waiting.row.since_ts))
            market.heard_ts = max(market.heard_ts, newest)

    def _run(self, work: Callable[[], object]) -> None:
        connection_look_after()
        try:
            work()
        except Exception:
            logger.exception("%s: a price could not be followed; the next one is", self._environment)

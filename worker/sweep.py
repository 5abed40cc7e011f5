"""The sweep: the exchange against our books. Every difference becomes a fact; the mechanism acts on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import connection
from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import ZERO, OrderRef, OrderView, PositionMode, PositionSide, Side, TradeView
from orders.domain.enums import LegState, Source
from orders.domain.rounding import plain
from orders.exchange_data.clock import clock_renew, db_now, exchange_now_ms
from orders.models import Leg, Watch
from orders.placement.ingest import fill_book, flat_view, order_seen, position_fact
from orders.story import wake
from orders.trio_lock import locked, short_transaction

logger = logging.getLogger(__name__)

LIVE = (LegState.ACCEPTED, LegState.PARTIALLY_FILLED, LegState.TRIGGERED)
GONE = (LegState.FILLED, LegState.CANCELLED, LegState.EXPIRED, LegState.REJECTED)
GRACE_MS = 2000  # an order this young may be missing from a list that lags
TRADES_BEFORE_MS = 60_000
TRADES_FOR_MS = 7 * 24 * 3600 * 1000
TRADES_A_ROUND = 10
WRITTEN_OFF_FOR_MS = 24 * 3600 * 1000
WRITTEN_OFF_A_ROUND = 5


Place = tuple[str, PositionSide]
SLOTS = "SELECT id, symbol, position_side FROM orders_slot WHERE account_id = %s"
STILL_FLAT = """
    UPDATE orders_slot SET as_of = %(at)s, from_event = false, strangers_as_of = %(at)s, updated_at = clock_timestamp()
    WHERE id IN (
        SELECT id FROM orders_slot slot
        WHERE id = ANY (%(slots)s) AND quantity = 0 AND flat_since IS NOT NULL AND strangers = '[]'
          AND as_of <= %(at)s AND strangers_as_of <= %(at)s
          AND NOT EXISTS (SELECT FROM orders_trioorder WHERE slot_id = slot.id AND holds_slot)
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one complete sweep found: when it was asked (exchange ms), and which trios it woke."""

    at: int
    woken: frozenset[int]


def sweep(account: ExchangeAccount) -> Swept:
    """Read everything the account holds and write the differences down.

    Raises ExchangeError or AccountsError when it could not be read whole; then nothing hinges on it.
    """
    exchange = exchange_for(account.pk)
    clock_renew(account.environment)
    at = exchange_now_ms(account.environment)
    positions = list(exchange.positions(at=at))
    orders = list(exchange.open_orders(at=at))
    woken: set[int | None] = set()
    for order in orders:
        woken.add(order_seen(account.pk, order))
    woken |= set(_missing_orders(account, orders, at=at))
    strangers = _strangers(account, orders, at=at)
    listed = {(view.symbol, view.position_side): view for view in positions}
    held = {place for place, view in listed.items() if view.quantity}
    for symbol, side in _worth_a_look(account, loud=held | set(strangers), at=at):
        view = listed.get((symbol, side)) or flat_view(symbol, side)
        found = strangers.get((symbol, side), [])
        woken.add(position_fact(account.pk, view, as_of=at, from_event=False, strangers=found))
    try:
        woken |= set(_written_off(account, exchange, at=at))
        woken |= set(_missing_trades(account, exchange, at=at))
    except ExchangeError as error:  # asked again with the next sweep; a sweep is complete without
        logger.warning("account %s: the sweep's second look failed: %s", account.pk, error)
    return Swept(at, frozenset(trio for trio in woken if trio is not None))


def _worth_a_look(account: ExchangeAccount, *, loud: set[Place], at: int) -> set[Place]:
    """Return the places where something is or was, or a trio waits for word.

    The rest, most of an account's slots, is flat as before: that is written down at once for all of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(SLOTS, [account.pk])
        slots = {(symbol, PositionSide(side)): slot_id for slot_id, symbol, side in cursor.fetchall()}

    def still_flat(_: datetime) -> set[int]:
        quiet = sorted(slot_id for place, slot_id in slots.items() if place not in loud)
        with connection.cursor() as cursor:
            cursor.execute(STILL_FLAT, {"at": at, "slots": quiet})
            return {slot_id for (slot_id,) in cursor.fetchall()}

    done = locked(still_flat, what=f"account {account.pk}: slots that are flat as before")
    return loud | {place for place, slot_id in slots.items() if slot_id not in done}


def _missing_orders(account: ExchangeAccount, orders: Iterable[OrderView], *, at: int) -> Iterable[int]:
    """Have those of our live orders looked up that the exchange's lists do not show (any more)."""
    shown = {order.client_id for order in orders}
    legs = Leg.objects.filter(trio__account=account, state__in=LIVE, look_at=None).select_related("trio")
    for leg in legs:
        if leg.client_id in shown or (leg.seen_ts or 0) > at - GRACE_MS:
            continue
        with short_transaction(trio_id=leg.trio_id) as now:
            due = Leg.objects.filter(pk=leg.pk, state__in=LIVE, look_at=None).update(look_at=now)
            if due:
                wake(leg.trio_id, now)
        if due:
            yield leg.trio_id


def _written_off(account: ExchangeAccount, exchange: Exchange, *, at: int) -> Iterable[int | None]:
    """Look up again, for a day, what was written off: an order proved absent must stay so."""
    legs = Leg.objects.filter(
        trio__account=account, state=LegState.WRITTEN_OFF, ended_ts__gt=at - WRITTEN_OFF_FOR_MS
    ).select_related("trio__symbol")
    for leg in legs.order_by(F("looked_ts").asc(nulls_first=True))[:WRITTEN_OFF_A_ROUND]:
        asked = exchange_now_ms(account.environment)
        ref = OrderRef(leg.trio.symbol.symbol, leg.client_id, leg.is_conditional)
        found = exchange.find_order(ref, at=asked)
        Leg.objects.filter(pk=leg.pk, state=LegState.WRITTEN_OFF).update(looked_ts=asked)
        if found is not None:
            yield order_seen(account.pk, found, source=Source.LOOK_UP)


def _missing_trades(account: ExchangeAccount, exchange: Exchange, *, at: int) -> Iterable[int]:
    """Fetch the executions of orders that filled more than our book of executions explains.

    A few in each round, the newest first, and for a week: what the exchange never tells must not cost for ever.
    """
    legs = (
        Leg.objects.filter(trio__account=account, filled__gt=0, filled_ts__gt=at - TRADES_FOR_MS)
        .annotate(booked=Coalesce(Sum("fills__quantity"), ZERO))
        .filter(filled__gt=F("booked"), order_id__isnull=False)
        .select_related("trio", "trio__symbol")
        .order_by("-filled_ts")[:TRADES_A_ROUND]
    )
    for leg in legs:
        assert leg.order_id is not None
        since = (leg.accepted_ts or leg.filled_ts or 0) - TRADES_BEFORE_MS
        trades = exchange.trades(
            leg.trio.symbol.symbol,
            since=since,
            at=exchange_now_ms(account.environment),
            order_id=leg.order_id,
        )
        what = f"trio {leg.trio_id}: executions that nobody told"
        if locked(partial(_book, leg, trades), trio_id=leg.trio_id, what=what):
            yield leg.trio_id


def _book(leg: Leg, trades: Iterable[TradeView], now: datetime) -> bool:
    """Book executions under the trio's row lock; return whether any was new.

    That row comes first, as everywhere: an event that books the same execution holds it, and the two would
    wait for each other.
    """
    new = [fill_book(leg, trade) for trade in trades]
    if any(new):
        wake(leg.trio_id, now)
    return any(new)


def _strangers(
    account: ExchangeAccount, orders: Iterable[OrderView], *, at: int
) -> dict[tuple[str, PositionSide], list[str]]:
    """Describe the resting orders that belong to no trio of ours that still lives, by slot.

    An order of ours that ended just now may linger in a list that lags; that makes it no stranger.
    """
    orders = list(orders)
    lives = Q(trio__holds_slot=True) | Q(state__in=GONE, ended_ts__gt=at - GRACE_MS)
    ours = set(
        Leg.objects.filter(lives, client_id__in=[order.client_id for order in orders]).values_list(
            "client_id", flat=True
        )
    )
    found: dict[tuple[str, PositionSide], list[str]] = {}
    for order in orders:
        if order.client_id in ours:
            continue
        side = order.position_side
        if account.position_mode == PositionMode.ONE_WAY:
            side = PositionSide.BOTH
        amount = "whole position" if order.close_position else plain(order.quantity)
        price = order.trigger_price or order.price
        level = f" at {plain(price)}" if price else ""
        text = f"{Side(order.side)} {amount}{level}, id {order.client_id}"
        found.setdefault((order.symbol, side), []).append(text)
    return found


def sweep_and_note(account: ExchangeAccount, incarnation: str, *, call: Callable[[int], None]) -> Swept:
    """Sweep, note it on the watch if it is still ours, and call for the trios it woke."""
    asked_at = db_now()
    swept = sweep(account)
    Watch.objects.filter(account=account, incarnation=incarnation).update(
        swept_at=asked_at, swept_ts=swept.at, note=""
    )
    for trio_id in swept.woken:
        call(trio_id)
    return swept

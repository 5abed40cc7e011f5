"""The sweep compares what the exchange holds with our books. Differences are recorded; the mechanism acts on them.

It reads all positions, and the orders of all symbols or of some. Of what was not listed it says nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
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
from exchange.types import (
    ZERO,
    OrderRef,
    OrderView,
    PositionMode,
    PositionSide,
    PositionView,
    Side,
    TradeView,
)
from orders.domain.enums import LegState, Source
from orders.domain.rounding import plain
from orders.domain.snapshot import Stranger
from orders.exchange_data.clock import clock_renew, db_now, exchange_now_ms
from orders.models import Leg, Watch
from orders.placement.ingest import book_fill, flat_view, order_seen, record_position
from orders.placement.news import unknown_orders
from orders.selectors import RESTING_NOW
from orders.story import wake
from orders.trio_lock import locked, short_transaction

logger = logging.getLogger(__name__)

ENDED = (LegState.FILLED, LegState.CANCELLED, LegState.EXPIRED, LegState.REJECTED)
LIST_LAG_MS = 2000  # for so long a list may miss a new order, or show one that has ended
TRADES_MARGIN_MS = 60_000  # trades are asked for from so long before the order was accepted
TRADES_AGE_MS_MAX = 7 * 24 * 3600 * 1000
TRADES_LEGS_MAX = 10  # in one sweep
WRITTEN_OFF_AGE_MS_MAX = 24 * 3600 * 1000
WRITTEN_OFF_LEGS_MAX = 5  # in one sweep
LOOK_SPACING = 4  # what stays missing is asked for again when a quarter of its age has passed since
LOOK_OFTEN_MS = 60_000  # younger than that, with each sweep


SlotKey = tuple[str, PositionSide]  # of one account
SLOTS = "SELECT id, symbol, position_side FROM orders_slot WHERE account_id = %s"
STILL_FLAT = """
    UPDATE orders_slot SET as_of = %(at)s, from_event = false, updated_at = clock_timestamp(),
        strangers_as_of = CASE WHEN symbol = ANY (%(listed)s) THEN %(at)s ELSE strangers_as_of END
    WHERE id IN (
        SELECT id FROM orders_slot slot
        WHERE id = ANY (%(slots)s) AND quantity = 0 AND flat_since IS NOT NULL AND strangers = '[]'
          AND as_of <= %(at)s AND strangers_as_of <= %(at)s
          AND NOT EXISTS (SELECT FROM orders_trioorder WHERE slot_id = slot.id AND holds_slot)
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    RETURNING id
"""

# The same quantity, reported later: only its age and its prices change, and no trio need be woken for it.
STILL_HELD = """
    UPDATE orders_slot slot SET as_of = %(at)s, from_event = false, updated_at = clock_timestamp(),
        strangers_as_of = CASE WHEN %(listed)s::text[] IS NULL OR slot.symbol = ANY (%(listed)s::text[])
                               THEN %(at)s ELSE strangers_as_of END,
        entry_price = held.entry_price,
        liquidation_price = coalesce(held.liquidation_price, slot.liquidation_price),
        mark_price = CASE WHEN held.mark_price IS NOT NULL AND mark_as_of <= %(at)s
                          THEN held.mark_price ELSE slot.mark_price END,
        mark_as_of = CASE WHEN held.mark_price IS NOT NULL AND mark_as_of <= %(at)s THEN %(at)s ELSE mark_as_of END
    FROM unnest(%(symbols)s::text[], %(sides)s::text[], %(quantities)s::numeric[], %(entries)s::numeric[],
                %(liquidations)s::numeric[], %(marks)s::numeric[])
        AS held (symbol, position_side, quantity, entry_price, liquidation_price, mark_price)
    WHERE slot.id IN (
        SELECT id FROM orders_slot known JOIN unnest(%(symbols)s::text[], %(sides)s::text[], %(quantities)s::numeric[])
            AS listed (symbol, position_side, quantity) USING (symbol, position_side)
        WHERE known.account_id = %(account)s AND known.quantity = listed.quantity AND known.quantity <> 0
          AND known.as_of <= %(at)s AND known.strangers = '[]' AND known.strangers_as_of <= %(at)s
        ORDER BY id FOR UPDATE OF known SKIP LOCKED
    ) AND slot.symbol = held.symbol AND slot.position_side = held.position_side
    RETURNING slot.symbol, slot.position_side
"""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a complete sweep found: when it asked (exchange ms), and which trios it woke.

    ``stranger_conditionals``: how many conditional orders are not ours; not known unless all orders were listed.
    """

    at: int
    woken: frozenset[int]
    stranger_conditionals: int | None = None


def sweep(account: ExchangeAccount, symbols: Collection[str] | None = None) -> SweepResult:
    """Read what the account holds and record how our books differ from it.

    ``symbols``: list only the orders of these. Raises ExchangeError or AccountsError when it could not be read completely; what was recorded until then
    is true, but nothing may be concluded from what was not seen.
    """
    exchange = exchange_for(account.pk)
    clock_renew(account.environment)
    at = exchange_now_ms(account.environment)
    positions = list(exchange.positions(at=at))
    orders = list(_open_orders(account, exchange, symbols))
    woken: set[int | None] = set()
    for order in unknown_orders(account.pk, orders):
        woken.add(order_seen(account.pk, order))
    woken |= set(_missing_orders(account, orders, symbols, at=at))
    strange = _strangers(account, orders, at=at)
    strangers = _by_slot(account, strange)
    shown = {(view.symbol, view.position_side): view for view in positions}
    held = {key for key, view in shown.items() if view.quantity}
    need_check = _note_flat_slots(account, symbols, occupied=held | set(strangers), at=at)
    need_check -= _note_held_slots(account, symbols, [shown[key] for key in held - set(strangers)], at=at)
    for symbol, side in need_check:
        view = shown.get((symbol, side)) or flat_view(symbol, side)
        found = strangers.get((symbol, side), []) if symbols is None or symbol in symbols else None
        woken.add(record_position(account.pk, view, as_of=at, from_event=False, strangers=found))
    try:
        woken |= set(_written_off_orders(account, exchange, at=at))
        woken |= set(_missing_trades(account, exchange, at=at))
    except ExchangeError as error:  # the sweep is complete without
        logger.warning(
            "account %s: orders written off and missing executions could not be looked up (%s);"
            " the next sweep tries again",
            account.pk,
            error,
        )
    conditionals = sum(order.conditional for order in strange) if symbols is None else None
    return SweepResult(at, frozenset(trio for trio in woken if trio is not None), conditionals)


def sweep_and_record(
    account: ExchangeAccount,
    incarnation: str,
    *,
    advance: Callable[[int], None],
    symbols: Collection[str] | None = None,
    asked_at: datetime | None = None,
    interval_ms: int = 0,
) -> SweepResult:
    """Sweep, record that on the watch if it is still ours, and have the trios advanced that it woke.

    ``asked_at``: a time before what to list was chosen; ``interval_ms``: how long it is to the next sweep.
    """
    asked_at = asked_at or db_now()
    result = sweep(account, symbols)
    swept: dict[str, object] = {"swept_at": asked_at, "swept_ts": result.at, "interval_ms": interval_ms}
    if result.stranger_conditionals is not None:
        swept |= {"full_at": asked_at, "stranger_conditionals": result.stranger_conditionals}
    Watch.objects.filter(account=account, incarnation=incarnation).update(note="", **swept)
    for trio_id in result.woken:
        advance(trio_id)
    return result


def _open_orders(
    account: ExchangeAccount, exchange: Exchange, symbols: Collection[str] | None
) -> Iterable[OrderView]:
    """List what rests. Each question has a time of its own: asking symbol by symbol may take a while."""
    if symbols is None:
        yield from exchange.open_orders(at=exchange_now_ms(account.environment))
        return
    for symbol in sorted(symbols):
        yield from exchange.open_orders(symbol, at=exchange_now_ms(account.environment))


# --- positions --------------------------------------------------------------------------------


def _note_flat_slots(
    account: ExchangeAccount, symbols: Collection[str] | None, *, occupied: set[SlotKey], at: int
) -> set[SlotKey]:
    """Record of the slots that are flat as before that they are, in one statement; return the others.

    These must be checked one by one: something is or was there, or a trio waits for it. They are few of an account's slots;
    whether strangers are there is only dated where orders were listed (``symbols``).
    """
    with connection.cursor() as cursor:
        cursor.execute(SLOTS, [account.pk])
        slots = {(symbol, PositionSide(side)): slot_id for slot_id, symbol, side in cursor.fetchall()}
    flat = sorted(slot_id for key, slot_id in slots.items() if key not in occupied)
    listed = sorted({symbol for symbol, _ in slots} if symbols is None else symbols)
    recorded = locked(
        partial(_record_still_flat, flat, listed, at),
        what=f"account {account.pk}: slots that are flat as before",
    )
    return occupied | {key for key, slot_id in slots.items() if slot_id not in recorded}


def _note_held_slots(
    account: ExchangeAccount, symbols: Collection[str] | None, views: Sequence[PositionView], *, at: int
) -> set[SlotKey]:
    """Record that these positions are as they were, in one statement; return the slots of which that is true."""
    if not views:
        return set()
    values = {
        "account": account.pk,
        "at": at,
        "listed": None if symbols is None else sorted(symbols),
        "symbols": [view.symbol for view in views],
        "sides": [view.position_side.value for view in views],
        "quantities": [view.quantity for view in views],
        "entries": [view.entry_price for view in views],
        "liquidations": [view.liquidation_price for view in views],
        "marks": [view.mark_price or None for view in views],
    }

    def record(_: datetime) -> set[SlotKey]:
        with connection.cursor() as cursor:
            cursor.execute(STILL_HELD, values)
            return {(symbol, PositionSide(side)) for symbol, side in cursor.fetchall()}

    return locked(record, what=f"account {account.pk}: positions that are as before")


def _record_still_flat(slot_ids: list[int], listed: list[str], at: int, _: datetime) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(STILL_FLAT, {"at": at, "slots": slot_ids, "listed": listed})
        return {slot_id for (slot_id,) in cursor.fetchall()}


def _strangers(account: ExchangeAccount, orders: Iterable[OrderView], *, at: int) -> list[OrderView]:
    """Return the resting orders that belong to no living trio of ours.

    An order of ours that has just ended may still be in a list that lags; that makes it no stranger.
    """
    orders = list(orders)
    lives = Q(trio__holds_slot=True) | Q(state__in=ENDED, ended_ts__gt=at - LIST_LAG_MS)
    ours = set(
        Leg.objects.filter(lives, client_id__in=[order.client_id for order in orders]).values_list(
            "client_id", flat=True
        )
    )
    strange = [order for order in orders if order.client_id not in ours]
    # The order born at a trigger may have a client id of the exchange's own; numbers count within their symbol.
    born = set(
        Leg.objects.filter(
            lives,
            trio__account=account,
            triggered_ts__isnull=False,
            order_id__in=[order.order_id for order in strange if not order.conditional],
        ).values_list("trio__symbol__symbol", "order_id")
        if strange
        else ()
    )
    return [order for order in strange if (order.symbol, order.order_id) not in born]


def _by_slot(account: ExchangeAccount, strangers: Iterable[OrderView]) -> dict[SlotKey, list[Stranger]]:
    found: dict[SlotKey, list[Stranger]] = {}
    one_way = account.position_mode == PositionMode.ONE_WAY
    for order in strangers:
        side = PositionSide.BOTH if one_way else order.position_side
        found.setdefault((order.symbol, side), []).append(
            Stranger(order.client_id, order.conditional, _describe(order))
        )
    return found


def _describe(order: OrderView) -> str:
    quantity = "whole position" if order.close_position else plain(order.quantity)
    price = order.trigger_price or order.price
    level = f" at {plain(price)}" if price else ""
    return f"{Side(order.side)} {quantity}{level}, id {order.client_id}"


# --- orders and executions --------------------------------------------------------------------


def _missing_orders(
    account: ExchangeAccount, orders: Iterable[OrderView], symbols: Collection[str] | None, *, at: int
) -> Iterable[int]:
    """Have those of our live orders looked up that are not (or no longer) in the exchange's lists.

    ``symbols``: those that were listed. An order on another one is not missing.
    """
    orders = list(orders)
    listed = {order.client_id for order in orders}
    born = {(order.symbol, order.order_id) for order in orders if not order.conditional}
    legs = Leg.objects.filter(trio__account=account, state__in=RESTING_NOW, look_at=None)
    if symbols is not None:
        legs = legs.filter(trio__symbol__symbol__in=symbols)
    columns = ("pk", "trio_id", "client_id", "order_id", "seen_ts", "trio__symbol__symbol")
    for leg_id, trio_id, client_id, order_id, seen_ts, symbol in legs.values_list(*columns):
        if (symbol, order_id) in born:
            continue  # the order born at its trigger rests, under whatever client id
        if client_id in listed or (seen_ts or 0) > at - LIST_LAG_MS:
            continue
        with short_transaction(trio_id=trio_id) as now:
            due = Leg.objects.filter(pk=leg_id, state__in=RESTING_NOW, look_at=None).update(look_at=now)
            if due:
                wake(trio_id, now)
        if due:
            yield trio_id


def _written_off_orders(account: ExchangeAccount, exchange: Exchange, *, at: int) -> Iterable[int | None]:
    """Look up again, for a day, what was written off: an order proved absent must stay absent."""
    legs = Leg.objects.filter(
        Q(looked_ts=None) | Q(looked_ts__lte=at - (at - F("ended_ts")) / LOOK_SPACING),
        trio__account=account,
        state=LegState.WRITTEN_OFF,
        ended_ts__gt=at - WRITTEN_OFF_AGE_MS_MAX,
    ).select_related("trio__symbol")
    for leg in legs.order_by(F("looked_ts").asc(nulls_first=True))[:WRITTEN_OFF_LEGS_MAX]:
        asked_ts = exchange_now_ms(account.environment)
        ref = OrderRef(leg.trio.symbol.symbol, leg.client_id, leg.is_conditional)
        found = exchange.find_order(ref, at=asked_ts)
        Leg.objects.filter(pk=leg.pk, state=LegState.WRITTEN_OFF).update(looked_ts=asked_ts)
        if found is not None:
            yield order_seen(account.pk, found, source=Source.LOOK_UP)


def _missing_trades(account: ExchangeAccount, exchange: Exchange, *, at: int) -> Iterable[int]:
    """Fetch the executions of orders that filled by more than the executions we have booked.

    A few in each sweep, the newest first, ever more rarely and for a week: what the exchange never reports must
    not cost for ever.
    """
    before = Watch.objects.filter(account=account).values_list("swept_ts", flat=True).first() or 0
    legs = (
        Leg.objects.filter(trio__account=account, filled__gt=0, filled_ts__gt=at - TRADES_AGE_MS_MAX)
        .annotate(booked=Coalesce(Sum("fills__quantity"), ZERO))
        .filter(filled__gt=F("booked"), order_id__isnull=False)
        .select_related("trio", "trio__symbol")
        .order_by("-filled_ts")
    )
    due = [leg for leg in legs if _falls_due(leg.filled_ts or 0, before=before, at=at)]
    for leg in due[:TRADES_LEGS_MAX]:
        assert leg.order_id is not None
        trades = exchange.trades(
            leg.trio.symbol.symbol,
            since=(leg.accepted_ts or leg.filled_ts or 0) - TRADES_MARGIN_MS,
            at=exchange_now_ms(account.environment),
            order_id=leg.order_id,
        )
        what = f"trio {leg.trio_id}: executions that no event reported"
        if locked(partial(_book_trades, leg, trades), trio_id=leg.trio_id, what=what):
            yield leg.trio_id


def _falls_due(since: int, *, before: int, at: int) -> bool:
    """Has it grown older by a quarter of its age since the sweep ``before``? Ages are counted in such steps."""
    if at - since <= LOOK_OFTEN_MS or before <= since:
        return True
    step = math.log1p(1 / LOOK_SPACING)
    return int(math.log(at - since) / step) > int(math.log(before - since) / step)


def _book_trades(leg: Leg, trades: Iterable[TradeView], now: datetime) -> bool:
    """Book executions under the trio's row lock; return whether any was new.

    That row is locked first, as everywhere: an event that books the same execution holds it, and the two
    would wait for each other.
    """
    new = [book_fill(leg, trade) for trade in trades]
    if any(new):
        wake(leg.trio_id, now)
    return any(new)

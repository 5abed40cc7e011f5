"""News of the event stream: which trio a piece is about, whether it says anything new, and how a turn takes it in."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exchange.types import OrderEvent, OrderView, PositionView, TradeView
from infrastructure.planned import fetch_planned
from infrastructure.rows import Read, row_append_once, row_update
from orders.domain.enums import Source
from orders.domain.leg_updates import LegFacts, merge
from orders.leg_facts import facts_of
from orders.models import Leg
from orders.placement.ingest import (
    SLOT_HELD,
    fill_of,
    leg_take_in,
    record_order_event,
    record_position,
    slot_put,
    slot_take_in,
)
from orders.placement.turn_rows import Booked, TurnRows

SAME_MS: Final = 1000  # a report so little younger than what is known of an order says the same of it
LEG_AND_FILL: Final = Read(
    Leg,
    """
    SELECT {leg}, EXISTS (
        SELECT FROM orders_fill fill WHERE fill.account_id = %s AND fill.symbol = %s AND fill.trade_id = %s
    )
    FROM orders_leg leg JOIN orders_trioorder trio ON trio.id = leg.trio_id
    WHERE trio.account_id = %s AND leg.client_id = %s
    """,
)
LISTED: Final = Read(
    Leg,
    """
    SELECT {leg} FROM orders_leg leg JOIN orders_trioorder trio ON trio.id = leg.trio_id
    WHERE trio.account_id = %s AND leg.client_id = ANY (%s)
    """,
)
SLOT_AND_HOLDER: Final = """
    SELECT slot.id, trio.id FROM orders_slot slot
    JOIN orders_trioorder trio ON trio.slot_id = slot.id AND trio.holds_slot
    WHERE slot.account_id = %s AND slot.symbol = %s AND slot.position_side = %s
"""
NO_TRADE: Final = -1
REMEMBERED_MAX: Final = 1000
# What answers have told lately, by account and client id, as it was committed: the event about the same follows within a moment.
_told: Final[dict[tuple[int, str], LegFacts]] = {}


@dataclass(frozen=True, slots=True)
class OrderNews:
    """An order of a trio has changed, or was executed. ``may_wait``: all but the execution's row is known already."""

    trio_id: int
    leg_id: int
    account_id: int
    event: OrderEvent
    may_wait: bool = False


@dataclass(frozen=True, slots=True)
class PositionNews:
    """A position has changed whose slot a trio holds. ``as_of``: the event's time (exchange ms).

    It may wait: the execution that changed it comes with it, and says what is to be done.
    """

    trio_id: int
    slot_id: int
    account_id: int
    view: PositionView
    as_of: int
    may_wait: bool = True


News = OrderNews | PositionNews


class NoNews(enum.Enum):
    """Why an event is no news of a trio's order."""

    KNOWN = "an answer or an earlier report said it already"
    NOT_FOUND = "none of our orders has this id"


def order_news(account_id: int, event: OrderEvent) -> OrderNews | NoNews:
    """Return what an order event says that is not known yet. Reads once at most, and locks nothing."""
    may_be_told = event.trade is None and not event.order.active
    told = _told.get((account_id, event.order.client_id)) if may_be_told else None
    if told is not None and _says_nothing_new(told, event.order):
        return NoNews.KNOWN  # whatever came to be known since, this is part of it
    trade_id = event.trade.trade_id if event.trade else NO_TRADE
    row = fetch_planned(
        LEG_AND_FILL.statement, account_id, event.order.symbol, trade_id, account_id, event.order.client_id
    )
    if row is None:
        return NoNews.NOT_FOUND
    leg, (booked,) = LEG_AND_FILL.with_rest(row)
    known = _is_known(leg, event.order)
    if known and (booked or event.trade is None):
        return NoNews.KNOWN
    return OrderNews(leg.trio_id, leg.pk, account_id, event, may_wait=known)


def answers_told(legs: Iterable[Leg]) -> None:
    """Remember of these orders what their answers have told, once it is committed."""
    if len(_told) > REMEMBERED_MAX:
        _told.clear()
    for leg in legs:
        _told[leg.trio.account_id, leg.client_id] = facts_of(leg)


def unknown_orders(account_id: int, orders: Sequence[OrderView]) -> list[OrderView]:
    """Return the orders of a list that say something new, or are not ours. Reads once, and locks nothing."""
    ids = [order.client_id for order in orders]
    legs = {leg.client_id: leg for leg in LISTED.all(account_id, ids)}
    return [
        order for order in orders if (leg := legs.get(order.client_id)) is None or not _is_known(leg, order)
    ]


def _is_known(leg: Leg, view: OrderView) -> bool:
    if view.active and leg.active_ts is None:
        return False
    return _says_nothing_new(facts_of(leg), view)


def _says_nothing_new(before: LegFacts, view: OrderView) -> bool:
    after, look = merge(before, view, certain=False)
    younger_ms = (after.seen_ts or 0) - (before.seen_ts or 0)
    return not look and younger_ms <= SAME_MS and after == replace(before, seen_ts=after.seen_ts)


def position_news(account_id: int, view: PositionView, *, as_of: int) -> PositionNews | None:
    """Return the news for the trio that holds the position's slot; None when no trio does."""
    row = fetch_planned(SLOT_AND_HOLDER, account_id, view.symbol, view.position_side)
    if row is None:
        return None
    slot_id, trio_id = row
    return PositionNews(trio_id, slot_id, account_id, view, as_of)


def take_in(rows: TurnRows, news: News) -> bool:
    """Record a piece of news under the trio's lock, in its rows; return whether anything was new."""
    match news:
        case OrderNews(leg_id=leg_id, event=event):
            leg = rows.leg(leg_id)
            changed = leg_take_in(leg, event.order, source=Source.EVENT, certain=False, now=rows.now)
            return (event.trade is not None and _book(rows, leg, event.trade)) or changed
        case PositionNews(slot_id=slot_id, view=view, as_of=as_of):
            if rows.trio.slot_id != slot_id:  # another trio's, by now
                return slot_take_in(slot_id, view, as_of=as_of, from_event=True)
            slot = SLOT_HELD.get(slot_id)
            changed = slot_put(slot, view, as_of=as_of, from_event=True)
            row_update(slot)
            rows.trio.slot = slot
            return changed


def take_in_alone(news: News) -> int | None:
    """Record a piece of news in a transaction of its own; return the trio it woke."""
    match news:
        case OrderNews(account_id=account_id, event=event):
            return record_order_event(account_id, event)
        case PositionNews(account_id=account_id, view=view, as_of=as_of):
            return record_position(account_id, view, as_of=as_of, from_event=True)


def _book(rows: TurnRows, leg: Leg, trade: TradeView) -> bool:
    """Book an execution unless it is among those that were read under the lock."""
    if any((known.trade_id, known.leg_id) == (trade.trade_id, leg.pk) for known in rows.executions):
        return False
    row_append_once(fill_of(leg, trade))
    rows.executions.append(Booked(leg.pk, trade.time, trade.quantity, trade.trade_id))
    rows.executions.sort(key=lambda booked: (booked.time_ts, booked.trade_id))
    return True

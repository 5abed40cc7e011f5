"""What the exchange tells us, written down. Every function is idempotent and monotonic.

A fact is one short transaction: it locks the trio's row, is taken in, and wakes the trio at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q

from exchange.types import (
    ZERO,
    OrderEvent,
    OrderType,
    OrderView,
    PositionSide,
    PositionView,
    TimeInForce,
    TradeView,
)
from orders import journal
from orders.clock import db_now
from orders.domain.merging import LegFacts, merge
from orders.domain.rounding import plain
from orders.domain.words import Form, LegState, Role, Source
from orders.journal import facts_of_view
from orders.locking import locked
from orders.models import Fill, Leg, Sighting, Slot, TrioEvent, TrioOrder

POSITION_LAG_MS = 2000
VENUE_IDS = {
    "autoclose-": "liquidation",
    "adl_autoclose": "auto-deleveraging",
    "settlement_autoclose-": "settlement",
    "delivery_autoclose-": "delivery",
}
NEVER_RESTS = (TimeInForce.IOC, TimeInForce.FOK)
FACT_FIELDS = (
    "quantity",
    "filled",
    "average_price",
    "acknowledged",
    "late",
    "order_id",
    "algo_id",
    "refused_code",
    "refused_text",
    "accepted_ts",
    "triggered_ts",
    "filled_ts",
    "ended_ts",
    "seen_ts",
)


def note(trio: TrioOrder, kind: str, text: str, *, at: datetime | None = None, **data: Any) -> None:
    """Add one line to a trio's story."""
    TrioEvent.objects.create(trio=trio, at=at or db_now(), kind=kind, text=text, data=data)


def wake(trio: TrioOrder, now: datetime, **also: Any) -> None:
    """Have a trio looked at now. ``also``: what else of its row is to be saved."""
    TrioOrder.objects.filter(pk=trio.pk).update(wake_at=now, **also)


# --- one order --------------------------------------------------------------------------------


def facts_of(leg: Leg) -> LegFacts:
    """Return what we know of an order, as the pure rules take it."""
    return LegFacts(
        conditional=leg.is_conditional,
        form=Form(leg.form),
        state=LegState(leg.state),
        **{name: getattr(leg, name) for name in FACT_FIELDS},
    )


def facts_put(leg: Leg, facts: LegFacts) -> None:
    """Put what we know of an order into its row, unsaved."""
    leg.state = facts.state
    for name in FACT_FIELDS:
        setattr(leg, name, getattr(facts, name))


def leg_take_in(leg: Leg, view: OrderView, *, source: Source, certain: bool, now: datetime) -> bool:
    """Merge what the exchange shows of one order into its leg; return whether anything changed.

    What changed it becomes a line of the journal. The caller holds the row lock of ``leg.trio`` and saves
    the journal's head.
    """
    before = facts_of(leg)
    # Told without a time, it is as of the last sign of life; the journal must not have to guess which.
    view = replace(view, updated_at=view.updated_at or leg.seen_ts or 0)
    after, look = merge(before, view, certain=certain)
    changed = after != replace(before, seen_ts=after.seen_ts)
    if changed:
        seen = Sighting(leg=leg, source=source, certain=certain, facts=facts_of_view(view), seen_at=now)
        journal.append(leg.trio, seen)
    facts_put(leg, after)
    if look:
        leg.look_at = leg.look_at or now
    else:
        leg.look_at, leg.looks, leg.looking_since = None, 0, None
        if after.state.is_live and _ends_at_once(leg):  # an answer that tells no end yet is not the last word
            leg.look_at = now + timedelta(milliseconds=settings.PROTECT_TIMEOUT_MS)
    leg.save()
    if after.state != before.state or after.filled != before.filled:
        note(leg.trio, "leg", _leg_line(leg), at=now, client_id=leg.client_id)
    return changed


def _ends_at_once(leg: Leg) -> bool:
    """Is this an order that never rests, so that its end is due whatever the stream tells?"""
    if leg.type == OrderType.MARKET or leg.role == Role.EXIT:
        return True
    return leg.role == Role.ENTRY and leg.trio.time_in_force in NEVER_RESTS


def _leg_line(leg: Leg) -> str:
    name = Role(leg.role).words.capitalize()
    if leg.generation > 1:
        name += f" {leg.generation}"
    words = {
        LegState.ACCEPTED: "rests on the exchange",
        LegState.TRIGGERED: "was triggered",
        LegState.PARTIALLY_FILLED: "is partly filled",
        LegState.FILLED: "is filled",
        LegState.CANCELLED: "is cancelled",
        LegState.EXPIRED: "expired",
        LegState.REJECTED: "was refused",
    }.get(LegState(leg.state), leg.state.lower())
    amount = f": {plain(leg.filled)}" if leg.filled else ""
    price = f" at {plain(leg.average_price)}" if leg.filled and leg.average_price else ""
    level = f" (trigger {plain(leg.trigger_price)})" if leg.trigger_price and not leg.filled else ""
    return f"{name} {words}{amount}{price}{level}."


def fill_book(leg: Leg, trade: TradeView) -> bool:
    """Book one execution; return whether it was new."""
    _, new = Fill.objects.get_or_create(
        account_id=leg.trio.account_id,
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        defaults={
            "trio": leg.trio,
            "leg": leg,
            "order_id": trade.order_id,
            "side": trade.side,
            "price": trade.price,
            "quantity": trade.quantity,
            "commission": trade.commission,
            "commission_asset": trade.commission_asset or "",
            "realized_pnl": trade.realized_pnl,
            "maker": trade.maker,
            "time_ts": trade.time,
        },
    )
    return new


def leg_find(account_id: int, view: OrderView) -> Leg | None:
    """Return our leg behind an order the exchange shows, by client id, else by the ids it told us."""
    ids = Q(client_id=view.client_id)
    if view.order_id:
        ids |= Q(order_id=view.order_id)
    if view.algo_id:
        ids |= Q(algo_id=view.algo_id)
    # The exchange numbers each symbol's orders by itself: an id means nothing without its symbol.
    legs = Leg.objects.filter(
        ids, trio__account_id=account_id, trio__symbol__symbol=view.symbol
    ).select_related("trio")
    return min(legs, key=lambda leg: leg.client_id != view.client_id, default=None)


def order_fact(account_id: int, event: OrderEvent) -> int | None:
    """Take in an order event; return the trio it woke, if it is one of ours."""
    trades = (event.trade,) if event.trade else ()
    return order_seen(account_id, event.order, trades=trades, source=Source.EVENT)


def order_seen(
    account_id: int, view: OrderView, *, trades: Iterable[TradeView] = (), source: Source = Source.LIST
) -> int | None:
    """Take in one order as the exchange shows it; return the trio it woke, if anything was new.

    A LOOK_UP is certain: it has followed a triggered order to its child.
    """
    found = leg_find(account_id, view)
    if found is None:
        return _forced(account_id, view)
    trades = tuple(trades)

    def take_in() -> int | None:
        trio = TrioOrder.objects.select_for_update().get(pk=found.trio_id)
        leg = Leg.objects.get(pk=found.pk)
        leg.trio = trio
        now = db_now()
        changed = leg_take_in(leg, view, source=source, certain=source is Source.LOOK_UP, now=now)
        for trade in trades:
            changed |= fill_book(leg, trade)
        if not changed:
            return None
        wake(trio, now, **journal.head_of(trio))
        return trio.pk

    return locked(take_in, what=f"trio {found.trio_id}: news of {found.client_id}")


def _forced(account_id: int, view: OrderView) -> int | None:
    """Take in an order of the exchange's own that closed position; return the trio that held it, woken."""
    how = next((words for prefix, words in VENUE_IDS.items() if view.client_id.startswith(prefix)), "")
    if not how or view.executed <= 0:
        return None
    holders = TrioOrder.objects.filter(
        slot__account_id=account_id,
        slot__symbol=view.symbol,
        slot__position_side=view.position_side,
        holds_slot=True,
    )

    def take_in() -> int | None:
        trio = holders.select_for_update(of=("self",)).first()
        if trio is None or trio.forced:
            return None
        trio.forced = how
        trio.save(update_fields=["forced", "updated_at"])
        now = db_now()
        price = f" at {plain(view.average_price)}" if view.average_price else ""
        text = f"The exchange closed {plain(view.executed)}{price} itself ({how}), order {view.client_id}."
        note(trio, "outside", text, at=now, client_id=view.client_id)
        wake(trio, now)
        return trio.pk

    return locked(take_in, what=f"{view.symbol}: {how}")


# --- the slot book ----------------------------------------------------------------------------


def position_fact(
    account_id: int, view: PositionView, *, as_of: int, from_event: bool, strangers: list[str] | None = None
) -> int | None:
    """Take in a position; return the trio holding the slot, woken, if anything changed there."""
    slot, _ = Slot.objects.get_or_create(
        account_id=account_id, symbol=view.symbol, position_side=view.position_side
    )
    holders = TrioOrder.objects.filter(slot=slot, holds_slot=True)

    def take_in() -> int | None:
        holder = holders.values_list("pk", flat=True).first()
        trio = TrioOrder.objects.select_for_update().get(pk=holder) if holder else None
        if not slot_take_in(slot.pk, view, as_of=as_of, from_event=from_event, strangers=strangers):
            return None
        if trio is None:
            return None
        wake(trio, db_now())
        return trio.pk

    return locked(take_in, what=f"{slot}: a position")


def slot_take_in(
    slot_id: int, view: PositionView, *, as_of: int, from_event: bool, strangers: list[str] | None = None
) -> bool:
    """Write a position into the book unless something newer is there; return whether it differs."""
    slot = Slot.objects.select_for_update().get(pk=slot_id)
    changed = False
    if as_of >= slot.as_of:
        changed = slot.quantity != view.quantity or (view.quantity == 0 and slot.flat_since is None)
        if view.quantity != 0:
            slot.flat_since = slot.flat_event_ts = None
        elif slot.flat_since is None or slot.quantity != 0:
            # Positions lag behind their events: flat right after an event told one is doubted for longer.
            lagging = slot.as_of + POSITION_LAG_MS if slot.from_event and not from_event else 0
            slot.flat_since = max(as_of, lagging)
        else:
            changed |= as_of - slot.flat_since >= 1000 > slot.as_of - slot.flat_since
        if view.quantity == 0 and from_event:
            changed |= as_of > (slot.flat_event_ts or 0)
            slot.flat_event_ts = as_of
        slot.quantity, slot.as_of, slot.from_event = view.quantity, as_of, from_event
        slot.entry_price = view.entry_price
        slot.liquidation_price = view.liquidation_price or slot.liquidation_price
        if view.mark_price and as_of >= slot.mark_as_of:
            slot.mark_price, slot.mark_as_of = view.mark_price, as_of
    if strangers is not None and as_of >= slot.strangers_as_of:
        changed |= slot.strangers != strangers
        slot.strangers, slot.strangers_as_of = strangers, as_of
    slot.save()
    return changed


def flat_view(symbol: str, position_side: str) -> PositionView:
    """Return the position of a slot that the exchange's list left out: none."""
    return PositionView(symbol, PositionSide(position_side), Decimal(0), ZERO)

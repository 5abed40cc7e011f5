"""What the exchange reports, recorded. Every function is idempotent and monotonic.

A fact is what the exchange reports: a fill, an order's state, a position. Each is recorded in one short
transaction, which locks the trio's row and wakes the trio.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from django.conf import settings
from django.db import connection
from django.db.models import Q

from exchange.types import (
    ZERO,
    AtLiquidation,
    MarginCallEvent,
    OrderEvent,
    OrderType,
    OrderView,
    PositionSide,
    PositionView,
    TimeInForce,
    TradeView,
)
from infrastructure.rows import Read, fetch_first, row_insert_once, row_new, row_update
from orders.domain.enums import LegState, Role, Source
from orders.domain.leg_updates import LegFacts, merge
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import Stranger
from orders.domain.stepped_clock import is_ahead
from orders.journal.append import facts_of_view, journal_append
from orders.leg_facts import facts_of, facts_put
from orders.models import Fill, Leg, Sighting, Slot, TrioEvent, TrioOrder
from orders.story import note, question_ask, wake, wake_with_head
from orders.trio_lock import locked

POSITION_LAG_MS = 2000
MARGIN_CALL = "margin_call"  # a kind of line in a trio's story
WARNED_AGAIN = timedelta(hours=1)
NEVER_RESTS = (TimeInForce.IOC, TimeInForce.FOK)
BY_CLIENT_ID = """
    SELECT leg.id, trio.id FROM orders_leg leg JOIN orders_trioorder trio ON trio.id = leg.trio_id
    WHERE trio.account_id = %s AND leg.client_id = %s
"""
WITH_TRIO = Read(
    Leg,
    """
    SELECT {leg}, {trio} FROM orders_leg leg JOIN orders_trioorder trio ON trio.id = leg.trio_id
    WHERE leg.id = %s
    """,
)
SLOT = "SELECT id FROM orders_slot WHERE account_id = %s AND symbol = %s AND position_side = %s"
SLOT_HELD = Read(Slot, "SELECT {slot} FROM orders_slot slot WHERE id = %s FOR UPDATE")
# The exchange's time now, where its clock is known to have been set back once.
STEPPED_NOW = """
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + clock.offset_ms
    FROM orders_slot slot JOIN accounts_exchangeaccount account ON account.id = slot.account_id
    JOIN orders_clock clock ON clock.environment = account.environment
    WHERE slot.id = %s AND clock.stepped_ts IS NOT NULL
"""
HOLDER = "SELECT id FROM orders_trioorder WHERE slot_id = %s AND holds_slot FOR UPDATE"


# --- one order --------------------------------------------------------------------------------


def leg_take_in(leg: Leg, view: OrderView, *, source: Source, certain: bool, now: datetime) -> bool:
    """Merge what the exchange shows of one order into its leg; return whether anything changed.

    A change becomes a line of the journal. The caller holds the row lock of ``leg.trio`` and saves
    the journal's head.
    """
    before = facts_of(leg)
    # Without a time of its own it counts as of when the order was last seen; the journal must state which.
    view = replace(view, updated_at=view.updated_at or leg.seen_ts or 0)
    after, look = merge(before, view, certain=certain)
    changed = after != replace(before, seen_ts=after.seen_ts)
    if changed:
        seen = row_new(
            Sighting, leg=leg, source=source, certain=certain, facts=facts_of_view(view), seen_at=now
        )
        journal_append(leg.trio, seen)
    facts_put(leg, after)
    if activated := view.active and leg.active_ts is None:
        leg.active_ts = view.updated_at
        note(leg.trio, "follow", "The exchange's trailing order is active.", at=now, client_id=leg.client_id)
    if look:
        leg.look_at = leg.look_at or now
    elif changed or certain:  # a report that says nothing new answers no look-up that was called for since
        leg.look_at, leg.looks, leg.looking_since = None, 0, None
        if after.state.is_live and _ends_at_once(leg):  # an answer that shows no end yet is not the last one
            leg.look_at = now + timedelta(milliseconds=settings.PROTECT_TIMEOUT_MS)
    row_update(leg)
    if after.state != before.state or after.filled != before.filled:
        note(leg.trio, "leg", _leg_line(leg), at=now, client_id=leg.client_id)
    if changes := _amended(leg, before, after):
        _ask_about(leg, changes, now=now)
    return changed or activated


def _amended(leg: Leg, before: LegFacts, after: LegFacts) -> str:
    """Say how an order was changed on the exchange, not by us, or nothing.

    A reduce-only quantity is cut to the position when the exchange takes it: that is no change by a person.
    """
    if not before.acknowledged and leg.role not in (Role.ENTRY, Role.RUNG):
        return ""
    if (after.quantity, after.price) == (leg.amend_quantity, leg.amend_price):
        return ""  # as we asked for
    terms = ("quantity", "price", "trigger_price")
    return ", ".join(
        f"{name.replace('_', ' ')} {plain(was)} → {plain(now)}"
        for name in terms
        if (was := getattr(before, name)) is not None and was != (now := getattr(after, name))
    )


def _ask_about(leg: Leg, changes: str, *, now: datetime) -> None:
    """Have the trio ask about an order that a person changed, once for each change. It is followed meanwhile."""
    trio, role = leg.trio, Role(leg.role)
    text = f"{role.words.capitalize()}: changed on the exchange, not here ({changes})."
    note(trio, "outside", text, at=now, client_id=leg.client_id)
    facts = {
        "what": role.words,
        "client_id": leg.client_id,
        "changes": changes,
        "symbol": trio.symbol.symbol,
        "account": trio.account.name,
    }
    if not trio.is_over and question_ask(trio, Question(QuestionKind.ORDER_AMENDED, facts), at=now):
        row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")


def _ends_at_once(leg: Leg) -> bool:
    """Is this an order that never rests, so that its end can be read even if no event comes?"""
    if leg.type == OrderType.MARKET or leg.role == Role.EXIT:
        return True
    if leg.role not in (Role.ENTRY, Role.RUNG):
        return False
    if leg.is_conditional and leg.triggered_ts is None:
        return False  # it waits for its trigger
    return leg.type == OrderType.STOP_MARKET or leg.trio.time_in_force in NEVER_RESTS


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


def fill_of(leg: Leg, trade: TradeView) -> Fill:
    """Return an execution as it is booked, unsaved."""
    return row_new(
        Fill,
        account_id=leg.trio.account_id,
        symbol=trade.symbol,
        trade_id=trade.trade_id,
        trio=leg.trio,
        leg=leg,
        order_id=trade.order_id,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        commission=trade.commission,
        commission_asset=trade.commission_asset or "",
        realized_pnl=trade.realized_pnl,
        maker=trade.maker,
        time_ts=trade.time,
    )


def book_fill(leg: Leg, trade: TradeView) -> bool:
    """Book one execution; return whether it was new."""
    return row_insert_once(fill_of(leg, trade))


def leg_find(account_id: int, view: OrderView) -> tuple[int, int] | None:
    """Return our leg behind an order the exchange shows, by client id, else by the ids the exchange gave it; and its trio."""
    if found := fetch_first(BY_CLIENT_ID, account_id, view.client_id):
        leg_id, trio_id = found
        return leg_id, trio_id
    ids = Q(pk=None)
    if view.order_id:
        ids |= Q(order_id=view.order_id)
    if view.algo_id:
        ids |= Q(algo_id=view.algo_id)
    # The exchange numbers each symbol's orders by itself: an id means nothing without its symbol.
    legs = Leg.objects.filter(ids, trio__account_id=account_id, trio__symbol__symbol=view.symbol)
    return legs.values_list("pk", "trio_id").first()


def record_order_event(account_id: int, event: OrderEvent) -> int | None:
    """Record an order event; return the trio it woke, if it is one of ours."""
    trades = (event.trade,) if event.trade else ()
    return order_seen(account_id, event.order, trades=trades, source=Source.EVENT)


def order_seen(
    account_id: int, view: OrderView, *, trades: Iterable[TradeView] = (), source: Source = Source.LIST
) -> int | None:
    """Record one order as the exchange shows it; return the trio it woke, if anything was new.

    A LOOK_UP is certain: it has followed a triggered order to its child.
    """
    found = leg_find(account_id, view)
    if found is None:
        return _forced(account_id, view)
    trades = tuple(trades)
    leg_id, trio_id = found

    def take_in(now: datetime) -> int | None:
        leg = WITH_TRIO.get(leg_id)
        changed = leg_take_in(leg, view, source=source, certain=source is Source.LOOK_UP, now=now)
        for trade in trades:
            changed |= book_fill(leg, trade)
        if not changed:
            return None
        wake_with_head(leg.trio, now)
        return trio_id

    return locked(take_in, trio_id=trio_id, what=f"trio {trio_id}: news of {view.client_id}")


def _forced(account_id: int, view: OrderView) -> int | None:
    """Record an order of the exchange's own that closed position; wake and return the trio that held it."""
    how = view.closed_by
    if how is None or view.executed <= 0:
        return None
    holders = TrioOrder.objects.filter(
        slot__account_id=account_id,
        slot__symbol=view.symbol,
        slot__position_side=view.position_side,
        holds_slot=True,
    )

    def take_in(now: datetime) -> int | None:
        trio = holders.select_for_update(of=("self",)).first()
        if trio is None or trio.forced:
            return None
        trio.forced = how.value
        row_update(trio, "forced", "updated_at")
        price = f" at {plain(view.average_price)}" if view.average_price else ""
        text = f"The exchange closed {plain(view.executed)}{price} itself ({how}), order {view.client_id}."
        note(trio, "outside", text, at=now, client_id=view.client_id)
        wake(trio.pk, now)
        return trio.pk

    return locked(take_in, what=f"{view.symbol}: {how}")


# --- the slot book ----------------------------------------------------------------------------


def record_position(
    account_id: int,
    view: PositionView,
    *,
    as_of: int,
    from_event: bool,
    strangers: list[Stranger] | None = None,
) -> int | None:
    """Record a position; wake and return the trio holding the slot, if anything changed there."""
    known = fetch_first(SLOT, account_id, view.symbol, view.position_side)
    if known is None:
        slot, _ = Slot.objects.get_or_create(
            account_id=account_id, symbol=view.symbol, position_side=view.position_side
        )
        known = (slot.pk,)
    (slot_id,) = known

    def take_in(now: datetime) -> int | None:
        with connection.cursor() as cursor:
            cursor.execute(HOLDER, [slot_id])
            held = cursor.fetchone()
        changed = slot_take_in(slot_id, view, as_of=as_of, from_event=from_event, strangers=strangers)
        if not changed or held is None:
            return None
        (holder,) = held
        wake(holder, now)
        return int(holder)

    return locked(take_in, what=f"account {account_id}, {view.symbol} {view.position_side}: a position")


def slot_take_in(
    slot_id: int, view: PositionView, *, as_of: int, from_event: bool, strangers: list[Stranger] | None = None
) -> bool:
    """Write a position into the book unless something newer is there; return whether it differs."""
    slot = SLOT_HELD.get(slot_id)
    changed = slot_put(slot, view, as_of=as_of, from_event=from_event, strangers=strangers)
    row_update(slot)
    return changed


def slot_put(
    slot: Slot, view: PositionView, *, as_of: int, from_event: bool, strangers: list[Stranger] | None = None
) -> bool:
    """Put a position into its slot, unsaved, unless something newer is there; return whether it differs."""
    changed = False
    if as_of < slot.as_of and _is_dated_ahead(slot):
        # What the old clock dated would outweigh all that is read until the new one has caught up.
        slot.as_of = slot.mark_as_of = slot.strangers_as_of = 0
        slot.flat_since = slot.flat_event_ts = None
        slot.from_event = False
    if as_of >= slot.as_of:
        changed = slot.quantity != view.quantity or (view.quantity == 0 and slot.flat_since is None)
        if view.quantity != 0:
            slot.flat_since = slot.flat_event_ts = None
        elif slot.flat_since is None or slot.quantity != 0:
            # Positions lag behind their events: flat right after an event showed one is doubted for longer.
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
        texts, orders = [order.text for order in strangers], [asdict(order) for order in strangers]
        changed |= (slot.strangers, slot.stranger_orders) != (texts, orders)
        slot.strangers, slot.stranger_orders, slot.strangers_as_of = texts, orders, as_of
    return changed


def _is_dated_ahead(slot: Slot) -> bool:
    """Was the exchange's clock set back since this was written into the book?"""
    stepped = fetch_first(STEPPED_NOW, slot.pk)
    return stepped is not None and is_ahead(slot.as_of, now_ts=stepped[0])


def flat_view(symbol: str, position_side: str) -> PositionView:
    """Return the position of a slot that the exchange's list left out: none."""
    return PositionView(symbol, PositionSide(position_side), Decimal(0), ZERO)


def record_margin_call(account_id: int, event: MarginCallEvent) -> list[int]:
    """Write into the story of each trio concerned that its position is near liquidation; return which, told anew each hour."""
    warned = []
    for position in event.positions:
        found = TrioOrder.objects.filter(
            account_id=account_id,
            symbol__symbol=position.symbol,
            position_side=position.position_side,
            holds_slot=True,
        )
        for trio_id in found.values_list("pk", flat=True):
            what = f"trio {trio_id}: a margin call"
            if locked(partial(_margin_call_note, trio_id, position), trio_id=trio_id, what=what):
                warned.append(trio_id)
    return warned


def _margin_call_note(trio_id: int, position: AtLiquidation, now: datetime) -> bool:
    if TrioEvent.objects.filter(trio=trio_id, kind=MARGIN_CALL, at__gt=now - WARNED_AGAIN).exists():
        return False
    mark = "" if position.mark_price is None else plain(position.mark_price)
    text = f"The exchange warns that its position is near liquidation (mark price {mark or 'not said'})."
    note(TrioOrder(pk=trio_id), MARGIN_CALL, f"{text} Add margin, or close a part.", at=now, mark=mark)
    return True

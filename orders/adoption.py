"""Adopt: a position that was opened elsewhere, in the exchange's app say, becomes a trio and is protected at once.

The exchange is asked first, for the position and for what rests beside it. Then one transaction writes the trio: OPEN, in
its slot, its entry what is there. From that moment the rules that cover every open trio cover this one, whoever carries
it. Nothing of somebody else's is touched, but for orders that a person names to be cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError

from accounts.errors import AccountsError
from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.deadlines import PERSON_MS, answers_within
from exchange.errors import ExchangeError
from exchange.rate_limits import CONDITIONALS_MAX, Priority, spending
from exchange.types import (
    ExchangeMs,
    OrderType,
    OrderView,
    PositionMode,
    PositionSide,
    PositionView,
    Side,
)
from infrastructure import job_queue
from orders import jobs, risk_gates
from orders.domain import client_ids
from orders.domain.adoption import Level, adoption_check, result_at
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.enums import Form, Protection, Role, Source, TargetPolicy
from orders.domain.errors import MarketUnread, RuleBroken, SlotTaken, TrioRefused
from orders.domain.leg_updates import adopted
from orders.domain.rounding import plain, shown, signed
from orders.domain.snapshot import LEGS_A_TRIO
from orders.exchange_data.clock import exchange_now_ms
from orders.installation import install_row
from orders.journal.append import journal_append
from orders.leg_facts import facts_put
from orders.models import Leg, Sighting, Slot, Symbol, TrioOrder, Watch
from orders.placement.adoption import foreign_order
from orders.placement.ingest import slot_take_in
from orders.placement.snapshot_loader import conditionals_beside, watch_trouble
from orders.specs import rules_of, spec_of
from orders.story import note
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction

CLOSE_CLASSES: Final = {
    OrderType.STOP: Role.STOP_LOSS,
    OrderType.STOP_MARKET: Role.STOP_LOSS,
    OrderType.TAKE_PROFIT: Role.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_MARKET: Role.TAKE_PROFIT,
}


class ForeignOrders(enum.StrEnum):
    """What becomes of somebody else's orders beside an adopted position."""

    LEAVE = "LEAVE"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class FoundPosition:
    """A position as the exchange has just shown it, and the orders beside it that belong to no living trio.

    ``quantity`` is positive; ``at``: when the exchange was asked (exchange ms).
    """

    account: ExchangeAccount
    symbol: Symbol
    view: PositionView
    orders: tuple[OrderView, ...]
    at: ExchangeMs

    @property
    def side(self) -> Side:
        if self.view.position_side is not PositionSide.BOTH:
            return Side.BUY if self.view.position_side is PositionSide.LONG else Side.SELL
        return Side.BUY if self.view.quantity > 0 else Side.SELL

    @property
    def quantity(self) -> Decimal:
        return shown(abs(self.view.quantity), self.symbol.step_size)

    @property
    def sentence(self) -> str:
        """Say what is there."""
        way = "long" if self.side is Side.BUY else "short"
        mark = f", mark price {plain(self.view.mark_price)}" if self.view.mark_price else ""
        beside = "; ".join(order_text(order) for order in self.orders)
        return (
            f"{self.symbol.symbol} on “{self.account.name}”: {way} {plain(self.quantity)} at "
            f"{plain(self.view.entry_price)}{mark}. Orders beside it that are not ours: {beside or 'none'}."
        )


# --- what is there --------------------------------------------------------------------------------


def position_find(*, account: ExchangeAccount, symbol: Symbol, position_side: str = "") -> FoundPosition:
    """Ask the exchange what position there is, and what rests beside it.

    Raises TrioRefused when there is none, or in hedge mode one on each side and none was named; MarketUnread when the
    exchange could not be asked.
    """
    name = symbol.symbol
    try:
        exchange = exchange_for(account.pk)
        with spending(Priority.PLACE), answers_within(PERSON_MS):
            # Orders first: one that executes in between has changed the position that is read after it.
            orders = exchange.open_orders(name, at=exchange_now_ms(account.environment))
            at = exchange_now_ms(account.environment)
            views = [view for view in exchange.positions(name, at=at) if view.quantity]
    except (ExchangeError, AccountsError) as error:
        raise MarketUnread(f"{name} could not be asked about: {error} Nothing was adopted.") from error
    view = _position_of(account, symbol, position_side, views)
    one_way = view.position_side is PositionSide.BOTH
    beside = (order for order in orders if one_way or order.position_side is view.position_side)
    return FoundPosition(account, symbol, view, tuple(_not_ours(account, beside)), at)


def _position_of(
    account: ExchangeAccount, symbol: Symbol, position_side: str, views: Collection[PositionView]
) -> PositionView:
    """Return the position that is meant. Raises TrioRefused (RuleBroken for its side)."""
    hedge = account.position_mode == PositionMode.HEDGE
    wanted = position_side or ("" if hedge else PositionSide.BOTH.value)
    if (wanted == PositionSide.BOTH) is hedge and wanted:
        valid = "LONG or SHORT" if hedge else "BOTH"
        raise RuleBroken(
            "position_side",
            f"“{account.name}” is in {PositionMode(account.position_mode).words}: position side must be {valid}, not {wanted}.",
        )
    found = [view for view in views if wanted in ("", view.position_side)]
    if len(found) > 1:
        raise RuleBroken(
            "position_side",
            f"{symbol.symbol} on “{account.name}” has a long and a short position: say which one, LONG or SHORT.",
        )
    if not found:
        side = f" on its {wanted} side" if hedge and wanted else ""
        raise TrioRefused(
            f"The exchange shows no position of {symbol.symbol} on “{account.name}”{side}: there is nothing to adopt."
        )
    return found[0]


def _not_ours(account: ExchangeAccount, orders: Iterable[OrderView]) -> list[OrderView]:
    """Return the orders that belong to no living trio of ours."""
    orders = list(orders)
    ours = set(
        Leg.objects.filter(
            trio__account=account,
            trio__holds_slot=True,
            client_id__in=[order.client_id for order in orders],
        ).values_list("client_id", flat=True)
    )
    return [order for order in orders if order.client_id not in ours]


def order_text(order: OrderView) -> str:
    """Say what an order is, for people."""
    kind = order.type.value.lower().replace("_", " ") if order.type else "order"
    quantity = "the whole position" if order.close_position else plain(order.quantity)
    price = order.trigger_price or order.price
    level = f" at {plain(price)}" if price else ""
    return f"{order.side} {quantity} {kind}{level}, id {order.client_id}"


# --- the verb ---------------------------------------------------------------------------------------


def position_adopt(
    *,
    account: ExchangeAccount,
    symbol: Symbol,
    stop: Level,
    target: Level,
    by: str,
    position_side: str = "",
    foreign: ForeignOrders = ForeignOrders.LEAVE,
    quantity: Decimal | None = None,
    named: Collection[str] | None = None,
) -> TrioOrder:
    """Make a trio of the position that the exchange shows now, and have it protected at once.

    Percent levels are from the entry price. ``quantity``: the position that a person confirmed. With CANCEL, orders
    beside it are cancelled by their ids once our own stand: those that rest there now, or of them those ``named``.

    In a dry run (``DRY_RUN_MODE``) the trio ends DRY_RUN and its reason says what would have gone out. Raises TrioRefused
    (RuleBroken names the field, with the nearest valid level); nothing was written or sent then.
    """
    found = position_find(account=account, symbol=symbol, position_side=position_side)
    trio = _trio_of(found, stop, target)
    occupied = occupied_by(found)
    if quantity is not None and quantity != found.quantity:
        raise RuleBroken(
            "quantity",
            f"The position is {plain(found.quantity)} now, not {plain(quantity)} as you saw it. Look at it again, then "
            "adopt it. Nothing was adopted.",
        )
    mark = found.view.mark_price
    if not mark:
        raise MarketUnread(
            f"The exchange names no mark price of {trio.symbol.symbol}, so no level can be judged. Try again in a moment; "
            "nothing was adopted."
        )
    adoption_check(
        spec_of(trio),
        rules_of(trio.symbol),
        mark=mark,
        liquidation=found.view.liquidation_price,
        occupied=frozenset(occupied),
    )
    trio.checked_mark = mark
    trio.adoption = {
        "by": by,
        "at": found.at,
        "quantity": plain(found.quantity),
        "entry_price": plain(found.view.entry_price),
        "foreign": foreign,
        "orders": [
            foreign_order(
                client_id=order.client_id,
                conditional=order.conditional,
                text=order_text(order),
                role=_class_of(order, found),
                cancel=foreign is ForeignOrders.CANCEL and (named is None or order.client_id in named),
            )
            for order in found.orders
        ],
    }
    try:
        with short_transaction(wait_seconds=PERSON_WAITS_SECONDS) as now:
            trio.account = ExchangeAccount.objects.get(pk=account.pk)  # as it is now, whoever asked
            _gates(trio)
            if risk_gates.is_dry_run(trio):
                return _rehearsed(trio, found, by=by, now=now)
            _written(trio, found, by=by, now=now)
            job_queue.ring(jobs.advance, trio.pk)
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if getattr(diagnosis, "constraint_name", None) != "slot_held_once":
            raise
        raise SlotTaken(
            f"{_slot_named(trio)} was taken by another trio in this moment. Nothing was adopted."
        ) from None
    return trio


def _trio_of(found: FoundPosition, stop: Level, target: Level) -> TrioOrder:
    """Return the trio, unsaved: its entry is what is there."""
    entry, tick, side = found.view.entry_price, found.symbol.tick_size, found.side
    if entry <= 0:
        raise MarketUnread(
            f"The exchange names no entry price of {found.symbol.symbol} yet. Try again in a moment; nothing was adopted."
        )
    return TrioOrder(
        account=found.account,
        symbol=found.symbol,
        side=side,
        position_side=found.view.position_side,
        quantity=found.quantity,
        stop_loss=stop.price(Role.STOP_LOSS, side, entry, tick),
        take_profit=target.price(Role.TAKE_PROFIT, side, entry, tick),
        protection=Protection.ON_FIRST_FILL,
        # What was there before us is not closed because a target is refused: the stop stays, and a person is asked.
        target_policy=TargetPolicy.KEEP_STOP,
        source="adopt",
    )


def _gates(trio: TrioOrder) -> None:
    """Raise TrioRefused when nothing may be sent for this account, or nobody would protect the position.

    Adopting adds no risk: limits on new risk are not asked.
    """
    refusal = risk_gates.new_risk_refusal(trio, settings_as_wanted=False)
    if not refusal and not risk_gates.worker_alive():
        refusal = risk_gates.NO_WORKER
    holder = TrioOrder.objects.filter(
        slot__account=trio.account,
        slot__symbol=trio.symbol.symbol,
        slot__position_side=trio.position_side,
        holds_slot=True,
    ).first()
    if holder is not None:
        raise SlotTaken(
            f"{_slot_named(trio)} is held by trio {holder.pk} ({holder.state}): its position is ours already. Change that "
            "trio instead. Nothing was adopted."
        )
    if refusal:
        raise TrioRefused(f"{refusal} Nothing was adopted.")


def occupied_by(found: FoundPosition) -> set[Role]:
    """Return the roles of which somebody else's closePosition order rests: the exchange takes one of each class."""
    return {role for order in found.orders if (role := _class_of(order, found)) is not None}


def _class_of(order: OrderView, found: FoundPosition) -> Role | None:
    if not order.close_position or order.side is not found.side.opposite or order.type is None:
        return None
    return CLOSE_CLASSES.get(order.type)


def _written(trio: TrioOrder, found: FoundPosition, *, by: str, now: datetime) -> None:
    """Write the trio with its entry, in its slot. Raises TrioRefused when the slot shows something else by now."""
    watch = Watch.objects.filter(account=trio.account).first()
    if trouble := watch_trouble(watch, now=now):
        raise TrioRefused(f"{trouble} Nothing was adopted.")
    slot, _ = Slot.objects.get_or_create(
        account=trio.account, symbol=trio.symbol.symbol, position_side=trio.position_side
    )
    trio.state = next_state(trio.trio_state, Transition.ADOPTED)
    trio.slot, trio.holds_slot = slot, True
    trio.queued_at = trio.wake_at = now
    trio.save()
    ours, theirs = conditionals_beside(trio)
    if ours + theirs + LEGS_A_TRIO > CONDITIONALS_MAX:
        raise TrioRefused(
            f"The exchange takes {CONDITIONALS_MAX} conditional orders of an account; {ours} from here and {theirs} others "
            "leave no room for a stop-loss and a take-profit. Cancel some, then adopt the position. Nothing was adopted."
        )
    slot_take_in(slot.pk, found.view, as_of=found.at, from_event=False)
    slot.refresh_from_db()
    if slot.quantity != found.view.quantity:
        raise RuleBroken(
            "quantity",
            f"The position has just changed to {plain(abs(slot.quantity))}. Look at it again, then adopt it. Nothing was "
            "adopted.",
        )
    _entry_written(trio, found, now=now)
    note(trio, "state", f"DRAFT → OPEN by {by}: adopted. {found.sentence}", at=now, by=by)
    for line in plan_lines(trio, found):
        note(trio, "adopted", line, at=now, by=by)


def _entry_written(trio: TrioOrder, found: FoundPosition, *, now: datetime) -> None:
    """Write the entry that the position stands for, and the journal's line that says so. No request of ours placed it."""
    stem = client_ids.stem(install_row().token, trio.pk)
    facts = adopted(quantity=found.quantity, average=found.view.entry_price, at=found.at)
    leg = Leg(
        client_id=client_ids.client_id(stem, Role.ENTRY, 1),
        trio=trio,
        role=Role.ENTRY,
        generation=1,
        form=Form.QUANTITY,
        type=OrderType.MARKET,
        side=trio.side,
    )
    facts_put(leg, facts)
    leg.save()
    seen: dict[str, Any] = {
        "side": trio.side,
        "position_side": trio.position_side,
        "quantity": plain(found.quantity),
        "entry_price": plain(found.view.entry_price),
        "at": found.at,
    }
    journal_append(trio, Sighting(leg=leg, source=Source.ADOPTED, certain=True, facts=seen, seen_at=now))
    trio.save()


def _rehearsed(trio: TrioOrder, found: FoundPosition, *, by: str, now: datetime) -> TrioOrder:
    """Write a trio that ends as a dry run: its reason says what would have gone out."""
    trio.state = next_state(trio.trio_state, Transition.TESTED)
    trio.reason = f"Dry run: nothing was placed. {' '.join(plan_lines(trio, found))}"
    trio.queued_at = trio.ended_at = now
    trio.save()
    note(trio, "state", f"DRAFT → DRY_RUN by {by}. {trio.reason}", at=now, by=by)
    return trio


def plan_lines(trio: TrioOrder, found: FoundPosition) -> list[str]:
    """Say what goes out for an adopted position, what it comes to, and what becomes of somebody else's orders."""
    spec, occupied, asset = spec_of(trio), occupied_by(found), trio.symbol.quote_asset
    entry = found.view.entry_price
    lines = []
    for role, level in ((Role.STOP_LOSS, spec.stop_loss), (Role.TAKE_PROFIT, spec.take_profit)):
        assert level is not None
        beside = role in occupied
        how = f"for {plain(spec.quantity)}" if beside else "for the whole position"
        why = ", because another one for the whole position rests already" if beside else ""
        came_to = signed(result_at(spec, entry, level).quantize(Decimal("0.01")))
        lines.append(
            f"{role.words.capitalize()} {how} at {plain(level)}{why}: {came_to} {asset} there, before fees."
        )
    orders = (trio.adoption or {}).get("orders", ())
    for words, end in (("Left as they are", "LEFT"), ("Cancelled once ours stand", "")):
        texts = [order["text"] for order in orders if order["end"] == end]
        if texts:
            lines.append(f"{words}: {'; '.join(texts)}.")
    lines.append("The fees of the entry are not known here: no figure includes them.")
    return lines


def _slot_named(trio: TrioOrder) -> str:
    return str(Slot(account=trio.account, symbol=trio.symbol.symbol, position_side=trio.position_side))

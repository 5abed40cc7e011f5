"""A position that changes in size while its trio stays open: part targets, part closes, adds.

A part target is a take-profit for a share of the position. Its order is sized anew whenever what remains has changed: the
old one is cancelled first, so that two never take the share of one. The take-profit itself closes whatever is left.

A wish for another size is one order at market. It goes out once a stop stands that covers whatever the position becomes;
its fate is looked up like an entry's, and it is never sent twice.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import ZERO, OrderType, PositionMode, Side
from orders.domain.average import average_of
from orders.domain.coverage import would_cover
from orders.domain.decision.conditions import (
    entry_over,
    refused_forms,
    vain_pause_ms,
    vain_pause_of,
)
from orders.domain.decision.drifts import left_unprotected
from orders.domain.decision.lookups import (
    awaited,
    look_up_after_patience,
    look_up_if_due,
    must_wait,
    position_read_since,
    read_position,
)
from orders.domain.decision.moves import REFUSED_PAUSE_MS, flat_is_asked, position_read_after, stop_moves
from orders.domain.decision.order_plans import leg_plan, market_plan, part_target_plan
from orders.domain.decision.rules import LegRule, first_that_applies, soonest
from orders.domain.decision.steps import Rest, Step, Submit
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Follow, Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.fitting import lot_of
from orders.domain.rounding import quantity_down, to_grid
from orders.domain.shares import last_share, notional_judged, part_quantities
from orders.domain.snapshot import (
    EndedSize,
    LegView,
    Move,
    PartTarget,
    RequestStatus,
    SizeEnd,
    SizeWish,
    TrioSnapshot,
)
from orders.domain.validation import TAKER_FEE

RESIZE_MS: Final = 1000  # an order for a share rests at least so long before another size takes its place
UNSENT_MS: Final = 30_000  # a wish that could not be sent for so long is not what the person meant any more
MARK_FRESH_MS: Final = 5000  # an older mark price does not say whether a stop would trigger at once
WAITS: Final = frozenset({S.DRAFT, S.QUEUED, S.PLACING, S.WORKING, S.OPEN})


# --- the targets that are not spent -------------------------------------------------------------


def orders_for(trio: TrioSnapshot, number: int) -> tuple[LegView, ...]:
    """Return the orders of one part target, oldest first."""
    return tuple(leg for leg in trio.every(Role.PART_TARGET) if leg.number == number)


def at_work(leg: LegView) -> bool:
    """Is this order closing its share right now?"""
    return leg.state in (LegState.TRIGGERED, LegState.PARTIALLY_FILLED) or (
        leg.trigger_price is None and (leg.live or leg.pending)
    )


def is_spent(trio: TrioSnapshot, target: PartTarget) -> bool:
    """Has this target executed, or did the exchange refuse it for good? It never gets another order."""
    legs = orders_for(trio, target.number)
    if any(leg.executed and leg.state.is_final for leg in legs):
        return True
    return bool(legs) and _given_up(trio, legs[-1])


def _given_up(trio: TrioSnapshot, leg: LegView) -> bool:
    if leg.state is not LegState.REJECTED or refused_by_old_level(trio, leg):
        return False
    if (
        leg.trigger_price is None
    ):  # the price had passed it, and the exchange would not take its share at market either
        return leg.refusal is not Refusal.NOT_WHILE_FLAT
    return not leg.acknowledged and leg.refusal not in (Refusal.LEVEL_PASSED, Refusal.NOT_WHILE_FLAT)


def refused_by_old_level(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was it refused at a level that today's tick, or a later wish, would not send any more?"""
    level = next((part.level for part in trio.spec.part_targets if part.number == leg.number), None)
    return leg.trigger_price is not None and level is not None and leg.trigger_price != level


def wanted(trio: TrioSnapshot) -> list[tuple[PartTarget, Decimal]]:
    """Return the part targets that are neither spent nor at work, with the quantity that each is to have."""
    spec = trio.spec
    working = [leg for leg in trio.every(Role.PART_TARGET) if at_work(leg)]
    busy = {leg.number for leg in working}
    left = trio.position - sum((leg.quantity - leg.filled for leg in working), ZERO)
    open_targets = [
        part for part in spec.part_targets if part.number not in busy and not is_spent(trio, part)
    ]
    quantities = part_quantities(
        max(ZERO, left),
        open_targets,
        last=last_share(spec.part_targets),
        lot=lot_of(trio.rules, OrderType.TAKE_PROFIT_MARKET),
        notional_min=notional_judged(spec, trio.rules),
    )
    return [(part, quantities[part.number]) for part in open_targets]


# --- part targets -------------------------------------------------------------------------------


def part_targets_completed(trio: TrioSnapshot) -> Step | None:
    """Each part target that is not spent gets an order for its share of what remains."""
    if trio.close_wanted or trio.panic_wanted:
        return None
    known = {part.number for part in trio.spec.part_targets}
    steps: list[Step | None] = [
        cleared(trio, [leg for leg in trio.every(Role.PART_TARGET) if leg.live and leg.number not in known])
    ]
    for target, quantity in wanted(trio):
        steps.append(_completed(trio, target, quantity))
    return soonest(steps)


def _completed(trio: TrioSnapshot, target: PartTarget, quantity: Decimal) -> Step | None:
    legs = orders_for(trio, target.number)
    newest = legs[-1] if legs else None
    resting = [leg for leg in legs if leg.live]
    if resting:
        return _resized(trio, resting, target, quantity)
    if quantity <= 0 or (newest is not None and newest.pending):
        return None
    if (step := whole_stop_first(trio)) is not None:
        return step
    if newest is None:
        return Submit((part_target_plan(trio, target, quantity),))
    if newest.state is LegState.PLANNED:
        if must_wait(trio, newest):
            return Rest(newest.retry_at)
        if newest.trigger_price is None:
            return Submit((market_plan(trio, Role.PART_TARGET, quantity, target.number, newest),))
        return Submit((part_target_plan(trio, target, quantity, newest),))
    if newest.state in (LegState.EXPIRED, LegState.REJECTED):
        if newest.refusal is Refusal.LEVEL_PASSED and newest.trigger_price == target.level:
            return Submit((market_plan(trio, Role.PART_TARGET, quantity, target.number),))
        if not position_read_since(trio, newest):
            return read_position(trio)
        if trio.slot.quantity <= 0:
            return Rest(trio.now + trio.policies.look_again)
    if pause := vain_pause_of(trio, legs):
        return Rest(trio.now + pause)
    return Submit((part_target_plan(trio, target, quantity),))


def _resized(
    trio: TrioSnapshot, resting: list[LegView], target: PartTarget, quantity: Decimal
) -> Step | None:
    """What rests at another level, or for another share, is taken back; one that fits stays, and only one."""
    fits = [leg for leg in resting if leg.trigger_price == target.level and leg.quantity == quantity]
    misfits = [leg for leg in resting if leg not in fits[:1]]
    young = [
        leg
        for leg in misfits
        if leg.trigger_price == target.level
        and quantity > 0
        and trio.now_ts - (leg.accepted_ts or 0) < RESIZE_MS
        and leg.quantity < quantity
    ]
    due = [leg for leg in misfits if leg not in young]
    if due:
        return cleared(trio, due)
    if young:
        return Rest(trio.now + RESIZE_MS - (trio.now_ts - min(leg.accepted_ts or 0 for leg in young)))
    return None


# --- a stop for whatever the position becomes ---------------------------------------------------


def whole_stop_first(trio: TrioSnapshot, *, adds: SizeWish | None = None) -> Step | None:
    """Before the position changes in size by an order of ours, a closePosition stop is acknowledged.

    A quantity stop above the position counts for nothing in hedge mode, and one below it covers a part only. Nothing when
    such a stop stands, or where the exchange takes none: then the stop follows the size. ``adds``: what makes it larger.
    """
    if adds is None and (trio.spec.mode is PositionMode.ONE_WAY or left_unprotected(trio)):
        return None
    if adds is not None and any(move.role is Role.STOP_LOSS for move in trio.moves):
        return Rest(
            trio.now + trio.policies.look_again
        )  # no bridge holds for what is added: its level is settled first
    stops = [leg for leg in trio.of(Role.STOP_LOSS) if leg.form is Form.CLOSE_POSITION]
    if any(_stays(trio, leg) for leg in stops):
        return None
    if doubted := [leg for leg in stops if _rests(trio, leg)]:
        return look_up_if_due(trio, doubted[0])  # the exchange takes one at a time
    if stop_moves(trio):
        return Rest(
            trio.now + trio.policies.look_again
        )  # the exchange takes one at a time, and the move places it
    if no_whole_stop(trio, since=adds.since if adds is not None else 0):
        return None
    if under_way := [leg for leg in stops if leg.pending]:
        return awaited(trio, under_way[-1])
    newest = trio.newest(Role.STOP_LOSS)
    if newest is not None and flat_is_asked(trio, newest):
        return position_read_after(trio, newest)
    again = newest if newest is not None and newest.state is LegState.PLANNED else None
    if again is not None and must_wait(trio, again):
        return Rest(again.retry_at)
    if pause := vain_pause_ms(trio, Role.STOP_LOSS):
        return Rest(trio.now + pause)
    return Submit((leg_plan(trio, Role.STOP_LOSS, Form.CLOSE_POSITION, trio.position, again=again),))


def _stays(trio: TrioSnapshot, stop: LegView) -> bool:
    """Does this stop rest at the agreed level, does nobody doubt it, and is nobody taking it back?"""
    return _rests(trio, stop) and stop.look_at is None


def _rests(trio: TrioSnapshot, stop: LegView) -> bool:
    kept = stop.live and stop.acknowledged and stop.cancel is RequestStatus.NONE
    return kept and stop.trigger_price == trio.level(Role.STOP_LOSS)


def no_whole_stop(trio: TrioSnapshot, *, since: int = 0) -> bool:
    """Does the exchange take no closePosition stop here: a stranger's is there, say? By what it said after ``since`` (our clock)."""
    said = (leg for leg in trio.of(Role.STOP_LOSS) if leg.state is LegState.REJECTED)
    asked = any(leg.form is Form.CLOSE_POSITION and leg.submitted_at >= since for leg in said)
    return asked and Form.CLOSE_POSITION in refused_forms(trio, Role.STOP_LOSS)


def changes_in_size(trio: TrioSnapshot) -> bool:
    """Does this position change in size by our orders while it is open?"""
    return bool(trio.spec.part_targets) or any(leg.role.is_part or leg.role is Role.ADD for leg in trio.legs)


def spare_legs_taken_back(trio: TrioSnapshot) -> Step | None:
    """A quantity leg leaves once a closePosition one stands at its level: where the position changes in size by our
    orders, and where somebody else has made it smaller than a hedge leg may be. So it does, where the exchange takes none for
    the whole position, once others stand for all that is left.
    """
    spare: list[LegView] = []
    for role in (Role.STOP_LOSS, Role.TAKE_PROFIT):
        at_level = [
            leg
            for leg in trio.of(role)
            if leg.live and leg.acknowledged and leg.trigger_price == trio.level(role)
        ]
        whole = [leg for leg in at_level if leg.form is Form.CLOSE_POSITION]
        if any(leg.look_at is None and leg.cancel is RequestStatus.NONE for leg in whole):
            spare += [leg for leg in at_level if _is_spare(trio, leg)]
        elif not whole:
            spare += _too_large(trio, role, at_level)
    return cleared(trio, spare) if spare else None


def _too_large(trio: TrioSnapshot, role: Role, at_level: list[LegView]) -> list[LegView]:
    """Return the hedge legs for more than is there, beside which others of them stand for all of it."""
    large = [leg for leg in at_level if _is_spare(trio, leg, by_size=True)]
    others = [leg for leg in at_level if leg not in large and leg.cancel is RequestStatus.NONE]
    stand = (
        would_cover(trio, others, trio.position)
        if role is Role.STOP_LOSS
        else any(leg.quantity == trio.position for leg in others)
    )
    return large if stand else []


def _is_spare(trio: TrioSnapshot, leg: LegView, *, by_size: bool = False) -> bool:
    if leg.form is not Form.QUANTITY or at_work(leg):
        return False
    hedge = trio.spec.mode is PositionMode.HEDGE and entry_over(trio)
    too_large = hedge and leg.quantity > trio.position > 0
    return too_large or (changes_in_size(trio) and not by_size)


# --- wishes for another size --------------------------------------------------------------------


def sizes_wished(trio: TrioSnapshot) -> Step | None:
    """The order for a requested change in size is sent, once, and followed until its fate is known."""
    return soonest(_size_step(trio, wish) for wish in trio.sizes)


def _size_step(trio: TrioSnapshot, wish: SizeWish) -> Step | None:
    order = order_for(trio, wish)
    if order is None or order.state is LegState.PLANNED:
        if order is not None and must_wait(trio, order):
            return Rest(order.retry_at)
        if (step := whole_stop_first(trio, adds=wish if wish.role.opens else None)) is not None:
            return step
        return Submit((market_plan(trio, wish.role, quantity_of(trio, wish), wish.number, order),))
    return first_that_applies(SIZE_ORDER, trio, order)


def size_order_in_doubt(trio: TrioSnapshot, order: LegView) -> Step | None:
    """An order that was sent is waited for, then looked up each second until its fate is known."""
    return awaited(trio, order) if order.pending else None


def size_order_resting(trio: TrioSnapshot, order: LegView) -> Step | None:
    """A market order should not rest: it is looked up."""
    if not order.live:
        return None
    return look_up_if_due(trio, order) or look_up_after_patience(trio, order)


SIZE_ORDER: Final[tuple[LegRule, ...]] = (
    size_order_in_doubt,
    size_order_resting,
)


def order_for(trio: TrioSnapshot, wish: SizeWish) -> LegView | None:
    """Return the order that was sent for this wish, if any."""
    sent = [leg for leg in trio.every(wish.role) if leg.number == wish.number]
    return sent[-1] if sent else None


def quantity_of(trio: TrioSnapshot, wish: SizeWish) -> Decimal:
    """Return what is to be sent for a wish, by today's rules and position."""
    lot = lot_of(trio.rules, OrderType.MARKET)
    most = wish.quantity if wish.role.opens else min(wish.quantity, trio.position)
    return min(quantity_down(most, step=lot.step) if lot.step else most, lot.largest)


def sizes_ended(trio: TrioSnapshot) -> TrioSnapshot:
    """End every wish for another size whose order has ended, or that cannot be sent any more."""
    for wish in trio.sizes:
        if (ended := _ended(trio, wish)) is not None:
            left = tuple(other for other in trio.sizes if other is not wish)
            trio = replace(trio, sizes=left, ended_sizes=(*trio.ended_sizes, ended))
    return trio


def _ended(trio: TrioSnapshot, wish: SizeWish) -> EndedSize | None:
    order = order_for(trio, wish)
    unsent = order is None or order.state is LegState.PLANNED
    if order is not None and order.state.is_final:
        return EndedSize(wish, SizeEnd.DONE if order.executed else SizeEnd.REFUSED, order)
    if not unsent:
        return None
    if trio.state not in WAITS or trio.close_wanted or trio.panic_wanted:
        return EndedSize(wish, SizeEnd.DROPPED, order)
    why = _not_to_be_sent(trio, wish)
    return EndedSize(wish, SizeEnd.REFUSED, order, why) if why else None


def _not_to_be_sent(trio: TrioSnapshot, wish: SizeWish) -> str:
    """Say why a wish whose order is not on the exchange is not sent (any more), or nothing."""
    if wish.role.opens and trio.size_refusal:
        return trio.size_refusal
    if wish.role.opens and trio.cancel_wanted:
        return "The trio's unfilled part was cancelled on request."
    if wish.role.opens and no_whole_stop(trio, since=wish.since):
        return NO_COVER
    if trio.now - wish.since >= UNSENT_MS:
        return f"It could not be sent within {UNSENT_MS // 1000} s."
    if trio.state is S.OPEN and quantity_of(trio, wish) < lot_of(trio.rules, OrderType.MARKET).smallest:
        return "It is less than the exchange takes in one order now."
    return ""


NO_COVER: Final = (
    "The exchange takes no stop-loss for the whole position now: most often somebody else has one there. What is added "
    "would stand uncovered for a moment. Cancel that order, then add again."
)


# --- the stop follows the targets ---------------------------------------------------------------


def stop_follows(trio: TrioSnapshot) -> TrioSnapshot:
    """Wish for another stop when one more part target has executed, if the trio says so. Never a looser one.

    While it would trigger at once there, or a nearer one is on its way (which may be refused), it is still to be done.
    """
    hit = _hit(trio)
    if hit <= trio.followed or not _may_follow(trio):
        return trio
    level, agreed, long = _level_after(trio), trio.spec.stop_loss, trio.spec.side is Side.BUY
    if level is None or agreed is None or (level <= agreed if long else level >= agreed):
        return replace(trio, followed=hit)
    if _follow_refused(trio, level):
        return replace(trio, followed=hit)
    waiting = [move.level for move in trio.moves if move.role is Role.STOP_LOSS]
    if any(level <= wished if long else level >= wished for wished in waiting) or _is_beyond(trio, level):
        return trio
    others = tuple(move for move in trio.moves if move.role is not Role.STOP_LOSS)
    return replace(trio, moves=(*others, Move(0, Role.STOP_LOSS, level, trio.now)))


def stop_awaits_price(trio: TrioSnapshot) -> Step | None:
    """A stop that is to follow the targets, and would trigger at once there, is looked at again each second."""
    if _hit(trio) <= trio.followed or not _may_follow(trio):
        return None
    level = _level_after(trio)
    waits = level is not None and _is_beyond(trio, level)
    return Rest(trio.now + trio.policies.look_again) if waits else None


def _hit(trio: TrioSnapshot) -> int:
    """Return how many of the part targets have executed; 0 where the stop follows none."""
    if trio.spec.follow is Follow.NOTHING:
        return 0
    return len(executed_targets(trio))


def executed_targets(trio: TrioSnapshot) -> list[PartTarget]:
    """Return the part targets that have executed, wholly or in part, and are done."""
    return [
        part
        for part in trio.spec.part_targets
        if any(leg.executed and leg.state.is_final for leg in orders_for(trio, part.number))
    ]


def _may_follow(trio: TrioSnapshot) -> bool:
    """A level moves once the entry has ended, and while there is something left and a stop to follow."""
    if left_unprotected(trio):
        return False
    return trio.state is S.OPEN and trio.position > 0 and entry_over(trio)


def _level_after(trio: TrioSnapshot) -> Decimal | None:
    """Return where the stop goes after the targets that have executed."""
    hit = executed_targets(trio)
    first = len(hit) == 1 or trio.spec.follow is Follow.BREAK_EVEN
    return _break_even(trio) if first else hit[-2].level


def _is_beyond(trio: TrioSnapshot, level: Decimal) -> bool:
    """Would a stop trigger at once there, by the mark price of now or by what the exchange said a moment ago?"""
    mark, sells = trio.slot.mark_price, trio.spec.exit_side is Side.SELL
    fresh = abs(trio.now_ts - trio.slot.mark_as_of) <= MARK_FRESH_MS
    if mark is not None and fresh and (mark <= level if sells else mark >= level):
        return True
    said = [leg.ended_ts or leg.submitted_ts for leg in _refused_at(trio, level)]
    return bool(said) and trio.now_ts - max(said) < REFUSED_PAUSE_MS


def _follow_refused(trio: TrioSnapshot, level: Decimal) -> bool:
    """Did the exchange refuse a stop there for another reason than that the price has passed it?"""
    return any(leg.refusal is not Refusal.LEVEL_PASSED for leg in _refused_at(trio, level))


def _refused_at(trio: TrioSnapshot, level: Decimal) -> list[LegView]:
    return [
        leg
        for leg in trio.every(Role.STOP_LOSS)
        if leg.for_move
        and leg.trigger_price == level
        and leg.state is LegState.REJECTED
        and not leg.acknowledged
    ]


def _break_even(trio: TrioSnapshot) -> Decimal | None:
    """Return the first tick at which what is left loses nothing, the fees of a taker counted both ways."""
    tick = trio.rules.tick_size or trio.spec.tick
    average = average_of(trio.legs)
    if average is None or not tick:
        return None
    if trio.spec.side is Side.BUY:
        return to_grid(average * (1 + TAKER_FEE) / (1 - TAKER_FEE), tick, ROUND_CEILING)
    return to_grid(average * (1 - TAKER_FEE) / (1 + TAKER_FEE), tick, ROUND_FLOOR)

"""A stop or a target goes to another level: the new order is acknowledged before the old one leaves.

The exchange takes one closePosition order for each direction and class. Where one rests at the old level, an order for
the quantity of the position goes to the new level first (the bridge). Once it is acknowledged, the new level is agreed:
the old order is cancelled, a closePosition order takes its place at the new level, and the bridge is taken down. Each of
these is a rule of its own, so a process that dies in between is followed by any other from the facts alone.

Before anything has filled, a stop that waits for the entry is followed by one of the same form at the new level, and what
does not rest yet goes there when the entry fills. While the entry still fills, no bridge holds for what is to come: a
closePosition stop goes out where none rests; where one does, the wish waits until the entry has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import ZERO, PositionMode
from orders.domain.coverage import leg_covers, would_cover
from orders.domain.decision.amendments import amend_open, position_to_come, rests
from orders.domain.decision.conditions import refused_forms, vain_pause_ms
from orders.domain.decision.lookups import must_wait, position_read_since, read_position
from orders.domain.decision.order_plans import leg_plan
from orders.domain.decision.rules import first_that_applies, soonest
from orders.domain.decision.steps import Rest, Step, Submit
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.snapshot import EndedMove, LegView, Move, MoveEnd, Spec, TrioSnapshot

ROLES: Final = (Role.STOP_LOSS, Role.TAKE_PROFIT)
MARK_AWAITED_MS: Final = (
    2000  # for the mark price of after a refusal, which says what the nearest valid level is
)
REFUSED_PAUSE_MS: Final = 5000
WAITS: Final = frozenset({S.DRAFT, S.QUEUED, S.PLACING, S.WORKING})


def moves_ended(trio: TrioSnapshot) -> TrioSnapshot:
    """End every wish whose order was answered; with the exchange's word for the new level, that level is agreed."""
    for move in trio.moves:
        ended = _ended(trio, move)
        if ended is None:
            continue
        trio = replace(
            trio,
            moves=tuple(other for other in trio.moves if other is not move),
            ended_moves=(*trio.ended_moves, ended),
        )
        if ended.end is MoveEnd.DONE:
            moved = trio.moved | {move.role} if trio.state is S.OPEN else trio.moved
            trio = replace(trio, spec=_agreed(trio, move), moved=moved)
    return trio


def levels_moved(trio: TrioSnapshot) -> Step | None:
    """The order for a requested level is sent; orders that a new level has made needless are taken back."""
    wished = (_move_sent(trio, move) for move in trio.moves)
    strays = (old_level_taken_back(trio, role) for role in ROLES)
    carried = (first_that_applies(CARRY, trio, role) for role in ROLES if role in trio.moved)
    return soonest((*wished, *strays, *carried))


# --- a wish -----------------------------------------------------------------------------------


def _ended(trio: TrioSnapshot, move: Move) -> EndedMove | None:
    order = _order_for(trio, move)
    if order is not None and order.acknowledged and (order.live or order.executed):
        return EndedMove(move, MoveEnd.DONE)
    if trio.state is S.WORKING and not _waits(trio, move.role):
        return EndedMove(
            move, MoveEnd.DONE
        )  # nothing of it is on the exchange: it goes out there when the entry fills
    if trio.state is not S.OPEN and trio.state not in WAITS:
        return EndedMove(move, MoveEnd.DROPPED)
    if order is None or not order.state.is_final or _refused_for_its_form(order):
        return None
    if _mark_awaited_ms(trio, order) or flat_is_asked(trio, order):
        return None
    return EndedMove(move, MoveEnd.REFUSED, order)


def flat_is_asked(trio: TrioSnapshot, order: LegView) -> bool:
    """Was an order refused because no position is there, and is that not known better yet?"""
    refused = order.state is LegState.REJECTED and order.refusal is Refusal.NOT_WHILE_FLAT
    if trio.state is S.WORKING:
        return False  # it is flat indeed
    return refused and not (position_read_since(trio, order) and trio.slot.quantity > 0)


def _mark_awaited_ms(trio: TrioSnapshot, order: LegView) -> int:
    """Return how long the end of a wish waits for a mark price that is younger than the refusal."""
    refused_ts = order.ended_ts or order.submitted_ts
    if order.refusal is not Refusal.LEVEL_PASSED or trio.slot.mark_as_of >= refused_ts:
        return 0
    return max(0, refused_ts + MARK_AWAITED_MS - trio.now_ts)


def _refused_for_its_form(order: LegView) -> bool:
    """Was the whole-position order refused for what it is, not for the price or because nothing is there? One for the quantity may be taken."""
    says_nothing = order.refusal in (Refusal.LEVEL_PASSED, Refusal.NOT_WHILE_FLAT)  # of this form
    refused = order.state is LegState.REJECTED and not says_nothing
    return refused and order.form is Form.CLOSE_POSITION and not order.acknowledged


def _order_for(trio: TrioSnapshot, move: Move) -> LegView | None:
    """Return the order that was sent for this wish, if any."""
    sent = [
        leg
        for leg in trio.every(move.role)
        if leg.for_move and leg.trigger_price == move.level and leg.submitted_at >= move.since
    ]
    return sent[-1] if sent else None


def _agreed(trio: TrioSnapshot, move: Move) -> Spec:
    if move.role is Role.STOP_LOSS:
        return replace(trio.spec, stop_loss=move.level)
    return replace(trio.spec, take_profit=move.level)


def _move_sent(trio: TrioSnapshot, move: Move) -> Step | None:
    """The order at the new level goes out, as a bridge where the whole-position order of the old level still rests."""
    order = _order_for(trio, move)
    if trio.state is S.OPEN and trio.position <= 0:
        return None  # there is nothing to stand for: whether that is so is asked elsewhere
    if order is None:
        if _size_is_open(trio, move.role) or is_being_added(trio):
            return None
        form = Form.QUANTITY if _whole(trio, move.role) else _form(trio, move.role)
        return Submit((leg_plan(trio, move.role, form, _quantity(trio, move.role), move=move),))
    if pause := _mark_awaited_ms(trio, order):
        return Rest(trio.now + pause)
    if flat_is_asked(trio, order):
        return position_read_after(trio, order)
    if order.state is LegState.REJECTED:
        return Submit((leg_plan(trio, move.role, Form.QUANTITY, _quantity(trio, move.role), move=move),))
    if order.state is not LegState.PLANNED:
        return None  # it is followed like any other order
    if must_wait(trio, order):
        return Rest(order.retry_at)
    plan = leg_plan(trio, move.role, order.form, _quantity(trio, move.role), again=order, move=move)
    return Submit((plan,))


def _quantity(trio: TrioSnapshot, role: Role) -> Decimal:
    """Before any fill a stop is for all that the entry may come to; else it is for what is there."""
    return trio.position if role is Role.TAKE_PROFIT else position_to_come(trio)


def _size_is_open(trio: TrioSnapshot, role: Role) -> bool:
    """Is it not known yet for how much a stop must stand that takes the place of the one there?

    The exchange cuts a reduce-only quantity to the position when it takes it, and in hedge mode one for more than the
    position covers nothing: while the entry still fills, no bridge holds for what is to come.
    """
    if role is Role.TAKE_PROFIT:
        return False
    if trio.state is S.WORKING:
        return trio.spec.mode is PositionMode.HEDGE and amend_open(trio.entry)
    return rests(trio) and bool(_whole(trio, role))


def is_being_added(trio: TrioSnapshot) -> bool:
    """Is an order on its way that makes the position larger? No bridge holds for what it may bring."""
    return any(not leg.state.is_final and leg.state is not LegState.PLANNED for leg in trio.every(Role.ADD))


def stop_moves(trio: TrioSnapshot) -> bool:
    """Is the stop on its way to another level, or is what rested at the old one not gone yet?"""
    if any(move.role is Role.STOP_LOSS for move in trio.moves):
        return True
    old = (leg for leg in _whole(trio, Role.STOP_LOSS) if leg.trigger_price != trio.level(Role.STOP_LOSS))
    return Role.STOP_LOSS in trio.moved and any(old)


def _waits(trio: TrioSnapshot, role: Role) -> bool:
    """Does an order of this role wait on the exchange before the entry has filled?"""
    return any(leg.live or leg.pending for leg in trio.every(role))


def position_read_after(trio: TrioSnapshot, order: LegView) -> Step:
    """Read the position after this order; while it reads flat and that is not believed yet, look again."""
    if position_read_since(trio, order) and trio.slot.quantity == 0:
        return Rest(trio.now + trio.policies.look_again)
    return read_position(trio)


def _form(trio: TrioSnapshot, role: Role) -> Form:
    if trio.state is S.WORKING:
        return Form.QUANTITY  # as it was armed: closePosition needs a position
    return Form.QUANTITY if Form.CLOSE_POSITION in refused_forms(trio, role) else Form.CLOSE_POSITION


def _whole(trio: TrioSnapshot, role: Role) -> list[LegView]:
    """Return the closePosition orders of a role that rest, or may."""
    return [leg for leg in trio.every(role) if leg.form is Form.CLOSE_POSITION and (leg.live or leg.pending)]


# --- a level that was agreed ------------------------------------------------------------------


def old_level_taken_back(trio: TrioSnapshot, role: Role) -> Step | None:
    """An order at a level that is not the agreed one leaves once those at that one stand for all of the position."""
    wished = {move.level for move in trio.moves if move.role is role}
    old = [
        leg
        for leg in trio.every(role)
        if leg.live and leg.trigger_price != trio.level(role) and leg.trigger_price not in wished
    ]
    if old and not _stands(trio, role, _at_level(trio, role)):
        return _stop_completed(trio) if role is Role.STOP_LOSS else None
    return cleared(trio, old) if old else None


def _stop_completed(trio: TrioSnapshot) -> Step | None:
    """The stop at the agreed level is for less than there is, or was cut by the exchange: another one joins it."""
    level, newest = trio.level(Role.STOP_LOSS), trio.newest(Role.STOP_LOSS)
    at_level = _at_level(trio, Role.STOP_LOSS)
    still_fills = trio.state is S.OPEN and rests(trio)
    if not at_level or newest is None or newest.pending or still_fills or _size_is_open(trio, Role.STOP_LOSS):
        return None
    refused = [leg for leg in trio.every(Role.STOP_LOSS) if leg.for_move and leg.trigger_price == level]
    if refused and refused[-1].state is LegState.REJECTED:
        return None
    wanted = position_to_come(trio)
    missing = wanted - sum((leg_covers(leg, trio, wanted) for leg in at_level), ZERO)
    again = newest if newest.state is LegState.PLANNED and newest.for_move else None
    if missing <= 0 or (again is not None and must_wait(trio, again)):
        return None
    return Submit((leg_plan(trio, Role.STOP_LOSS, Form.QUANTITY, missing, again=again, for_wish=True),))


def position_doubted(trio: TrioSnapshot, role: Role) -> Step | None:
    """A whole-position order that expired, or is refused as "not while flat", says that the position may be gone."""
    legs = trio.every(role)
    expired = [leg for leg in legs if leg.state is LegState.EXPIRED and leg.form is Form.CLOSE_POSITION]
    if unread := [leg for leg in expired if leg.acknowledged and not position_read_since(trio, leg)]:
        return position_read_after(trio, unread[-1])
    newest = trio.newest(role)
    return position_read_after(trio, newest) if newest is not None and flat_is_asked(trio, newest) else None


def bridge_completed(trio: TrioSnapshot, role: Role) -> Step | None:
    """What the bridge does not stand for, because the position has grown or the bridge has ended, gets one more; until then
    the old order stands for all of it.
    """
    at_level = _at_level(trio, role)
    if not _whole(trio, role) or _whole_at(at_level) or (role is Role.TAKE_PROFIT and at_level):
        return None
    missing = trio.position - sum((leg_covers(leg, trio) for leg in at_level), ZERO)
    newest = trio.newest(role)
    if missing <= 0 or newest is None or newest.pending:
        return None
    again = newest if newest.state is LegState.PLANNED else None
    if again is not None and must_wait(trio, again):
        return Rest(again.retry_at)
    if pause := max(vain_pause_ms(trio, role), _refused_lately_ms(trio, newest)):
        return Rest(trio.now + pause)
    return Submit((leg_plan(trio, role, Form.QUANTITY, missing, again=again),))


def _refused_lately_ms(trio: TrioSnapshot, newest: LegView) -> int:
    """Return how long to wait after an order at the agreed level was refused, while the old one stands."""
    if newest.state is not LegState.REJECTED or newest.acknowledged:
        return 0
    return max(0, (newest.ended_ts or newest.submitted_ts) + REFUSED_PAUSE_MS - trio.now_ts)


def bridge_replaced(trio: TrioSnapshot, role: Role) -> Step | None:
    """A closePosition order follows the bridge: it holds for whatever the position becomes."""
    bridges, newest = _at_level(trio, role), trio.newest(role)
    if not bridges or _whole(trio, role) or Form.CLOSE_POSITION in refused_forms(trio, role):
        return None
    again = newest if newest is not None and newest.state is LegState.PLANNED else None
    if again is not None and must_wait(trio, again):
        return Rest(again.retry_at)
    if pause := vain_pause_ms(trio, role):
        return Rest(trio.now + pause)
    return Submit((leg_plan(trio, role, Form.CLOSE_POSITION, trio.position, again=again),))


def bridge_taken_down(trio: TrioSnapshot, role: Role) -> Step | None:
    """Once the closePosition order is acknowledged the bridge is cancelled."""
    at_level = _at_level(trio, role)
    bridges = [leg for leg in at_level if leg.form is Form.QUANTITY]
    whole = [leg for leg in at_level if leg.form is Form.CLOSE_POSITION]
    return cleared(trio, bridges) if bridges and _stands(trio, role, whole) else None


CARRY: Final = (
    position_doubted,
    bridge_completed,
    bridge_replaced,
    bridge_taken_down,
)


def _whole_at(at_level: Iterable[LegView]) -> list[LegView]:
    return [leg for leg in at_level if leg.form is Form.CLOSE_POSITION]


def _at_level(trio: TrioSnapshot, role: Role) -> list[LegView]:
    """Return the acknowledged orders of a role that rest at its agreed level."""
    return [
        leg
        for leg in trio.of(role)
        if leg.live and leg.acknowledged and leg.trigger_price == trio.level(role)
    ]


def _stands(trio: TrioSnapshot, role: Role, legs: Iterable[LegView]) -> bool:
    """Would these hold by themselves: for a stop, is all of the position covered, with what may still fill?"""
    if role is Role.TAKE_PROFIT:
        return any(True for _ in legs)
    legs = tuple(legs)
    now = trio.position == 0 or would_cover(trio, legs, trio.position)
    return now and would_cover(trio, legs, position_to_come(trio))

"""The exchange's own trailing order, which a person may have beside the stop-loss of a trio.

It counts for nothing as cover: before its activation it protects nothing, and from then on only the exchange knows its
level. So the stop-loss stays as it is, and whatever becomes of the trailing order uncovers nothing and closes nothing by
itself. It is for a quantity (the exchange takes no other) and never expires by itself: it is taken back by its id.

It is replaced only where it must be, for a new one begins anew with the price. One for more than the position stays in
one-way mode, where the exchange cuts it; in hedge mode it might be refused whole. What is missing gets an order of its own.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import ZERO, NewOrder, OrderType, PositionMode
from orders.domain.decision.conditions import entry_over, vain_pause_of
from orders.domain.decision.lookups import must_wait, position_read_since, read_position
from orders.domain.decision.moves import flat_is_asked, position_read_after
from orders.domain.decision.order_plans import client_id, generation
from orders.domain.decision.rules import soonest
from orders.domain.decision.steps import Plan, Rest, Step, Submit
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.fitting import first_of, lot_of
from orders.domain.rounding import quantity_down
from orders.domain.shares import notional_judged
from orders.domain.snapshot import ExchangeTrail, LegView, TrioSnapshot

AT_WORK: Final = (LegState.TRIGGERED, LegState.PARTIALLY_FILLED)


def trail_kept(trio: TrioSnapshot) -> Step | None:
    """The exchange's trailing order that is wished for stands for all of the position; one that is not is taken back."""
    wish, legs = trio.exchange_trail, trio.every(Role.TRAIL)
    strays = [leg for leg in legs if wish is None or leg.number != wish.number]
    steps = [cleared(trio, strays) if strays else None]
    if wish is not None and trio.position > 0 and entry_over(trio):
        steps.append(_completed(trio, wish))
    return soonest(steps)


def trail_ended(trio: TrioSnapshot) -> TrioSnapshot:
    """End a wish whose order the exchange refused, at once or at its trigger. The stop-loss stays where it is."""
    wish = trio.exchange_trail
    newest = None if wish is None else _newest(trio, wish)
    if trio.state is not S.OPEN or newest is None or newest.state is not LegState.REJECTED:
        return trio
    if not newest.acknowledged and (flat_is_asked(trio, newest) or _active_at_once(trio, newest)):
        return trio
    return replace(trio, exchange_trail=None, ended_trail=newest)


def _completed(trio: TrioSnapshot, wish: ExchangeTrail) -> Step | None:
    legs = _orders_for(trio, wish)
    if any(leg.pending or leg.state in AT_WORK for leg in legs):
        return None  # it is followed like any order that closes
    resting = [leg for leg in legs if leg.live]
    have = sum((leg.quantity - leg.filled for leg in resting), ZERO)
    if trio.spec.mode is PositionMode.HEDGE and have > trio.position:
        return cleared(trio, resting)
    quantity = _sendable(trio, trio.position - have)
    if quantity <= 0:
        return None
    newest = legs[-1] if legs else None
    if newest is not None and (step := _held_back(trio, newest, legs)) is not None:
        return step
    again = newest if newest is not None and newest.state is LegState.PLANNED else None
    return Submit((_plan(trio, wish, quantity, again),))


def _held_back(trio: TrioSnapshot, newest: LegView, legs: tuple[LegView, ...]) -> Step | None:
    """What comes before another order: a pause, or the position, read since the last one ended."""
    if must_wait(trio, newest):
        return Rest(newest.retry_at)
    if flat_is_asked(trio, newest):
        return position_read_after(trio, newest)
    if newest.state is LegState.EXPIRED and not position_read_since(trio, newest):
        return read_position(trio)
    if newest.state is LegState.EXPIRED and trio.slot.quantity <= 0:
        return Rest(trio.now + trio.policies.look_again)
    pause = vain_pause_of(trio, legs)
    return Rest(trio.now + pause) if pause else None


def _orders_for(trio: TrioSnapshot, wish: ExchangeTrail) -> tuple[LegView, ...]:
    return tuple(leg for leg in trio.every(Role.TRAIL) if leg.number == wish.number)


def _newest(trio: TrioSnapshot, wish: ExchangeTrail) -> LegView | None:
    legs = _orders_for(trio, wish)
    return legs[-1] if legs else None


def _active_at_once(trio: TrioSnapshot, refused: LegView) -> bool:
    """Was it refused only because the price had reached its activation? The next one goes out without, once."""
    wish = trio.exchange_trail
    if wish is None or wish.activation is None or refused.refusal is not Refusal.LEVEL_PASSED:
        return False
    return len(_passed(trio, wish)) == 1


def _passed(trio: TrioSnapshot, wish: ExchangeTrail) -> list[LegView]:
    return [
        leg
        for leg in _orders_for(trio, wish)
        if leg.state is LegState.REJECTED and leg.refusal is Refusal.LEVEL_PASSED
    ]


def _activation(trio: TrioSnapshot, wish: ExchangeTrail) -> Decimal | None:
    """Return the activation that is to be sent; none once the price has been there."""
    been_there = any(leg.active for leg in _orders_for(trio, wish)) or bool(_passed(trio, wish))
    return None if been_there else wish.activation


def _sendable(trio: TrioSnapshot, quantity: Decimal) -> Decimal:
    """Return how much of it one order may have, by today's rules; 0: it is less than the exchange takes."""
    lot, mark = lot_of(trio.rules, OrderType.TRAILING_STOP_MARKET), trio.slot.mark_price
    fits = quantity_down(quantity, step=lot.step) if lot.step else quantity
    least = notional_judged(trio.spec, trio.rules)
    if fits <= 0 or fits < lot.smallest or (least and mark and fits * mark < least):
        return ZERO
    return first_of(fits, lot)


def _plan(trio: TrioSnapshot, wish: ExchangeTrail, quantity: Decimal, again: LegView | None) -> Plan:
    spec = trio.spec
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, Role.TRAIL),
        symbol="",
        side=spec.exit_side,
        type=OrderType.TRAILING_STOP_MARKET,
        position_side=spec.position_side,
        quantity=(again.quantity if again else None) or quantity,
        callback_rate=wish.rate,
        activation_price=_activation(trio, wish),
        working_type=wish.working_type,
        price_protect=False,
        reduce_only=spec.mode is PositionMode.ONE_WAY,
    )
    return Plan(
        Role.TRAIL,
        generation(trio, Role.TRAIL, again),
        Form.QUANTITY,
        order,
        again=again is not None,
        number=wish.number,
    )

"""The orders themselves: what is sent for each role, under which id and generation."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import NewOrder, OrderType, PositionMode, Side, TimeInForce
from orders.domain import client_ids
from orders.domain.decision.lookups import must_wait
from orders.domain.decision.steps import Plan
from orders.domain.enums import Form, LegState, Role
from orders.domain.fitting import first_of, lot_of
from orders.domain.ladder import rung_quantities
from orders.domain.rounding import to_grid
from orders.domain.snapshot import (
    ENTRY_WORKING_TYPE,
    STOP_WORKING_TYPE,
    TARGET_WORKING_TYPE,
    LegView,
    Move,
    PartTarget,
    TrioSnapshot,
)

BAND_SHARE: Final = Decimal("0.9")  # the mark price moves between our reading and the exchange's


def generation(trio: TrioSnapshot, role: Role, again: LegView | None = None) -> int:
    if again is not None:
        return again.generation
    return 1 + max((leg.generation for leg in trio.every(role)), default=0)


def client_id(trio: TrioSnapshot, role: Role) -> str:
    return client_ids.client_id(trio.stem, role, generation(trio, role))


def entry_plans(trio: TrioSnapshot, *, now: bool = True) -> list[Plan]:
    """Plan what of the entry is still to be sent: one order, or the rungs of its ladder, which go together.

    ``now``: without those that have to wait before they go out again.
    """
    made = {leg.number or 1: leg for leg in trio.rungs}
    plans = []
    for number in range(1, max(1, len(trio.spec.rungs)) + 1):
        leg = made.get(number)
        if leg is None or (leg.state is LegState.PLANNED and not (now and must_wait(trio, leg))):
            plans.append(entry_plan(trio, leg) if number == 1 else rung_plan(trio, number, leg))
    return plans


def rung_plan(trio: TrioSnapshot, number: int, again: LegView | None = None) -> Plan:
    """Plan a further rung of the ladder, under an id that names its place: it is never given twice."""
    first, rung = entry_plan(trio, None), trio.spec.rungs[number - 1]
    order = replace(
        first.order,
        client_id=client_ids.client_id(trio.stem, Role.RUNG, number),
        quantity=rung_quantities(trio.spec, trio.rules)[number - 1],
        price=rung.price,
    )
    return Plan(Role.RUNG, number, Form.QUANTITY, order, again is not None, number=number)


def entry_plan(trio: TrioSnapshot, again: LegView | None) -> Plan:
    spec = trio.spec
    has_price, conditional = spec.entry_type.has_price, spec.entry_type.is_conditional
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, Role.ENTRY),
        symbol="",
        side=spec.side,
        type=spec.entry_type,
        position_side=spec.position_side,
        quantity=rung_quantities(spec, trio.rules)[0],
        price=spec.price if has_price else None,
        trigger_price=spec.trigger_price if conditional else None,
        time_in_force=spec.time_in_force if has_price else None,
        working_type=ENTRY_WORKING_TYPE if conditional else None,
        price_protect=False if conditional else None,
    )
    return Plan(Role.ENTRY, generation(trio, Role.ENTRY, again), Form.QUANTITY, order, again is not None)


def exit_plan(trio: TrioSnapshot, quantity: Decimal, again: LegView | None = None) -> Plan:
    """Plan a reduce-only exit at market, or, where the book is too thin for that, up to the price band.

    A quantity above what one order may have takes several exits, one after the other: each is planned from what is left.
    """
    spec = trio.spec
    limit = _band_limit(trio)
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, Role.EXIT),
        symbol="",
        side=spec.exit_side,
        type=kind,
        position_side=spec.position_side,
        quantity=first_of(quantity, lot_of(trio.rules, kind)),
        price=limit,
        time_in_force=None if limit is None else TimeInForce.IOC,
        reduce_only=spec.mode is PositionMode.ONE_WAY,
    )
    return Plan(Role.EXIT, generation(trio, Role.EXIT, again), Form.QUANTITY, order, again is not None)


def _band_limit(trio: TrioSnapshot) -> Decimal | None:
    """Return the price of an IOC exit near the edge of the allowed band, once a MARKET one met a thin book."""
    thin = any(leg.refusal is Refusal.THIN_BOOK for leg in trio.of(Role.EXIT))
    spec, mark = trio.spec, trio.slot.mark_price
    sells = spec.exit_side is Side.SELL
    edge = spec.multiplier_down if sells else spec.multiplier_up
    if not thin or mark is None or edge is None or spec.tick is None:
        return None
    price = mark * (1 + (edge - 1) * BAND_SHARE)
    return to_grid(price, spec.tick, ROUND_CEILING if sells else ROUND_FLOOR)


def part_target_plan(
    trio: TrioSnapshot, target: PartTarget, quantity: Decimal, again: LegView | None = None
) -> Plan:
    """Plan a take-profit for a share of the position."""
    spec = trio.spec
    if again is not None:
        quantity = again.quantity or quantity
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, Role.PART_TARGET),
        symbol="",
        side=spec.exit_side,
        type=OrderType.TAKE_PROFIT_MARKET,
        position_side=spec.position_side,
        quantity=quantity,
        trigger_price=target.level,
        working_type=TARGET_WORKING_TYPE,
        price_protect=False,
        reduce_only=spec.mode is PositionMode.ONE_WAY,
    )
    return _part(trio, Role.PART_TARGET, order, target.number, again)


def market_plan(
    trio: TrioSnapshot, role: Role, quantity: Decimal, number: int, again: LegView | None = None
) -> Plan:
    """Plan an order at market that makes the position smaller (a part close, a part target that the price has passed) or
    larger (an add)."""
    spec = trio.spec
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, role),
        symbol="",
        side=spec.side if role.opens else spec.exit_side,
        type=OrderType.MARKET,
        position_side=spec.position_side,
        quantity=(again.quantity if again else None) or quantity,
        reduce_only=not role.opens and spec.mode is PositionMode.ONE_WAY,
    )
    return _part(trio, role, order, number, again)


def _part(trio: TrioSnapshot, role: Role, order: NewOrder, number: int, again: LegView | None) -> Plan:
    return Plan(
        role, generation(trio, role, again), Form.QUANTITY, order, again=again is not None, number=number
    )


def leg_plan(
    trio: TrioSnapshot,
    role: Role,
    form: Form,
    quantity: Decimal,
    *,
    again: LegView | None = None,
    move: Move | None = None,
    for_wish: bool = False,
) -> Plan:
    """Plan a stop or a target at its agreed level, or at the one that is wished for (``move``).

    ``for_wish``: at the agreed level, for what the entry is wished to become.
    """
    spec = trio.spec
    stop = role is Role.STOP_LOSS
    if again is not None:
        form, quantity = again.form, again.quantity or quantity
    closing = form is Form.CLOSE_POSITION
    kind = OrderType.STOP_MARKET if stop else OrderType.TAKE_PROFIT_MARKET
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, role),
        symbol="",
        side=spec.exit_side,
        type=kind,
        position_side=spec.position_side,
        quantity=None if closing else first_of(quantity, lot_of(trio.rules, kind)),
        trigger_price=trio.level(role) if move is None else move.level,
        working_type=STOP_WORKING_TYPE if stop else TARGET_WORKING_TYPE,
        price_protect=False,
        reduce_only=not closing and spec.mode is PositionMode.ONE_WAY,
        close_position=closing,
    )
    return Plan(
        role, generation(trio, role, again), form, order, again is not None, for_wish or move is not None
    )

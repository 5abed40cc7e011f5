"""The orders themselves: what is sent for each role, under which id and generation."""

from __future__ import annotations

from decimal import Decimal

from exchange.types import NewOrder, OrderType, PositionMode
from orders.domain import ids
from orders.domain.asking import Plan
from orders.domain.snapshot import STOP_WORKING_TYPE, TARGET_WORKING_TYPE, LegView, TrioSnapshot
from orders.domain.words import Form, Role


def generation(trio: TrioSnapshot, role: Role, again: LegView | None = None) -> int:
    if again is not None:
        return again.generation
    newest = trio.newest(role)
    return newest.generation + 1 if newest else 1


def client_id(trio: TrioSnapshot, role: Role) -> str:
    return ids.client_id(trio.stem, role, generation(trio, role))


def entry_plan(trio: TrioSnapshot, again: LegView | None) -> Plan:
    spec = trio.spec
    limit = spec.entry_type is OrderType.LIMIT
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, Role.ENTRY),
        symbol="",
        side=spec.side,
        type=spec.entry_type,
        position_side=spec.position_side,
        quantity=spec.quantity,
        price=spec.price if limit else None,
        time_in_force=spec.time_in_force if limit else None,
    )
    return Plan(Role.ENTRY, generation(trio, Role.ENTRY, again), Form.QUANTITY, order, again is not None)


def guard_plan(
    trio: TrioSnapshot, role: Role, form: Form, quantity: Decimal, *, again: LegView | None = None
) -> Plan:
    spec = trio.spec
    stop = role is Role.STOP_LOSS
    if again is not None:
        form, quantity = again.form, again.quantity or quantity
    closing = form is Form.CLOSE_POSITION
    order = NewOrder(
        client_id=again.client_id if again else client_id(trio, role),
        symbol="",
        side=spec.exit_side,
        type=OrderType.STOP_MARKET if stop else OrderType.TAKE_PROFIT_MARKET,
        position_side=spec.position_side,
        quantity=None if closing else quantity,
        trigger_price=spec.stop_loss if stop else spec.take_profit,
        working_type=STOP_WORKING_TYPE if stop else TARGET_WORKING_TYPE,
        price_protect=False,
        reduce_only=not closing and spec.mode is PositionMode.ONE_WAY,
        close_position=closing,
    )
    return Plan(role, generation(trio, role, again), form, order, again is not None)

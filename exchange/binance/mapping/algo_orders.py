"""Conditional orders, which Binance calls algo orders, and the ordinary order each becomes at its trigger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from exchange.binance.mapping.body import ForeignShape, as_object
from exchange.binance.mapping.fields import (
    boolean,
    decimal,
    enum_member,
    enum_or_none,
    integer,
    position_side,
    positive_or_none,
    text,
)
from exchange.binance.mapping.orders import order_state, trigger_price
from exchange.types import ZERO, OrderState, OrderType, OrderView, PositionSide, Side

_TRIGGERED: Final = (OrderState.TRIGGERING, OrderState.TRIGGERED, OrderState.FINISHED)
CHILD_NOT_VISIBLE: Final = "its child order is not visible yet"


def read_algo_order(body: object) -> OrderView:
    """Read a conditional order. What its child executed cannot be read here reliably: see ``with_child``."""
    order = as_object(body)
    kind = enum_or_none(OrderType, order.get("orderType", order.get("type")))
    # `actualQty` shows the wanted quantity even on orders that never triggered, so it is not believed.
    return OrderView(
        client_id=text(order, "clientAlgoId"),
        symbol=text(order, "symbol"),
        side=enum_member(Side, order.get("side")),
        type=kind,
        state=order_state(text(order, "algoStatus")),
        position_side=position_side(order, "positionSide"),
        quantity=decimal(order, "quantity", fallback=ZERO),
        executed=ZERO,
        updated_at=integer(order, "updateTime", fallback=integer(order, "createTime", fallback=0)),
        conditional=True,
        order_id=integer(order, "actualOrderId", fallback=0) or None,
        algo_id=integer(order, "algoId"),
        price=positive_or_none(order, "price"),
        trigger_price=trigger_price(order, "triggerPrice", kind),
        close_position=boolean(order, "closePosition"),
        reduce_only=boolean(order, "reduceOnly"),
        raw=order,
    )


def with_child(order: OrderView, child: OrderView | None) -> OrderView:
    """Join a conditional order with the ordinary one born at its trigger.

    Once the child is visible, it decides: FINISHED exactly when the child has ended. A FINISHED order whose child
    is not visible (look-ups lag) is returned as TRIGGERED unless its price proves a fill, for FINISHED
    with nothing executed would send the caller out of the market.
    """
    if child is not None:
        return _joined(order, child)
    if order.state is not OrderState.FINISHED:
        return order
    price, quantity = positive_or_none(order.raw, "actualPrice"), positive_or_none(order.raw, "actualQty")
    if price is not None and quantity is not None:
        return replace(order, executed=quantity, average_price=price)
    return replace(order, state=OrderState.TRIGGERED, reason=CHILD_NOT_VISIBLE)


def _joined(order: OrderView, child: OrderView) -> OrderView:
    state = order.state
    if state in _TRIGGERED:
        state = OrderState.FINISHED if child.state.is_final else OrderState.TRIGGERED
    return replace(
        order,
        state=state,
        order_id=child.order_id,
        executed=child.executed,
        average_price=child.average_price,
        child_state=child.state,
        # What rests from now on is the child, with the terms that it was given since.
        quantity=child.quantity if child.type is OrderType.LIMIT else order.quantity,
        price=child.price if child.type is OrderType.LIMIT else order.price,
        updated_at=max(order.updated_at, child.updated_at),
        raw={**order.raw, "child": dict(child.raw)},
    )


def with_children(conditional: Iterable[OrderView], ordinary: Iterable[OrderView]) -> list[OrderView]:
    """Join each conditional order with its child, where the list holds it."""
    by_id = {order.order_id: order for order in ordinary}
    return [
        with_child(order, by_id.get(order.order_id)) if order.order_id else with_child(order, None)
        for order in conditional
    ]


def read_cancelled_algo_order(body: object, *, client_id: str) -> OrderView:
    """Read the answer to a conditional order's cancel, which holds nothing but its ids."""
    answer = as_object(body)
    if str(answer.get("code")) != "200":
        raise ForeignShape(f"a cancel answered with code {answer.get('code')!r}")
    if text(answer, "clientAlgoId") != client_id:
        raise ForeignShape("the cancel of another order was answered")
    return OrderView(
        client_id=client_id,
        symbol="",
        side=Side.BUY,  # the answer has none; only the ids and the state mean something here
        type=None,
        state=OrderState.CANCELED,
        position_side=PositionSide.BOTH,
        quantity=ZERO,
        executed=ZERO,
        updated_at=0,
        conditional=True,
        algo_id=integer(answer, "algoId"),
        raw=answer,
    )

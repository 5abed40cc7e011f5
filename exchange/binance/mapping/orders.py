"""Ordinary orders, as REST shows them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from exchange.binance.mapping.body import Body, as_object
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
from exchange.binance.reserved_ids import closed_by
from exchange.types import ZERO, OrderState, OrderType, OrderView, Side

STATES: Final[Mapping[str, OrderState]] = {
    **{state.value: state for state in OrderState if state is not OrderState.UNKNOWN},
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
}


def order_state(status: object) -> OrderState:
    """Return the state for Binance's status; ``UNKNOWN`` for one we have not met."""
    return STATES.get(status, OrderState.UNKNOWN) if isinstance(status, str) else OrderState.UNKNOWN


def trigger_price(body: Body, name: str, kind: OrderType | None) -> Decimal | None:
    """Read a trigger price. Of a trailing order the field means nothing, whatever stands there."""
    return None if kind is OrderType.TRAILING_STOP_MARKET else positive_or_none(body, name)


def read_order(body: object) -> OrderView:
    """Read an ordinary order, from an answer or a list."""
    order = as_object(body)
    client_id, kind = text(order, "clientOrderId"), enum_or_none(OrderType, order.get("type"))
    return OrderView(
        client_id=client_id,
        symbol=text(order, "symbol"),
        side=enum_member(Side, order.get("side")),
        type=kind,
        state=order_state(text(order, "status")),
        position_side=position_side(order, "positionSide"),
        quantity=decimal(order, "origQty", fallback=ZERO),
        executed=decimal(order, "executedQty", fallback=decimal(order, "cumQty", fallback=ZERO)),
        updated_at=integer(order, "updateTime", fallback=integer(order, "time", fallback=0)),
        conditional=False,
        order_id=integer(order, "orderId"),
        price=positive_or_none(order, "price"),
        trigger_price=trigger_price(order, "stopPrice", kind),
        average_price=positive_or_none(order, "avgPrice"),
        close_position=boolean(order, "closePosition"),
        reduce_only=boolean(order, "reduceOnly"),
        closed_by=closed_by(client_id),
        raw=order,
    )

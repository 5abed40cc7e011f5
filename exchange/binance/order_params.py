"""Our orders as Binance's parameters; pure. What Binance would refuse is refused here, in words.

Every function raises ValueError with a sentence before anything could leave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from exchange.binance.reserved_ids import RESERVED
from exchange.types import (
    CALLBACK_MAX,
    CALLBACK_MIN,
    NewOrder,
    OrderRef,
    OrderType,
    PositionSide,
    Side,
    Stamp,
    WireRequest,
)

ORDER: Final = "/fapi/v1/order"
ORDER_TEST: Final = "/fapi/v1/order/test"
ALGO_ORDER: Final = "/fapi/v1/algoOrder"

RECV_WINDOW_MAX: Final = 60_000
CLIENT_ID: Final = re.compile(r"[\.A-Z\:/a-z0-9_-]{1,36}")

_SENDABLE: Final = frozenset(
    {
        ("POST", ORDER),
        ("POST", ORDER_TEST),
        ("DELETE", ORDER),
        ("PUT", ORDER),
        ("POST", ALGO_ORDER),
        ("DELETE", ALGO_ORDER),
    }
)
_STAMPED: Final = frozenset({"timestamp", "recvWindow", "signature"})
_CLOSING: Final = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_WITH_LIMIT: Final = (OrderType.STOP, OrderType.TAKE_PROFIT)


def number(value: Decimal) -> str:
    """Return plain decimal text, never an exponent. Raises ValueError for NaN and infinities."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise ValueError(f"{value!r} is not a number an order can carry: give a finite Decimal.")
    return format(value, "f")


def submit_request(order: NewOrder) -> WireRequest:
    """Make the request that places ``order``: ordinary or conditional, each at its own endpoint."""
    params = order_params(order)
    return WireRequest("POST", ALGO_ORDER if order.type.is_conditional else ORDER, params)


def test_request(order: NewOrder) -> WireRequest:
    """Make the request that only has ``order`` checked. Raises ValueError for a conditional one."""
    if order.type.is_conditional:
        raise ValueError(
            f"A {order.type} order cannot be tried out: "
            "Binance checks only LIMIT and MARKET orders without placing them."
        )
    return WireRequest("POST", ORDER_TEST, order_params(order))


def cancel_request(ref: OrderRef) -> WireRequest:
    """Make the request that cancels one order by our client id.

    Once a conditional one has triggered there is nothing of it to cancel but the order born then, by its number.
    """
    _check_client_id(ref.client_id)
    if ref.conditional and ref.child is not None:
        _check_symbol(ref.symbol)
        return WireRequest("DELETE", ORDER, {"symbol": ref.symbol, "orderId": str(ref.child)})
    if ref.conditional:
        return WireRequest("DELETE", ALGO_ORDER, {"clientAlgoId": ref.client_id})
    _check_symbol(ref.symbol)
    return WireRequest("DELETE", ORDER, {"symbol": ref.symbol, "origClientOrderId": ref.client_id})


def amend_request(ref: OrderRef, side: Side, *, quantity: Decimal, price: Decimal) -> WireRequest:
    """Make the request that gives a resting LIMIT order another price and quantity: the whole quantity, never the unfilled part.

    All five are mandatory. Raises ValueError for a conditional order: none can be changed while it waits.
    """
    _check_client_id(ref.client_id)
    _check_symbol(ref.symbol)
    if ref.conditional:
        raise ValueError(f"Order {ref.client_id}: a conditional order cannot be changed, only replaced.")
    for name, value in (("quantity", quantity), ("price", price)):
        if not (isinstance(value, Decimal) and value.is_finite() and value > 0):
            raise ValueError(f"The {name} of {ref.client_id} must be a positive Decimal, not {value!r}.")
    params = {
        "symbol": ref.symbol,
        "side": side.value,
        "quantity": number(quantity),
        "price": number(price),
        "origClientOrderId": ref.client_id,
    }
    return WireRequest("PUT", ORDER, params)


def order_params(order: NewOrder) -> Mapping[str, str]:
    """Return the parameters of one order as the texts that will travel, in order."""
    _check(order)
    conditional = order.type.is_conditional
    params: dict[str, str | None] = {
        "algoType": "CONDITIONAL" if conditional else None,
        "symbol": order.symbol,
        "side": order.side.value,
        "positionSide": order.position_side.value,
        "type": order.type.value,
        "timeInForce": order.time_in_force.value if order.time_in_force else None,
        "quantity": _optional(order.quantity),
        "price": _optional(order.price),
        "triggerPrice": _optional(order.trigger_price),
        "activatePrice": _optional(order.activation_price),
        "callbackRate": _optional(order.callback_rate),
        "workingType": order.working_type.value if order.working_type else None,
        "priceProtect": None if order.price_protect is None else _word(order.price_protect),
        "closePosition": _word(True) if order.close_position else None,
        "reduceOnly": _word(True) if order.reduce_only else None,
        "clientAlgoId" if conditional else "newClientOrderId": order.client_id,
        "newOrderRespType": None if conditional else "RESULT",
    }
    return {name: value for name, value in params.items() if value is not None}


def check_stamp(stamp: Stamp) -> None:
    """Refuse a time frame Binance would not take."""
    if not 0 < stamp.recv_window <= RECV_WINDOW_MAX:
        raise ValueError(
            f"recvWindow must be between 1 and {RECV_WINDOW_MAX} ms, not {stamp.recv_window}: "
            "change RECV_WINDOW_MS."
        )
    if stamp.timestamp <= 0:
        raise ValueError(f"A request needs the exchange's time in milliseconds, not {stamp.timestamp}.")


def check_sendable(request: WireRequest) -> None:
    """Refuse a request that is not a whole, unstamped order request of ours."""
    if (request.method, request.path) not in _SENDABLE:
        raise ValueError(f"{request.method} {request.path} is not an order request this exchange knows.")
    if stamped := sorted(_STAMPED & set(request.params)):
        raise ValueError(f"{', '.join(stamped)} is set when sending: it must not be in the request itself.")
    for name, value in request.params.items():
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a text and not be empty, not {value!r}.")
    if (request.method, request.path) == ("DELETE", ORDER) and request.params.get("orderId", "").isdigit():
        return
    wanted = {
        ("POST", ORDER): "newClientOrderId",
        ("POST", ORDER_TEST): "newClientOrderId",
        ("DELETE", ORDER): "origClientOrderId",
        ("PUT", ORDER): "origClientOrderId",
    }.get((request.method, request.path), "clientAlgoId")
    _check_client_id(request.params.get(wanted, ""))


def _check(order: NewOrder) -> None:
    _check_client_id(order.client_id)
    _check_symbol(order.symbol)
    for name, value in (
        ("quantity", order.quantity),
        ("price", order.price),
        ("trigger price", order.trigger_price),
        ("callback rate", order.callback_rate),
        ("activation price", order.activation_price),
    ):
        if value is not None and not (isinstance(value, Decimal) and value.is_finite() and value > 0):
            raise ValueError(f"The {name} of {order.client_id} must be a positive Decimal, not {value!r}.")
    _check_flags(order)
    if order.type is OrderType.TRAILING_STOP_MARKET:
        _check_trailing(order)
        return
    _require(
        order,
        order.callback_rate is None and order.activation_price is None,
        "follows no price: only TRAILING_STOP_MARKET does",
    )
    if order.type.is_conditional:
        _check_conditional(order)
    else:
        _check_ordinary(order)


def _check_ordinary(order: NewOrder) -> None:
    _require(order, order.quantity is not None, "needs a quantity")
    _require(order, order.trigger_price is None, "takes no trigger price")
    _require(order, order.working_type is None and order.price_protect is None, "watches no price")
    if order.type is OrderType.LIMIT:
        _require(order, order.price is not None, "needs a price")
        _require(order, order.time_in_force is not None, "needs a time in force")
    else:
        _require(order, order.price is None, "takes no price")
        _require(order, order.time_in_force is None, "takes no time in force")


def _check_trailing(order: NewOrder) -> None:
    rate = order.callback_rate
    _require(order, order.quantity is not None, "needs a quantity")
    _require(order, order.trigger_price is None, "takes no trigger price")
    _require(order, order.price is None, "takes no price")
    _require(
        order,
        rate is not None and CALLBACK_MIN <= rate <= CALLBACK_MAX,
        f"needs a callback rate between {CALLBACK_MIN} and {CALLBACK_MAX} %",
    )


def _check_conditional(order: NewOrder) -> None:
    _require(order, order.trigger_price is not None, "needs a trigger price")
    if order.type in _WITH_LIMIT:
        _require(order, order.price is not None, "needs a price")
    else:
        _require(order, order.price is None, "takes no price")
    if order.close_position:
        _require(order, order.quantity is None, "takes no quantity when it closes the position")
    else:
        _require(order, order.quantity is not None, "needs a quantity")


def _check_flags(order: NewOrder) -> None:
    hedge = order.position_side is not PositionSide.BOTH
    if order.close_position:
        _require(
            order,
            order.type in _CLOSING,
            "cannot close the position: only STOP_MARKET and TAKE_PROFIT_MARKET can",
        )
        _require(order, not order.reduce_only, "takes no reduceOnly when it closes the position")
        opening = {(Side.BUY, PositionSide.LONG), (Side.SELL, PositionSide.SHORT)}
        _require(
            order,
            (order.side, order.position_side) not in opening,
            "would open, not close, that position side",
        )
    _require(
        order,
        not (hedge and order.reduce_only),
        "takes no reduceOnly in hedge mode: the position side says it",
    )


def _require(order: NewOrder, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"Order {order.client_id}: a {order.type} order {what}.")


def _check_client_id(client_id: str) -> None:
    if not CLIENT_ID.fullmatch(client_id):
        raise ValueError(
            f"Client order id {client_id!r} is not valid: "
            "1 to 36 letters, digits or any of . : / _ - are allowed."
        )
    if client_id.startswith(RESERVED):
        raise ValueError(f"Client order id {client_id!r} begins like one of Binance's own: choose another.")


def _check_symbol(symbol: str) -> None:
    if not symbol or symbol != symbol.upper() or not symbol.replace("_", "").isalnum():
        raise ValueError(f"{symbol!r} is not a symbol: write it like BTCUSDT.")


def _optional(value: Decimal | None) -> str | None:
    return None if value is None else number(value)


def _word(value: bool) -> str:
    return "true" if value else "false"

"""How the answer to an order request is read. An answer about another order is no answer to ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exchange.binance.mapping.algo_orders import read_algo_order, read_cancelled_algo_order
from exchange.binance.mapping.body import ForeignShape, as_object
from exchange.binance.mapping.orders import read_order
from exchange.binance.order_params import ALGO_ORDER, ORDER_TEST
from exchange.types import OrderView, WireRequest


def acknowledgement(request: WireRequest) -> Callable[[Any], OrderView | None]:
    """Return the reader of the answer to ``request``."""
    params = request.params
    if request.path == ORDER_TEST:
        return _checked_only
    if request.path == ALGO_ORDER and request.method == "DELETE":
        return lambda body: read_cancelled_algo_order(body, client_id=params["clientAlgoId"])
    if request.method == "DELETE" and "orderId" in params:
        return lambda body: _numbered(read_order(body), params)
    view = read_algo_order if request.path == ALGO_ORDER else read_order
    client_id = (
        params.get("clientAlgoId") or params.get("newClientOrderId") or params.get("origClientOrderId")
    )

    def read(body: Any) -> OrderView:
        order = view(body)
        if order.client_id != client_id or order.symbol != params.get("symbol", order.symbol):
            raise ForeignShape("the answer is about another order")
        return order

    return read


def _numbered(order: OrderView, params: Mapping[str, str]) -> OrderView:
    """The order born at a trigger may have a client id of its own: its number says which it is."""
    if order.order_id != int(params["orderId"]) or order.symbol != params["symbol"]:
        raise ForeignShape("the cancel of another order was answered")
    return order


def _checked_only(body: Any) -> None:
    as_object(body)

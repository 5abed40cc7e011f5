"""How the client's questions are cut into pieces, and which reader fits which answer; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from exchange.binance import mapping, order_params
from exchange.binance.mapping import ForeignShape
from exchange.types import OrderView, WireRequest

WINDOW_MS: Final = 7 * 24 * 3600 * 1000 - 1  # no list looks further than a week at once
PAGE_MAX: Final = 1000
_T = TypeVar("_T")


def acknowledgement(request: WireRequest) -> Callable[[Any], OrderView | None]:
    """Say how the answer to this request reads; an answer about another order is a foreign one."""
    params = request.params
    if request.path == order_params.ORDER_TEST:
        return tried_out
    if request.path == order_params.ALGO_ORDER and request.method == "DELETE":
        return lambda body: mapping.cancelled_algo(body, client_id=params["clientAlgoId"])
    view = mapping.algo_view if request.path == order_params.ALGO_ORDER else mapping.order_view

    def read(body: Any) -> OrderView:
        order = view(body)
        asked = (
            params.get("clientAlgoId") or params.get("newClientOrderId") or params.get("origClientOrderId")
        )
        if order.client_id != asked or order.symbol != params.get("symbol", order.symbol):
            raise ForeignShape("the answer is about another order")
        return order

    return read


def tried_out(body: Any) -> None:
    mapping.an_object(body)


def exchange_id(order: OrderView) -> int | None:
    return order.algo_id if order.conditional else order.order_id


def windows(since: int, until: int) -> Iterator[tuple[int, int]]:
    start = since
    while start <= until:
        end = min(start + WINDOW_MS, until)
        yield start, end
        start = end + 1


def some(**params: str | None) -> dict[str, str]:
    return {name: value for name, value in params.items() if value is not None}


def each(read: Callable[[Any], _T]) -> Callable[[Any], list[_T]]:
    return lambda body: [read(row) for row in mapping.a_list(body)]


def one_or_all(read: Callable[[Any], _T]) -> Callable[[Any], list[_T]]:
    return lambda body: [read(row) for row in (body if isinstance(body, list) else [body])]


def server_time_ms(body: Any) -> int:
    return mapping.integer(mapping.an_object(body), "serverTime")


def whole_info(body: Any) -> Mapping[str, Any]:
    info = mapping.an_object(body)
    mapping.a_list(info.get("symbols"))
    return info

"""Batches: several orders in one request, each answered for itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from simulator.engine import order_views
from simulator.engine.errors import ApiError, refusal
from simulator.engine.orders import cancel_order, find_order
from simulator.protocol.context import RequestContext, Route
from simulator.protocol.params import Params
from simulator.protocol.trade_api import amend, place

T = TypeVar("T")


BATCH_MAX = 5
CANCEL_BATCH_MAX = 10


def _items(ctx: RequestContext) -> list[Params]:
    """The parameters of each order in ``batchOrders``. Raises ApiError -1102, -4082."""
    try:
        items = json.loads(ctx.params.need("batchOrders"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise refusal(-1102, name="batchorders") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise refusal(-1102, name="batchorders")
    if not 1 <= len(items) <= BATCH_MAX:
        raise refusal(-4082)
    strict = ctx.ex.profile.strict_booleans
    return [Params({str(k): _text(v) for k, v in item.items()}, strict=strict) for item in items]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _one_by_one(items: Iterable[T], act: Callable[[T], dict[str, Any]]) -> list[dict[str, Any]]:
    """The answer or the refusal of each."""
    answers = []
    for item in items:
        try:
            answers.append(act(item))
        except ApiError as error:
            answers.append({"code": error.code, "msg": error.msg})
    return answers


def new_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    return _one_by_one(_items(ctx), lambda item: place(ctx, item))


def amend_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    return _one_by_one(_items(ctx), lambda item: amend(ctx, item))


def cancel_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.need_symbol()
    name = "orderIdList" if ctx.params.has("orderIdList") else "origClientOrderIdList"
    try:
        ids = json.loads(ctx.params.need(name))
    except (ValueError, RecursionError):
        raise refusal(-1102, name=name.lower()) from None
    if not isinstance(ids, list) or not 1 <= len(ids) <= CANCEL_BATCH_MAX:
        raise refusal(-4032)

    def cancel(ident: object) -> dict[str, Any]:
        if name == "orderIdList" and isinstance(ident, int):
            order = find_order(ctx.ex, ctx.book, symbol, ident, None)
        else:
            order = find_order(ctx.ex, ctx.book, symbol, None, str(ident))
        return order_views.order_ack(ctx.ex, cancel_order(ctx.ex, ctx.book, order, ctx.now))

    return _one_by_one(ids, cancel)


_S = "SIGNED"
ROUTES = {
    ("POST", "/fapi/v1/batchOrders"): Route(new_batch, _S, 5, orders=5, changes=True),
    ("PUT", "/fapi/v1/batchOrders"): Route(amend_batch, _S, 5, orders=5, changes=True),
    ("DELETE", "/fapi/v1/batchOrders"): Route(cancel_batch, _S, changes=True),
}

"""Ordinary orders: place, test, amend, query, cancel, batches, fills."""

from __future__ import annotations

import json
from typing import Any

from simulator.engine import order_views
from simulator.engine.amendments import Amendment, amend_order
from simulator.engine.decimals import ZERO
from simulator.engine.errors import ApiError, refusal
from simulator.engine.orders import cancel_order, check_order, find_order, matched_price, place_order
from simulator.engine.records import Order
from simulator.protocol.context import RequestContext, Route, with_symbol
from simulator.protocol.order_params import MATCHES, SIDES, read_draft
from simulator.protocol.params import Params

BATCH_MAX = 5
CANCEL_BATCH_MAX = 10
DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


def new_order(ctx: RequestContext) -> dict[str, Any]:
    return _placed(ctx, ctx.params)


def _placed(ctx: RequestContext, params: Params) -> dict[str, Any]:
    """Place an order; only RESULT waits for the end, and only where the end comes at once."""
    order = _place(ctx, params)
    row = order_views.order_ack(ctx.ex, order)
    if params.text("newOrderRespType") == "RESULT" and (
        order.type == "MARKET" or order.tif in ("IOC", "FOK")
    ):
        return row
    nothing = ctx.ex.rules(order.symbol).quantity(ZERO)
    return row | {"status": "NEW", "executedQty": nothing, "cumQty": nothing, "updateTime": order.created}


def _place(ctx: RequestContext, params: Params) -> Order:
    draft = read_draft(params, ctx.book, ctx.now)
    ctx.ex.rules(draft.symbol)
    params.finish()
    return place_order(ctx.ex, ctx.book, draft, ctx.now)


def test_order(ctx: RequestContext) -> dict[str, Any]:
    """Every rule is applied, nothing is sent on."""
    draft = read_draft(ctx.params, ctx.book, ctx.now)
    ctx.ex.rules(draft.symbol)
    ctx.params.finish()
    _, quantity = check_order(ctx.ex, ctx.book, draft)
    order = Order(
        1, ctx.book.account.name, draft.symbol, draft.client_id or "testOrder", draft.side, draft.position_side,
        draft.type, draft.tif, quantity, draft.price, ctx.now, ctx.now, reduce_only=draft.reduce_only,
        orig_type=draft.type, stp=draft.stp, price_match=draft.price_match,
    )  # fmt: skip
    row = order_views.order_ack(ctx.ex, order)
    return row | {"avgPrice": "0.00000", "cumQuote": "0"}


def amend(ctx: RequestContext) -> dict[str, Any]:
    return _amended(ctx, ctx.params)


def _amended(ctx: RequestContext, params: Params) -> dict[str, Any]:
    order = _amend(ctx, params)
    return order_views.order_ack(ctx.ex, order) | {"pair": order.symbol, "modifyId": order.modify_id}


def _amend(ctx: RequestContext, params: Params) -> Order:
    symbol = params.need("symbol")
    ctx.ex.rules(symbol)
    side = params.need("side")
    if side not in SIDES:
        raise refusal(-1117)
    quantity = params.need_number("quantity")
    match = params.choice("priceMatch", MATCHES, -5037) or "NONE"
    if match == "NONE":
        price = params.need_number("price")
    else:
        params.refuse("price")
        price = matched_price(ctx.ex.market(symbol), side, match)
    reduce_only = params.boolean("reduceOnly")
    modify_id = params.integer("modifyId") or 0
    order = _find(ctx, params, symbol)
    return amend_order(
        ctx.ex, ctx.book, order, Amendment(side, quantity, price, reduce_only, modify_id), ctx.now
    )


def _find(ctx: RequestContext, params: Params, symbol: str) -> Order | None:
    order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
    if order_id is None and client_id is None:
        raise refusal(-1102, name="orderid")
    return find_order(ctx.ex, ctx.book, symbol, order_id, client_id)


def get_order(ctx: RequestContext) -> dict[str, Any]:
    order = _find(ctx, ctx.params, ctx.need_symbol())
    if order is None:
        raise refusal(-2013)
    return order_views.order_full(ctx.ex, order)


def open_order(ctx: RequestContext) -> dict[str, Any]:
    order = _find(ctx, ctx.params, ctx.need_symbol())
    if order is None or not order.is_open:
        raise refusal(-2013)
    return order_views.order_full(ctx.ex, order)


def delete_order(ctx: RequestContext) -> dict[str, Any]:
    order = _find(ctx, ctx.params, ctx.need_symbol())
    return order_views.order_ack(ctx.ex, cancel_order(ctx.ex, ctx.book, order, ctx.now))


def open_orders(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.symbol()
    return [
        order_views.order_full(ctx.ex, order)
        for order in ctx.book.open_orders.values()
        if symbol is None or order.symbol == symbol
    ]


def all_orders(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol, first = ctx.symbol(), ctx.params.integer("orderId")
    start, stop = ctx.params.span(days=7)
    limit = ctx.params.limit(500, 1000)
    if start is None and first is None:
        start = ctx.now - 7 * 86_400_000 if stop is None else stop - 7 * 86_400_000
    mine = [*ctx.book.unfilled_orders, *ctx.book.filled_orders, *ctx.book.open_orders]
    found = []
    for ident in sorted(mine):
        order = ctx.ex.orders[ident]
        if symbol is not None and order.symbol != symbol:
            continue
        if first is not None and order.id < first:
            continue
        if (start is not None and order.created < start) or (stop is not None and order.created > stop):
            continue
        found.append(order)
    found = found[:limit] if first is not None else found[-limit:]
    return [order_views.order_full(ctx.ex, order, pair=True) for order in found]


def cancel_all(ctx: RequestContext) -> dict[str, Any]:
    symbol = ctx.need_symbol()
    for order in list(ctx.book.open_orders.values()):
        if order.symbol == symbol and order.is_open:
            cancel_order(ctx.ex, ctx.book, order, ctx.now)
    return dict(DONE)


def _batch(ctx: RequestContext) -> list[Params]:
    try:
        items = json.loads(ctx.params.need("batchOrders"), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise refusal(-1102, name="batchorders") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise refusal(-1102, name="batchorders")
    if not 1 <= len(items) <= BATCH_MAX:
        raise refusal(-4082)
    strict = ctx.ex.profile.strict_booleans
    return [Params({str(k): _word(v) for k, v in item.items()}, strict=strict) for item in items]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _one_by_one(params: list[Params], act: Any) -> list[dict[str, Any]]:
    answers = []
    for item in params:
        try:
            answers.append(act(item))
        except ApiError as error:
            answers.append({"code": error.code, "msg": error.msg})
    return answers


def new_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    return _one_by_one(_batch(ctx), lambda item: _placed(ctx, item))


def amend_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    return _one_by_one(_batch(ctx), lambda item: _amended(ctx, item))


def cancel_batch(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.need_symbol()
    name = "orderIdList" if ctx.params.has("orderIdList") else "origClientOrderIdList"
    try:
        ids = json.loads(ctx.params.need(name))
    except (ValueError, RecursionError):
        raise refusal(-1102, name=name.lower()) from None
    if not isinstance(ids, list) or not 1 <= len(ids) <= CANCEL_BATCH_MAX:
        raise refusal(-4032)
    answers = []
    for ident in ids:
        by_id = name == "orderIdList" and isinstance(ident, int)
        order = find_order(ctx.ex, ctx.book, symbol, ident if by_id else None, None if by_id else str(ident))
        try:
            answers.append(order_views.order_ack(ctx.ex, cancel_order(ctx.ex, ctx.book, order, ctx.now)))
        except ApiError as error:
            answers.append({"code": error.code, "msg": error.msg})
    return answers


def user_trades(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol, order_id = ctx.need_symbol(), ctx.params.integer("orderId")
    first = ctx.params.integer("fromId")
    start, stop = ctx.params.span(days=7)
    if first is not None and (start is not None or stop is not None):
        raise refusal(-1128)
    limit = ctx.params.limit(500, 1000)
    found = [
        fill
        for fill in ctx.book.fills
        if fill.symbol == symbol
        and (order_id is None or fill.order == order_id)
        and (first is None or fill.id >= first)
        and (start is None or fill.time >= start)
        and (stop is None or fill.time <= stop)
    ]
    found = found[:limit] if first is not None else found[-limit:]
    return [order_views.fill_row(ctx.ex, fill) for fill in found]


def force_orders(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.symbol()
    kind = ctx.params.choice("autoCloseType", frozenset({"LIQUIDATION", "ADL"}), -1130)
    limit = ctx.params.limit(50, 100)
    ctx.params.span()
    prefix = {"LIQUIDATION": ("autoclose-",), "ADL": ("adl_autoclose",)}.get(
        kind or "", ("autoclose-", "adl_autoclose")
    )
    found = [
        ctx.ex.orders[i] for i in ctx.book.filled_orders if ctx.ex.orders[i].client_id.startswith(prefix)
    ]
    rows = [
        order_views.order_full(ctx.ex, o, pair=True) for o in found if symbol is None or o.symbol == symbol
    ]
    for row in rows:
        for name in ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"):
            row.pop(name)
    return rows[-limit:]


def amendments(ctx: RequestContext) -> list[dict[str, Any]]:
    order = _find(ctx, ctx.params, ctx.need_symbol())
    if order is None:
        raise refusal(-2013)
    return ctx.ex.amendments.get(order.id, [])[::-1]


def countdown(ctx: RequestContext) -> dict[str, Any]:
    """The dead man's switch: cancel the symbol's ordinary orders unless called again in time. Algo orders stay."""
    symbol, wait = ctx.need_symbol(), ctx.params.need_integer("countdownTime")
    key = ctx.book.account.name, symbol
    if wait:
        ctx.ex.countdowns[key] = ctx.now + wait
    else:
        ctx.ex.countdowns.pop(key, None)
    return {"symbol": symbol, "countdownTime": str(wait)}


_S = "SIGNED"
ROUTES = {
    ("POST", "/fapi/v1/order"): Route(new_order, _S, 0, orders=1, changes=True),
    ("PUT", "/fapi/v1/order"): Route(amend, _S, 0, orders=1, changes=True),
    ("POST", "/fapi/v1/order/test"): Route(test_order, _S, 0),
    ("GET", "/fapi/v1/order"): Route(get_order, _S),
    ("DELETE", "/fapi/v1/order"): Route(delete_order, _S, changes=True),
    ("POST", "/fapi/v1/batchOrders"): Route(new_batch, _S, 5, orders=5, changes=True),
    ("PUT", "/fapi/v1/batchOrders"): Route(amend_batch, _S, 5, orders=5, changes=True),
    ("DELETE", "/fapi/v1/batchOrders"): Route(cancel_batch, _S, changes=True),
    ("GET", "/fapi/v1/openOrder"): Route(open_order, _S),
    ("GET", "/fapi/v1/openOrders"): Route(open_orders, _S, with_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): Route(all_orders, _S, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(cancel_all, _S, changes=True),
    ("POST", "/fapi/v1/countdownCancelAll"): Route(countdown, _S, 10, changes=True),
    ("GET", "/fapi/v1/orderAmendment"): Route(amendments, _S),
    ("GET", "/fapi/v1/userTrades"): Route(user_trades, _S, 5),
    ("GET", "/fapi/v1/forceOrders"): Route(force_orders, _S, with_symbol(20, 50)),
}

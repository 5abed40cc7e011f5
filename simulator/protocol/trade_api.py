"""Ordinary orders and their fills: place, test, amend, query, cancel."""

from __future__ import annotations

from typing import Any

from simulator.engine import order_views
from simulator.engine.amendments import Amendment, amend_order
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.orders import Draft, cancel_order, check_order, find_order, matched_price, place_order
from simulator.engine.records import Order
from simulator.protocol.context import RequestContext, Route, with_symbol
from simulator.protocol.order_params import PRICE_MATCHES, SIDES, read_draft
from simulator.protocol.params import Params

DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


def new_order(ctx: RequestContext) -> dict[str, Any]:
    return place(ctx, ctx.params)


def place(ctx: RequestContext, params: Params) -> dict[str, Any]:
    """Place an order. The answer is NEW whatever becomes of it, but for RESULT where the order ends at once."""
    order = place_order(ctx.ex, ctx.book, _read(ctx, params), ctx.now)
    row = order_views.order_ack(ctx.ex, order)
    ends_at_once = order.type == "MARKET" or order.tif in ("IOC", "FOK")
    if params.text("newOrderRespType") == "RESULT" and ends_at_once:
        return row
    nothing = ctx.ex.rules(order.symbol).quantity(ZERO)
    return row | {"status": "NEW", "executedQty": nothing, "cumQty": nothing, "updateTime": order.created}


def _read(ctx: RequestContext, params: Params) -> Draft:
    draft = read_draft(params, ctx.book, ctx.now)
    ctx.ex.rules(draft.symbol)
    params.forbid_unread()
    return draft


def test_order(ctx: RequestContext) -> dict[str, Any]:
    """Apply every rule, and place nothing."""
    draft = _read(ctx, ctx.params)
    _, quantity = check_order(ctx.ex, ctx.book, draft)
    order = Order(
        1, ctx.book.account.name, draft.symbol, draft.client_id or "testOrder", draft.side, draft.position_side,
        draft.type, draft.tif, quantity, draft.price, ctx.now, ctx.now, reduce_only=draft.reduce_only,
        orig_type=draft.type, stp=draft.stp, price_match=draft.price_match,
    )  # fmt: skip
    row = order_views.order_ack(ctx.ex, order)
    return row | {"avgPrice": "0.00000", "cumQuote": "0"}


def put_order(ctx: RequestContext) -> dict[str, Any]:
    return amend(ctx, ctx.params, all_read=True)


def amend(ctx: RequestContext, params: Params, *, all_read: bool = False) -> dict[str, Any]:
    """Amend an open order. ``all_read``: as with placing, a parameter that nobody understands is refused."""
    symbol = params.need("symbol")
    ctx.ex.rules(symbol)
    side = params.need("side")
    if side not in SIDES:
        raise refusal(-1117)
    quantity = params.need_number("quantity")
    price_match = params.choice("priceMatch", PRICE_MATCHES, -5037) or "NONE"
    if price_match == "NONE":
        price = params.need_number("price")
    else:
        params.forbid("price")
        price = matched_price(ctx.ex.market(symbol), side, price_match)
    reduce_only = params.boolean("reduceOnly")
    modify_id = params.integer("modifyId") or 0
    found = _find(ctx, params, symbol)
    if all_read:
        params.forbid_unread()
    amendment = Amendment(side, quantity, price, reduce_only, modify_id)
    order = amend_order(ctx.ex, ctx.book, found, amendment, ctx.now)
    return order_views.order_ack(ctx.ex, order) | {"pair": order.symbol, "modifyId": order.modify_id}


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
    """The dead man's switch: cancel the symbol's ordinary orders unless called again in time."""
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
    ("PUT", "/fapi/v1/order"): Route(put_order, _S, 0, orders=1, changes=True),
    ("POST", "/fapi/v1/order/test"): Route(test_order, _S, 0),
    ("GET", "/fapi/v1/order"): Route(get_order, _S),
    ("DELETE", "/fapi/v1/order"): Route(delete_order, _S, changes=True),
    ("GET", "/fapi/v1/openOrder"): Route(open_order, _S),
    ("GET", "/fapi/v1/openOrders"): Route(open_orders, _S, with_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): Route(all_orders, _S, 5),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(cancel_all, _S, changes=True),
    ("POST", "/fapi/v1/countdownCancelAll"): Route(countdown, _S, 10, changes=True),
    ("GET", "/fapi/v1/orderAmendment"): Route(amendments, _S),
    ("GET", "/fapi/v1/userTrades"): Route(user_trades, _S, 5),
    ("GET", "/fapi/v1/forceOrders"): Route(force_orders, _S, with_symbol(20, 50)),
}

"""Conditional orders, on endpoints of their own: place, query, cancel."""

from __future__ import annotations

from typing import Any

from simulator.engine import order_views
from simulator.engine.algo_orders import cancel_algo, place_algo
from simulator.engine.errors import refusal
from simulator.engine.records import FOREVER, Algo
from simulator.protocol.context import RequestContext, Route, with_symbol
from simulator.protocol.order_params import read_algo_draft
from simulator.protocol.trade_api import DONE


def new_algo(ctx: RequestContext) -> dict[str, Any]:
    draft = read_algo_draft(ctx.params, ctx.book, ctx.now)
    ctx.ex.rules(draft.symbol)
    ctx.params.forbid_unread()
    algo = place_algo(ctx.ex, ctx.book, draft, ctx.now)
    ctx.placed_algos.append(algo.client_id)
    return order_views.algo_ack(ctx.ex, algo)


def _find(ctx: RequestContext) -> Algo | None:
    algo_id, client_id = ctx.params.integer("algoId"), ctx.params.text("clientAlgoId")
    if algo_id is None and client_id is None:
        raise refusal(-1102, name="algoid")
    if algo_id is None:
        algo_id = ctx.book.last_algo_ids.get(client_id or "")
    algo = ctx.ex.algos.get(algo_id) if algo_id is not None else None
    return algo if algo is not None and algo.account == ctx.book.account.name else None


def get_algo(ctx: RequestContext) -> dict[str, Any]:
    algo = _find(ctx)
    if algo is None or ctx.now < algo.hidden_until:
        raise refusal(-2013)
    return order_views.algo_full(ctx.ex, algo)


def delete_algo(ctx: RequestContext) -> dict[str, Any]:
    algo = _find(ctx)
    if algo is None:
        raise refusal(-2011)
    cancel_algo(ctx.ex, ctx.book, algo, ctx.now)
    return {"algoId": algo.id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def open_algos(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol, algo_id = ctx.symbol(), ctx.params.integer("algoId")
    ctx.params.choice("algoType", frozenset({"CONDITIONAL"}), -1130)
    return [
        order_views.algo_full(ctx.ex, algo, listed=True)
        for algo in ctx.book.open_algos.values()
        if (symbol is None or algo.symbol == symbol)
        and (algo_id is None or algo.id == algo_id)
        and algo.status in ("NEW", "TRIGGERING")
        and ctx.now >= algo.hidden_until
    ]


def all_algos(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol, first = ctx.need_symbol(), ctx.params.integer("algoId")
    start, stop = ctx.params.span(days=7)
    limit = ctx.params.limit(500, 1000)
    found = [
        algo
        for algo in (
            ctx.ex.algos[i]
            for i in sorted([*ctx.book.untriggered_algos, *ctx.book.triggered_algos, *ctx.book.open_algos])
        )
        if algo.symbol == symbol
        and (first is None or algo.id >= first)
        and (start is None or algo.created >= start)
        and (stop is None or algo.created <= stop)
        and algo.hidden_until < FOREVER  # what is forgotten for good is in no list
    ]
    found = found[:limit] if first is not None else found[-limit:]
    return [order_views.algo_full(ctx.ex, algo, listed=True) for algo in found]


def cancel_all_algos(ctx: RequestContext) -> dict[str, Any]:
    symbol = ctx.need_symbol()
    for algo in list(ctx.book.open_algos.values()):
        if algo.symbol == symbol and algo.status == "NEW":
            cancel_algo(ctx.ex, ctx.book, algo, ctx.now)
    return dict(DONE)


_S = "SIGNED"
ROUTES = {
    ("POST", "/fapi/v1/algoOrder"): Route(new_algo, _S, 0, orders=1, changes=True),
    ("GET", "/fapi/v1/algoOrder"): Route(get_algo, _S),
    ("DELETE", "/fapi/v1/algoOrder"): Route(delete_algo, _S, changes=True),
    ("GET", "/fapi/v1/openAlgoOrders"): Route(open_algos, _S, with_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): Route(all_algos, _S, 5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): Route(cancel_all_algos, _S, changes=True),
}

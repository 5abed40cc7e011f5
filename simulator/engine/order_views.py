"""Orders, conditional orders and fills as REST shows them: the keys and value kinds of the recorded answers."""

from __future__ import annotations

from typing import Any

from simulator.engine.decimals import ZERO, eight, plain
from simulator.engine.exchange import Exchange
from simulator.engine.records import Algo, Fill, Order


def order_ack(ex: Exchange, order: Order) -> dict[str, Any]:
    """The answer to placing, cancelling and amending an order: without avgPrice and cumQuote since July 2026."""
    rules = ex.rules(order.symbol)
    executed = rules.quantity(order.executed)
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": rules.price(order.price) if order.price else "0",
        "origQty": rules.quantity(order.quantity),
        "executedQty": executed,
        "cumQty": executed,
        "timeInForce": order.tif,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": "0",
        "workingType": order.working,
        "priceProtect": order.price_protect,
        "origType": order.orig_type or order.type,
        "priceMatch": order.price_match,
        "selfTradePreventionMode": order.stp,
        "goodTillDate": order.good_till,
        "updateTime": order.updated,
    }


def order_full(ex: Exchange, order: Order, *, pair: bool = False) -> dict[str, Any]:
    """The answer to a query of an order: with avgPrice, cumQuote and the time of creation."""
    rules = ex.rules(order.symbol)
    row = order_ack(ex, order)
    del row["cumQty"]
    row["avgPrice"] = rules.average(order.average_price)
    row["cumQuote"] = plain(order.quote)
    row["time"] = order.created
    if pair:
        row["pair"] = order.symbol
        row["cumBase"] = rules.quantity(order.executed)
    return row


def algo_ack(ex: Exchange, algo: Algo) -> dict[str, Any]:
    """The answer to placing a conditional order."""
    rules = ex.rules(algo.symbol)
    trailing = algo.type == "TRAILING_STOP_MARKET"
    return {
        "algoId": algo.id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.tif,
        "quantity": rules.quantity(algo.quantity) if algo.quantity else "0.0",
        "algoStatus": algo.status,
        "triggerPrice": rules.price(algo.trigger),
        "price": rules.price(algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.stp,
        "workingType": algo.working,
        "priceMatch": algo.price_match,
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "activatePrice": rules.price(algo.activate) if trailing else "",
        "callbackRate": plain(algo.callback) if trailing else "",
        "createTime": algo.created,
        "updateTime": algo.updated,
        "triggerTime": algo.trigger_time,
        "goodTillDate": algo.good_till,
    }


def algo_full(ex: Exchange, algo: Algo, *, listed: bool = False) -> dict[str, Any]:
    """The answer to a query of a conditional order; lists carry four more keys, all zero."""
    rules = ex.rules(algo.symbol)
    row = algo_ack(ex, algo)
    child = ex.orders.get(algo.child) if algo.child else None
    row["actualOrderId"] = str(algo.child) if algo.child else ""
    row["actualPrice"] = rules.average(child.average_price) if child else "0.00000"
    row["tpOrderType"] = ""
    if listed:
        zero = rules.price(ZERO)
        row |= {"tpTriggerPrice": zero, "tpPrice": zero, "slTriggerPrice": zero, "slPrice": zero}
    else:
        row["actualType"] = child.type if child else ""
        row["actualQty"] = rules.quantity(child.executed) if child else "0"
    if algo.type != "TRAILING_STOP_MARKET":
        del row["activatePrice"], row["callbackRate"]
    return row


def fill_row(ex: Exchange, fill: Fill) -> dict[str, Any]:
    rules = ex.rules(fill.symbol)
    return {
        "symbol": fill.symbol,
        "id": fill.id,
        "orderId": fill.order,
        "side": fill.side,
        "price": rules.price(fill.price),
        "qty": rules.quantity(fill.quantity),
        "realizedPnl": eight(fill.realized),
        "quoteQty": plain(fill.price * fill.quantity),
        "commission": eight(fill.commission),
        "commissionAsset": fill.fee_asset,
        "time": fill.time,
        "positionSide": fill.position_side,
        "buyer": fill.side == "BUY",
        "maker": fill.maker,
        "pair": fill.symbol,
        "marginAsset": fill.asset,
        "baseQty": rules.quantity(fill.quantity),
    }

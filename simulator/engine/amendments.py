"""Amending a resting LIMIT order: its price and quantity."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine import user_events
from simulator.engine.account_book import Book
from simulator.engine.checks import check_band, check_price, check_quantity, tradable
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.matching import take
from simulator.engine.order_lifecycle import reweigh, settle
from simulator.engine.orders import Draft, _check_margin, cancel_order
from simulator.engine.records import Order

AMENDMENTS_MAX = 10_000


def _check_amended_margin(
    ex: Exchange, book: Book, order: Order, market: Market, quantity: Decimal, price: Decimal
) -> None:
    """An order made larger or dearer must be affordable as it will stand. Raises -2019, -2027, -2022."""
    exits = book.closable(order.symbol, order.position_side, order.side)
    if order.position_side != "BOTH" and (order.side == "SELL") == (order.position_side == "LONG"):
        others = sum(
            (o.remaining for o in book.open_orders.values() if o.id != order.id and
             (o.symbol, o.side, o.position_side) == (order.symbol, order.side, order.position_side)),
            ZERO,
        )  # fmt: skip
        if quantity - order.executed > exits - others:
            raise refusal(-2022)
        return
    if order.reduce_only:
        return
    before = order.quantity, order.price
    standing = Draft(order.symbol, order.side, order.position_side, "LIMIT", quantity=ZERO, price=price)
    reweigh(book, order, order.executed, order.price)
    try:
        standing.quantity = quantity - order.executed
        _check_margin(ex, book, standing, market)
    finally:
        reweigh(book, order, *before)


def amend_order(
    ex: Exchange, book: Book, order: Order | None, *, side: str, quantity: Decimal, price: Decimal,
    reduce_only: bool | None, modify_id: int, now: int,
) -> Order:  # fmt: skip
    """Change price and quantity of an open LIMIT order; it loses its place in the queue. Raises ApiError."""
    if order is None or not order.is_open:
        raise refusal(-2013)
    if order.type != "LIMIT":
        raise refusal(-5025)
    if order.side != side:
        raise refusal(-1117)
    if reduce_only is not None and reduce_only != order.reduce_only:
        raise refusal(-5047)
    market = ex.market(order.symbol)
    check_quantity(market.rules, quantity, market=False)
    check_price(market.rules, price)
    check_band(market, side, price)
    if (quantity, price) == (order.quantity, order.price):
        raise refusal(-5027)
    if order.modified >= AMENDMENTS_MAX:
        raise refusal(-5026)
    if quantity * price < market.rules.notional_min and not order.reduce_only:
        raise refusal(-5029, notional=market.rules.notional_min)
    if quantity <= order.executed or (order.tif == "GTX" and tradable(market, side, price)):
        return cancel_order(ex, book, order, now)
    _check_amended_margin(ex, book, order, market, quantity, price)
    _note_amendment(ex, order, quantity, price, modify_id, now)
    market.unrest(order)
    reweigh(book, order, quantity, price)
    order.modified += 1
    order.modify_id = modify_id
    order.updated = now
    order.queue = market.depth.queue
    ex.touch(order)
    user_events.order_update(ex, order, "AMENDMENT", now)
    if tradable(market, side, price):
        take(ex, book, order, market, now)
    if order.is_open:
        market.rest(order)
    settle(ex, now)
    return order


def _note_amendment(
    ex: Exchange, order: Order, quantity: Decimal, price: Decimal, modify_id: int, now: int
) -> None:
    rules = ex.rules(order.symbol)
    history = ex.amendments.setdefault(order.id, [])
    history.append(
        {
            "amendmentId": ex.next_id("amendment"), "symbol": order.symbol, "pair": order.symbol, "orderId": order.id,
            "clientOrderId": order.client_id, "time": now,
            "amendment": {
                "price": {"before": rules.price(order.price), "after": rules.price(price)},
                "origQty": {"before": rules.quantity(order.quantity), "after": rules.quantity(quantity)},
                "count": len(history) + 1, "modifyId": modify_id,
            },
        }
    )  # fmt: skip

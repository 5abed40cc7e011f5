"""Trading against the book: a taker through its levels, a resting order when the market reaches it."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.account_book import Book
from simulator.engine.decimals import ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import fill, settle
from simulator.engine.records import Order


def take(ex: Exchange, book: Book, order: Order, market: Market, now: int) -> None:
    """Trade an order against the book as far as its price (or the band, for MARKET) allows."""
    limit = order.price if order.type == "LIMIT" else _band(market, order.side)
    buying = order.side == "BUY"
    for number in range(market.depth.levels):
        if not order.is_open:
            return
        price, stands = market.level(order.side, number)
        if price <= 0 or (price > limit if buying else price < limit):
            return
        if not stands:
            continue
        quantity = min(order.remaining, stands, _cap(book, order))
        if quantity <= 0:
            return
        market.taken[order.side, price] = market.taken.get((order.side, price), ZERO) + quantity
        fill(ex, book, order, quantity, price, False, now)


def _cap(book: Book, order: Order) -> Decimal:
    if order.reduce_only or order.close_position:
        return book.closable(order.symbol, order.position_side, order.side)
    return order.remaining


def _band(market: Market, side: str) -> Decimal:
    bound = market.rules.bound
    return market.mark * (1 + bound) if side == "BUY" else market.mark * (1 - bound)


def takable(market: Market, side: str, limit: Decimal | None) -> Decimal:
    """How much a taker could get at once, up to a price or the band."""
    bar = limit if limit is not None else _band(market, side)
    total = ZERO
    for number in range(market.depth.levels):
        price, stands = market.level(side, number)
        if price <= 0 or (price > bar if side == "BUY" else price < bar):
            break
        total += stands
    return total


def trade_resting(ex: Exchange, market: Market, order: Order, through: bool, now: int) -> None:
    """The market came to a resting order: it fills at its own price as far as what is traded there reaches."""
    book = ex.book(order.account)
    depth = market.depth
    key = ("REST" + order.side, order.price)
    left = depth.per_level - market.taken.get(key, ZERO)
    if through:
        left, order.queue = left + depth.per_level * (depth.levels - 1), ZERO
    elif order.queue:
        ahead = min(order.queue, left)
        order.queue -= ahead
        left -= ahead
        market.taken[key] = market.taken.get(key, ZERO) + ahead
        ex.touch(order)
    quantity = min(order.remaining, left)
    if order.reduce_only or order.close_position:
        quantity = min(quantity, book.closable(order.symbol, order.position_side, order.side))
    if quantity <= 0:
        return
    market.taken[key] = market.taken.get(key, ZERO) + quantity
    fill(ex, book, order, quantity, order.price, True, now)
    settle(ex, now)


def hand_fill(ex: Exchange, order: Order, quantity: Decimal, now: int) -> None:
    """Fill part of a resting order by hand, at its own price."""
    book = ex.book(order.account)
    fill(ex, book, order, min(quantity, order.remaining), order.price, True, now)
    settle(ex, now)

"""Trading against the book: a taker through its levels, a resting order when the market reaches it."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import expire_exits_without_position, fill
from simulator.engine.records import Order


def take_liquidity(ex: Exchange, book: AccountBook, order: Order, market: Market, now: int) -> None:
    """Trade an order against the book as far as its price (for MARKET: the price band) allows."""
    limit = order.price if order.type == "LIMIT" else _band_limit(market, order.side)
    for number in range(market.depth.levels):
        if not order.is_open:
            return
        price, available = market.level(order.side, number)
        if _is_beyond(price, limit, order.side):
            return
        if not available:
            continue
        quantity = min(available, _fillable(book, order))
        if quantity <= 0:
            return
        market.take(order.side, price, quantity)
        fill(ex, book, order, quantity, price, now, maker=False)


def takable_quantity(market: Market, side: str, limit: Decimal | None) -> Decimal:
    """How much a taker could get at once, up to a price or to the price band."""
    bound = limit if limit is not None else _band_limit(market, side)
    total = ZERO
    for number in range(market.depth.levels):
        price, available = market.level(side, number)
        if _is_beyond(price, bound, side):
            break
        total += available
    return total


def _band_limit(market: Market, side: str) -> Decimal:
    bound = market.rules.bound
    return market.mark * (1 + bound) if side == "BUY" else market.mark * (1 - bound)


def _is_beyond(price: Decimal, limit: Decimal, side: str) -> bool:
    return price <= 0 or (price > limit if side == "BUY" else price < limit)


def _fillable(book: AccountBook, order: Order) -> Decimal:
    """What is left of an order; of one that only reduces, no more than there is to reduce."""
    if not order.only_reduces:
        return order.remaining
    return min(order.remaining, book.closable(order.symbol, order.position_side, order.side))


def trade_resting(ex: Exchange, market: Market, order: Order, now: int, *, through: bool) -> None:
    """Fill a resting order at its own price, as far as the quantity traded there goes.

    What rests ahead of it is filled first, unless the market trades ``through`` its price: then all of it fills.
    """
    book = ex.book(order.account)
    depth = market.depth
    queue_side = "REST" + order.side  # apart from what takers have taken
    left = depth.per_level - market.taken.get((queue_side, order.price), ZERO)
    if through:
        left, order.queue = left + depth.per_level * (depth.levels - 1), ZERO
    elif order.queue:
        ahead = min(order.queue, left)
        order.queue -= ahead
        left -= ahead
        market.take(queue_side, order.price, ahead)
        ex.mark_changed(order)
    quantity = min(left, _fillable(book, order))
    if quantity <= 0:
        return
    market.take(queue_side, order.price, quantity)
    fill(ex, book, order, quantity, order.price, now, maker=True)
    expire_exits_without_position(ex, now)


def fill_by_hand(ex: Exchange, order: Order, quantity: Decimal, now: int) -> None:
    """Fill part of a resting order at its own price, wherever the market is."""
    book = ex.book(order.account)
    fill(ex, book, order, min(quantity, order.remaining), order.price, now, maker=True)
    expire_exits_without_position(ex, now)

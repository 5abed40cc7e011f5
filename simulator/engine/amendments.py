"""Amending an open LIMIT order: its price and quantity."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from simulator.engine import user_events
from simulator.engine.account_book import AccountBook
from simulator.engine.checks import check_band, check_price, check_quantity, is_marketable
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.matching import take_liquidity
from simulator.engine.order_lifecycle import expire_exits_without_position, resize_order
from simulator.engine.orders import Draft, cancel_order, check_margin
from simulator.engine.records import Order, is_hedge_exit

AMENDMENTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Amendment:
    """What an open order is to become."""

    side: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool | None
    modify_id: int


def amend_order(
    ex: Exchange, book: AccountBook, order: Order | None, amendment: Amendment, now: int
) -> Order:
    """Change price and quantity of an open LIMIT order; it loses its place in the queue. Raises ApiError."""
    if order is None or not order.is_open:
        raise refusal(-2013)
    market = ex.market(order.symbol)
    _check_amendment(order, amendment, market)
    quantity, price = amendment.quantity, amendment.price
    marketable = is_marketable(market, order.side, price)
    if quantity <= order.executed or (order.tif == "GTX" and marketable):
        return cancel_order(ex, book, order, now)
    _check_margin(ex, book, order, market, quantity, price)
    _record(ex, order, amendment, now)
    market.remove_resting(order)
    resize_order(book, order, quantity, price)
    order.modified += 1
    order.modify_id = amendment.modify_id
    order.updated = now
    order.queue = market.depth.queue
    ex.mark_changed(order)
    user_events.order_update(ex, order, "AMENDMENT", now)
    if marketable:
        take_liquidity(ex, book, order, market, now)
    if order.is_open:
        market.add_resting(order)
    expire_exits_without_position(ex, now)
    return order


def _check_amendment(order: Order, amendment: Amendment, market: Market) -> None:
    """Apply every rule but that of the margin. Raises ApiError."""
    if order.type != "LIMIT":
        raise refusal(-5025)
    if order.side != amendment.side:
        raise refusal(-1117)
    if amendment.reduce_only is not None and amendment.reduce_only != order.reduce_only:
        raise refusal(-5047)
    quantity, price = amendment.quantity, amendment.price
    check_quantity(market.rules, quantity, market=False)
    check_price(market.rules, price)
    check_band(market, order.side, price)
    if (quantity, price) == (order.quantity, order.price):
        raise refusal(-5027)
    if order.modified >= AMENDMENTS_MAX:
        raise refusal(-5026)
    if quantity * price < market.rules.notional_min and not order.reduce_only:
        raise refusal(-5029, notional=market.rules.notional_min)


def _check_margin(
    ex: Exchange, book: AccountBook, order: Order, market: Market, quantity: Decimal, price: Decimal
) -> None:
    """An order made larger or dearer must be affordable as it will be. Raises ApiError -2019, -2027, -2022."""
    more = quantity - order.executed
    if is_hedge_exit(order.position_side, order.side):
        others = sum(
            (o.remaining for o in book.open_orders.values()
             if o.id != order.id and o.slot == order.slot and o.side == order.side),
            ZERO,
        )  # fmt: skip
        if more > book.closable(order.symbol, order.position_side, order.side) - others:
            raise refusal(-2022)
        return
    if order.reduce_only:
        return
    before = order.quantity, order.price
    resize_order(book, order, order.executed, order.price)  # as if it did not rest, and were placed anew
    try:
        anew = Draft(order.symbol, order.side, order.position_side, "LIMIT", quantity=more, price=price)
        check_margin(ex, book, anew, market)
    finally:
        resize_order(book, order, *before)


def _record(ex: Exchange, order: Order, amendment: Amendment, now: int) -> None:
    """Add a line to the order's history of amendments."""
    rules = ex.rules(order.symbol)
    history = ex.amendments.setdefault(order.id, [])
    history.append(
        {
            "amendmentId": ex.next_id("amendment"), "symbol": order.symbol, "pair": order.symbol, "orderId": order.id,
            "clientOrderId": order.client_id, "time": now,
            "amendment": {
                "price": {"before": rules.price(order.price), "after": rules.price(amendment.price)},
                "origQty": {"before": rules.quantity(order.quantity), "after": rules.quantity(amendment.quantity)},
                "count": len(history) + 1, "modifyId": amendment.modify_id,
            },
        }
    )  # fmt: skip

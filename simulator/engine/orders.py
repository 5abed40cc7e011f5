"""Ordinary orders: placing and cancelling."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine.account_book import Book
from simulator.engine.checks import (
    check_band,
    check_position_side,
    check_price,
    check_quantity,
    check_trading,
    tradable,
)
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.margin import margin_of, order_margin
from simulator.engine.market import Market
from simulator.engine.matching import takable, take
from simulator.engine.order_lifecycle import end, enter, settle
from simulator.engine.records import Order


@dataclass(slots=True)
class Draft:
    """An ordinary order as asked for, before any rule has been applied."""

    symbol: str
    side: str
    position_side: str
    type: str
    tif: str = "GTC"
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    client_id: str = ""
    reduce_only: bool = False
    price_match: str = "NONE"
    stp: str = "EXPIRE_MAKER"
    good_till: int = 0


def check_order(ex: Exchange, book: Book, draft: Draft) -> tuple[Market, Decimal]:
    """Apply every rule; return the market and the quantity as accepted. Raises ApiError."""
    market = ex.market(draft.symbol)
    rules = market.rules
    check_trading(market, book, draft.position_side, draft.side)
    check_position_side(book, draft.position_side)
    if draft.price_match != "NONE":
        draft.price = matched_price(market, draft.side, draft.price_match)
    check_quantity(rules, draft.quantity, market=draft.type == "MARKET")
    if draft.type == "LIMIT":
        check_price(rules, draft.price)
        check_band(market, draft.side, draft.price)
    if draft.client_id and (
        draft.client_id in book.open_ids or (ex.profile.shared_ids and draft.client_id in book.open_algo_ids)
    ):
        raise refusal(-4116)
    exits = book.closable(draft.symbol, draft.position_side, draft.side)
    hedge_exit = draft.position_side != "BOTH" and (draft.side == "SELL") == (draft.position_side == "LONG")
    quantity = draft.quantity
    if draft.reduce_only:
        if not exits:
            raise refusal(-2022)
        quantity = _reducing(ex, book, draft, exits)
    elif hedge_exit and exits - _resting_exits(book, draft) < draft.quantity:
        raise refusal(-2022)
    if not draft.reduce_only and not (hedge_exit and not ex.profile.hedge_exit_notional):
        value = draft.quantity * (draft.price if draft.type == "LIMIT" else market.mark)
        if value < rules.notional_min:
            raise refusal(-4164, notional=rules.notional_min)
    if len(book.open_orders) >= rules.orders_max:
        resting = sum(1 for order in book.open_orders.values() if order.symbol == draft.symbol)
        if resting >= rules.orders_max:
            raise refusal(-2025)
    if not draft.reduce_only and not hedge_exit:
        _check_margin(ex, book, draft, market)
    _check_crossing(market, draft)
    return market, quantity


def _reducing(ex: Exchange, book: Book, draft: Draft, exits: Decimal) -> Decimal:
    resting = sum(
        (o.remaining for o in book.open_orders.values()
         if o.reduce_only and o.symbol == draft.symbol and o.side == draft.side and o.position_side == "BOTH"),
        ZERO,
    )  # fmt: skip
    if ex.profile.resting_reduce_only_blocks and resting:
        if resting >= exits:
            raise refusal(-4118)
        exits -= resting
    return min(draft.quantity, exits)


def _resting_exits(book: Book, draft: Draft) -> Decimal:
    return sum(
        (o.remaining for o in book.open_orders.values()
         if o.symbol == draft.symbol and o.side == draft.side and o.position_side == draft.position_side),
        ZERO,
    )  # fmt: skip


def _check_margin(ex: Exchange, book: Book, draft: Draft, market: Market) -> None:
    rules, account = market.rules, book.account
    leverage = ex.leverage(account, draft.symbol)
    price = draft.price if draft.type == "LIMIT" else market.best(draft.side)
    row = book.resting.get((draft.symbol, draft.position_side)) or [ZERO, ZERO, ZERO, ZERO]
    held = book.amount(draft.symbol, draft.position_side) * market.mark
    value = draft.quantity * price
    buying, selling = row[2], row[3]
    if draft.side == "BUY":
        buying += value
    else:
        selling += value
    worst = max(abs(held + buying), abs(held - selling))
    if worst > rules.cap_at(leverage):
        raise refusal(-2027)
    now_needed = order_margin(ex, book, draft.symbol, draft.position_side)
    extra = max(ZERO, worst - abs(held)) / leverage - now_needed
    if extra <= 0:
        return
    fee = value * account.taker if draft.type == "MARKET" else ZERO
    if extra + fee > margin_of(ex, book, rules.margin_asset).available:
        raise refusal(-2019)


def _check_crossing(market: Market, draft: Draft) -> None:
    if draft.type == "MARKET":
        best = market.best(draft.side)
        bound = market.mark * market.rules.bound
        if abs(best - market.mark) > bound or not takable(market, draft.side, None):
            raise refusal(-4131)
    elif draft.tif == "GTX" and tradable(market, draft.side, draft.price):
        raise refusal(-5022)
    elif draft.tif == "FOK" and takable(market, draft.side, draft.price) < draft.quantity:
        raise refusal(-5021)


def matched_price(market: Market, side: str, how: str) -> Decimal:
    """The price that priceMatch asks for: the opponent's or our own side of the book, some levels deep."""
    number = int(how.rpartition("_")[2]) - 1 if "_" in how else 0
    if how.startswith("OPPONENT"):
        price, stands = market.level(side, number)
    else:
        price, stands = market.level("SELL" if side == "BUY" else "BUY", number)
    if not stands or number >= market.depth.levels:
        raise refusal(-5041)
    return price


def place_order(ex: Exchange, book: Book, draft: Draft, now: int) -> Order:
    """Accept an order and trade it as far as it goes at once. Raises ApiError."""
    market, quantity = check_order(ex, book, draft)
    order = Order(
        ex.next_id("order", 8_389_765_000_001), book.account.name, draft.symbol,
        draft.client_id or ex.token("order", 22), draft.side, draft.position_side, draft.type, draft.tif, quantity,
        draft.price, now, now, reduce_only=draft.reduce_only, price_match=draft.price_match, stp=draft.stp,
        good_till=draft.good_till, orig_type=draft.type,
    )  # fmt: skip
    enter(ex, book, order, now)
    if order.type == "MARKET" or tradable(market, order.side, order.price):
        take(ex, book, order, market, now)
    if order.is_open:
        if order.type == "MARKET":
            end(ex, book, order, "EXPIRED", now, reason=9)
        elif order.tif in ("IOC", "FOK"):
            end(ex, book, order, "EXPIRED", now, reason=2)
        else:
            order.queue = market.depth.queue
            market.rest(order)
    if order.is_open and order.good_till:
        ex.expire_at(order.good_till)
    settle(ex, now)
    return order


def find_order(
    ex: Exchange, book: Book, symbol: str, order_id: int | None, client_id: str | None
) -> Order | None:
    """The newest order of this account, symbol and id."""
    if order_id is None:
        order_id = book.last_ids.get(client_id or "")
    order = ex.orders.get(order_id) if order_id is not None else None
    if order is None or order.account != book.account.name or order.symbol != symbol:
        return None
    return order


def cancel_order(ex: Exchange, book: Book, order: Order | None, now: int) -> Order:
    """Cancel an open order. Raises ApiError -2011 when there is none."""
    if order is None or not order.is_open:
        raise refusal(-2011)
    end(ex, book, order, "CANCELED", now)
    settle(ex, now)
    return order

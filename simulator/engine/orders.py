"""Ordinary orders: placing, cancelling, amending."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine import messages
from simulator.engine.checks import (
    check_band,
    check_position_side,
    check_price,
    check_quantity,
    check_trading,
    tradable,
)
from simulator.engine.errors import refusal
from simulator.engine.exchange import Book, Exchange
from simulator.engine.execution import closable, end, enter, reweigh, settle, takable, take
from simulator.engine.ledger import margin_of, order_margin
from simulator.engine.market import Market
from simulator.engine.values import ZERO, Order

AMENDMENTS_MAX = 10_000


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
    exits = closable(book, draft.symbol, draft.position_side, draft.side)
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


def _check_amended_margin(
    ex: Exchange, book: Book, order: Order, market: Market, quantity: Decimal, price: Decimal
) -> None:
    """An order made larger or dearer must be affordable as it will stand. Raises -2019, -2027, -2022."""
    exits = closable(book, order.symbol, order.position_side, order.side)
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
    messages.order_update(ex, order, "AMENDMENT", now)
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

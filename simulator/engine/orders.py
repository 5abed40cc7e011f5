"""Ordinary orders: placing and cancelling."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine.account_book import AccountBook
from simulator.engine.checks import (
    check_band,
    check_position_side,
    check_price,
    check_quantity,
    check_trading,
    is_marketable,
)
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.margin import available_of, order_margin
from simulator.engine.market import Market
from simulator.engine.matching import takable_quantity, take_liquidity
from simulator.engine.order_lifecycle import add_order, end_order, expire_exits_without_position
from simulator.engine.records import Order, is_hedge_exit


@dataclass(slots=True)
class Draft:
    """An ordinary order as requested, before any rule is applied."""

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

    @property
    def is_hedge_exit(self) -> bool:
        return is_hedge_exit(self.position_side, self.side)


# -- checks ---------------------------------------------------------------------------------------------------


def check_order(ex: Exchange, book: AccountBook, draft: Draft) -> tuple[Market, Decimal]:
    """Apply every rule; return the market and the quantity as accepted. Raises ApiError."""
    market = ex.market(draft.symbol)
    check_trading(market, book, draft.position_side, draft.side)
    check_position_side(book, draft.position_side)
    if draft.price_match != "NONE":
        draft.price = matched_price(market, draft.side, draft.price_match)
    check_quantity(market.rules, draft.quantity, market=draft.type == "MARKET")
    if draft.type == "LIMIT":
        check_price(market.rules, draft.price)
        check_band(market, draft.side, draft.price)
    if draft.client_id:
        _check_client_id(ex, book, draft.client_id)
    quantity = _accepted_quantity(ex, book, draft)
    _check_notional(ex, market, draft)
    _check_open_orders(book, market, draft.symbol)
    if not draft.reduce_only and not draft.is_hedge_exit:
        check_margin(ex, book, draft, market)
    _check_crossing(market, draft)
    return market, quantity


def _check_client_id(ex: Exchange, book: AccountBook, client_id: str) -> None:
    """A client id is unique among the open orders of its account."""
    if client_id in book.open_order_ids or (ex.profile.shared_ids and client_id in book.open_algo_ids):
        raise refusal(-4116)


def _accepted_quantity(ex: Exchange, book: AccountBook, draft: Draft) -> Decimal:
    """A reduce-only order is cut to what there is to reduce; a hedge exit must fit as it is."""
    closable = book.closable(draft.symbol, draft.position_side, draft.side)
    if draft.reduce_only:
        if not closable:
            raise refusal(-2022)
        resting = _resting_quantity(book, draft, only_reduce_only=True)
        if ex.profile.resting_reduce_only_blocks and resting:
            if resting >= closable:
                raise refusal(-4118)
            closable -= resting
        return min(draft.quantity, closable)
    if draft.is_hedge_exit and closable - _resting_quantity(book, draft) < draft.quantity:
        raise refusal(-2022)
    return draft.quantity


def _resting_quantity(book: AccountBook, draft: Draft, *, only_reduce_only: bool = False) -> Decimal:
    """What rests already on this side of the slot."""
    spot = draft.symbol, draft.side, draft.position_side
    return sum(
        (order.remaining for order in book.open_orders.values()
         if (order.symbol, order.side, order.position_side) == spot and (order.reduce_only or not only_reduce_only)),
        ZERO,
    )  # fmt: skip


def _check_notional(ex: Exchange, market: Market, draft: Draft) -> None:
    if draft.reduce_only or (draft.is_hedge_exit and not ex.profile.hedge_exit_notional):
        return
    notional_min = market.rules.notional_min
    if draft.quantity * (draft.price if draft.type == "LIMIT" else market.mark) < notional_min:
        raise refusal(-4164, notional=notional_min)


def _check_open_orders(book: AccountBook, market: Market, symbol: str) -> None:
    orders_max = market.rules.orders_max
    if len(book.open_orders) < orders_max:
        return
    if sum(order.symbol == symbol for order in book.open_orders.values()) >= orders_max:
        raise refusal(-2025)


def check_margin(ex: Exchange, book: AccountBook, draft: Draft, market: Market) -> None:
    """The position that could come of it must fit the leverage and the margin. Raises ApiError -2027, -2019."""
    rules, account = market.rules, book.account
    leverage = ex.leverage(account, draft.symbol)
    price = draft.price if draft.type == "LIMIT" else market.best(draft.side)
    resting = book.resting_in(draft.symbol, draft.position_side)
    held = book.amount(draft.symbol, draft.position_side) * market.mark
    notional = draft.quantity * price
    buying, selling = resting.buy_notional, resting.sell_notional
    if draft.side == "BUY":
        buying += notional
    else:
        selling += notional
    worst = max(abs(held + buying), abs(held - selling))
    if worst > rules.cap_at(leverage):
        raise refusal(-2027)
    needed_now = order_margin(ex, book, draft.symbol, draft.position_side)
    more = max(ZERO, worst - abs(held)) / leverage - needed_now
    if more <= 0:
        return
    fee = notional * account.taker if draft.type == "MARKET" else ZERO
    if more + fee > available_of(ex, book, rules.margin_asset):
        raise refusal(-2019)


def _check_crossing(market: Market, draft: Draft) -> None:
    """MARKET needs somebody to trade with, GTX must not trade at once, FOK must trade wholly."""
    if draft.type == "MARKET":
        best = market.best(draft.side)
        bound = market.mark * market.rules.bound
        if abs(best - market.mark) > bound or not takable_quantity(market, draft.side, None):
            raise refusal(-4131)
    elif draft.tif == "GTX" and is_marketable(market, draft.side, draft.price):
        raise refusal(-5022)
    elif draft.tif == "FOK" and takable_quantity(market, draft.side, draft.price) < draft.quantity:
        raise refusal(-5021)


def matched_price(market: Market, side: str, price_match: str) -> Decimal:
    """The price of a priceMatch: the opposite side of the book or the same, some levels deep. Raises ApiError -5041."""
    number = int(price_match.rpartition("_")[2]) - 1 if "_" in price_match else 0
    opposite = "SELL" if side == "BUY" else "BUY"
    price, available = market.level(side if price_match.startswith("OPPONENT") else opposite, number)
    if not available or number >= market.depth.levels:
        raise refusal(-5041)
    return price


# -- placing and cancelling -----------------------------------------------------------------------------------


def place_order(ex: Exchange, book: AccountBook, draft: Draft, now: int) -> Order:
    """Accept an order and trade it as far as it goes at once. Raises ApiError."""
    market, quantity = check_order(ex, book, draft)
    order = Order(
        ex.next_order_id(), book.account.name, draft.symbol, draft.client_id or ex.token("order", 22), draft.side,
        draft.position_side, draft.type, draft.tif, quantity, draft.price, now, now, reduce_only=draft.reduce_only,
        price_match=draft.price_match, stp=draft.stp, good_till=draft.good_till, orig_type=draft.type,
    )  # fmt: skip
    add_order(ex, book, order, now)
    if order.type == "MARKET" or is_marketable(market, order.side, order.price):
        take_liquidity(ex, book, order, market, now)
    if order.is_open:
        _rest_or_expire(ex, book, order, market, now)
    expire_exits_without_position(ex, now)
    return order


def _rest_or_expire(ex: Exchange, book: AccountBook, order: Order, market: Market, now: int) -> None:
    """What could not trade at once rests if it may, and expires otherwise."""
    if order.type == "MARKET":
        end_order(ex, book, order, "EXPIRED", now, reason=9)
    elif order.tif in ("IOC", "FOK"):
        end_order(ex, book, order, "EXPIRED", now, reason=2)
    else:
        order.queue = market.depth.queue
        market.add_resting(order)
        if order.good_till:
            ex.schedule_expiry(order.good_till)


def find_order(
    ex: Exchange, book: AccountBook, symbol: str, order_id: int | None, client_id: str | None
) -> Order | None:
    """The newest order of this account, symbol and id."""
    if order_id is None:
        order_id = book.last_order_ids.get(client_id or "")
    order = ex.orders.get(order_id) if order_id is not None else None
    if order is None or order.account != book.account.name or order.symbol != symbol:
        return None
    return order


def cancel_order(ex: Exchange, book: AccountBook, order: Order | None, now: int) -> Order:
    """Cancel an open order. Raises ApiError -2011 when there is none."""
    if order is None or not order.is_open:
        raise refusal(-2011)
    end_order(ex, book, order, "CANCELED", now)
    expire_exits_without_position(ex, now)
    return order

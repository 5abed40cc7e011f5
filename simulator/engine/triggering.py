"""A conditional order at its trigger, and the ordinary order it then places: its child."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine import user_events
from simulator.engine.account_book import AccountBook
from simulator.engine.algo_orders import LIMIT_TYPES
from simulator.engine.checks import is_marketable
from simulator.engine.decimals import ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.margin import available_of
from simulator.engine.market import Market
from simulator.engine.matching import takable_quantity, take_liquidity
from simulator.engine.order_lifecycle import add_order, end_algo, end_order, expire_exits_without_position
from simulator.engine.records import Algo, Order, is_hedge_exit


def trigger_algo(ex: Exchange, algo: Algo, market: Market, now: int) -> None:
    """Report TRIGGERING and, unless the profile delays it, place the child."""
    market.remove_waiting(algo)
    algo.status, algo.trigger_time, algo.updated = "TRIGGERING", now, now
    ex.cover_changed.add(algo.slot)
    ex.mark_changed(algo)
    user_events.algo_update(ex, algo, now)
    ex.triggering[algo.id] = algo
    if not ex.profile.trigger_delay_ms and not algo.stuck:
        place_child(ex, ex.book(algo.account), algo, market, now)


# -- the child ------------------------------------------------------------------------------------------------


def place_child(ex: Exchange, book: AccountBook, algo: Algo, market: Market, now: int) -> None:
    """Place the ordinary order of a triggered one, or end the triggered one where the engine refuses it."""
    ex.triggering.pop(algo.id, None)
    quantity = _child_quantity(ex, book, algo)
    if not quantity:
        _refuse_child(ex, book, algo, "Reduce Only reject", now)
        return
    if not _is_affordable(ex, book, algo, market, quantity):
        _refuse_child(ex, book, algo, "Margin is insufficient.", now)
        return
    child = _child_of(ex, algo, quantity, now)
    algo.status, algo.child, algo.updated = "TRIGGERED", child.id, now
    ex.mark_changed(algo)
    user_events.algo_update(ex, algo, now)
    add_order(ex, book, child, now)
    if child.type == "LIMIT" and algo.tif == "GTX" and is_marketable(market, child.side, child.price):
        end_order(ex, book, child, "EXPIRED", now, reason=8)
        return
    if (
        child.type == "LIMIT"
        and algo.tif == "FOK"
        and takable_quantity(market, child.side, child.price) < child.quantity
    ):
        end_order(ex, book, child, "EXPIRED", now, reason=8)
        return
    take_liquidity(ex, book, child, market, now)
    if child.is_open:
        _rest_or_expire(ex, book, child, market, now)
    expire_exits_without_position(ex, now)


def _child_quantity(ex: Exchange, book: AccountBook, algo: Algo) -> Decimal:
    """The quantity of the child; zero where the engine refuses it, for there is not that much to reduce."""
    closable = book.closable(algo.symbol, algo.position_side, algo.side)
    if algo.close_position:
        return closable
    if algo.reduce_only:
        return min(algo.quantity, closable)
    if is_hedge_exit(algo.position_side, algo.side) and algo.quantity > closable:
        return ZERO if ex.profile.hedge_excess_at_trigger == "refuse" else closable
    return algo.quantity


def _is_affordable(ex: Exchange, book: AccountBook, algo: Algo, market: Market, quantity: Decimal) -> bool:
    """Whether the margin suffices for a child that opens; one that closes needs none."""
    if algo.only_reduces or book.closable(algo.symbol, algo.position_side, algo.side):
        return True
    needed = quantity * (algo.price or market.mark) / ex.leverage(book.account, algo.symbol)
    return needed <= available_of(ex, book, market.rules.margin_asset)


def _refuse_child(ex: Exchange, book: AccountBook, algo: Algo, reason: str, now: int) -> None:
    if algo.close_position:
        end_algo(ex, book, algo, "EXPIRED", now)
    else:
        end_algo(ex, book, algo, "REJECTED", now, reason=reason)


def _child_of(ex: Exchange, algo: Algo, quantity: Decimal, now: int) -> Order:
    client_id = algo.client_id if ex.profile.child_ids == "same" else ex.token("child", 22)
    kind = "LIMIT" if algo.type in LIMIT_TYPES else "MARKET"
    return Order(
        ex.next_order_id(), algo.account, algo.symbol, client_id, algo.side, algo.position_side, kind,
        algo.tif, quantity, algo.price, now, now,
        reduce_only=algo.reduce_only or (algo.close_position and algo.position_side == "BOTH"),
        close_position=algo.close_position, working=algo.working, price_protect=algo.price_protect, stp=algo.stp,
        algo_id=algo.id, good_till=algo.good_till, orig_type=kind,
    )  # fmt: skip


def _rest_or_expire(ex: Exchange, book: AccountBook, child: Order, market: Market, now: int) -> None:
    """What a child could not trade at once rests if it may, and expires otherwise."""
    if child.type == "LIMIT" and child.tif in ("GTC", "GTD", "GTX"):
        child.queue = market.depth.queue
        market.add_resting(child)
        if child.good_till:
            ex.schedule_expiry(child.good_till)
    else:
        reason = 9 if child.type == "MARKET" and child.executed else 8
        end_order(ex, book, child, "EXPIRED", now, reason=reason)


# -- trailing stops -------------------------------------------------------------------------------------------


def follow_trailing_stops(ex: Exchange, market: Market, now: int) -> None:
    """After a price move: activate trailing stops, move them along, trigger those the price came back to."""
    for algo in list(market.trailing.values()):
        price = market.working_price(algo)
        rising = algo.side == "SELL"  # a sell trails the highest price
        if algo.active:
            _follow(ex, market, algo, price, now, rising=rising)
        elif price >= algo.activate if rising else price <= algo.activate:
            algo.active, algo.extreme, algo.updated = True, price, now
            ex.cover_changed.add(algo.slot)
            ex.mark_changed(algo)
            user_events.algo_update(ex, algo, now)


def _follow(ex: Exchange, market: Market, algo: Algo, price: Decimal, now: int, *, rising: bool) -> None:
    if price > algo.extreme if rising else price < algo.extreme:
        algo.extreme = price
        ex.mark_changed(algo)
        return
    share = algo.callback / 100
    trigger = algo.extreme * (1 - share) if rising else algo.extreme * (1 + share)
    if price <= trigger if rising else price >= trigger:
        trigger_algo(ex, algo, market, now)
        expire_exits_without_position(ex, now)

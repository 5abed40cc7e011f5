"""A conditional order at its trigger, and the ordinary order it places: its child."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine import user_events
from simulator.engine.account_book import Book
from simulator.engine.algo_orders import LIMITED
from simulator.engine.checks import tradable
from simulator.engine.exchange import Exchange
from simulator.engine.margin import margin_of
from simulator.engine.market import Market
from simulator.engine.matching import take
from simulator.engine.order_lifecycle import algo_end, end, enter, settle
from simulator.engine.records import Algo, Order


def fire(ex: Exchange, algo: Algo, market: Market, now: int) -> None:
    """The trigger was reached: tell TRIGGERING and, unless the profile delays it, go on to the child."""
    market.unwait(algo)
    book = ex.book(algo.account)
    algo.status, algo.trigger_time, algo.updated = "TRIGGERING", now, now
    ex.exposed.add((algo.account, algo.symbol, algo.position_side))
    ex.touch(algo)
    user_events.algo_update(ex, algo, now)
    ex.delayed[algo.id] = algo
    if not ex.profile.trigger_delay_ms and not algo.stuck:
        give_birth(ex, book, algo, market, now)


def give_birth(ex: Exchange, book: Book, algo: Algo, market: Market, now: int) -> None:
    """Turn a triggered order into an ordinary one under another id, or end it when the engine refuses."""
    ex.delayed.pop(algo.id, None)
    quantity = _child_quantity(ex, book, algo)
    if isinstance(quantity, str):
        status = "EXPIRED" if algo.close_position else "REJECTED"
        algo_end(ex, book, algo, status, now, reason="" if algo.close_position else quantity)
        return
    limited = algo.type in LIMITED
    opens = not algo.reduce_only and not algo.close_position
    if opens and not book.closable(algo.symbol, algo.position_side, algo.side):
        asset = market.rules.margin_asset
        needed = quantity * (algo.price or market.mark) / ex.leverage(book.account, algo.symbol)
        if needed > margin_of(ex, book, asset).available:
            algo_end(ex, book, algo, "REJECTED", now, reason="Margin is insufficient.")
            return
    child_id = algo.client_id if ex.profile.child_ids == "same" else ex.token("child", 22)
    child = Order(
        ex.next_id("order", 8_389_765_000_001), algo.account, algo.symbol, child_id, algo.side, algo.position_side,
        "LIMIT" if limited else "MARKET", algo.tif, quantity, algo.price, now, now, reduce_only=algo.reduce_only or
        (algo.close_position and algo.position_side == "BOTH"), close_position=algo.close_position,
        working=algo.working, price_protect=algo.price_protect, stp=algo.stp, algo_id=algo.id,
        good_till=algo.good_till,
    )  # fmt: skip
    child.orig_type = child.type
    algo.status, algo.child, algo.updated = "TRIGGERED", child.id, now
    ex.touch(algo)
    user_events.algo_update(ex, algo, now)
    enter(ex, book, child, now)
    if limited and algo.tif == "GTX" and tradable(market, child.side, child.price):
        end(ex, book, child, "EXPIRED", now, reason=8)
        return
    take(ex, book, child, market, now)
    if child.is_open:
        if limited and algo.tif in ("GTC", "GTD", "GTX"):
            child.queue = market.depth.queue
            market.rest(child)
            if child.good_till:
                ex.expire_at(child.good_till)
        else:
            end(ex, book, child, "EXPIRED", now, reason=8 if limited or not child.executed else 9)
    settle(ex, now)


def _child_quantity(ex: Exchange, book: Book, algo: Algo) -> Decimal | str:
    """The size of the child, or the venue's reason for refusing it."""
    exits = book.closable(algo.symbol, algo.position_side, algo.side)
    if algo.close_position:
        return exits or "Reduce Only reject"
    if algo.reduce_only:
        return min(algo.quantity, exits) if exits else "Reduce Only reject"
    hedge_exit = algo.position_side != "BOTH" and (algo.side == "SELL") == (algo.position_side == "LONG")
    if hedge_exit and algo.quantity > exits:
        if not exits or ex.profile.hedge_excess_at_trigger == "refuse":
            return "Reduce Only reject"
        return exits
    return algo.quantity


def _trail(ex: Exchange, market: Market, now: int) -> None:
    for algo in list(market.trailing.values()):
        price = market.working(algo)
        rising = algo.side == "SELL"  # a sell trails the highest price
        if not algo.active:
            if price >= algo.activate if rising else price <= algo.activate:
                algo.active, algo.extreme = True, price
                ex.touch(algo)
            continue
        _follow(ex, market, algo, price, rising, now)


def _follow(ex: Exchange, market: Market, algo: Algo, price: Decimal, rising: bool, now: int) -> None:
    if price > algo.extreme if rising else price < algo.extreme:
        algo.extreme = price
        ex.touch(algo)
        return
    share = algo.callback / 100
    stop = algo.extreme * (1 - share) if rising else algo.extreme * (1 + share)
    if price <= stop if rising else price >= stop:
        fire(ex, algo, market, now)
        settle(ex, now)

"""Conditional orders: placing and cancelling. NEW → TRIGGERING → TRIGGERED → FINISHED, and the other ways out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine import user_events
from simulator.engine.account_book import Book
from simulator.engine.checks import check_position_side, check_price, check_quantity, check_trading
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import algo_end
from simulator.engine.records import STOPS, Algo

LIMITED = frozenset({"STOP", "TAKE_PROFIT"})


@dataclass(slots=True)
class AlgoDraft:
    """A conditional order as asked for, before any rule has been applied."""

    symbol: str
    side: str
    position_side: str
    type: str
    tif: str = "GTC"
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger: Decimal | None = None
    client_id: str = ""
    working: str = "CONTRACT_PRICE"
    reduce_only: bool = False
    close_position: bool = False
    price_protect: bool = False
    price_match: str = "NONE"
    stp: str = "EXPIRE_MAKER"
    good_till: int = 0
    activate: Decimal | None = None
    callback: Decimal | None = None


def place_algo(ex: Exchange, book: Book, draft: AlgoDraft, now: int) -> Algo:
    """Accept a conditional order. Raises ApiError with the venue's code when a rule says no."""
    market = ex.market(draft.symbol)
    check_trading(market, book, draft.position_side, draft.side)
    check_position_side(book, draft.position_side)
    quantity = _checked(ex, book, draft, market)
    if draft.client_id in book.open_algo_ids or (ex.profile.shared_ids and draft.client_id in book.open_ids):
        raise refusal(-4116)
    if len(book.open_algos) >= ex.profile.conditional_max:
        waiting = sum(1 for other in book.open_algos.values() if not other.child)
        if waiting >= ex.profile.conditional_max:
            raise refusal(-4045)
    number = ex.next_id("algo", 1_000_000_000_000_001)
    algo = Algo(
        number, book.account.name, draft.symbol, draft.client_id or ex.token("algo", 22), draft.side,
        draft.position_side, draft.type, draft.tif, quantity, draft.trigger or ZERO, draft.price or ZERO, now, now,
        working=draft.working, reduce_only=draft.reduce_only, close_position=draft.close_position,
        price_protect=draft.price_protect, price_match=draft.price_match, stp=draft.stp, good_till=draft.good_till,
        activate=draft.activate or ZERO, callback=draft.callback or ZERO,
        hidden_until=now + ex.profile.algo_lookup_lag_ms if ex.profile.algo_lookup_lag_ms else 0,
    )  # fmt: skip
    if algo.type == "TRAILING_STOP_MARKET" and not algo.activate:
        algo.active, algo.extreme, algo.activate = True, market.working(algo), market.working(algo)
    ex.algos[number] = algo
    book.open_algos[number] = algo
    book.open_algo_ids[algo.client_id] = number
    book.last_algo_ids[algo.client_id] = number
    market.wait(algo)
    if algo.good_till:
        ex.expire_at(algo.good_till)
    ex.exposed.add((book.account.name, algo.symbol, algo.position_side))
    ex.touch(algo)
    user_events.algo_update(ex, algo, now)
    return algo


def _checked(ex: Exchange, book: Book, draft: AlgoDraft, market: Market) -> Decimal:
    """Apply every rule on flags, sizes and levels; return the quantity as accepted."""
    rules, profile = market.rules, ex.profile
    exits = book.closable(draft.symbol, draft.position_side, draft.side)
    hedge_exit = draft.position_side != "BOTH" and (draft.side == "SELL") == (draft.position_side == "LONG")
    _check_levels(ex, draft, market)
    if draft.close_position:
        if draft.position_side != "BOTH" and not hedge_exit:
            raise refusal(-4136, type=draft.type)
        if not exits:
            raise refusal(-4509)
        for other in book.open_algos.values():
            if (
                other.close_position
                and (other.symbol, other.side, other.position_side)
                == (draft.symbol, draft.side, draft.position_side)
                and (other.type in STOPS) == (draft.type in STOPS)
            ):
                raise refusal(-4130)
        return ZERO
    assert draft.quantity is not None
    check_quantity(rules, draft.quantity, market=draft.type not in LIMITED)
    if draft.reduce_only:
        if not exits:
            if book.amount(draft.symbol, "BOTH") or profile.flat_reduce_only_algo == "refuse":
                raise refusal(-2022)
            return draft.quantity
        return min(draft.quantity, exits) if profile.cut_reduce_only_algo else draft.quantity
    if hedge_exit and not exits and profile.flat_hedge_algo == "refuse":
        raise refusal(-2022)
    level = draft.price or draft.trigger or draft.activate or market.last
    if draft.quantity * level < rules.notional_min and not (hedge_exit and not profile.hedge_exit_notional):
        raise refusal(-4164, notional=rules.notional_min)
    return draft.quantity


def _check_levels(ex: Exchange, draft: AlgoDraft, market: Market) -> None:
    rules = market.rules
    working = market.mark if draft.working == "MARK_PRICE" else market.last
    if draft.type == "TRAILING_STOP_MARKET":
        if draft.activate is not None:
            check_price(rules, draft.activate, trigger=True)
            passed = draft.activate >= working if draft.side == "BUY" else draft.activate <= working
            if passed:
                raise refusal(-2021)
        return
    trigger = draft.trigger
    assert trigger is not None
    check_price(rules, trigger, trigger=True)
    band = ex.profile.trigger_band
    if band is not None:
        high, low = working * (1 + band), working * (1 - band)
        if trigger > high:
            raise refusal(-4210, limit=rules.price(high))
        if trigger < low:
            raise refusal(-4211, limit=rules.price(low))
    if draft.price is not None:
        check_price(rules, draft.price)
        if draft.side == "BUY" and draft.price > trigger * rules.up:
            raise refusal(-4183, limit=rules.price(trigger * rules.up))
        if draft.side == "SELL" and draft.price < trigger * rules.down:
            raise refusal(-4184, limit=rules.price(trigger * rules.down))
    up = (draft.side == "BUY") == (draft.type in STOPS)
    if working >= trigger if up else working <= trigger:
        raise refusal(-2021)


def cancel_algo(ex: Exchange, book: Book, algo: Algo, now: int) -> None:
    """Cancel a waiting conditional order. Raises ApiError -2011 when it is no longer waiting."""
    if algo.status != "NEW":
        raise refusal(-2011)
    algo_end(ex, book, algo, "CANCELED", now)


def vanish(ex: Exchange, book: Book, algo: Algo) -> None:
    """Lose a conditional order without a word, as venues have done."""
    market = ex.market(algo.symbol)
    market.unwait(algo)
    ex.delayed.pop(algo.id, None)
    book.open_algos.pop(algo.id, None)
    book.open_algo_ids.pop(algo.client_id, None)
    book.last_algo_ids.pop(algo.client_id, None)
    ex.algos.pop(algo.id, None)
    ex.forget("algo", algo.key)
    ex.exposed.add((algo.account, algo.symbol, algo.position_side))

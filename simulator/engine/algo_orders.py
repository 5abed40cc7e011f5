"""Conditional orders: placing and cancelling.

NEW → TRIGGERING → TRIGGERED → FINISHED, or CANCELED, EXPIRED, REJECTED on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from simulator.engine import user_events
from simulator.engine.account_book import AccountBook
from simulator.engine.checks import check_position_side, check_price, check_quantity, check_trading
from simulator.engine.decimals import ZERO
from simulator.engine.errors import refusal
from simulator.engine.exchange import Exchange
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import end_algo
from simulator.engine.records import STOPS, Algo, is_hedge_exit

LIMIT_TYPES: Final = frozenset({"STOP", "TAKE_PROFIT"})  # those whose child is a LIMIT order


@dataclass(slots=True)
class AlgoDraft:
    """A conditional order as requested, before any rule is applied."""

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

    @property
    def is_hedge_exit(self) -> bool:
        return is_hedge_exit(self.position_side, self.side)

    def working_price(self, market: Market) -> Decimal:
        return market.mark if self.working == "MARK_PRICE" else market.last


# -- placing --------------------------------------------------------------------------------------------------


def place_algo(ex: Exchange, book: AccountBook, draft: AlgoDraft, now: int) -> Algo:
    """Accept a conditional order. Raises ApiError with the real exchange's code where a rule forbids it."""
    market = ex.market(draft.symbol)
    check_trading(market, book, draft.position_side, draft.side)
    check_position_side(book, draft.position_side)
    if draft.type == "TRAILING_STOP_MARKET":
        _check_activation(draft, market)
    else:
        _check_trigger(ex, draft, market)
    if draft.close_position:
        _check_close_position(book, draft)
        quantity = ZERO
    else:
        quantity = _accepted_quantity(ex, book, draft, market)
    _check_client_id(ex, book, draft.client_id)
    _check_open_algos(ex, book)
    algo = _algo_of(ex, book, draft, quantity, market, now)
    _add_algo(ex, book, algo, market, now)
    return algo


def _check_activation(draft: AlgoDraft, market: Market) -> None:
    """A trailing stop becomes active on the far side of the market."""
    if draft.activate is None:
        return
    check_price(market.rules, draft.activate, trigger=True)
    working = draft.working_price(market)
    if draft.activate >= working if draft.side == "BUY" else draft.activate <= working:
        raise refusal(-2021)


def _check_trigger(ex: Exchange, draft: AlgoDraft, market: Market) -> None:
    rules, trigger = market.rules, draft.trigger
    assert trigger is not None
    check_price(rules, trigger, trigger=True)
    working = draft.working_price(market)
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
    rises = (draft.side == "BUY") == (draft.type in STOPS)
    if working >= trigger if rises else working <= trigger:
        raise refusal(-2021)


def _check_close_position(book: AccountBook, draft: AlgoDraft) -> None:
    """closePosition needs a position, and one stop and one target of that kind are enough for it."""
    if draft.position_side != "BOTH" and not draft.is_hedge_exit:
        raise refusal(-4136, type=draft.type)
    if not book.closable(draft.symbol, draft.position_side, draft.side):
        raise refusal(-4509)
    spot = draft.symbol, draft.side, draft.position_side
    for other in book.open_algos.values():
        same_spot = (other.symbol, other.side, other.position_side) == spot
        if other.close_position and same_spot and (other.type in STOPS) == (draft.type in STOPS):
            raise refusal(-4130)


def _accepted_quantity(ex: Exchange, book: AccountBook, draft: AlgoDraft, market: Market) -> Decimal:
    """The quantity as accepted: a reduce-only leg may be cut to the position."""
    rules, profile, quantity = market.rules, ex.profile, draft.quantity
    assert quantity is not None
    check_quantity(rules, quantity, market=draft.type not in LIMIT_TYPES)
    closable = book.closable(draft.symbol, draft.position_side, draft.side)
    if draft.reduce_only:
        if closable:
            return min(quantity, closable) if profile.cut_reduce_only_algo else quantity
        if book.amount(draft.symbol, "BOTH") or profile.flat_reduce_only_algo == "refuse":
            raise refusal(-2022)
        return quantity
    if draft.is_hedge_exit and not closable and profile.flat_hedge_algo == "refuse":
        raise refusal(-2022)
    price = draft.price or draft.trigger or draft.activate or market.last
    exempt = draft.is_hedge_exit and not profile.hedge_exit_notional
    if quantity * price < rules.notional_min and not exempt:
        raise refusal(-4164, notional=rules.notional_min)
    return quantity


def _check_client_id(ex: Exchange, book: AccountBook, client_id: str) -> None:
    """A client id is unique among the open conditional orders of its account."""
    if client_id in book.open_algo_ids or (ex.profile.shared_ids and client_id in book.open_order_ids):
        raise refusal(-4116)


def _check_open_algos(ex: Exchange, book: AccountBook) -> None:
    conditional_max = ex.profile.conditional_max
    if len(book.open_algos) < conditional_max:
        return
    if sum(not algo.child for algo in book.open_algos.values()) >= conditional_max:
        raise refusal(-4045)


def _algo_of(
    ex: Exchange, book: AccountBook, draft: AlgoDraft, quantity: Decimal, market: Market, now: int
) -> Algo:
    lag_ms = ex.profile.algo_lookup_lag_ms
    algo = Algo(
        ex.next_id("algo", 1_000_000_000_000_001), book.account.name, draft.symbol,
        draft.client_id or ex.token("algo", 22), draft.side, draft.position_side, draft.type, draft.tif, quantity,
        draft.trigger or ZERO, draft.price or ZERO, now, now, working=draft.working, reduce_only=draft.reduce_only,
        close_position=draft.close_position, price_protect=draft.price_protect, price_match=draft.price_match,
        stp=draft.stp, good_till=draft.good_till, activate=draft.activate or ZERO, callback=draft.callback or ZERO,
        hidden_until=now + lag_ms if lag_ms else 0,
    )  # fmt: skip
    if algo.type == "TRAILING_STOP_MARKET" and not algo.activate:
        algo.active = True
        algo.extreme = algo.activate = market.working_price(algo)
    return algo


def _add_algo(ex: Exchange, book: AccountBook, algo: Algo, market: Market, now: int) -> None:
    """Enter an open conditional order into the books and report NEW."""
    ex.algos[algo.id] = algo
    book.open_algos[algo.id] = algo
    book.open_algo_ids[algo.client_id] = algo.id
    book.last_algo_ids[algo.client_id] = algo.id
    market.add_waiting(algo)
    if algo.good_till:
        ex.schedule_expiry(algo.good_till)
    ex.cover_changed.add(algo.slot)
    ex.mark_changed(algo)
    user_events.algo_update(ex, algo, now)


# -- ends -----------------------------------------------------------------------------------------------------


def cancel_algo(ex: Exchange, book: AccountBook, algo: Algo, now: int) -> None:
    """Cancel a waiting conditional order. Raises ApiError -4117 at its trigger, -2011 when it is no longer waiting."""
    if algo.status == "TRIGGERING":
        raise refusal(-4117)
    if algo.status != "NEW":
        raise refusal(-2011)
    end_algo(ex, book, algo, "CANCELED", now)


def vanish(ex: Exchange, book: AccountBook, algo: Algo) -> None:
    """Drop a conditional order without any event, as has happened on real exchanges."""
    ex.market(algo.symbol).remove_waiting(algo)
    ex.triggering.pop(algo.id, None)
    book.open_algos.pop(algo.id, None)
    book.open_algo_ids.pop(algo.client_id, None)
    book.last_algo_ids.pop(algo.client_id, None)
    ex.algos.pop(algo.id, None)
    ex.mark_removed(algo)
    ex.cover_changed.add(algo.slot)

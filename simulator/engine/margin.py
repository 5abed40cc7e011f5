"""Margin: what an account needs, what it has available, and where it would be liquidated."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine.account_book import Book
from simulator.engine.decimals import ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.records import Position


@dataclass(frozen=True, slots=True)
class Margin:
    """One asset of an account, summed up at mark prices."""

    wallet: Decimal
    cross_wallet: Decimal
    profit: Decimal
    cross_profit: Decimal
    position_margin: Decimal
    order_margin: Decimal
    maintenance: Decimal
    cross_maintenance: Decimal
    available: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.profit

    @property
    def cross_equity(self) -> Decimal:
        return self.cross_wallet + self.cross_profit


def order_margin(ex: Exchange, book: Book, symbol: str, side: str) -> Decimal:
    """Initial margin that the resting orders of one slot need beyond the position's own."""
    resting = book.resting.get((symbol, side))
    if not resting:
        return ZERO
    buying, selling = resting[2], resting[3]
    if not buying and not selling:
        return ZERO
    value = book.amount(symbol, side) * ex.market(symbol).mark
    extra = max(abs(value + buying), abs(value - selling)) - abs(value)
    return max(ZERO, extra) / ex.leverage(book.account, symbol)


def maintenance(ex: Exchange, position: Position) -> Decimal:
    market = ex.market(position.symbol)
    notional = abs(position.amount) * market.mark
    bracket = market.rules.bracket(notional)
    return notional * bracket.ratio - bracket.cum


def margin_of(ex: Exchange, book: Book, asset: str) -> Margin:
    """Sum up one asset of an account."""
    account = book.account
    wallet = account.wallets.get(asset, ZERO)
    profit = cross_profit = needed = kept = cross_kept = isolated = ZERO
    for (symbol, _), position in book.held.items():
        market = ex.market(symbol)
        if market.rules.margin_asset != asset:
            continue
        gain = position.profit(market.mark)
        profit += gain
        kept_here = maintenance(ex, position)
        kept += kept_here
        if symbol in account.isolated:
            isolated += position.isolated
        else:
            cross_profit += gain
            cross_kept += kept_here
            needed += abs(position.amount) * market.mark / ex.leverage(account, symbol)
    resting = ZERO
    for symbol, side in book.resting:
        if ex.market(symbol).rules.margin_asset == asset:
            resting += order_margin(ex, book, symbol, side)
    cross = wallet - isolated
    available = max(ZERO, cross + cross_profit - needed - resting)
    return Margin(
        wallet, cross, profit, cross_profit, needed + isolated, resting, kept, cross_kept, available
    )


def liquidation_price(ex: Exchange, book: Book, position: Position) -> Decimal:
    """Where the maintenance margin is used up; zero when the price would have to be below zero."""
    market = ex.market(position.symbol)
    asset = market.rules.margin_asset
    bracket = market.rules.bracket(abs(position.amount) * market.mark)
    if position.symbol in book.account.isolated:
        funds = position.isolated
    else:
        total = margin_of(ex, book, asset)
        funds = total.cross_wallet + total.cross_profit - position.profit(market.mark)
        funds -= total.cross_maintenance - maintenance(ex, position)
    divisor = abs(position.amount) * bracket.ratio - position.amount
    if not divisor:
        return ZERO
    return max(ZERO, (funds + bracket.cum - position.cost) / divisor)


def break_even(book: Book, position: Position) -> Decimal:
    """The price at which closing as a taker costs nothing but the fees already paid."""
    if not position.amount:
        return ZERO
    fee = position.entry * book.account.taker
    return position.entry + (fee if position.amount > 0 else -fee)

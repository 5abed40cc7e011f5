"""Margin: what an account needs, what it has available, and where it would be liquidated."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.records import Position

DOLLARS: Final = frozenset({"USDT", "USDC", "FDUSD", "BFUSD", "USD1"})
HAIRCUT: Final = Decimal("0.95")


@dataclass(slots=True)
class Margin:
    """One asset of an account, added up at mark prices."""

    wallet: Decimal
    profit: Decimal = ZERO
    cross_profit: Decimal = ZERO
    isolated: Decimal = ZERO  # the margin of isolated positions, set apart from the cross wallet
    cross_position_margin: Decimal = ZERO
    order_margin: Decimal = ZERO
    maintenance: Decimal = ZERO
    cross_maintenance: Decimal = ZERO

    @property
    def cross_wallet(self) -> Decimal:
        return self.wallet - self.isolated

    @property
    def position_margin(self) -> Decimal:
        return self.cross_position_margin + self.isolated

    @property
    def available(self) -> Decimal:
        return max(ZERO, self.cross_equity - self.cross_position_margin - self.order_margin)

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.profit

    @property
    def cross_equity(self) -> Decimal:
        return self.cross_wallet + self.cross_profit


def margin_of(ex: Exchange, book: AccountBook, asset: str) -> Margin:
    """Add up one asset of an account."""
    account = book.account
    margin = Margin(account.wallets.get(asset, ZERO))
    for (symbol, _), position in book.held.items():
        market = ex.market(symbol)
        if market.rules.margin_asset != asset:
            continue
        profit, maintenance = position.profit(market.mark), maintenance_margin(ex, position)
        margin.profit += profit
        margin.maintenance += maintenance
        if symbol in account.isolated:
            margin.isolated += position.isolated
        else:
            margin.cross_profit += profit
            margin.cross_maintenance += maintenance
            margin.cross_position_margin += abs(position.amount) * market.mark / ex.leverage(account, symbol)
    for symbol, side in book.resting:
        if ex.market(symbol).rules.margin_asset == asset:
            margin.order_margin += order_margin(ex, book, symbol, side)
    return margin


@dataclass(slots=True)
class Portfolio:
    """All assets of an account in multi-assets mode, in US dollars: one margin for all cross positions."""

    equity: Decimal = ZERO
    used: Decimal = ZERO
    maintenance: Decimal = ZERO

    @property
    def available(self) -> Decimal:
        return max(ZERO, self.equity - self.used)


def portfolio_of(ex: Exchange, book: AccountBook) -> Portfolio:
    """Add up the assets of an account at their value in US dollars, collateral less its haircut."""
    found = Portfolio()
    assets = set(book.account.wallets) | {ex.market(symbol).rules.margin_asset for symbol, _ in book.held}
    for asset in assets | {ex.market(symbol).rules.margin_asset for symbol, _ in book.resting}:
        margin, value = margin_of(ex, book, asset), asset_value(ex, asset)
        found.equity += margin.cross_equity * value
        found.used += (margin.cross_position_margin + margin.order_margin) * value
        found.maintenance += margin.cross_maintenance * value
    return found


def asset_value(ex: Exchange, asset: str) -> Decimal:
    """What one unit counts as collateral: a dollar coin at par, others at the mark price less a haircut."""
    if asset in DOLLARS:
        return Decimal(1)
    market = ex.markets.get(f"{asset}USDT")
    return ZERO if market is None else market.mark * HAIRCUT


def available_of(ex: Exchange, book: AccountBook, asset: str) -> Decimal:
    """What is free for new margin in one asset: of that asset, or of all in multi-assets mode."""
    if not book.account.multi_assets:
        return margin_of(ex, book, asset).available
    value = asset_value(ex, asset)
    return portfolio_of(ex, book).available / value if value else ZERO


def order_margin(ex: Exchange, book: AccountBook, symbol: str, side: str) -> Decimal:
    """Initial margin that the resting orders of one slot need beyond the position's own."""
    resting = book.resting.get((symbol, side))
    if resting is None or not (resting.buy_notional or resting.sell_notional):
        return ZERO
    notional = book.amount(symbol, side) * ex.market(symbol).mark
    worst = max(abs(notional + resting.buy_notional), abs(notional - resting.sell_notional))
    return max(ZERO, worst - abs(notional)) / ex.leverage(book.account, symbol)


def maintenance_margin(ex: Exchange, position: Position) -> Decimal:
    market = ex.market(position.symbol)
    notional = abs(position.amount) * market.mark
    bracket = market.rules.bracket(notional)
    return notional * bracket.ratio - bracket.cum


def liquidation_price(ex: Exchange, book: AccountBook, position: Position) -> Decimal:
    """The mark price at which the maintenance margin is used up; zero where it would lie below zero."""
    market = ex.market(position.symbol)
    bracket = market.rules.bracket(abs(position.amount) * market.mark)
    if position.symbol in book.account.isolated:
        funds = position.isolated
    else:
        funds = _cross_funds(ex, book, market.rules.margin_asset)
        funds += maintenance_margin(ex, position) - position.profit(market.mark)
    divisor = abs(position.amount) * bracket.ratio - position.amount
    if not divisor:
        return ZERO
    return max(ZERO, (funds + bracket.cum - position.cost) / divisor)


def _cross_funds(ex: Exchange, book: AccountBook, asset: str) -> Decimal:
    """What cross positions of an asset live on, beyond what they all need to be maintained."""
    if book.account.multi_assets:
        portfolio = portfolio_of(ex, book)
        return portfolio.equity - portfolio.maintenance
    margin = margin_of(ex, book, asset)
    return margin.cross_equity - margin.cross_maintenance


def break_even_price(book: AccountBook, position: Position) -> Decimal:
    """The price at which closing as a taker costs nothing but the fees already paid."""
    if not position.amount:
        return ZERO
    fee = position.entry * book.account.taker
    return position.entry + (fee if position.amount > 0 else -fee)

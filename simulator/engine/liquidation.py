"""Liquidation: when the margin no longer maintains a position, the exchange closes it.

The position is closed at the mark price by an order named ``autoclose-…``; the liquidation fee is taken as far as
the wallet reaches, and the insurance fund pays what is missing below zero.
"""

from __future__ import annotations

from simulator.engine import user_events
from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import EIGHT, MONEY, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.ledger import post_income
from simulator.engine.margin import liquidation_price, maintenance_margin, margin_of, portfolio_of
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import add_order, end_order, expire_exits_without_position, fill
from simulator.engine.records import Order, Position

# How the exchange names its own orders, by what they do.
OWN_ORDERS = {
    "liquidation": "autoclose-",
    "adl": "adl_autoclose",
    "settlement": "settlement_autoclose-",
    "delivery": "delivery_autoclose-",
}


def liquidate(ex: Exchange, market: Market, now: int) -> None:
    """Check every holder of this symbol after its mark price moved."""
    for (account, _), position in list(market.held.items()):
        book = ex.book(account)
        if position.amount and _is_due(ex, book, market, position):
            _close_together(ex, book, market, position, now)


def _is_due(ex: Exchange, book: AccountBook, market: Market, position: Position) -> bool:
    if position.symbol in book.account.isolated:
        return position.isolated + position.profit(market.mark) < maintenance_margin(ex, position)
    if book.account.multi_assets:
        portfolio = portfolio_of(ex, book)
        return portfolio.equity < portfolio.maintenance
    if len(book.held) == 1:
        return _is_past_liquidation_price(ex, book, market, position)
    margin = margin_of(ex, book, market.rules.margin_asset)
    return margin.cross_equity < margin.cross_maintenance


def _is_past_liquidation_price(ex: Exchange, book: AccountBook, market: Market, position: Position) -> bool:
    """The same for the only position of an account, at less cost: its price is computed once for all ticks.

    It changes only with the position, the wallet and the bracket.
    """
    state = (position.amount, position.cost, book.account.wallets.get(market.rules.margin_asset, ZERO),
             market.rules.bracket(abs(position.amount) * market.mark).leverage)  # fmt: skip
    known = book.liquidation.get(position.symbol)
    if known is None or known[0] != state:
        known = book.liquidation[position.symbol] = (state, liquidation_price(ex, book, position))
    price = known[1]
    return market.mark < price if position.amount > 0 else bool(price) and market.mark > price


def _close_together(ex: Exchange, book: AccountBook, market: Market, position: Position, now: int) -> None:
    """Cross positions of one asset (in multi-assets mode all) are liquidated together, an isolated one alone."""
    asset = market.rules.margin_asset
    if position.symbol in book.account.isolated:
        doomed = [position]
    else:
        doomed = [
            p for p in book.held.values()
            if p.symbol not in book.account.isolated
            and (book.account.multi_assets or ex.market(p.symbol).rules.margin_asset == asset)
        ]  # fmt: skip
    user_events.margin_call(ex, book, doomed, now)
    symbols = {p.symbol for p in doomed}
    for order in list(book.open_orders.values()):
        if order.symbol in symbols:
            end_order(ex, book, order, "CANCELED", now, reason=5)
    for each in doomed:
        _close(ex, book, each, now, how="liquidation")
    _insure(ex, book, asset, now)
    expire_exits_without_position(ex, now)


def close_by_own_order(ex: Exchange, book: AccountBook, position: Position, now: int, *, how: str) -> None:
    """Close a position as a settlement, a delivery, auto-deleveraging or a liquidation does."""
    _close(ex, book, position, now, how=how)
    expire_exits_without_position(ex, now)


def _close(ex: Exchange, book: AccountBook, position: Position, now: int, *, how: str) -> None:
    market = ex.market(position.symbol)
    asset, price, size = market.rules.margin_asset, market.mark, abs(position.amount)
    number = ex.next_order_id()
    order = Order(
        number, book.account.name, position.symbol, f"{OWN_ORDERS[how]}{now}{number}", "SELL" if position.amount > 0 else "BUY",
        position.side, "LIMIT", "IOC", size, market.round_to_tick(price), now, now, orig_type="LIMIT",
        reduce_only=position.side == "BOTH",
    )  # fmt: skip
    add_order(ex, book, order, now)
    fill(ex, book, order, size, price, now, maker=False, liquidation=True)
    if how != "liquidation":
        return
    fee = (size * price * market.rules.liquidation_fee).quantize(EIGHT, context=MONEY)
    fee = min(fee, max(ZERO, book.account.wallets.get(asset, ZERO)))
    if fee:
        post_income(ex, book, asset, -fee, "INSURANCE_CLEAR", now, symbol=position.symbol)


def _insure(ex: Exchange, book: AccountBook, asset: str, now: int) -> None:
    """Let the insurance fund pay what a wallet is below zero."""
    wallet = book.account.wallets.get(asset, ZERO)
    if wallet < 0:
        post_income(ex, book, asset, -wallet, "INSURANCE_CLEAR", now)
    user_events.account_update(ex, book, "INSURANCE_CLEAR", now, assets=(asset,))

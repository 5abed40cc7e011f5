"""Liquidation: when the margin no longer maintains a position, the exchange closes it.

The position is closed at the mark price by an order named ``autoclose-…``; the liquidation fee is taken as far as
the wallet reaches, and the insurance fund pays what is missing below zero.
"""

from __future__ import annotations

from simulator.engine import user_events
from simulator.engine.account_book import Book
from simulator.engine.decimals import EIGHT, MONEY, ZERO, eight
from simulator.engine.exchange import Exchange
from simulator.engine.ledger import pay
from simulator.engine.margin import liquidation_price, maintenance, margin_of
from simulator.engine.market import Market
from simulator.engine.order_lifecycle import end, enter, fill, settle
from simulator.engine.records import Order, Position


def liquidate(ex: Exchange, market: Market, now: int) -> None:
    """Look at every holder of this symbol after its mark price moved."""
    for (account, _), position in list(market.held.items()):
        book = ex.book(account)
        if position.amount and _is_due(ex, book, market, position):
            _close_all(ex, book, market, position, now)


def _is_due(ex: Exchange, book: Book, market: Market, position: Position) -> bool:
    asset = market.rules.margin_asset
    if position.symbol in book.account.isolated:
        return position.isolated + position.profit(market.mark) < maintenance(ex, position)
    if len(book.held) == 1:
        # One position: the price at which it goes changes only with the position, the wallet and the bracket.
        state = (position.amount, position.cost, book.account.wallets.get(asset, ZERO),
                 market.rules.bracket(abs(position.amount) * market.mark).leverage)  # fmt: skip
        known = book.liquidation.get(position.symbol)
        if known is None or known[0] != state:
            known = book.liquidation[position.symbol] = (state, liquidation_price(ex, book, position))
        edge = known[1]
        return market.mark < edge if position.amount > 0 else bool(edge) and market.mark > edge
    margin = margin_of(ex, book, asset)
    return margin.cross_equity < margin.cross_maintenance


def _close_all(ex: Exchange, book: Book, market: Market, position: Position, now: int) -> None:
    """Cross positions of one asset stand and fall together; an isolated one falls alone."""
    asset = market.rules.margin_asset
    isolated = position.symbol in book.account.isolated
    falling = [position] if isolated else [
        p for p in book.held.values()
        if p.symbol not in book.account.isolated and ex.market(p.symbol).rules.margin_asset == asset
    ]  # fmt: skip
    symbols = {p.symbol for p in falling}
    _call(ex, book, falling, now)
    for order in list(book.open_orders.values()):
        if order.symbol in symbols:
            end(ex, book, order, "CANCELED", now, reason=5)
    for each in falling:
        _close(ex, book, each, now)
    _insure(ex, book, asset, now)
    settle(ex, now)


def _call(ex: Exchange, book: Book, falling: list[Position], now: int) -> None:
    rows = []
    for p in falling:
        market = ex.market(p.symbol)
        isolated = p.symbol in book.account.isolated
        rows.append(
            {"s": p.symbol, "ps": p.side, "pa": market.rules.quantity(p.amount), "mt": "ISOLATED" if isolated else "CROSS",
             "iw": eight(p.isolated), "mp": eight(market.mark), "up": eight(p.profit(market.mark)),
             "mm": eight(maintenance(ex, p))}
        )  # fmt: skip
    margin = margin_of(ex, book, ex.market(falling[0].symbol).rules.margin_asset)
    ex.tell(book.account.name, {"e": "MARGIN_CALL", "E": now, "cw": eight(margin.cross_wallet), "p": rows})


def _close(ex: Exchange, book: Book, position: Position, now: int) -> None:
    market = ex.market(position.symbol)
    number = ex.next_id("order", 8_389_765_000_001)
    size = abs(position.amount)
    price = market.mark
    order = Order(
        number, book.account.name, position.symbol, f"autoclose-{now}{number}", "SELL" if position.amount > 0 else "BUY",
        position.side, "LIMIT", "IOC", size, market.nearest(price), now, now, orig_type="LIMIT",
        reduce_only=position.side == "BOTH",
    )  # fmt: skip
    enter(ex, book, order, now)
    fill(ex, book, order, size, price, False, now, liquidation=True)
    fee = (size * price * market.rules.liquidation_fee).quantize(EIGHT, context=MONEY)
    wallet = book.account.wallets.get(market.rules.margin_asset, ZERO)
    fee = min(fee, max(ZERO, wallet))
    if fee:
        pay(ex, book, market.rules.margin_asset, -fee, "INSURANCE_CLEAR", now, symbol=position.symbol)


def _insure(ex: Exchange, book: Book, asset: str, now: int) -> None:
    """Nobody ends below zero."""
    wallet = book.account.wallets.get(asset, ZERO)
    if wallet < 0:
        pay(ex, book, asset, -wallet, "INSURANCE_CLEAR", now)
    user_events.account_update(ex, book, "INSURANCE_CLEAR", now, assets=(asset,))

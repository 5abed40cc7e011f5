"""Money: what deposits, fees and fills do to wallets and positions."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import EIGHT, MONEY, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.records import Income, Position


def post_income(
    ex: Exchange, book: AccountBook, asset: str, amount: Decimal, kind: str, now: int, *,
    symbol: str = "", trade: str = "",
) -> None:  # fmt: skip
    """Credit or debit a wallet, with the line of income that explains it."""
    wallets = book.account.wallets
    wallets[asset] = wallets.get(asset, ZERO) + amount
    ex.mark_changed(book.account)
    line = Income(
        ex.next_id("income", 9_000_000_001), book.account.name, symbol, kind, amount, asset, now, trade,
        info=trade if kind == "COMMISSION" else kind,
    )  # fmt: skip
    book.income.append(line)
    ex.mark_changed(line)


def deposit(ex: Exchange, book: AccountBook, asset: str, amount: Decimal, now: int) -> None:
    """Transfer money in from outside."""
    deposited = book.account.deposited
    deposited[asset] = deposited.get(asset, ZERO) + amount
    post_income(ex, book, asset, amount, "TRANSFER", now)


def apply_trade(
    ex: Exchange, book: AccountBook, position: Position, signed: Decimal, price: Decimal, now: int
) -> Decimal:
    """Add a signed quantity at a price to a position and return the profit it realised."""
    before = position.amount
    if before * signed >= 0:
        position.cost += signed * price
        position.amount += signed
        realized = ZERO
    else:
        realized = _close_part(position, signed, price)
    position.updated = now
    if not position.amount:
        position.cost = ZERO
    _index(ex, book, position)
    _adjust_isolated_margin(ex, book, position, before)
    if (before and not position.amount) or before * position.amount < 0:
        ex.flattened.append(position.slot)
    ex.mark_changed(position)
    return realized


def _close_part(position: Position, signed: Decimal, price: Decimal) -> Decimal:
    """Close as much as there is and open the rest on the other side; return the profit.

    The cost leaves with what is closed, rounded to eight decimals for a part and exactly for the whole, so that
    wallet and open value together never lose a digit.
    """
    size, direction = abs(position.amount), 1 if position.amount > 0 else -1
    closing = min(abs(signed), size)
    if closing == size:
        cost = position.cost
    else:
        cost = (position.cost * closing / size).quantize(EIGHT, context=MONEY)
    realized = closing * price * direction - cost
    position.cost -= cost
    position.amount -= closing * direction
    rest = abs(signed) - closing
    if rest:
        position.amount = -rest * direction
        position.cost = position.amount * price
    position.realized += realized
    return realized


def _index(ex: Exchange, book: AccountBook, position: Position) -> None:
    """Enter a position among those held, or take a flat one out."""
    market_held = ex.market(position.symbol).held
    if position.amount:
        book.held[position.symbol, position.side] = position
        market_held[position.account, position.side] = position
    else:
        book.held.pop((position.symbol, position.side), None)
        market_held.pop((position.account, position.side), None)
    ex.cover_changed.add(position.slot)


def _adjust_isolated_margin(ex: Exchange, book: AccountBook, position: Position, before: Decimal) -> None:
    """Keep the margin of an isolated position in step with its size."""
    if position.symbol not in book.account.isolated:
        return
    turned = before * position.amount < 0
    if not position.amount:
        position.isolated = ZERO
    elif turned or abs(position.amount) > abs(before):
        needed = abs(position.cost) / ex.leverage(book.account, position.symbol)
        position.isolated = max(position.isolated if before and not turned else ZERO, needed)
    elif before:
        kept = position.isolated * abs(position.amount) / abs(before)
        position.isolated = kept.quantize(EIGHT, context=MONEY)

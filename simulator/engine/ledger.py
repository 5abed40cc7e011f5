"""Money: what deposits, fees and fills do to wallets and positions."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.account_book import Book
from simulator.engine.decimals import EIGHT, MONEY, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.records import Income, Position


def pay(
    ex: Exchange,
    book: Book,
    asset: str,
    amount: Decimal,
    kind: str,
    now: int,
    *,
    symbol: str = "",
    trade: str = "",
) -> None:
    """Move money on a wallet and write the line that explains it."""
    wallets = book.account.wallets
    wallets[asset] = wallets.get(asset, ZERO) + amount
    ex.touch(book.account)
    line = Income(
        ex.next_id("income", 9_000_000_001), book.account.name, symbol, kind, amount, asset, now, trade, kind
    )
    if kind == "COMMISSION":
        line.info = trade
    book.income.append(line)
    ex.touch(line)


def deposit(ex: Exchange, book: Book, asset: str, amount: Decimal, now: int) -> None:
    """Bring money in from outside."""
    deposited = book.account.deposited
    deposited[asset] = deposited.get(asset, ZERO) + amount
    pay(ex, book, asset, amount, "TRANSFER", now)


def hold(ex: Exchange, book: Book, position: Position) -> None:
    """Enter a position into, or take it out of, the lists of what is held."""
    spot = position.symbol, position.side
    market = ex.market(position.symbol)
    if position.amount:
        book.held[spot] = position
        market.held[book.account.name, position.side] = position
    else:
        book.held.pop(spot, None)
        market.held.pop((book.account.name, position.side), None)
    ex.exposed.add((book.account.name, *spot))


def change(
    ex: Exchange, book: Book, position: Position, signed: Decimal, price: Decimal, now: int
) -> Decimal:
    """Add a signed quantity at a price to a position and return the profit it realised.

    The cost leaves with what is closed, rounded to eight decimals for a part and exactly for the whole, so that
    wallet + open value never loses a digit.
    """
    realized = ZERO
    before = position.amount
    if before * signed >= 0:
        position.cost += signed * price
        position.amount += signed
    else:
        closing = min(abs(signed), abs(before))
        if closing == abs(before):
            part = position.cost
        else:
            part = (position.cost * closing / abs(before)).quantize(EIGHT, context=MONEY)
        direction = 1 if before > 0 else -1
        realized = closing * price * direction - part
        position.cost -= part
        position.amount -= closing * direction
        rest = abs(signed) - closing
        if rest:  # through zero to the other side
            position.amount = rest * (1 if signed > 0 else -1)
            position.cost = position.amount * price
        position.realized += realized
    position.updated = now
    if not position.amount:
        position.cost = ZERO
    hold(ex, book, position)
    _isolate(ex, book, position, before)
    if (before and not position.amount) or before * position.amount < 0:
        ex.flattened.append((book.account.name, position.symbol, position.side))
    ex.touch(position)
    return realized


def _isolate(ex: Exchange, book: Book, position: Position, before: Decimal) -> None:
    """Keep an isolated position's own wallet in step with its size."""
    if position.symbol not in book.account.isolated:
        return
    leverage = ex.leverage(book.account, position.symbol)
    if not position.amount:
        position.isolated = ZERO
    elif abs(position.amount) > abs(before) or before * position.amount < 0:
        grown = abs(position.cost) / leverage
        position.isolated = max(position.isolated if before * position.amount > 0 else ZERO, grown)
    elif before:
        position.isolated = (position.isolated * abs(position.amount) / abs(before)).quantize(
            EIGHT, context=MONEY
        )

"""Money: what fills do to positions and wallets, what margin is needed, and when it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from simulator.engine.exchange import Book, Exchange
from simulator.engine.values import EIGHT, MONEY, ZERO, Income, Position


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

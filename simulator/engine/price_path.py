"""Price moves: the path from one price to the next, and everything it reaches on its way, in order."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.decimals import EIGHT, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.liquidation import liquidate
from simulator.engine.market import Market
from simulator.engine.matching import trade_resting
from simulator.engine.order_lifecycle import settle
from simulator.engine.triggering import _trail, fire

# (how far along the path, kind, id): what waits at which place of this move
Stop = tuple[Decimal, int, int]
_ONE = Decimal(1)


def move(ex: Exchange, market: Market, last: Decimal, mark: Decimal, now: int, *, jump: bool = False) -> None:
    """Walk last and mark price together to their new places; fire what they pass, at the price it waits for.

    With ``jump`` the market gaps: both prices are at their new place before anything fires.
    """
    market.taken.clear()
    last0, mark0 = began, _ = market.last, market.mark
    if jump:
        market.last, market.mark = last, mark
    seen: set[tuple[int, int]] = set()
    while True:
        stops = [stop for stop in _waiting(market, last0, last, mark0, mark) if stop[1:] not in seen]
        if not stops:
            break
        stops.sort()
        for share, kind, ident in stops:
            seen.add((kind, ident))
            if not jump:
                _place(market, share, last0, last, mark0, mark)
            if kind == 0:
                _reach_limit(ex, market, ident, last, now)
            else:
                _reach_trigger(ex, market, ident, now)
        last0, mark0 = (
            market.last,
            market.mark,
        )  # what was born on the way waits for the rest of the path only
    market.last, market.mark = last, mark
    if last != began:
        public_trade(ex, market, last > began, now)
    if market.held:
        liquidate(ex, market, now)
    if market.trailing:
        _trail(ex, market, now)
    market.updates += 1
    market.see(ex.market_ms or now)
    ex.moved.add(market.rules.symbol)
    settle(ex, now)


def _share(price: Decimal, start: Decimal, goal: Decimal) -> Decimal:
    """How far along the way from start to goal this price lies, between 0 and 1."""
    if start == goal:
        return ZERO
    return min(_ONE, max(ZERO, (price - start) / (goal - start)))


def _place(
    market: Market, share: Decimal, last0: Decimal, last: Decimal, mark0: Decimal, mark: Decimal
) -> None:
    # Rounded to the nearest, so that a price is exactly the level it was computed from.
    market.last = market.nearest(last0 + (last - last0) * share) if share != 1 else last
    market.mark = (mark0 + (mark - mark0) * share).quantize(EIGHT) if share != 1 else mark


def _waiting(market: Market, last0: Decimal, last: Decimal, mark0: Decimal, mark: Decimal) -> list[Stop]:
    found: list[Stop] = []
    low, high = min(last0, last), max(last0, last)
    # A price that moves away from where it stood does not trade there once more.
    for price, ident in market.buys.down_to(low):
        if last <= last0 or price > last0:
            found.append((_share(price, last0, last), 0, ident))
    for price, ident in market.sells.up_to(high):
        if last >= last0 or price < last0:
            found.append((_share(price, last0, last), 0, ident))
    triggers = market.triggers
    for working, start, goal, bottom, top in (
        ("CONTRACT_PRICE", last0, last, low, high),
        ("MARK_PRICE", mark0, mark, min(mark0, mark), max(mark0, mark)),
    ):
        for price, ident in triggers[working, True].up_to(top):
            found.append((_share(price, start, goal), 1, ident))
        for price, ident in triggers[working, False].down_to(bottom):
            found.append((_share(price, start, goal), 1, ident))
    return found


def _reach_limit(ex: Exchange, market: Market, ident: int, goal: Decimal, now: int) -> None:
    order = ex.orders.get(ident)
    if order is None or not order.is_open:
        return
    through = (
        min(market.last, goal) < order.price if order.side == "BUY" else max(market.last, goal) > order.price
    )
    trade_resting(ex, market, order, through, now)


def _reach_trigger(ex: Exchange, market: Market, ident: int, now: int) -> None:
    algo = ex.algos.get(ident)
    if algo is None or algo.status != "NEW" or (algo.price_protect and _torn(market)):
        return
    fire(ex, algo, market, now)
    settle(ex, now)


def _torn(market: Market) -> bool:
    """Whether last and mark price are farther apart than the symbol's protection allows."""
    return abs(market.mark - market.last) > market.rules.protect * market.mark


def public_trade(ex: Exchange, market: Market, rises: bool, now: int) -> None:
    """A price move is somebody's trade: show it on the tape."""
    rules = market.rules
    lots = 1 + (market.trades * 7919) % 40
    quantity = max(rules.lot_min, rules.step) * lots
    ex.traded.append((rules.symbol, market.trade(market.last, quantity, not rises, now)))

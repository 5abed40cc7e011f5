"""Price moves: the path from one price to the next, and everything it reaches on its way, in order."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from simulator.engine.decimals import EIGHT, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.liquidation import liquidate
from simulator.engine.market import Market
from simulator.engine.matching import trade_resting
from simulator.engine.order_lifecycle import expire_exits_without_position
from simulator.engine.triggering import follow_trailing_stops, trigger_algo

ONE: Final = Decimal(1)
LIMIT_ORDER, TRIGGER = 0, 1  # what a path can reach; at one place resting orders trade before triggers
Waypoint = tuple[Decimal, int, int]  # (how far along the path, LIMIT_ORDER or TRIGGER, id)


@dataclass(frozen=True, slots=True)
class Path:
    """Both prices on their way from where they are to where they go."""

    last_start: Decimal
    last_goal: Decimal
    mark_start: Decimal
    mark_goal: Decimal

    def waypoints(self, market: Market) -> list[Waypoint]:
        """The resting orders and triggers on the way, the nearest first."""
        start, goal = self.last_start, self.last_goal
        low, high = min(start, goal), max(start, goal)
        found: list[Waypoint] = []
        # A price that moves away from where it is does not trade there once more.
        for price, order_id in market.buys.down_to(low):
            if goal <= start or price > start:
                found.append((_share(price, start, goal), LIMIT_ORDER, order_id))
        for price, order_id in market.sells.up_to(high):
            if goal >= start or price < start:
                found.append((_share(price, start, goal), LIMIT_ORDER, order_id))
        for working_type, start, goal in (
            ("CONTRACT_PRICE", self.last_start, self.last_goal),
            ("MARK_PRICE", self.mark_start, self.mark_goal),
        ):
            for price, algo_id in market.triggers[working_type, True].up_to(max(start, goal)):
                found.append((_share(price, start, goal), TRIGGER, algo_id))
            for price, algo_id in market.triggers[working_type, False].down_to(min(start, goal)):
                found.append((_share(price, start, goal), TRIGGER, algo_id))
        found.sort()
        return found

    def go_to(self, market: Market, share: Decimal) -> None:
        """Bring both prices so far along the path."""
        if share == 1:
            market.last, market.mark = self.last_goal, self.mark_goal
            return
        # Rounded to the nearest, so that a price is exactly the level the share was computed from.
        last = self.last_start + (self.last_goal - self.last_start) * share
        market.last = market.round_to_tick(last)
        market.mark = (self.mark_start + (self.mark_goal - self.mark_start) * share).quantize(EIGHT)


def move_price(
    ex: Exchange, market: Market, last: Decimal, mark: Decimal, now: int, *, jump: bool = False
) -> None:
    """Move last and mark price together; everything on their way trades or triggers at the price it waits for.

    With ``jump`` the market gaps: both prices are at their goal before anything trades or triggers.
    """
    market.taken.clear()
    before = market.last
    _walk(ex, market, Path(market.last, last, market.mark, mark), now, jump=jump)
    market.last, market.mark = last, mark
    if last != before:
        _print_trade(ex, market, now, rises=last > before)
    if market.held:
        liquidate(ex, market, now)
    if market.trailing:
        follow_trailing_stops(ex, market, now)
    market.updates += 1
    market.record_price(ex.market_ms or now)
    ex.moved_symbols.add(market.rules.symbol)
    expire_exits_without_position(ex, now)


def _walk(ex: Exchange, market: Market, path: Path, now: int, *, jump: bool) -> None:
    """Visit everything on the path, each once; what is placed on the way is met on the rest of it only."""
    if jump:
        path.go_to(market, ONE)
    visited: set[tuple[int, int]] = set()
    while ahead := [point for point in path.waypoints(market) if point[1:] not in visited]:
        for share, kind, ident in ahead:
            visited.add((kind, ident))
            if not jump:
                path.go_to(market, share)
            if kind == LIMIT_ORDER:
                _reach_resting_order(ex, market, ident, path.last_goal, now)
            else:
                _reach_trigger(ex, market, ident, now)
        path = Path(market.last, path.last_goal, market.mark, path.mark_goal)


def _share(price: Decimal, start: Decimal, goal: Decimal) -> Decimal:
    """How far along the way from start to goal this price lies, between 0 and 1."""
    if start == goal:
        return ZERO
    return min(ONE, max(ZERO, (price - start) / (goal - start)))


def _reach_resting_order(ex: Exchange, market: Market, order_id: int, goal: Decimal, now: int) -> None:
    order = ex.orders.get(order_id)
    if order is None or not order.is_open:
        return
    if order.side == "BUY":
        through = min(market.last, goal) < order.price
    else:
        through = max(market.last, goal) > order.price
    trade_resting(ex, market, order, now, through=through)


def _reach_trigger(ex: Exchange, market: Market, algo_id: int, now: int) -> None:
    algo = ex.algos.get(algo_id)
    if algo is None or algo.status != "NEW" or (algo.price_protect and _prices_diverge(market)):
        return
    trigger_algo(ex, algo, market, now)
    expire_exits_without_position(ex, now)


def _prices_diverge(market: Market) -> bool:
    """Whether last and mark price are farther apart than the symbol's ``triggerProtect`` allows."""
    return abs(market.mark - market.last) > market.rules.protect * market.mark


def _print_trade(ex: Exchange, market: Market, now: int, *, rises: bool) -> None:
    """A price moves because somebody trades: print that trade on the tape."""
    rules = market.rules
    lots = 1 + (market.trades * 7919) % 40
    quantity = max(rules.lot_min, rules.step) * lots
    ex.public_trades.append((rules.symbol, market.record_trade(market.last, quantity, not rises, now)))

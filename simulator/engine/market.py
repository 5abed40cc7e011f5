"""One symbol's market: prices, the depth around them, and everything that waits for a price."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

from simulator.engine.decimals import ZERO
from simulator.engine.levels import Levels
from simulator.engine.records import Algo, Order, Position
from simulator.engine.symbol_rules import Rules

MINUTE = 60_000


@dataclass(slots=True)
class Depth:
    """How much rests on each price level of the book, and how many levels there are on each side."""

    per_level: Decimal
    levels: int
    spacing: Decimal
    growth: Decimal  # how much more each level farther away holds, as a share of the first
    queue: Decimal = ZERO  # how much rests ahead of a new limit order at its price


@dataclass(slots=True)
class Bar:
    """One minute of trading. ``trades`` counts price changes."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    trades: int = 0

    def extend(self, price: Decimal, volume: Decimal) -> None:
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += volume
        self.trades += 1


@dataclass(slots=True)
class Market:
    """The prices of one symbol, and the orders that wait for them."""

    rules: Rules
    last: Decimal
    mark: Decimal
    depth: Depth
    funding: Decimal = Decimal("0.00010000")
    buys: Levels = field(default_factory=Levels)
    sells: Levels = field(default_factory=Levels)
    triggers: dict[tuple[str, bool], Levels] = field(  # by working type and whether they trigger on a rise
        default_factory=lambda: {
            (working, rise): Levels()
            for working in ("CONTRACT_PRICE", "MARK_PRICE")
            for rise in (True, False)
        }
    )
    trailing: dict[int, Algo] = field(default_factory=dict)
    held: dict[tuple[str, str], Position] = field(default_factory=dict)
    # (side, price): the quantity traded there since the last price move
    taken: dict[tuple[str, Decimal], Decimal] = field(default_factory=dict)
    recent_trades: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=1000))
    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=3000))
    mark_bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=3000))
    trades: int = 0
    updates: int = 0

    @property
    def update_id(self) -> int:
        """The id of the book's last update."""
        return 10_000_000_000 + self.updates

    def round_to_tick(self, price: Decimal) -> Decimal:
        """Round a price to the nearest tick."""
        tick = self.rules.tick
        if not tick:
            return price
        return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick

    def best(self, side: str) -> Decimal:
        """The best price for a taker on this side: the best bid is the last price, the best ask one tick above."""
        return self.last + self.rules.tick if side == "BUY" else self.last

    def working_price(self, algo: Algo) -> Decimal:
        return self.mark if algo.working == "MARK_PRICE" else self.last

    def level(self, side: str, number: int) -> tuple[Decimal, Decimal]:
        """Price and remaining quantity of a level, numbered from the best one, for a taker on this side."""
        offset = self.depth.spacing * number
        price = self.best(side) + (offset if side == "BUY" else -offset)
        quantity = self.depth.per_level * (1 + self.depth.growth * number)
        step = self.rules.step
        if step and self.depth.growth:
            quantity = (quantity / step).to_integral_value(ROUND_DOWN) * step
        return price, max(ZERO, quantity - self.taken.get((side, price), ZERO))

    def take(self, side: str, price: Decimal, quantity: Decimal) -> None:
        """Use up quantity at a price until the price moves again."""
        self.taken[side, price] = self.taken.get((side, price), ZERO) + quantity

    def add_resting(self, order: Order) -> None:
        (self.buys if order.side == "BUY" else self.sells).add(order.price, order.id)

    def remove_resting(self, order: Order) -> None:
        (self.buys if order.side == "BUY" else self.sells).remove(order.price, order.id)

    def add_waiting(self, algo: Algo) -> None:
        if algo.type == "TRAILING_STOP_MARKET":
            self.trailing[algo.id] = algo
        else:
            self.triggers[algo.working, algo.triggers_on_rise].add(algo.trigger, algo.id)

    def remove_waiting(self, algo: Algo) -> None:
        if algo.type == "TRAILING_STOP_MARKET":
            self.trailing.pop(algo.id, None)
        else:
            self.triggers[algo.working, algo.triggers_on_rise].remove(algo.trigger, algo.id)

    def record_trade(self, price: Decimal, quantity: Decimal, taker_sells: bool, now: int) -> dict[str, Any]:
        """Add a trade to the public ones."""
        self.trades += 1
        row = {"p": price, "q": quantity, "t": self.trades, "m": taker_sells, "T": now}
        self.recent_trades.append(row)
        return row

    def record_price(self, market_ms: int, volume: Decimal = ZERO) -> None:
        """Add the last price to the bar of this minute, and the mark price to its own."""
        start = market_ms - market_ms % MINUTE
        _recorded(self.bars, start, self.last, volume)
        _recorded(self.mark_bars, start, self.mark, ZERO)


def _recorded(bars: deque[Bar], start: int, price: Decimal, volume: Decimal) -> None:
    if bars and bars[-1].start >= start:
        bars[-1].extend(price, volume)
    else:
        bars.append(Bar(start, price, price, price, price, volume, 1))


def depth_for(rules: Rules, price: Decimal) -> Depth:
    """A deep book: some 250,000 quote units on the first level, a little more on each level behind it."""
    step = rules.step or Decimal(1)
    per_level = (Decimal(250_000) / max(price, rules.tick or step) / step).to_integral_value(
        ROUND_DOWN
    ) * step
    tick = rules.tick or Decimal(1)
    spacing = max(tick, (price / 50_000 / tick).to_integral_value(ROUND_HALF_EVEN) * tick)
    return Depth(max(per_level, rules.lot_min * 100), 400, spacing, Decimal("0.05"))

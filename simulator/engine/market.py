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
    """How much stands on each price level, and how many levels there are on each side."""

    per_level: Decimal
    levels: int
    spacing: Decimal
    growth: Decimal  # each level farther away holds so much more, as a share of the first
    queue: Decimal = ZERO  # stands before a newly resting limit order at its price


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

    def see(self, price: Decimal, volume: Decimal) -> None:
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += volume
        self.trades += 1


@dataclass(slots=True)
class Market:
    """Prices and waiting orders of one symbol."""

    rules: Rules
    last: Decimal
    mark: Decimal
    depth: Depth
    funding: Decimal = Decimal("0.00010000")
    buys: Levels = field(default_factory=Levels)
    sells: Levels = field(default_factory=Levels)
    # Triggers by (working price, fires upwards?).
    triggers: dict[tuple[str, bool], Levels] = field(
        default_factory=lambda: {
            (working, up): Levels() for working in ("CONTRACT_PRICE", "MARK_PRICE") for up in (True, False)
        }
    )
    trailing: dict[int, Algo] = field(default_factory=dict)
    held: dict[tuple[str, str], Position] = field(default_factory=dict)
    taken: dict[tuple[str, Decimal], Decimal] = field(
        default_factory=dict
    )  # (side, level) -> gone since the last move
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=1000))  # newest trades
    bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=3000))
    trades: int = 0
    updates: int = 0

    def nearest(self, price: Decimal) -> Decimal:
        """Round a price to the nearest place of the grid."""
        tick = self.rules.tick
        if not tick:
            return price
        return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick

    def best(self, side: str) -> Decimal:
        """The best price a taker on this side meets: asks stand one tick above the last price."""
        return self.last + self.rules.tick if side == "BUY" else self.last

    def working(self, algo: Algo) -> Decimal:
        return self.mark if algo.working == "MARK_PRICE" else self.last

    def level(self, side: str, number: int) -> tuple[Decimal, Decimal]:
        """Price and what is left of the level with this number, seen by a taker on ``side``."""
        offset = self.depth.spacing * number
        price = self.best(side) + (offset if side == "BUY" else -offset)
        stands = self.depth.per_level * (1 + self.depth.growth * number)
        step = self.rules.step
        if step and self.depth.growth:
            stands = (stands / step).to_integral_value(ROUND_DOWN) * step
        return price, max(ZERO, stands - self.taken.get((side, price), ZERO))

    def rest(self, order: Order) -> None:
        (self.buys if order.side == "BUY" else self.sells).add(order.price, order.id)

    def unrest(self, order: Order) -> None:
        (self.buys if order.side == "BUY" else self.sells).remove(order.price, order.id)

    def wait(self, algo: Algo) -> None:
        if algo.type == "TRAILING_STOP_MARKET":
            self.trailing[algo.id] = algo
        else:
            self.triggers[algo.working, algo.is_up].add(algo.trigger, algo.id)

    def unwait(self, algo: Algo) -> None:
        if algo.type == "TRAILING_STOP_MARKET":
            self.trailing.pop(algo.id, None)
        else:
            self.triggers[algo.working, algo.is_up].remove(algo.trigger, algo.id)

    def trade(self, price: Decimal, quantity: Decimal, taker_sells: bool, now: int) -> dict[str, Any]:
        """Enter a trade into the public record."""
        self.trades += 1
        row = {"p": price, "q": quantity, "t": self.trades, "m": taker_sells, "T": now}
        self.recent.append(row)
        return row

    def see(self, market_ms: int, volume: Decimal = ZERO) -> None:
        """Enter the last price into the bar of this minute."""
        start = market_ms - market_ms % MINUTE
        if self.bars and self.bars[-1].start >= start:
            self.bars[-1].see(self.last, volume)
        else:
            opened = self.bars[-1].close if self.bars else self.last
            bar = Bar(start, opened, max(opened, self.last), min(opened, self.last), self.last, volume, 1)
            self.bars.append(bar)


def depth_for(rules: Rules, price: Decimal) -> Depth:
    """A deep book: some 250,000 quote units on the first level, a little more on each one behind it."""
    step = rules.step or Decimal(1)
    per_level = (Decimal(250_000) / max(price, rules.tick or step) / step).to_integral_value(
        ROUND_DOWN
    ) * step
    tick = rules.tick or Decimal(1)
    spacing = max(tick, (price / 50_000 / tick).to_integral_value(ROUND_HALF_EVEN) * tick)
    return Depth(max(per_level, rules.lot_min * 100), 400, spacing, Decimal("0.05"))

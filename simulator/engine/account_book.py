"""One account's book: its positions, orders, fills and income, indexed for quick answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulator.engine.decimals import ZERO
from simulator.engine.records import Account, Algo, Fill, Income, Order, Position


@dataclass(slots=True)
class Book:
    """What belongs to one account, indexed for quick answers."""

    account: Account
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    held: dict[tuple[str, str], Position] = field(default_factory=dict)  # those that are not flat
    open_orders: dict[int, Order] = field(default_factory=dict)
    open_ids: dict[str, int] = field(default_factory=dict)
    last_ids: dict[str, int] = field(default_factory=dict)  # client id -> the newest order that had it
    unfilled_orders: deque[int] = field(default_factory=deque)  # ended; forgotten after 3 days
    filled_orders: deque[int] = field(default_factory=deque)  # ended; forgotten after 90 days
    open_algos: dict[int, Algo] = field(default_factory=dict)
    open_algo_ids: dict[str, int] = field(default_factory=dict)
    last_algo_ids: dict[str, int] = field(default_factory=dict)
    idle_algos: deque[int] = field(default_factory=deque)  # ended without a child
    born_algos: deque[int] = field(default_factory=deque)  # ended with one
    fills: deque[Fill] = field(default_factory=lambda: deque(maxlen=50_000))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=100_000))
    # (symbol, position side) -> quantity of resting orders that may open, [buying, selling], and their value
    resting: dict[tuple[str, str], list[Decimal]] = field(default_factory=dict)
    orders_10s: list[int] = field(default_factory=lambda: [0, 0])  # [window, orders in it]
    orders_1m: list[int] = field(default_factory=lambda: [0, 0])
    liquidation: dict[str, tuple[Any, Decimal]] = field(
        default_factory=dict
    )  # symbol -> (what it rests on, price)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=5_000))

    def position(self, symbol: str, side: str) -> Position:
        found = self.positions.get((symbol, side))
        if found is None:
            found = self.positions[symbol, side] = Position(self.account.name, symbol, side)
        return found

    def amount(self, symbol: str, side: str) -> Decimal:
        found = self.held.get((symbol, side))
        return found.amount if found else ZERO

    def closable(self, symbol: str, position_side: str, side: str) -> Decimal:
        """How much of the position an order on this side could close; zero when it would open."""
        amount = self.amount(symbol, position_side)
        return abs(amount) if amount and (amount > 0) == (side == "SELL") else ZERO

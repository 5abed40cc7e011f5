"""One account's book: its positions, orders, fills and income, indexed for quick answers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulator.engine.decimals import ZERO
from simulator.engine.records import Account, Algo, Fill, Income, Order, Position


@dataclass(slots=True)
class Resting:
    """The resting orders of one slot that may open or enlarge a position, added up by side."""

    buy_quantity: Decimal = ZERO
    sell_quantity: Decimal = ZERO
    buy_notional: Decimal = ZERO
    sell_notional: Decimal = ZERO

    def add(self, side: str, quantity: Decimal, notional: Decimal) -> None:
        if side == "BUY":
            self.buy_quantity += quantity
            self.buy_notional += notional
        else:
            self.sell_quantity += quantity
            self.sell_notional += notional


@dataclass(slots=True)
class AccountBook:
    """Everything that belongs to one account."""

    account: Account
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    held: dict[tuple[str, str], Position] = field(default_factory=dict)  # those that are not flat
    open_orders: dict[int, Order] = field(default_factory=dict)
    open_order_ids: dict[str, int] = field(default_factory=dict)  # by client id
    last_order_ids: dict[str, int] = field(default_factory=dict)  # client id: the newest order that had it
    unfilled_orders: deque[int] = field(default_factory=deque)  # ended without a fill; kept for 3 days
    filled_orders: deque[int] = field(default_factory=deque)  # ended with one; kept for 90 days
    open_algos: dict[int, Algo] = field(default_factory=dict)
    open_algo_ids: dict[str, int] = field(default_factory=dict)
    last_algo_ids: dict[str, int] = field(default_factory=dict)
    untriggered_algos: deque[int] = field(default_factory=deque)  # ended without a child
    triggered_algos: deque[int] = field(default_factory=deque)  # ended with one
    fills: deque[Fill] = field(default_factory=lambda: deque(maxlen=50_000))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=100_000))
    resting: dict[tuple[str, str], Resting] = field(default_factory=dict)  # by symbol and position side
    orders_10s: list[int] = field(default_factory=lambda: [0, 0])  # [window, orders in it]
    orders_1m: list[int] = field(default_factory=lambda: [0, 0])
    # symbol: (what the price was computed from, liquidation price)
    liquidation: dict[str, tuple[Any, Decimal]] = field(default_factory=dict)
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

    def resting_in(self, symbol: str, position_side: str) -> Resting:
        """The sums of what rests there and may open; all zero where nothing does."""
        return self.resting.get((symbol, position_side)) or Resting()

    def count_resting(self, order: Order) -> None:
        """Add what is left of an open order to the sums."""
        if not order.only_reduces:
            sums = self.resting.setdefault((order.symbol, order.position_side), Resting())
            sums.add(order.side, order.remaining, order.remaining * order.price)

    def uncount_resting(self, order: Order) -> None:
        """Take what is left of an open order out of the sums."""
        if order.only_reduces:
            return
        spot = order.symbol, order.position_side
        sums = self.resting[spot]
        sums.add(order.side, -order.remaining, -order.remaining * order.price)
        if not sums.buy_quantity and not sums.sell_quantity:
            del self.resting[spot]

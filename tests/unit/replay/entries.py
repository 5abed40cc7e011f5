"""A strategy for replays whose entries wait: above the last bar to buy, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signals.strategies.api import Action, History, Position, Signal, parameter


@dataclass(frozen=True)
class AboveTheHigh:
    """Buys where the high of the last bar is broken, and takes back what has waited for one bar."""

    distance: Decimal = parameter(Decimal("0.002"), least=Decimal("0.0001"), help="of stop and target")
    limit: bool = parameter(False, help="a limit order at the trigger instead of a market order")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        if position.is_waiting:
            return Signal(Action.CLOSE, reason="not broken")
        if not position.is_flat:
            return None
        trigger = history.last.high + Decimal("0.0001")
        return Signal(
            Action.BUY,
            trigger - self.distance,
            trigger + self.distance,
            price=trigger if self.limit else None,
            trigger_price=trigger,
            reason="waits above the high",
        )

"""Moving-average cross: enter when the fast average of the closes crosses the slow one."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signals.strategies.api import Action, History, Position, Signal, parameter
from signals.strategies.indicators import mean


@dataclass(frozen=True)
class Crossover:
    """Buys when the fast average crosses the slow one upwards, sells short when downwards."""

    fast: int = parameter(10, least=1, most=400, help="bars of the fast average")
    slow: int = parameter(30, least=2, most=500, help="bars of the slow average; more than the fast one's")
    stop_percent: Decimal = parameter(
        Decimal(1), least=Decimal("0.05"), most=Decimal(50), help="the stop's distance, in percent"
    )
    target_percent: Decimal = parameter(
        Decimal(2), least=Decimal("0.05"), most=Decimal(90), help="the target's distance, in percent"
    )

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError("the fast average must have fewer bars than the slow one")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        if len(history) < self.slow + 1:
            return None
        closes = history.closes
        was, now = self._spread(closes[:-1]), self._spread(closes)
        close = closes[-1]
        stop, target = close * self.stop_percent / 100, close * self.target_percent / 100
        figures = {"close": close, "spread": now, "spread before": was}
        if was <= 0 < now:
            return Signal(
                Action.BUY, close - stop, close + target,
                reason=f"the average of {self.fast} crossed that of {self.slow} upwards", figures=figures,
            )  # fmt: skip
        if was >= 0 > now:
            return Signal(
                Action.SELL, close + stop, close - target,
                reason=f"the average of {self.fast} crossed that of {self.slow} downwards", figures=figures,
            )  # fmt: skip
        return None

    def _spread(self, closes: list[Decimal]) -> Decimal:
        return mean(closes[-self.fast :]) - mean(closes[-self.slow :])

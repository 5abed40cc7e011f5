"""Mean reversion on a band: enter against a close outside the band, with the middle of the band as target."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signals.strategies.api import Action, History, Position, Signal, parameter
from signals.strategies.indicators import deviation, mean


@dataclass(frozen=True)
class Reversion:
    """Buys below the band and sells short above it; the target is the band's middle, the stop as far away again."""

    bars: int = parameter(20, least=2, most=400, help="how many bars make the band")
    width: Decimal = parameter(
        Decimal(2),
        least=Decimal("0.1"),
        most=Decimal(10),
        help="half the band's width, in standard deviations",
    )

    def on_candle(self, history: History, position: Position) -> Signal | None:
        if len(history) < self.bars or not position.is_flat:
            return None
        closes = history.closes[-self.bars :]
        close, middle, spread = closes[-1], mean(closes), deviation(closes)
        reach = abs(middle - close)
        figures = {"close": close, "middle": middle, "deviation": spread}
        if not spread or reach <= spread * self.width:
            return None
        if close < middle:
            return Signal(
                Action.BUY, close - reach, middle,
                reason=f"closed more than {self.width} deviations below the mean", figures=figures,
            )  # fmt: skip
        return Signal(
            Action.SELL, close + reach, middle,
            reason=f"closed more than {self.width} deviations above the mean", figures=figures,
        )  # fmt: skip

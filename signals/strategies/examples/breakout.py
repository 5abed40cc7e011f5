"""Breakout: enter when a bar closes beyond the range of the bars before it, with stop and target in ATR."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from signals.strategies.api import Action, History, Position, Signal, parameter
from signals.strategies.indicators import average_true_range


@dataclass(frozen=True)
class Breakout:
    """Enters where the close leaves the range of the bars before; stop some ATR away, target a multiple of the risk."""

    bars: int = parameter(20, least=2, most=400, help="how many bars make the range")
    atr_bars: int = parameter(14, least=1, most=400, help="over how many bars the ATR is taken")
    stop_atr: Decimal = parameter(
        Decimal(2), least=Decimal("0.1"), most=Decimal(20), help="the stop's distance, in ATR"
    )
    target_r: Decimal = parameter(
        Decimal(2),
        least=Decimal("0.1"),
        most=Decimal(50),
        help="the target's distance, as a multiple of the stop's",
    )
    shorts: bool = parameter(True, help="also enter short")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        if len(history) < max(self.bars, self.atr_bars) + 1 or not position.is_flat:
            return None
        before = history.candles[-self.bars - 1 : -1]
        close = history.last.close
        highest, lowest = max(c.high for c in before), min(c.low for c in before)
        atr = average_true_range(history.candles, self.atr_bars)
        distance = atr * self.stop_atr
        if not distance:
            return None
        figures = {"close": close, "highest": highest, "lowest": lowest, "atr": atr}
        if close > highest:
            return Signal(
                Action.BUY, close - distance, close + distance * self.target_r,
                reason=f"closed above the high of {self.bars} bars", figures=figures,
            )  # fmt: skip
        if self.shorts and close < lowest and close > distance * self.target_r:
            return Signal(
                Action.SELL, close + distance, close - distance * self.target_r,
                reason=f"closed below the low of {self.bars} bars", figures=figures,
            )  # fmt: skip
        return None

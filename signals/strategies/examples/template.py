"""A template: copy it, name it in ``STRATEGIES``, and write ``on_candle``."""

from __future__ import annotations

from dataclasses import dataclass

from signals.strategies.api import History, Position, Signal, parameter


@dataclass(frozen=True)
class Template:
    """Looks at each bar and never wants anything."""

    bars: int = parameter(20, least=1, most=500, help="a parameter, for show")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        return None

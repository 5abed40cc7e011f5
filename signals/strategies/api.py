"""What a strategy is given, and what it may answer.

A strategy is a dataclass; its fields are its parameters. After each closed bar ``on_candle`` is called with the
history up to that bar, and with what the strategy holds. It returns a ``Signal``, or None. All numbers are ``Decimal``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

__all__ = ["Action", "Candle", "History", "Position", "Signal", "Strategy", "parameter"]


@dataclass(frozen=True, slots=True)
class Candle:
    """One closed bar. Times are the exchange's, in milliseconds; ``open_time`` is its key."""

    open_time: int
    close_time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """The closed bars of one symbol, oldest first; the bar that has just closed is the last one."""

    symbol: str
    timeframe: str
    candles: Sequence[Candle]

    def __len__(self) -> int:
        return len(self.candles)

    @property
    def last(self) -> Candle:
        return self.candles[-1]

    @property
    def closes(self) -> list[Decimal]:
        return [candle.close for candle in self.candles]


@dataclass(frozen=True, slots=True)
class Position:
    """What this strategy's own trios hold of the symbol, on all its accounts together. Quantity 0: nothing.

    ``quantity`` is negative for a short. ``is_waiting``: a trio of it is on its way, or its entry rests.
    """

    quantity: Decimal = Decimal(0)
    is_waiting: bool = False

    @property
    def is_flat(self) -> bool:
        return not self.quantity and not self.is_waiting


class Action(enum.StrEnum):
    BUY = "BUY"  # enter long
    SELL = "SELL"  # enter short
    CLOSE = "CLOSE"  # close what this strategy holds


@dataclass(frozen=True, slots=True)
class Signal:
    """A decision. Levels are prices; they are fitted to the symbol's tick, towards less risk, when it is executed.

    ``price`` makes the entry a limit order, ``trigger_price`` a stop entry: it waits for the mark price, above the market to
    buy and below it to sell; both together a stop entry with a limit. An entry needs stop and target. ``protection``
    (PRE_ARMED, ON_FIRST_FILL) says when they go out, empty: by the environment's default. ``reason`` is shown to
    people, and ``figures`` beside it are what the decision rests on.
    """

    action: Action
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    price: Decimal | None = None
    reason: str = ""
    figures: Mapping[str, Decimal] = field(default_factory=dict)
    trigger_price: Decimal | None = None
    protection: str = ""


class Strategy(Protocol):
    """What a strategy's class offers."""

    def on_candle(self, history: History, position: Position) -> Signal | None: ...


def parameter(
    default: Any, *, least: Any = None, most: Any = None, choices: Sequence[str] = (), help: str = ""
) -> Any:
    """Declare one parameter of a strategy: its default, its bounds, and a sentence for the form."""
    metadata = {"least": least, "most": most, "choices": tuple(choices), "help": help}
    return field(default=default, metadata=metadata)

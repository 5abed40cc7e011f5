"""Tables of the trading core. The database is the truth; the queue only a nudge."""

from orders.models.book import Slot
from orders.models.drift import DriftChoices
from orders.models.income import FeePrice, Income, IncomeReading, IncomeShare
from orders.models.journal import (
    AnchoredHead,
    Fill,
    JournalAnchor,
    Outcome,
    Request,
    Sighting,
    TrioEvent,
)
from orders.models.liveness import Clock, Heartbeat, Install, Watch
from orders.models.risk_limit import RiskLimit
from orders.models.symbols import Symbol
from orders.models.trio import (
    BreakEvenTrigger,
    Chase,
    EntryChangeWish,
    Leg,
    LevelMove,
    Reversal,
    SizeChange,
    Trail,
    TrioOrder,
)

__all__ = [
    "AnchoredHead",
    "BreakEvenTrigger",
    "Chase",
    "Clock",
    "DriftChoices",
    "EntryChangeWish",
    "FeePrice",
    "Fill",
    "Heartbeat",
    "Income",
    "IncomeReading",
    "IncomeShare",
    "Install",
    "JournalAnchor",
    "Leg",
    "LevelMove",
    "Outcome",
    "Request",
    "Reversal",
    "RiskLimit",
    "Sighting",
    "SizeChange",
    "Slot",
    "Symbol",
    "Trail",
    "TrioEvent",
    "TrioOrder",
    "Watch",
]

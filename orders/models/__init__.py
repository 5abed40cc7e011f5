"""Tables of the trading core. The database is the truth; the queue only a nudge."""

from orders.models.book import Slot
from orders.models.bulk import BulkItem, BulkRun
from orders.models.drift import DriftChoices
from orders.models.income import EquityDay, FeePrice, Income, IncomeReading, IncomeShare
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
from orders.models.remarks import TrioNote, TrioTag
from orders.models.risk_limit import RiskLimit
from orders.models.symbols import Symbol
from orders.models.ticket_template import TicketTemplate
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
    "BulkItem",
    "BulkRun",
    "Chase",
    "Clock",
    "DriftChoices",
    "EntryChangeWish",
    "EquityDay",
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
    "TicketTemplate",
    "Trail",
    "TrioEvent",
    "TrioNote",
    "TrioOrder",
    "TrioTag",
    "Watch",
]

"""Tables of the trading core. The database is the truth; the queue only a nudge."""

from orders.models.book import Slot
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
from orders.models.trio import EntryChangeWish, Leg, LevelMove, TrioOrder

__all__ = [
    "AnchoredHead",
    "Clock",
    "EntryChangeWish",
    "Fill",
    "Heartbeat",
    "Install",
    "JournalAnchor",
    "Leg",
    "LevelMove",
    "Outcome",
    "Request",
    "RiskLimit",
    "Sighting",
    "Slot",
    "Symbol",
    "TrioEvent",
    "TrioOrder",
    "Watch",
]

"""What operators see: trios and their actions, and everything else to look at."""

from orders.admin.bulk import BulkRunAdmin
from orders.admin.drift import DriftChoicesAdmin
from orders.admin.income import IncomeAdmin, IncomeReadingAdmin
from orders.admin.journal import FillAdmin, RequestAdmin, TrioEventAdmin
from orders.admin.limits import RiskLimitAdmin
from orders.admin.liveness import ClockAdmin, HeartbeatAdmin, WatchAdmin
from orders.admin.slots import SlotAdmin
from orders.admin.symbols import SymbolAdmin
from orders.admin.trio import TrioOrderAdmin

__all__ = [
    "BulkRunAdmin",
    "ClockAdmin",
    "DriftChoicesAdmin",
    "FillAdmin",
    "HeartbeatAdmin",
    "IncomeAdmin",
    "IncomeReadingAdmin",
    "RequestAdmin",
    "RiskLimitAdmin",
    "SlotAdmin",
    "SymbolAdmin",
    "TrioEventAdmin",
    "TrioOrderAdmin",
    "WatchAdmin",
]

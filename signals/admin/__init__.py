"""What operators see of signals: strategies and replays, sources and their posts, files, each signal and what became of it."""

from signals.admin.files import SizingRuleAdmin, TrioFileAdmin
from signals.admin.replays import ReplayRunAdmin
from signals.admin.signals import SignalAdmin
from signals.admin.sources import HookPostAdmin, HookSourceAdmin
from signals.admin.strategies import StrategyAdmin

__all__ = [
    "HookPostAdmin",
    "HookSourceAdmin",
    "ReplayRunAdmin",
    "SignalAdmin",
    "SizingRuleAdmin",
    "StrategyAdmin",
    "TrioFileAdmin",
]

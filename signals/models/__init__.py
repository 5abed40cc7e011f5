"""Tables of signals."""

from signals.models.files import SizingRule, TrioFile
from signals.models.replay import ReplayRun
from signals.models.signal import Signal, SignalResult
from signals.models.source import HookPost, HookSecret, HookSource
from signals.models.strategy import Strategy, StrategyBar, StrategyEvent

__all__ = [
    "HookPost",
    "HookSecret",
    "HookSource",
    "ReplayRun",
    "Signal",
    "SignalResult",
    "SizingRule",
    "Strategy",
    "StrategyBar",
    "StrategyEvent",
    "TrioFile",
]

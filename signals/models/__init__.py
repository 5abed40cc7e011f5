"""Tables of signals."""

from signals.models.files import SizingRule, TrioFile
from signals.models.signal import Signal, SignalResult
from signals.models.source import HookPost, HookSecret, HookSource

__all__ = ["HookPost", "HookSecret", "HookSource", "Signal", "SignalResult", "SizingRule", "TrioFile"]

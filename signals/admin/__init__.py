"""What operators see of signals: webhook sources and their posts, each signal and what became of it."""

from signals.admin.files import SizingRuleAdmin, TrioFileAdmin
from signals.admin.signals import SignalAdmin
from signals.admin.sources import HookPostAdmin, HookSourceAdmin

__all__ = ["HookPostAdmin", "HookSourceAdmin", "SignalAdmin", "SizingRuleAdmin", "TrioFileAdmin"]

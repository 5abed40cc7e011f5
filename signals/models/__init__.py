"""Tables of signals."""

from signals.models.signal import Signal, SignalResult

__all__ = ["Signal", "SignalResult"]

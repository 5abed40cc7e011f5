"""RQ entry points that need the worker's room: an id in, nothing out. Safe to run twice, or never."""

from __future__ import annotations

from worker.signal_execution import signals_execute


def execute_signal(*signal_ids: int) -> None:
    """Carry out what is still to be done for these signals, as one batch."""
    signals_execute(signal_ids)

"""RQ entry points that need the worker's room: an id in, nothing out. Safe to run twice, or never."""

from __future__ import annotations

from worker.signal_execution import signals_execute


def execute_signal(signal_id: int) -> None:
    """Carry out what is still to be done for one signal."""
    signals_execute([signal_id])

"""Which moments a trio may be given: later than now, and not so far away that nothing can be reckoned with them. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

AHEAD_MAX: Final = timedelta(days=3653)


def moment_problem(moment: datetime, *, now: datetime) -> str:
    """Return why a trio cannot be given this moment; empty when it can."""
    if moment <= now:
        return "This time has passed already: choose a later one."
    if moment - now > AHEAD_MAX:
        return "This time is more than ten years ahead: choose an earlier one."
    return ""

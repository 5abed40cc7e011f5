"""Which moments a trio may be given: later than now, and not so far away that nothing can be reckoned with them. Pure."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Final

AHEAD_MAX: Final = timedelta(days=36_525)


class MomentProblem(enum.Enum):
    """Why a trio cannot be given a moment; ``says`` it of a moment that goes by ``what``."""

    PASSED = "has passed already: choose a later one."
    TOO_FAR = "is more than a hundred years ahead: choose an earlier one."

    def says(self, what: str = "This time") -> str:
        return f"{what} {self.value}"


def moment_problem(moment: datetime, *, now: datetime) -> MomentProblem | None:
    """Return why a trio cannot be given this moment; ``None`` when it can."""
    if moment <= now:
        return MomentProblem.PASSED
    return MomentProblem.TOO_FAR if moment - now > AHEAD_MAX else None

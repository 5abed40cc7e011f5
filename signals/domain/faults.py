"""What was wrong with a strategy: a kind and a fact, put into words here alone."""

from __future__ import annotations

import enum
from typing import Final


class Fault(enum.StrEnum):
    """Why a strategy was disabled."""

    UNKNOWN = "UNKNOWN"  # it is not, or no longer, among those of the installation
    IMPORT = "IMPORT"
    PARAMETERS = "PARAMETERS"
    RAISED = "RAISED"
    STALLED = "STALLED"
    EXITED = "EXITED"
    FLOODED = "FLOODED"
    MEMORY = "MEMORY"
    ANSWER = "ANSWER"


_SENTENCES: Final = {
    Fault.UNKNOWN: "No strategy of this name is in STRATEGIES, nor offered by an installed package.",
    Fault.IMPORT: "Its code could not be loaded.",
    Fault.PARAMETERS: "Its parameters are outside their bounds.",
    Fault.RAISED: "It raised an error.",
    Fault.STALLED: "It did not answer in time and was ended.",
    Fault.EXITED: "Its process ended by itself.",
    Fault.FLOODED: "It wrote more than an answer and was ended.",
    Fault.MEMORY: "It needed more memory than it may have.",
    Fault.ANSWER: "It returned something that is not a signal.",
}


def sentence(fault: Fault, detail: str = "") -> str:
    """Say what was wrong, for people."""
    return f"{_SENTENCES[fault]} ({detail})" if detail else _SENTENCES[fault]


class StrategyFailed(Exception):
    """A strategy did what none may do. ``fault`` says what, ``detail`` in its own words."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(sentence(fault, detail))
        self.fault = fault
        self.detail = detail

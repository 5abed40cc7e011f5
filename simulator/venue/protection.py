"""Whose fault uncovered time is: the client's, or the simulator's that refused or lost its protective request."""

from __future__ import annotations

from typing import Final

from simulator.engine import cover
from simulator.engine.cover import CoverHistory
from simulator.engine.exchange import Exchange
from simulator.venue.reply import Outcome
from simulator.venue.request import Request

# What the market or a fault brings about; any other refusal is a mistake of the client's.
EXCUSED: Final = frozenset(
    {-2021, -1008, -1000, -1001, -1006, -1007, -1015, -1003, -4131, 503, 500, 502, 504, 408, 418, 429}
)


def note_protection(ex: Exchange, history: CoverHistory, request: Request, outcome: Outcome) -> None:
    """Note in the uncovered interval of its slot, if one is open, what became of a protective request."""
    slot = request.protected_slot
    if slot is None:
        return
    cover.refresh(ex, history, request.now)
    if not outcome.failure:
        cover.note_success(ex, history, slot, request.now)
    elif not outcome.failure_code or outcome.failure_code in EXCUSED:
        cover.note_refusal(ex, history, slot, f"{request.now} {outcome.failure}")

"""Every guard, in the order of the page. Each room's own list says how it is taken away."""

from __future__ import annotations

from typing import Final

from tests.guards import (
    adopting,
    around,
    asking,
    books,
    chases,
    covering,
    doors,
    drifts,
    entry_changes,
    fitting,
    journal,
    limits,
    mechanism,
    moves,
    notices,
    parts,
    placing,
    signals,
    stop_entries,
    strategies,
    tickets,
    trails,
    turns,
    unknown,
    wire,
    word,
)
from tests.guards.guard import Guard

GUARDS: Final[tuple[Guard, ...]] = (
    *mechanism.GUARDS,
    *moves.GUARDS,
    *parts.GUARDS,
    *trails.GUARDS,
    *adopting.GUARDS,
    *drifts.GUARDS,
    *entry_changes.GUARDS,
    *stop_entries.GUARDS,
    *chases.GUARDS,
    *turns.GUARDS,
    *journal.GUARDS,
    *placing.GUARDS,
    *unknown.GUARDS,
    *covering.GUARDS,
    *fitting.GUARDS,
    *around.GUARDS,
    *limits.GUARDS,
    *signals.GUARDS,
    *strategies.GUARDS,
    *tickets.GUARDS,
    *asking.GUARDS,
    *books.GUARDS,
    *notices.GUARDS,
    *word.GUARDS,
    *doors.GUARDS,
    *wire.GUARDS,
)

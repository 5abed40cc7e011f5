"""Removals that show what the script says of each kind: two real ones, one nobody notices, two that say nothing."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal
from tests.guards.guards import GUARDS as ALL

STEPS: Final = "tests/unit/orders/domain/test_decide.py"
PATIENCE: Final = (f"{STEPS}::test_an_entry_in_doubt_is_looked_up_after_patience_then_each_second",)
REAL: Final = ("patience", "no end while a request is in flight")


def _example(name: str, old: str, new: str) -> Guard:
    return Guard(name, "", "", (Removal("orders/domain/decision/lookups.py", old, new),), PATIENCE)


GUARDS: Final[tuple[Guard, ...]] = (
    *(guard for guard in ALL if guard.name in REAL),
    _example("nothing at all", "Rest on a request in flight", "Rest on one in flight"),
    _example("what cannot be read", "    if trio.now < due:\n", "    if trio.now < due\n"),
    _example("what moved", "this text stands nowhere", ""),
)

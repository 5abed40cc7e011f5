"""Who uses how much processor time, by what a process is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# In the order of a trio's way.
PARTS: Final = ("queueing", "web", "rqworker", "runworker", "postgres", "valkey", "simulator")
# The exchange is not ours: a trio's cost here is without it.
OURS: Final = tuple(part for part in PARTS if part != "simulator")


def each(before: Mapping[str, float], after: Mapping[str, float], trios: int) -> dict[str, float]:
    """Return what each of so many trios cost, in ms, by part; this process is the one that queues."""
    found = {}
    for name, seconds in after.items():
        part = "queueing" if name == "this" else name
        found[part] = (seconds - before.get(name, 0.0)) * 1000 / trios
    return found


def ours(cost: Mapping[str, float]) -> float:
    """Return what everything of ours cost, PostgreSQL and Valkey included."""
    return sum(cost.get(part, 0.0) for part in OURS)

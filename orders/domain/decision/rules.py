"""How a list of rules decides.

A rule is a function of a few lines. It is given the trio (and, where its list is gone through for each leg, that
leg) and returns what is to be done, or ``None`` when it does not apply; its docstring says why it is there. To add a
case is to add a rule, and its place in the list is its priority. A list is gone through in one of two ways:

* **The first that applies** decides, from the top. A rule may rely on what those above it have dealt with: that a
  leg is not in doubt any more, say. A rule that applies and finds nothing to do rests (``Rest(None)``).
* **The soonest**: the rules stand beside each other, each with something of its own to watch. From the top, the
  first that has something to do now does it; while all of them wait, the trio rests until the earliest is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar, TypeVarTuple

from orders.domain.decision.steps import Rest, Step
from orders.domain.snapshot import LegView, TrioSnapshot

Outcome = TypeVar("Outcome")
Given = TypeVarTuple("Given")

Rule: TypeAlias = Callable[[TrioSnapshot], Step | None]
LegRule: TypeAlias = Callable[[TrioSnapshot, LegView], Step | None]


def first_that_applies(rules: Iterable[Callable[[*Given], Outcome]], *given: *Given) -> Outcome | None:
    """Return the outcome of the first rule that applies; nothing when none does."""
    for rule in rules:
        found = rule(*given)
        if found is not None:
            return found
    return None


def decided_by(rules: Iterable[Callable[[*Given], Step | None]], *given: *Given) -> Step:
    """Return the step of the first rule that applies, from a list whose last rule always does."""
    step = first_that_applies(rules, *given)
    assert step is not None, "the last rule of this list applies to every trio"
    return step


def soonest(steps: Iterable[Step | None]) -> Step | None:
    """Return the first step that does something now, else the earliest rest; nothing when there is no step."""
    rests: list[Rest] = []
    for step in steps:
        if isinstance(step, Rest):
            rests.append(step)
        elif step is not None:
            return step
    moments = [rest.until for rest in rests if rest.until is not None]
    return Rest(min(moments) if moments else None) if rests else None

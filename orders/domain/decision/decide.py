"""The one decision: what to do next with a trio. Cover comes before everything.

Placing, rolling back, cancelling, closing and recovering after a crash are all this function, asked
again with a different snapshot. There is no second path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from exchange.refusals import Refusal
from orders.domain.coverage import is_uncovered
from orders.domain.decision.conditions import armed_roles, wants_cover_while_leaving
from orders.domain.decision.cover import cover, hold
from orders.domain.decision.lifecycle import ending
from orders.domain.decision.lookups import awaited, due_read, earliest, first, observe, seen_since
from orders.domain.decision.order_plans import entry_plan, guard_plan
from orders.domain.decision.steps import (
    AskPerson,
    Cancel,
    Confirm,
    Done,
    Exit,
    Observe,
    Plan,
    Rest,
    Step,
    Submit,
)
from orders.domain.decision.turns import settle
from orders.domain.decision.unwind import cleared, tidy_late, undo
from orders.domain.enums import Form, LegState, Role, TrioState
from orders.domain.snapshot import TrioSnapshot

__all__ = [
    "AskPerson",
    "Cancel",
    "Confirm",
    "Decision",
    "Done",
    "Exit",
    "Observe",
    "Plan",
    "Rest",
    "Step",
    "Submit",
    "decide",
    "next_step",
]


@dataclass(frozen=True, slots=True)
class Decision:
    """The settled trio and the one thing to do next."""

    trio: TrioSnapshot
    step: Step

    @property
    def uncovered(self) -> bool:
        return is_uncovered(self.trio)


def decide(trio: TrioSnapshot) -> Decision:
    """Settle the trio's state from its facts, then choose the next step."""
    if trio.uncovered_known_at is None and is_uncovered(trio):
        trio = replace(trio, uncovered_known_at=trio.now)
    trio = settle(trio)
    return Decision(trio, next_step(trio))


def next_step(trio: TrioSnapshot) -> Step:
    """Choose the one thing to do next with a settled trio."""
    match trio.state:
        case TrioState.DRAFT:
            return Rest(None)
        case TrioState.QUEUED:
            return _queued(trio)
        case TrioState.PLACING:
            return _place(trio)
        case TrioState.WORKING:
            return _work(trio)
        case TrioState.WITHDRAWING:
            return _withdraw(trio)
        case TrioState.OPEN:
            return cover(trio) if is_uncovered(trio) else hold(trio)
        case TrioState.EXITING | TrioState.ROLLING_BACK:
            return cover(trio) if wants_cover_while_leaving(trio) else undo(trio)
        case TrioState.LATE:
            return tidy_late(trio)
        case _:
            return Done(trio.state)


# --- before a position ------------------------------------------------------------------------


def _queued(trio: TrioSnapshot) -> Step:
    """Wait for what placing needs; a dry run only asks the exchange to check the entry."""
    if trio.dry_run:
        entry = trio.entry
        if entry is None or (entry.state is LegState.PLANNED and (entry.retry_at or 0) <= trio.now):
            return Submit((entry_plan(trio, entry),), test=True)
        return Rest(earliest(entry.asked_at + trio.policies.patience, entry.retry_at, after=trio.now))
    return Rest(earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))


def _place(trio: TrioSnapshot) -> Step:
    entry = trio.entry
    if entry is not None and entry.state is not LegState.PLANNED:
        return awaited(trio, entry) if entry.pending else Rest(None)
    plans: list[Plan] = []
    waits: list[Step] = []
    for role in armed_roles(trio):
        leg = trio.newest(role)
        if leg is None or leg.state is LegState.WRITTEN_OFF:
            plans.append(guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity))
        elif leg.state is LegState.PLANNED:
            if (leg.retry_at or 0) > trio.now:
                waits.append(Rest(leg.retry_at))
            else:
                plans.append(guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity, again=leg))
        elif leg.pending:
            waits.append(awaited(trio, leg))
        elif leg.live and (due := due_read(trio, leg)):
            waits.append(due)
        elif not leg.live and not leg.pending:  # a target gone before the entry is placed anew
            plans.append(guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity))
    if plans:
        return Submit(tuple(plans))
    if waits:
        return first(waits)
    if any(leg.refusal is Refusal.NOT_WHILE_FLAT and not seen_since(trio, leg) for leg in trio.guards):
        return observe(trio)  # refused as "not while flat": see that nothing but that is the reason
    if not trio.worker_alive or not trio.book.placeable:
        return Rest(earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))
    if entry is not None and (entry.retry_at or 0) > trio.now:
        return Rest(earliest(entry.retry_at, trio.place_before, after=trio.now))
    return Submit((entry_plan(trio, entry),))


def _work(trio: TrioSnapshot) -> Step:
    waits = [due for leg in trio.legs if leg.live and (due := due_read(trio, leg))]
    waits += [awaited(trio, leg) for leg in trio.legs if leg.pending]
    return first([*waits, Rest(trio.good_till)])


def _withdraw(trio: TrioSnapshot) -> Step:
    """Take back the entry first: cover stays until nothing can fill any more."""
    if step := cleared(trio, trio.of(Role.ENTRY)):
        return step
    if step := cleared(trio, trio.guards):
        return step
    return Done(ending(trio.state, trio.cause))

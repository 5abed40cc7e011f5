"""The one decision: what to do next with a trio. Cover comes before everything.

Placing, rolling back, cancelling, closing and recovering after a crash are all this function, asked
again with a different snapshot. There is no second path.
"""

from __future__ import annotations

from dataclasses import dataclass

from orders.domain.coverage import is_uncovered
from orders.domain.decision.conditions import wants_cover_while_leaving
from orders.domain.decision.cover import cover, hold
from orders.domain.decision.drifts import gap_known, left_unprotected, strangers_named
from orders.domain.decision.entry_changes import change_ended
from orders.domain.decision.exchange_trail import trail_ended
from orders.domain.decision.moves import moves_ended
from orders.domain.decision.parts import sizes_ended, stop_follows
from orders.domain.decision.place import place, queue, withdraw, work
from orders.domain.decision.silence import silent
from orders.domain.decision.steps import Done, Rest, Step
from orders.domain.decision.transitions import apply_transitions
from orders.domain.decision.unwind import tidy_late, undo
from orders.domain.enums import TrioState
from orders.domain.snapshot import TrioSnapshot


@dataclass(frozen=True, slots=True)
class Decision:
    """The trio after its transitions, and the one thing to do next."""

    trio: TrioSnapshot
    step: Step

    @property
    def uncovered(self) -> bool:
        return is_uncovered(self.trio)


def decide(trio: TrioSnapshot) -> Decision:
    """Take the trio through the transitions its facts imply, then choose the next step."""
    trio = gap_known(trio)
    trio = wishes_ended(apply_transitions(wishes_ended(trio)))
    trio = stop_follows(sizes_ended(trio))  # only what stays open has a stop that follows
    trio = trail_ended(strangers_named(trio))
    return Decision(trio, next_step(trio))


def wishes_ended(trio: TrioSnapshot) -> TrioSnapshot:
    """End every wish whose fate is known."""
    return moves_ended(change_ended(trio))


def next_step(trio: TrioSnapshot) -> Step:
    """Choose the one thing to do next with a trio whose transitions were applied."""
    if trio.silence is not None and not (trio.state is TrioState.DRAFT or trio.state.is_end):
        return silent(trio)
    match trio.state:
        case TrioState.DRAFT:
            return Rest(None)
        case TrioState.QUEUED:
            return queue(trio)
        case TrioState.PLACING:
            return place(trio)
        case TrioState.WORKING:
            return work(trio)
        case TrioState.WITHDRAWING:
            return withdraw(trio)
        case TrioState.OPEN:
            return cover(trio) if is_uncovered(trio) and not left_unprotected(trio) else hold(trio)
        case TrioState.EXITING | TrioState.ROLLING_BACK:
            return cover(trio) if wants_cover_while_leaving(trio) else undo(trio)
        case TrioState.LATE:
            return tidy_late(trio)
        case _:
            return Done(trio.state)

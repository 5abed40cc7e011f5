"""What will be done next with a trio, and by which rule: the same decision, asked without carrying it out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from orders.domain.coverage import is_uncovered
from orders.domain.decision.conditions import wants_cover_while_leaving
from orders.domain.decision.cover import COVER, HOLD
from orders.domain.decision.decide import decide
from orders.domain.decision.drifts import left_unprotected
from orders.domain.decision.place import PLACE, QUEUE, WITHDRAW, WORK
from orders.domain.decision.rules import Rule
from orders.domain.decision.silence import SILENT
from orders.domain.decision.steps import (
    Amend,
    AnswerByPolicy,
    AskPerson,
    Cancel,
    CancelForeign,
    Confirm,
    ConfirmForeign,
    Done,
    Exit,
    Observe,
    Rest,
    Step,
    Submit,
    WithdrawQuestion,
)
from orders.domain.decision.unwind import TIDY_LATE, UNDO
from orders.domain.enums import TrioState
from orders.domain.snapshot import TrioSnapshot

FIRST: Final[Mapping[TrioState, Sequence[Rule]]] = {
    TrioState.QUEUED: QUEUE,
    TrioState.PLACING: PLACE,
    TrioState.WITHDRAWING: WITHDRAW,
    TrioState.LATE: TIDY_LATE,
}


@dataclass(frozen=True, slots=True)
class NextStep:
    """The step, in words, and the rule that chose it, with its reason. ``until``: when it is looked at again (database ms)."""

    step: Step
    words: str
    rule: str
    why: str
    until: int | None = None


def next_step_of(trio: TrioSnapshot) -> NextStep:
    """Say what would be done with a trio as it is in the snapshot, and why."""
    decision = decide(trio)
    rule = _rule(decision.trio, decision.step)
    why = ((rule.__doc__ or "").strip().splitlines() or [""])[0] if rule is not None else ""
    return NextStep(
        step=decision.step,
        words=_words(decision.step),
        rule=rule.__name__.replace("_", " ").strip() if rule is not None else "",
        why=why,
        until=decision.step.until if isinstance(decision.step, Rest) else None,
    )


def _rule(trio: TrioSnapshot, step: Step) -> Callable[[TrioSnapshot], Step | None] | None:
    """Return the rule that gave this step; ``None`` where none was asked."""
    first, beside = _lists(trio)
    for rule in first:
        found = rule(trio)
        if found is not None:
            return rule if found == step else None
    if step == Rest(None):  # each of them has nothing to do: none of them decided
        return None
    return next((rule for rule in beside if rule(trio) == step), None)


def _lists(trio: TrioSnapshot) -> tuple[Sequence[Rule], Sequence[Rule]]:
    """Return the list whose first rule that applies decides, and the one whose soonest does, for this trio."""
    state = trio.state
    if state is TrioState.DRAFT or state.is_end:
        return (), ()
    if trio.silence is not None:
        return SILENT, ()
    if state is TrioState.WORKING:
        return (), WORK
    if state is TrioState.OPEN:
        return (COVER, ()) if is_uncovered(trio) and not left_unprotected(trio) else ((), HOLD)
    if state in (TrioState.EXITING, TrioState.ROLLING_BACK):
        return (COVER if wants_cover_while_leaving(trio) else UNDO), ()
    return FIRST[state], ()


def _words(step: Step) -> str:
    match step:
        case Submit(plans, test):
            orders = " and ".join(plan.role.words for plan in plans)
            return f"Has the exchange check the {orders}" if test else f"Sends the {orders}"
        case Confirm(client_id):
            return f"Looks up order {client_id} at the exchange"
        case Cancel(client_ids):
            return f"Cancels {', '.join(client_ids)}"
        case CancelForeign(client_id):
            return f"Cancels {client_id}, which is not ours and was named"
        case ConfirmForeign(client_id):
            return f"Looks up whether {client_id} is gone"
        case Amend(client_id):
            return f"Changes {client_id} in place"
        case Exit():
            return "Closes the position at market"
        case Observe():
            return "Reads the position from the exchange"
        case Rest(None):
            return "Waits for news: a fill, an event, or a request of a person"
        case Rest():
            return "Waits, and looks again"
        case Done():
            return "Nothing more: it has ended"
        case AskPerson():
            return "Asks you a question"
        case AnswerByPolicy():
            return "Records what was changed outside, and the drift policy's response"
        case WithdrawQuestion():
            return "Withdraws its question: the reason is gone"

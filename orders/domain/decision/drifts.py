"""Somebody acts on the exchange beside us: what the facts say of that, and what the drift policy makes of it.

No policy lets a position stand without a stop: whatever it says, cover comes first, and what it adds is to ask, to take
on orders that are to be cancelled, or to close.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO
from orders.domain.coverage import is_uncovered
from orders.domain.decision.conditions import from_outside, is_dropped
from orders.domain.decision.lookups import read_position
from orders.domain.decision.steps import AnswerByPolicy, AskPerson, Rest, Step, WithdrawQuestion
from orders.domain.drift import SETTINGS_QUESTIONS, Drift, Response
from orders.domain.enums import LegState, Role, TrioState
from orders.domain.operator_questions import Choice, Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import Foreign, LegView, Stranger, TrioSnapshot

SETTLED_MS: Final = 2000  # a fill of ours may be reported later than the position that it left
CLOSES_FOR: Final = {
    Drift.STOP_CANCELLED: "The stop-loss was cancelled outside this system",
    Drift.REDUCED: "The position was reduced outside this system",
    Drift.INCREASED: "The position was increased outside this system",
    Drift.SETTINGS_CHANGED: "A setting of the account was changed outside this system",
}


# --- what has happened --------------------------------------------------------------------------


def stop_cancelled_outside(trio: TrioSnapshot) -> bool:
    """Is the position without a stop because somebody cancelled ours? What we cancel leaves only when another one stands."""
    stops = [leg for leg in trio.every(Role.STOP_LOSS) if not is_dropped(trio, leg)]
    if trio.position <= 0 or any(leg.live or leg.pending or leg.state is LegState.PLANNED for leg in stops):
        return False
    last = max((leg for leg in stops if leg.acknowledged), key=lambda leg: leg.ended_ts or 0, default=None)
    return last is not None and last.state is LegState.CANCELLED and not last.cancel_at


def left_unprotected(trio: TrioSnapshot) -> bool:
    """Does a person want it so that nothing covers, for now: its stop was cancelled outside, and the stated time is not over?"""
    until = trio.unprotected_until
    stands = until is not None and trio.now < until and trio.state is TrioState.OPEN
    return stands and stop_cancelled_outside(trio)


def protected_again(trio: TrioSnapshot) -> Step | None:
    """A position that a person left unprotected for a stated time is protected the moment that is over."""
    return Rest(trio.unprotected_until) if left_unprotected(trio) else None


def gap_known(trio: TrioSnapshot) -> TrioSnapshot:
    """Note since when a gap in the cover is known. One that a person wanted counts from the end of the stated time."""
    known, over = trio.uncovered_known_at, trio.unprotected_until
    wanted = known is not None and over is not None and known < over <= trio.now
    if (known is None or wanted) and is_uncovered(trio):
        return replace(trio, uncovered_known_at=trio.now)
    return trio


def taken_outside(trio: TrioSnapshot) -> Decimal:
    """Return how much less the exchange shows than what our orders left open, unless the exchange closed it itself."""
    shown = trio.slot.quantity
    if trio.forced or not trio.slot_is_newer or shown <= 0:
        return ZERO
    return max(ZERO, trio.ours - shown)


def settling(trio: TrioSnapshot) -> Step | None:
    """Return what still has to come before less than ours is somebody else's doing: an answer, a look, some time."""
    if any(_may_have_executed(leg) for leg in trio.legs if not leg.role.opens):
        return Rest(None)  # they are followed by rules of their own
    slot = trio.slot
    if not slot.from_event and slot.as_of < trio.executed_ts + SETTLED_MS:  # position look-ups lag
        over = trio.executed_ts + SETTLED_MS - trio.now_ts
        return Rest(trio.now + over) if over > 0 else read_position(trio)
    over = slot.as_of + SETTLED_MS - trio.now_ts
    return Rest(trio.now + over) if over > 0 else None


def _may_have_executed(leg: LegView) -> bool:
    at_work = leg.state in (LegState.TRIGGERED, LegState.PARTIALLY_FILLED)
    return leg.pending or at_work or (leg.live and leg.look_at is not None)


def unknown_strangers(trio: TrioSnapshot) -> tuple[Stranger, ...]:
    """Return the orders in the slot that are not ours and that nobody has decided about."""
    said = (answer for answer in trio.answered if answer.kind is QuestionKind.ORDERS_IN_SLOT)
    known = trio.foreign_known.union(*(answer.facts.get("ids", ()) for answer in said))
    return tuple(order for order in trio.slot.stranger_orders if order.client_id not in known)


# --- closed -------------------------------------------------------------------------------------


def drift_that_closes(trio: TrioSnapshot) -> Drift | None:
    """Return what has happened outside that closes the position by its policy; what a person has answered does not."""
    policy = trio.drift
    wished = (
        trio.unprotected_until is not None
    )  # by a person, who cancelled it; at its end it is protected again
    if policy.stop_cancelled is Response.CLOSE and stop_cancelled_outside(trio) and not wished:
        return Drift.STOP_CANCELLED
    if policy.increased is Response.CLOSE and from_outside(trio) and not _answered(trio, enlarged(trio)):
        return Drift.INCREASED
    reduced = policy.reduced is Response.CLOSE and taken_outside(trio)
    if reduced and not _answered(trio, lessened(trio)) and settling(trio) is None:
        return Drift.REDUCED
    return settings_that_close(trio)


def settings_that_close(trio: TrioSnapshot) -> Drift | None:
    """Return the change of settings that is being asked about, where the policy answers it with a close."""
    asked = trio.question is not None and trio.question.kind in SETTINGS_QUESTIONS
    return Drift.SETTINGS_CHANGED if asked and trio.drift.settings_changed is Response.CLOSE else None


def why_closed(drift: Drift) -> str:
    """Say why the position is closed, or what rests withdrawn."""
    return f"{CLOSES_FOR[drift]}, and the drift policy closes the trio then."


def _answered(trio: TrioSnapshot, question: Question) -> bool:
    return any(question.same_as(known) for known in trio.answered)


# --- increased ----------------------------------------------------------------------------------


def enlarged(trio: TrioSnapshot) -> Question:
    """Return the question about a position that is larger than what our orders can have made."""
    return Question(QuestionKind.POSITION_ENLARGED, _sizes(trio, trio.entry_filled))


def enlarged_from_outside(trio: TrioSnapshot) -> Step | None:
    """A position that a person made larger in the app is put to a person, once for each size, or by policy adopted. All of it is covered."""
    if not from_outside(trio):
        return None
    question = enlarged(trio)
    if trio.drift.increased is Response.ADOPT:
        return None if _answered(trio, question) else AnswerByPolicy(question, Choice.LEAVE)
    return _asked(trio, question)


def enlargement_gone(trio: TrioSnapshot) -> Step | None:
    """Nobody is asked any more about a size that the position certainly has no longer."""
    question, outside = trio.question, from_outside(trio)
    if question is None or question.kind is not QuestionKind.POSITION_ENLARGED or outside is None:
        return None
    still = outside > 0 and question.facts.get("position") == plain(trio.slot.quantity)
    return None if still else WithdrawQuestion(question)


# --- reduced ------------------------------------------------------------------------------------


def lessened(trio: TrioSnapshot) -> Question:
    """Return the question about a position that is smaller than what our orders left open."""
    return Question(QuestionKind.POSITION_REDUCED, _sizes(trio, trio.ours))


def reduced_outside(trio: TrioSnapshot) -> Step | None:
    """A position that a person made smaller in the app is put to a person where the policy says so, once for each size."""
    if trio.drift.reduced is Response.FOLLOW or not taken_outside(trio):
        return None
    question = lessened(trio)
    if _answered(trio, question):
        return None
    return settling(trio) or _asked(trio, question)


def reduction_gone(trio: TrioSnapshot) -> Step | None:
    """Nobody is asked any more about less than ours when the position has another size."""
    question = trio.question
    if question is None or question.kind is not QuestionKind.POSITION_REDUCED or not trio.slot_is_newer:
        return None
    still = taken_outside(trio) > 0 and question.facts.get("position") == plain(trio.slot.quantity)
    return None if still else WithdrawQuestion(question)


# --- orders in our slot -------------------------------------------------------------------------


def strangers_asked_about(trio: TrioSnapshot) -> Step | None:
    """Orders in the slot that are not ours are put to a person where the policy says so, once for each set of them."""
    strange = unknown_strangers(trio)
    if trio.drift.own_orders is not Response.ASK or not strange:
        return None
    facts = {
        "account": trio.account,
        "symbol": trio.rules.symbol,
        "ids": sorted(order.client_id for order in strange),
        "orders": "; ".join(order.text for order in strange),
        "found": [
            {"client_id": order.client_id, "conditional": order.conditional, "text": order.text}
            for order in strange
        ],
    }
    return _asked(trio, Question(QuestionKind.ORDERS_IN_SLOT, facts))


def strangers_gone(trio: TrioSnapshot) -> Step | None:
    """Nobody is asked any more about orders of which one is gone, or has been joined by another."""
    question = trio.question
    if question is None or question.kind is not QuestionKind.ORDERS_IN_SLOT:
        return None
    ids = sorted(order.client_id for order in unknown_strangers(trio))
    return None if ids == question.facts.get("ids") else WithdrawQuestion(question)


def strangers_named(trio: TrioSnapshot) -> TrioSnapshot:
    """Take on the orders in the slot that are not ours, to be cancelled, where the policy says so."""
    if trio.drift.own_orders is not Response.CANCEL or trio.state is not TrioState.OPEN:
        return trio
    strange = unknown_strangers(trio)
    if not strange:
        return trio
    taken_on = tuple(Foreign(order.client_id) for order in strange)
    return replace(trio, named=strange, foreign=(*trio.foreign, *taken_on))


# --- asking -------------------------------------------------------------------------------------


def _sizes(trio: TrioSnapshot, ours: Decimal) -> dict[str, str]:
    return {
        "account": trio.account,
        "symbol": trio.rules.symbol,
        "position": plain(trio.slot.quantity),
        "ours": plain(ours),
    }


def _asked(trio: TrioSnapshot, question: Question) -> Step | None:
    """Ask, unless something else is being asked, or this was answered."""
    other = trio.question is not None and trio.question.kind is not question.kind
    return AskPerson(question) if not other and trio.may_ask(question) else None

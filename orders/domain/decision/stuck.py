"""An order that was triggered and neither executes nor goes away: a person is asked to look for it."""

from __future__ import annotations

from orders.domain.decision.steps import AskPerson, Step, WithdrawQuestion
from orders.domain.enums import LegState
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import LegView, TrioSnapshot


def put_to_person(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """Ask a person to look for this order, once, and while nothing else is asked."""
    facts = {
        "what": leg.role.words,
        "client_id": leg.client_id,
        "symbol": trio.rules.symbol,
        "account": trio.account,
    }
    question = Question(QuestionKind.LEG_STUCK, facts)
    return AskPerson(question) if trio.question is None and trio.may_ask(question) else None


def stuck_no_more(trio: TrioSnapshot) -> Step | None:
    """Nobody is asked any more about an entry whose fate is known."""
    question = trio.question
    if question is None or question.kind is not QuestionKind.LEG_STUCK:
        return None
    named = (leg for leg in trio.legs if leg.client_id == question.facts.get("client_id"))
    still = any(leg.state is LegState.TRIGGERED and not leg.child_known for leg in named)
    return None if still else WithdrawQuestion(question)

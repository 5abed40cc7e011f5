"""While the exchange does not serve our address: nothing is sent, and who is uncovered asks a person at once."""

from __future__ import annotations

from typing import Final

from orders.domain.coverage import is_uncovered
from orders.domain.decision.rules import Rule, decided_by
from orders.domain.decision.steps import AskPerson, Rest, Step
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import TrioSnapshot

AFTER_MS: Final = 500  # what is covered goes on so long after what is not


def silent(trio: TrioSnapshot) -> Step:
    """Wait until the exchange serves our address again."""
    return decided_by(SILENT, trio)


def uncovered_while_silent(trio: TrioSnapshot) -> Step | None:
    """A position without a stop that nobody can protect now is put to a person, with the time it may last."""
    if trio.silence is None or not is_uncovered(trio):
        return None
    if trio.question is not None and trio.question.kind is QuestionKind.ADDRESS_CLOSED:
        return None
    facts = {
        "account": trio.silence.account,
        "symbol": trio.silence.symbol,
        "quantity": plain(trio.position),
        "until": trio.silence.until_text,
        "cause": trio.silence.cause.value,
        "ends": trio.silence.until,
    }
    question = Question(QuestionKind.ADDRESS_CLOSED, facts)
    return AskPerson(question) if trio.may_ask(question) else None


def silence_awaited(trio: TrioSnapshot) -> Step:
    """At its end what is uncovered goes first, and everything else a moment later."""
    assert trio.silence is not None
    until = trio.silence.until if is_uncovered(trio) else trio.silence.until + AFTER_MS
    waits = [until] if trio.place_before is None or trio.entry_filled > 0 else [until, trio.place_before]
    return Rest(min(moment for moment in waits if moment > trio.now))


SILENT: Final[tuple[Rule, ...]] = (
    uncovered_while_silent,
    silence_awaited,
)

"""An answer is a decision that sticks: nothing is asked twice about the same facts, whatever comes in between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.refusals import Refusal
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AskPerson, WithdrawQuestion
from orders.domain.enums import LegState, Role, TargetPolicy, TrioState
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import Silence, TrioSnapshot
from tests.unit.orders.domain.snapshots import (
    LONG,
    NOW,
    NOW_TS,
    D,
    entry,
    exit_order,
    holding,
    stop,
    target,
    trio,
)

KEEPS_STOP = replace(LONG, target_policy=TargetPolicy.KEEP_STOP)
ENTERED = D("0.010")
NOT_UNDERSTOOD, NO_MARGIN, TOO_SMALL = -9999, -2019, -4164
QUANTITIES = ("0.010", "0.004")


@dataclass(frozen=True)
class Facts:
    """What the exchange makes of it: which question follows from that, its code, its order's generation, the size."""

    about: QuestionKind
    code: int
    generation: int
    quantity: str
    ban_ends: int = NOW + 60_000


def snapshot(facts: Facts, question: Question | None, answered: list[Question]) -> TrioSnapshot:
    said: dict[str, Any] = {"question": question, "answered": tuple(answered), "spec": KEEPS_STOP}
    slot = holding(facts.quantity, as_of=NOW_TS - 10)
    refused = {"refused_code": facts.code, "refused_text": "No.", "generation": facts.generation}
    match facts.about:
        case QuestionKind.TARGET_REFUSED:
            legs = [entry(), stop(), target(LegState.REJECTED, **refused)]
            return trio(TrioState.OPEN, *legs, slot=slot, **said)
        case QuestionKind.EXIT_REFUSED:
            exits = [
                exit_order(LegState.REJECTED, **(refused | {"generation": n}))
                for n in range(1, 3 + facts.generation)
            ]
            return trio(TrioState.EXITING, entry(), stop(), *exits, slot=slot, **said)
        case QuestionKind.DUST:
            small = exit_order(LegState.REJECTED, refused_code=TOO_SMALL, generation=facts.generation)
            return trio(TrioState.EXITING, entry(LegState.FILLED), stop(), small, slot=slot, **said)
        case _:
            silence = Silence(facts.ban_ends, "10:00:00 UTC", Refusal.BANNED, "desk", "BTCUSDT")
            return trio(TrioState.OPEN, entry(), slot=slot, silence=silence, **said)


FACTS = st.builds(
    Facts,
    st.sampled_from(
        [
            QuestionKind.TARGET_REFUSED,
            QuestionKind.EXIT_REFUSED,
            QuestionKind.DUST,
            QuestionKind.ADDRESS_CLOSED,
        ]
    ),
    st.sampled_from([NOT_UNDERSTOOD, NO_MARGIN]),
    st.integers(1, 2),
    st.sampled_from(QUANTITIES),
    st.sampled_from([NOW + 60_000, NOW + 61_000, NOW + 240_000]),
)


@given(
    st.lists(st.one_of(st.sampled_from(["0.004", "0.010", "0.012", "0.015"]), st.just("answer")), max_size=20)
)
def test_who_is_asked_about_an_enlarged_position_is_asked_about_its_size_now(sequence: list[str]) -> None:
    question: Question | None = None
    answered: list[Question] = []
    size = ENTERED
    for happens in sequence:
        if happens == "answer":
            answered += [question] if question is not None else []
            question = None
        else:
            size = D(happens)
        question = asked_when_held(size, question, answered)
        # Asked is only what is so now and was not answered, and that is asked until it is answered or gone
        known = any(answer.facts["position"] == plain(size) for answer in answered)
        assert (question is not None) == (size > ENTERED and not known)
        assert question is None or question.facts["position"] == plain(size)


def asked_when_held(
    size: Decimal, question: Question | None, answered: list[Question], **slot: Any
) -> Question | None:
    """Return what is asked once a trio whose entry made ENTERED has been decided about, with a position of this size."""
    for _ in range(4):
        held = holding(str(size), **({"as_of": NOW_TS - 10} | slot))
        said: dict[str, Any] = {"question": question, "answered": tuple(answered)}
        seen = trio(TrioState.OPEN, entry(LegState.FILLED), stop(), target(), slot=held, **said)
        match decide(seen).step:
            case AskPerson(asked):
                question = asked
            case WithdrawQuestion(taken_back):
                assert taken_back == question
                question = None
            case _:
                return question
    raise AssertionError("it asks in a circle")


def test_a_position_that_is_not_read_since_the_fill_takes_no_question_back() -> None:
    asked = asked_when_held(D("0.015"), None, [])
    assert asked is not None
    assert asked_when_held(ENTERED, asked, [], as_of=1) == asked


@given(st.lists(st.one_of(FACTS, st.just("answer")), max_size=30))
def test_no_sequence_of_answers_and_facts_asks_the_same_thing_twice(sequence: list[Facts | str]) -> None:
    question: Question | None = None
    answered: list[Question] = []
    for happens in sequence:
        if isinstance(happens, str):
            answered += [question] if question is not None else []
            question = None
            continue
        for turn in range(2):  # asked again at once, as after an answer or with any wake-up
            step = decide(snapshot(happens, question, answered)).step
            if not isinstance(step, AskPerson):
                break
            assert turn == 0, "it asks twice in a row"
            assert not any(step.question.same_as(known) for known in answered)
            question = step.question


@pytest.mark.parametrize(
    "about",
    [QuestionKind.TARGET_REFUSED, QuestionKind.EXIT_REFUSED, QuestionKind.DUST, QuestionKind.ADDRESS_CLOSED],
)
def test_each_is_asked_and_asked_again_when_its_size_changes(about: QuestionKind) -> None:
    first = Facts(about, NO_MARGIN, 1, "0.010")
    asked = decide(snapshot(first, None, [])).step
    assert isinstance(asked, AskPerson)
    assert asked.question.kind is about
    assert not isinstance(decide(snapshot(first, None, [asked.question])).step, AskPerson)
    other = decide(snapshot(replace(first, quantity="0.004"), None, [asked.question])).step
    assert isinstance(other, AskPerson)


def test_a_refused_target_is_another_question_when_the_code_or_its_generation_is_another() -> None:
    first = Facts(QuestionKind.TARGET_REFUSED, NO_MARGIN, 1, "0.010")
    asked = decide(snapshot(first, None, [])).step
    assert isinstance(asked, AskPerson)
    for other in (replace(first, code=NOT_UNDERSTOOD), replace(first, generation=2)):
        assert isinstance(decide(snapshot(other, None, [asked.question])).step, AskPerson)


def test_an_exit_is_retried_under_new_generations_and_that_alone_asks_nothing_new() -> None:
    first = Facts(QuestionKind.EXIT_REFUSED, NO_MARGIN, 1, "0.010")
    asked = decide(snapshot(first, None, [])).step
    assert isinstance(asked, AskPerson)
    later = decide(snapshot(replace(first, generation=2), None, [asked.question]))
    assert not isinstance(later.step, AskPerson)
    assert later.trio.newest(Role.EXIT) is not None
    assert D("0.010") == later.trio.position

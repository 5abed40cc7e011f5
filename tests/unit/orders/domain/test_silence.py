"""What a trio does while the exchange does not serve our address: nothing, and it says so if it is uncovered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.refusals import Refusal
from exchange.types import OurMs
from orders.domain.decision.decide import decide
from orders.domain.decision.silence import AFTER_MS
from orders.domain.decision.steps import AskPerson, Done, Rest, Submit
from orders.domain.enums import TrioState as S
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import Silence
from tests.unit.orders.domain.snapshots import LIMIT, NOW, entry, holding, stop, target, trio

BARRED = Silence(NOW + 60_000, "12:01:00 UTC", Refusal.BANNED, account="main", symbol="BTCUSDT")


def test_an_uncovered_position_is_put_to_a_person_at_once_with_the_time() -> None:
    step = decide(trio(S.OPEN, entry(), slot=holding(), silence=BARRED)).step

    assert isinstance(step, AskPerson)
    assert step.question.kind is QuestionKind.ADDRESS_CLOSED
    sentence = step.question.sentence
    assert all(fact in sentence for fact in ("BTCUSDT", "main", "0.01", "12:01:00 UTC"))


def test_once_asked_it_waits_for_exactly_that_moment() -> None:
    asked = Question(QuestionKind.ADDRESS_CLOSED)
    barred = trio(S.OPEN, entry(), slot=holding(), silence=BARRED, question=asked)

    assert decide(barred).step == Rest(BARRED.until)
    assert isinstance(decide(replace(barred, silence=None)).step, Submit)


def test_another_question_does_not_keep_this_one_back() -> None:
    asked = Question(QuestionKind.TARGET_REFUSED)
    step = decide(trio(S.OPEN, entry(), slot=holding(), silence=BARRED, question=asked)).step

    assert isinstance(step, AskPerson)


def test_what_is_covered_asks_nothing_and_lets_the_others_go_first() -> None:
    covered = trio(S.OPEN, entry(), stop(), target(), slot=holding(), silence=BARRED)

    assert decide(covered).step == Rest(BARRED.until + AFTER_MS)


@pytest.mark.parametrize("state", [S.QUEUED, S.PLACING, S.WORKING, S.WITHDRAWING])
def test_without_a_position_it_waits(state: S) -> None:
    step = decide(trio(state, spec=LIMIT, silence=BARRED)).step
    assert step == Rest(BARRED.until + AFTER_MS)


def test_an_entry_that_may_not_wait_so_long_ends_in_time() -> None:
    waiting = trio(S.QUEUED, silence=BARRED, place_before=NOW + 20_000)

    assert decide(waiting).step == Rest(NOW + 20_000)
    late = replace(waiting, now=OurMs(NOW + 20_000))
    assert decide(late).step == Done(S.EXPIRED)

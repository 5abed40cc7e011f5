"""A question to a person: the facts, the safe choices, who answered; and the position covered all the while."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.gateways import exchange_for
from exchange.types import OrderRef, Stamp
from local_servers.manager import CHECKOUT
from orders.domain.enums import TargetPolicy
from orders.domain.errors import IllegalTransition
from orders.domain.operator_questions import Choice, Question, QuestionKind
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioEvent, TrioOrder
from orders.services import trio_answer
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import a_clerk, a_superuser, do, page_of, verb_url


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def a_trio_whose_target_is_refused(desk: Desk) -> TrioOrder:
    desk.simulator.refuses("TAKE_PROFIT_MARKET", code=-2010)
    trio = desk.placed(desk.a_trio(target_policy=TargetPolicy.KEEP_STOP, protection="ON_FIRST_FILL"))

    def asks() -> bool:
        desk.carry()
        return bool(the(trio).question)

    until(asks, why=lambda: story(trio))
    desk.simulator.clear_faults()
    return trio


def stops(desk: Desk) -> list[str]:
    return [name for name in desk.resting if name.rpartition("-")[2].startswith("s")]


ASKED_IN = ["accounts", "orders", "worker"]  # where product code may ask


@pytest.mark.parametrize("kind", [kind for kind in QuestionKind if kind is not QuestionKind.OTHER])
def test_every_kind_of_question_is_asked_somewhere_and_can_be_left(kind: QuestionKind) -> None:
    asked = [
        path
        for room in ASKED_IN
        for path in (CHECKOUT / room).rglob("*.py")
        if f"Question(QuestionKind.{kind.value}" in path.read_text()
    ]
    assert asked
    assert Choice.LEAVE in Question(kind).choices


@pytest.mark.parametrize("kind", QuestionKind)
def test_every_kind_of_question_reads_as_a_sentence_whatever_facts_it_has(kind: QuestionKind) -> None:
    assert Question(kind, {"text": "Is this yours?"}).sentence.strip()
    assert all(meaning for _, meaning in Question(kind).answers)


@pytest.mark.parametrize("answer", ["answer", "answer_close"])
def test_while_a_question_waits_the_position_stays_covered_and_its_answer_is_kept(
    desk: Desk, operator: Client, answer: str
) -> None:
    # Given a trio that asks because its target was refused
    trio = a_trio_whose_target_is_refused(desk)
    assert stops(desk), story(trio)

    # Its page shows the facts, each safe choice as a button, and what each does
    page = operator.get(page_of(trio)).content.decode()
    for shown in ("refused the take-profit", "with its stop-loss alone", verb_url("answer", trio)):
        assert shown in page
    assert f'href="{verb_url("answer_close", trio)}"' in page
    assert f'href="{verb_url("close", trio)}"' not in page  # one button for one thing

    # While it waits, somebody cancels the stop in the exchange's app: it is put back without an answer
    exchange = exchange_for(desk.account.pk)
    ref = OrderRef("BTCUSDT", stops(desk)[0], conditional=True)
    exchange.send(exchange.cancel_request(ref), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    assert not stops(desk)

    def covered_again() -> list[str]:
        desk.carry()
        return stops(desk)

    until(covered_again, why=lambda: story(trio))
    assert (the(trio).state, bool(the(trio).question)) == ("OPEN", True)
    assert stops(desk)

    # When it is answered, who said what is kept
    do(operator, answer, trio)
    told = TrioEvent.objects.get(trio=trio, kind="answer", data__by="operator")
    assert told.data["choice"] == ("LEAVE" if answer == "answer" else "CLOSE")
    assert told.data["question"] == QuestionKind.TARGET_REFUSED
    assert the(trio).question == ""

    # Then the trio does what was chosen
    if answer == "answer_close":
        desk.carry_until(trio, "CLOSED")
        assert trio.result == "MANUAL", story(trio)
        assert desk.resting == []
    else:
        desk.carry()
        assert the(trio).state == "OPEN"
        assert stops(desk)


def test_a_choice_the_question_does_not_offer_is_refused(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    with pytest.raises(IllegalTransition, match="has no open question"):
        trio_answer(trio_id=trio.pk, by="test", choice=Choice.CLOSE)
    TrioOrder.objects.filter(pk=trio.pk).update(question_kind="DUST", question_facts={"quantity": "0.001"})
    with pytest.raises(IllegalTransition, match="not an answer to what"):
        trio_answer(trio_id=trio.pk, by="test", choice=Choice.CLOSE)
    assert the(trio).close_wanted_at is None


def test_an_answer_is_a_post_with_its_token_by_who_may_close(desk: Desk) -> None:
    trio = a_trio_whose_target_is_refused(desk)
    may_not = a_clerk("view", "change", name="may-not")
    assert may_not.post(verb_url("answer_close", trio)).status_code == 403
    forged = a_superuser("forged", csrf=True)
    assert forged.post(verb_url("answer_close", trio)).status_code == 403
    forged.get(verb_url("answer_close", trio))
    assert the(trio).close_wanted_at is None
    assert the(trio).question

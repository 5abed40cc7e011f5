"""A question to a person: the facts, the safe choices, who answered; and the position covered all the while."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.gateways import exchange_for
from exchange.types import OrderRef, Stamp
from local_servers.manager import CHECKOUT
from orders.domain.enums import TargetPolicy
from orders.domain.errors import IllegalTransition
from orders.domain.operator_questions import OVER_WHEN_ACCEPTED, Choice, Question, QuestionKind
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import TrioEvent, TrioOrder
from orders.services import trio_answer, trio_close
from orders.story import Put, answers_forget, question_ask, question_over, question_put
from orders.trio_lock import short_transaction
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


def looked_at_again(desk: Desk, trio: TrioOrder, times: int = 3) -> TrioOrder:
    """Have the trio decided about as often as any wake-up would have it."""
    for _ in range(times):
        TrioOrder.objects.filter(pk=trio.pk).update(wake_at=db_now())
        desk.carry()
    return the(trio)


def asked_about(trio: TrioOrder, kind: QuestionKind) -> int:
    return TrioEvent.objects.filter(trio=trio, kind="question", data__question=kind).count()


def test_an_answer_sticks_and_refers_to_its_question(desk: Desk) -> None:
    # Given a trio whose refused target was left to its stop
    trio = a_trio_whose_target_is_refused(desk)
    number = the(trio).question_number
    trio_answer(trio_id=trio.pk, by="clerk")

    # Then it is not asked again, and the answer says who and when, and to what
    assert looked_at_again(desk, trio).question == ""
    assert asked_about(trio, QuestionKind.TARGET_REFUSED) == 1
    answer = TrioEvent.objects.get(trio=trio, kind="answer", data__choice="LEAVE")
    assert (answer.data["number"], answer.data["by"]) == (number, "clerk")
    assert TrioEvent.objects.filter(pk=answer.data["number"]).values_list("kind", flat=True)[0] == "question"

    # Until the exchange gives another reason
    trio.legs.filter(role="TAKE_PROFIT").update(refused_code=-2019, refused_text="Margin is insufficient.")
    assert "Margin is insufficient" in looked_at_again(desk, trio).question
    assert asked_about(trio, QuestionKind.TARGET_REFUSED) == 2


def test_an_exit_that_stays_refused_is_asked_about_once(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.simulator.refuses("MARKET", code=-2010)
    trio_close(trio_id=trio.pk, by="test")

    def asks() -> bool:
        desk.carry()
        return the(trio).question_kind == QuestionKind.EXIT_REFUSED

    until(asks, why=lambda: story(trio))
    trio_answer(trio_id=trio.pk, by="clerk")
    exits = trio.legs.filter(role="EXIT").count()

    def retried() -> bool:
        desk.carry()
        return trio.legs.filter(role="EXIT").count() > exits

    until(retried, why=lambda: story(trio))
    assert looked_at_again(desk, trio).question == ""
    assert asked_about(trio, QuestionKind.EXIT_REFUSED) == 1

    desk.simulator.clear_faults()
    desk.carry_until(trio, "CLOSED")


def test_a_question_of_somebody_else_waits_for_the_one_that_overwrote_it(desk: Desk) -> None:
    # Given a trio that asks about a change on its account, noticed once, and then about its refused target
    trio = a_trio_whose_target_is_refused(desk)
    trio_answer(trio_id=trio.pk, by="clerk")
    drift = Question(QuestionKind.MARGIN_TYPE_CHANGED, {"symbol": "BTCUSDT", "was": "CROSSED"})
    assert question_put(trio.pk, drift) is Put.ASKED
    number = the(trio).question_number
    with short_transaction(trio_id=trio.pk) as now:
        row = TrioOrder.objects.get(pk=trio.pk)
        assert question_ask(row, Question(QuestionKind.DUST, {"quantity": "0.001"}), at=now)
        row.save()
    assert the(trio).question_kind == QuestionKind.DUST

    # When that is answered, the other is put again, as the same question
    trio_answer(trio_id=trio.pk, by="clerk")
    assert (the(trio).asked, trio.question_number) == (drift, number)
    assert question_put(trio.pk, drift) is Put.KNOWN
    trio_answer(trio_id=trio.pk, by="clerk")
    assert the(trio).asked is None
    assert looked_at_again(desk, trio).question == ""


def test_a_reason_that_comes_back_is_asked_about_again(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    refused = Question(QuestionKind.KEY_REFUSED, {"text": "Invalid API-key.", "code": -2015})
    row = the(trio)
    assert question_ask(row, refused, at=db_now())
    question_over(row, at=db_now(), answered=True)
    assert not question_ask(row, refused, at=db_now())
    assert answers_forget(row, OVER_WHEN_ACCEPTED)
    assert question_ask(row, refused, at=db_now())


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

"""Somebody acts in the exchange's app beside a trio: every drift with every response, judged by what the exchange has then."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import SymbolSetting
from orders import drift, services
from orders.domain.drift import ALLOWED, DRIFTS_WITH_CHOICE, Drift, DriftPolicy, Response, policy_of
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.domain.operator_questions import Choice, QuestionKind
from orders.journal.replay import trio_replay
from orders.models import DriftChoices, Slot, TrioOrder
from orders.placement.uncovered import uncovered_now
from tests.builders import Desk, story, the, until
from tests.unit.orders.placement.app import (
    bought_in_the_app,
    cancelled_in_the_app,
    ordered_in_the_app,
    sold_in_the_app,
)
from worker.settings_drift import margins_look, modes_look

CASES = [(drift, response) for drift in Drift for response in drift.responses]


def chosen(desk: Desk, **responses: str) -> None:
    services.drift_choose(account=desk.account, chosen=responses, by="test")


def opened(desk: Desk, **fields: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**fields))
    carried(desk, lambda: len(stops(trio)) == 1)
    return trio


def carried(desk: Desk, is_so: Any, *, seconds: float = 10.0) -> None:
    def there() -> bool:
        desk.carry()
        return bool(is_so())

    until(there, seconds=seconds, why=lambda: "\n".join(story(trio) for trio in TrioOrder.objects.all()))


def stops(trio: TrioOrder) -> list[Any]:
    return list(trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED"))


def held(desk: Desk) -> D:
    side = "BOTH" if desk.account.position_mode == "ONE_WAY" else "LONG"
    return desk.simulator.position("BTCUSDT", side=side).quantity


def is_covered(trio: TrioOrder) -> bool:
    """Does a stop for the whole position rest, or do stops for as much?"""
    return any(leg.form == "CLOSE_POSITION" for leg in stops(trio)) or sum(
        (leg.quantity for leg in stops(trio)), D(0)
    ) >= D("0.010")


def closed_by_policy(desk: Desk, trio: TrioOrder, words: str) -> None:
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "DRIFT", story(trio)
    assert words in trio.reason
    assert "the drift policy closes" in trio.reason
    assert held(desk) == 0
    assert desk.resting == []
    assert not trio_replay(trio).differences


# --- our stop is cancelled ------------------------------------------------------------------------


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_a_stop_that_a_person_cancels_is_placed_again(any_desk: Desk, protection: str) -> None:
    desk = any_desk
    trio = opened(desk, protection=protection)
    (first,) = stops(trio)

    cancelled_in_the_app(desk, first.client_id)
    carried(desk, lambda: stops(trio) and stops(trio) != [first])

    assert is_covered(trio), story(trio)
    assert (the(trio).state, trio.question) == ("OPEN", "")
    assert held(desk) == D("0.010")
    assert uncovered_now(trio).longest < 2000


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_a_stop_that_a_person_cancels_closes_the_position(any_desk: Desk, protection: str) -> None:
    desk = any_desk
    chosen(desk, stop_cancelled="CLOSE")
    trio = opened(desk, protection=protection)
    (stop,) = stops(trio)

    cancelled_in_the_app(desk, stop.client_id)

    closed_by_policy(desk, trio, "The stop-loss was cancelled outside this system")
    assert trio.legs.filter(role=Role.STOP_LOSS).count() == 1
    assert trio.uncovered_ms < 2000


def test_a_stop_that_moves_is_nobodys_cancel(desk: Desk) -> None:
    # Given a policy that closes when somebody cancels a stop
    chosen(desk, stop_cancelled="CLOSE")
    trio = opened(desk)
    (first,) = stops(trio)

    # When it is we who take one back
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    carried(desk, lambda: [leg.trigger_price for leg in stops(trio)] == [D("96000")])
    for _ in range(5):
        desk.carry()

    # Then nothing is closed
    first.refresh_from_db()
    assert first.state == "CANCELLED"
    assert (the(trio).state, held(desk)) == ("OPEN", D("0.010")), story(trio)


# --- the position is reduced ------------------------------------------------------------------------


def test_what_is_left_of_a_reduced_position_is_followed(any_desk: Desk) -> None:
    desk = any_desk
    trio = opened(desk)

    sold_in_the_app(desk, "0.004")
    desk.sweep()
    for _ in range(5):
        desk.carry()

    assert (the(trio).state, trio.question) == ("OPEN", "")
    assert is_covered(trio)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert held(desk) == 0


def test_a_reduced_position_is_asked_about_once_for_each_size(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, reduced="ASK")
    trio = opened(desk)

    sold_in_the_app(desk, "0.004")
    carried(desk, lambda: the(trio).question)

    assert trio.question_kind == QuestionKind.POSITION_REDUCED
    assert "the position is 0.006, and 0.01 of what this trio's orders made is still open" in trio.question
    assert is_covered(trio)
    assert held(desk) == D("0.006")

    # An answer sticks for this size, another size is another question, and one that is gone is taken back
    services.trio_answer(trio_id=trio.pk, by="test")
    desk.sweep()
    for _ in range(3):
        desk.service.advance(trio.pk)
    assert the(trio).question == ""
    sold_in_the_app(desk, "0.001")
    carried(desk, lambda: the(trio).question_facts == {**(trio.question_facts or {}), "position": "0.005"})
    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: not the(trio).question)
    assert (trio.state, trio.events.filter(kind="question", data__has_key="question").count()) == ("OPEN", 2)


def test_a_reduced_position_is_closed(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, reduced="CLOSE")
    trio = opened(desk)

    sold_in_the_app(desk, "0.004")

    closed_by_policy(desk, trio, "The position was reduced outside this system")
    assert trio.uncovered_ms < 2000


@pytest.mark.parametrize("response", ["ASK", "CLOSE"])
def test_what_our_own_orders_take_off_is_no_drift(any_desk: Desk, response: str) -> None:
    desk = any_desk
    chosen(desk, reduced=response)
    trio = opened(desk)

    services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.004"))
    carried(desk, lambda: held(desk) == D("0.006"))
    desk.sweep()
    for _ in range(5):
        desk.carry()
        desk.service.advance(trio.pk)

    assert (the(trio).state, trio.question) == ("OPEN", ""), story(trio)
    assert held(desk) == D("0.006")


def test_what_a_target_of_ours_took_while_nobody_listened_is_no_drift(desk: Desk) -> None:
    chosen(desk, reduced="CLOSE")
    trio = opened(desk, part_targets=[{"number": 1, "level": "105000", "share": "40"}])
    carried(desk, lambda: trio.legs.filter(role=Role.PART_TARGET, state="ACCEPTED").exists())

    # When a part target executes and only a sweep shows it
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "105001")
    desk.hear()
    desk.sweep()
    carried(desk, lambda: trio.legs.filter(role=Role.PART_TARGET, state="FILLED").exists())
    for _ in range(5):
        desk.carry()

    assert (the(trio).state, held(desk)) == ("OPEN", D("0.006")), story(trio)


# --- the position is increased ------------------------------------------------------------------------


def test_an_increased_position_is_covered_and_asked_about(any_desk: Desk) -> None:
    desk = any_desk
    trio = opened(desk, protection="ON_FIRST_FILL")

    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: the(trio).question)

    assert trio.question_kind == QuestionKind.POSITION_ENLARGED
    assert is_covered(trio)
    assert held(desk) == D("0.015")


def test_an_increased_position_is_adopted_without_a_question(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, increased="ADOPT")
    trio = opened(desk, protection="ON_FIRST_FILL")

    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: trio.events.filter(kind="answer", data__by="drift policy").exists())
    for _ in range(5):
        desk.carry()
        desk.service.advance(trio.pk)

    # Nobody is asked, the story says so once for each size, all of it is covered
    assert the(trio).question == ""
    assert trio.events.filter(kind="answer", data__by="drift policy").count() == 1
    assert "leave it as it is, by the drift policy" in story(trio)
    assert is_covered(trio)
    bought_in_the_app(desk, "0.001")
    carried(desk, lambda: trio.events.filter(kind="answer", data__by="drift policy").count() == 2)
    # And all of it leaves with the trio
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert held(desk) == 0
    assert not trio_replay(the(trio)).differences


def test_an_increased_position_is_closed(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, increased="CLOSE")
    trio = opened(desk, protection="ON_FIRST_FILL")

    bought_in_the_app(desk, "0.005")

    closed_by_policy(desk, trio, "The position was increased outside this system")


def test_what_a_person_answered_is_not_closed_by_a_later_policy(desk: Desk) -> None:
    trio = opened(desk, protection="ON_FIRST_FILL")
    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: the(trio).question)
    services.trio_answer(trio_id=trio.pk, by="test")

    chosen(desk, increased="CLOSE", reduced="CLOSE", stop_cancelled="CLOSE")
    for _ in range(5):
        desk.carry()
        desk.service.advance(trio.pk)

    assert (the(trio).state, held(desk)) == ("OPEN", D("0.015")), story(trio)


def test_what_is_asked_is_closed_by_a_later_policy(desk: Desk) -> None:
    trio = opened(desk, protection="ON_FIRST_FILL")
    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: the(trio).question)

    chosen(desk, increased="CLOSE")

    closed_by_policy(desk, trio, "increased outside")


# --- the position is closed, or turned round ------------------------------------------------------------


def test_a_closed_position_ends_the_trio_whatever_the_policy(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, stop_cancelled="CLOSE", reduced="CLOSE", increased="CLOSE", reversed="ADOPT")
    trio = opened(desk)

    sold_in_the_app(desk, "0.010")

    desk.carry_until(trio, "CLOSED")
    assert (trio.result, trio.question) == ("OUTSIDE", "")
    assert desk.resting == []
    assert drift.reversed_due() == []


def reversed_outside(desk: Desk) -> TrioOrder:
    trio = opened(desk)
    sold_in_the_app(desk, "0.015")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "OUTSIDE", story(trio)
    assert desk.resting == []
    return trio


def seen_to(desk: Desk) -> None:
    """Do what a runworker does about reversed positions."""
    desk.beat()
    for trio_id, adopts in drift.reversed_due():
        drift.reversed_carry(trio_id, adopts=adopts)


def test_a_reversed_position_is_asked_about_and_left(desk: Desk) -> None:
    trio = reversed_outside(desk)

    assert trio.question_kind == QuestionKind.POSITION_REVERSED
    assert "the position of 0.005 the other way is not ours" in trio.question
    assert drift.reversed_due() == []
    desk.sweep()
    desk.service.advance(trio.pk)
    assert the(trio).question, "it goes on asking"

    services.trio_answer(trio_id=trio.pk, by="test")
    seen_to(desk)
    assert (the(trio).question, trio.state, held(desk)) == ("", "CLOSED", D("-0.005"))
    assert TrioOrder.objects.count() == 1


def test_a_reversed_position_is_adopted_by_the_answer(desk: Desk) -> None:
    trio = reversed_outside(desk)

    services.trio_answer(trio_id=trio.pk, by="test", choice=Choice.ADOPT)

    assert_adopted(desk, trio)


def test_a_reversed_position_is_adopted_by_the_policy(desk: Desk) -> None:
    chosen(desk, reversed="ADOPT")
    trio = reversed_outside(desk)

    seen_to(desk)
    assert the(trio).question == "", "answered with the adoption, not withdrawn some time later"
    seen_to(desk)  # by another process, say

    assert_adopted(desk, trio)
    assert "by drift policy" in story(trio)


def assert_adopted(desk: Desk, trio: TrioOrder) -> None:
    made = TrioOrder.objects.exclude(pk=trio.pk).get()
    carried(desk, lambda: len(stops(made)) == 1)
    assert (made.side, made.quantity, made.state) == ("SELL", D("0.005"), "OPEN"), story(made)
    # as far from its entry as they were: 5 % and 10 % of 100000
    assert made.stop_loss is not None
    assert made.take_profit is not None
    assert abs(made.stop_loss - 105000) < 2
    assert abs(made.take_profit - 90000) < 2
    assert (the(trio).question, trio.state) == ("", "CLOSED")
    assert drift.reversed_due() == []


def test_a_reversed_position_that_may_not_be_adopted_is_left_to_a_person(desk: Desk) -> None:
    chosen(desk, reversed="ADOPT")
    trio = reversed_outside(desk)
    desk.account.is_active = False
    desk.account.save()

    seen_to(desk)

    assert TrioOrder.objects.count() == 1
    assert "It was not adopted: " in the(trio).question
    assert drift.reversed_due() == []


def test_nobody_is_asked_about_a_reversed_position_that_is_gone(desk: Desk) -> None:
    trio = reversed_outside(desk)
    bought_in_the_app(desk, "0.005")
    desk.hear()

    seen_to(desk)

    assert the(trio).question == ""


# --- leverage, margin, position mode ------------------------------------------------------------


def margin_type_changed(desk: Desk) -> None:
    margins_look(desk.account)
    setting = SymbolSetting.objects.filter(account=desk.account, symbol="BTCUSDT")
    other = "ISOLATED" if setting.get().margin_type == "CROSSED" else "CROSSED"
    setting.update(margin_type=other)
    margins_look(desk.account)


def leverage_changed(desk: Desk) -> None:
    margins_look(desk.account)
    setting = SymbolSetting.objects.filter(account=desk.account, symbol="BTCUSDT")
    setting.update(leverage=(setting.get().leverage or 20) + 5)
    margins_look(desk.account)


def multi_assets_on(desk: Desk) -> None:
    desk.simulator.ex.by_key[desk.api_key].account.multi_assets = True
    modes_look(desk.account)


SETTINGS = {
    QuestionKind.MARGIN_TYPE_CHANGED: margin_type_changed,
    QuestionKind.LEVERAGE_CHANGED: leverage_changed,
    QuestionKind.MULTI_ASSETS_ON: multi_assets_on,
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_that_was_changed_is_asked_about(desk: Desk, kind: QuestionKind) -> None:
    trio = opened(desk)

    SETTINGS[kind](desk)
    for _ in range(3):
        desk.carry()

    assert (the(trio).question_kind, trio.state) == (kind, "OPEN")
    assert is_covered(trio)
    services.trio_answer(trio_id=trio.pk, by="test")
    margins_look(desk.account)
    assert the(trio).question == ""


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_setting_that_was_changed_closes_the_position(desk: Desk, kind: QuestionKind) -> None:
    chosen(desk, settings_changed="CLOSE")
    trio = opened(desk)

    SETTINGS[kind](desk)

    closed_by_policy(desk, trio, "A setting of the account was changed outside this system")


def test_a_position_mode_that_was_changed_is_answered_with_a_close(desk: Desk) -> None:
    # The real exchange refuses to switch it while something is open; nobody relies on that
    chosen(desk, settings_changed="CLOSE")
    trio = opened(desk)
    desk.simulator.ex.by_key[desk.api_key].account.dual = True

    modes_look(desk.account)
    desk.service.advance(trio.pk)

    assert (the(trio).state, trio.cause) == ("EXITING", "DRIFT"), story(trio)


def test_a_setting_that_was_changed_withdraws_an_entry_that_rests(desk: Desk) -> None:
    chosen(desk, settings_changed="CLOSE")
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    assert trio.state == "WORKING"

    multi_assets_on(desk)

    desk.carry_until(trio, "CANCELLED")
    assert (trio.cause, desk.resting) == ("DRIFT", [])


def test_what_is_asked_already_does_not_keep_a_changed_setting_from_closing(desk: Desk) -> None:
    chosen(desk, settings_changed="CLOSE")
    trio = opened(desk, protection="ON_FIRST_FILL")
    bought_in_the_app(desk, "0.005")
    carried(desk, lambda: the(trio).question)

    multi_assets_on(desk)

    closed_by_policy(desk, trio, "A setting of the account")


# --- other orders in our slot ---------------------------------------------------------------------


def test_orders_of_others_in_the_slot_are_left_alone(any_desk: Desk) -> None:
    desk = any_desk
    trio = opened(desk)
    theirs = ordered_in_the_app(desk, "90000")

    desk.sweep()
    for _ in range(5):
        desk.carry()

    assert theirs in desk.resting
    assert (the(trio).state, trio.question) == ("OPEN", "")


def test_orders_of_others_in_the_slot_are_asked_about_and_stay(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, own_orders="ASK")
    trio = opened(desk)
    theirs = ordered_in_the_app(desk, "90000")
    desk.sweep()
    carried(desk, lambda: the(trio).question)
    assert trio.question_kind == QuestionKind.ORDERS_IN_SLOT
    assert theirs in trio.question

    services.trio_answer(trio_id=trio.pk, by="test")
    desk.sweep()
    for _ in range(3):
        desk.service.advance(trio.pk)
    assert the(trio).question == ""

    # Another one is another question, about that one alone; it is taken back when that one is gone
    another = ordered_in_the_app(desk, "91000")
    desk.sweep()
    carried(desk, lambda: the(trio).question)
    assert another in trio.question
    assert theirs not in trio.question
    cancelled_in_the_app(desk, another, conditional=False)
    desk.sweep()
    carried(desk, lambda: not the(trio).question)
    assert theirs in desk.resting


def test_orders_of_others_in_the_slot_are_cancelled_by_the_answer(any_desk: Desk) -> None:
    desk = any_desk
    chosen(desk, own_orders="ASK")
    trio = opened(desk)
    theirs = ordered_in_the_app(desk, "90000")
    desk.sweep()
    carried(desk, lambda: the(trio).question)

    services.trio_answer(trio_id=trio.pk, by="test", choice=Choice.CANCEL)

    carried(desk, lambda: theirs not in desk.resting)
    assert (the(trio).state, is_covered(trio)) == ("OPEN", True)


def test_orders_of_others_in_the_slot_are_cancelled_by_the_policy_and_no_order_of_ours(
    any_desk: Desk,
) -> None:
    desk = any_desk
    chosen(desk, own_orders="CANCEL")
    trio = opened(desk)
    ours = desk.resting
    first, second = ordered_in_the_app(desk, "90000"), ordered_in_the_app(desk, "91000")
    assert {first, second} < set(desk.resting)

    desk.sweep()
    carried(desk, lambda: desk.resting == ours)

    lines = trio.events.filter(kind="outside", text__contains="the drift policy cancels it")
    assert lines.count() == 2, story(trio)
    carried(desk, lambda: trio.events.filter(text__startswith="Gone from the exchange").count() == 2)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    assert not trio_replay(the(trio)).differences


def test_orders_of_others_wait_until_our_stop_and_target_stand(desk: Desk) -> None:
    chosen(desk, own_orders="CANCEL")
    desk.simulator.refuses("TAKE_PROFIT_MARKET", code=-2010)
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL", target_policy="KEEP_STOP"))
    carried(desk, lambda: the(trio).question)
    theirs = ordered_in_the_app(desk, "90000")

    desk.sweep()
    for _ in range(5):
        desk.carry()

    assert theirs in desk.resting, story(trio)


# --- what is chosen -----------------------------------------------------------------------------


def test_every_drift_has_a_safe_response_first_and_says_what_each_does() -> None:
    assert {drift.field: drift.default for drift in DRIFTS_WITH_CHOICE} == {
        name: getattr(DriftPolicy(), name) for name in DriftPolicy.__slots__
    }
    for drift_, response in CASES:
        allowed = next(a for a in ALLOWED[drift_] if a.response is response)
        assert allowed.happens
        assert allowed.notice
    assert Drift.CLOSED.responses == (Response.END,)
    assert policy_of() == policy_of({"reduced": "", "increased": "PROTECT_AGAIN"}) == DriftPolicy()


def test_a_trios_own_choice_comes_before_its_accounts(desk: Desk) -> None:
    trio, other = opened(desk), desk.a_trio()
    chosen(desk, reduced="ASK", increased="CLOSE")
    services.drift_choose(account=desk.account, trio_id=trio.pk, chosen={"increased": "ADOPT"}, by="test")

    assert services.drift_policy_of(desk.account, trio) == DriftPolicy(
        reduced=Response.ASK, increased=Response.ADOPT
    )
    assert services.drift_policy_of(desk.account, other).increased is Response.CLOSE

    # When it is taken back, the account's holds again; every change is kept
    services.drift_choose(account=desk.account, trio_id=trio.pk, chosen={"increased": ""}, by="test")
    assert services.drift_policy_of(desk.account, trio).increased is Response.CLOSE
    row = DriftChoices.objects.get(trio=trio)
    assert [kept.increased for kept in row.history.order_by("history_id")] == ["ADOPT", ""]
    assert "Drift policy chosen by test: the position is increased: ADOPT." in story(trio)


def test_what_is_not_safe_cannot_be_chosen(desk: Desk) -> None:
    trio = opened(desk)
    for field, response in (
        ("stop_cancelled", "LEAVE"),
        ("reversed", "CLOSE"),
        ("closed", "ASK"),
        ("odd", "ASK"),
    ):
        with pytest.raises(RuleBroken):
            chosen(desk, **{field: response})
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    with pytest.raises(IllegalTransition, match="has ended"):
        services.drift_choose(account=desk.account, trio_id=trio.pk, chosen={"reduced": "ASK"}, by="test")
    assert not DriftChoices.objects.exists()


def test_a_policy_is_read_with_the_trio_and_costs_no_statement_more(desk: Desk) -> None:
    trio = opened(desk)
    for _ in range(3):
        desk.service.advance(trio.pk)
    with CaptureQueriesContext(connection) as without:
        desk.service.advance(trio.pk)
    chosen(desk, reduced="ASK", own_orders="CANCEL")
    desk.service.advance(trio.pk)
    with CaptureQueriesContext(connection) as with_one:
        desk.service.advance(trio.pk)

    assert len(with_one) == len(without)
    assert Slot.objects.get(symbol="BTCUSDT").stranger_orders == []

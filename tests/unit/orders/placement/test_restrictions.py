"""What the exchange says of an account is understood: nothing new is opened on it, what protects goes on."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from accounts.services import account_test
from exchange.refusals import SENTENCES, Refusal
from orders import services
from orders.domain.errors import TrioRefused
from orders.domain.operator_questions import QuestionKind
from tests.builders import Desk, story, the, until
from worker.settings_drift import modes_look

REDUCE_ONLY = [-4087, -4400, -4401]
STOPPED = [-2023, -4192]


@pytest.mark.parametrize("code", [*REDUCE_ONLY, *STOPPED])
def test_new_entries_of_a_restricted_account_stop_and_what_protects_goes_on(desk: Desk, code: int) -> None:
    # Given a trio that is open, and an entry that the exchange refuses because of the account
    held = desk.placed(desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("2300"), take_profit=D("2600")))
    desk.simulator.refuses("MARKET", code=code)
    refused = desk.placed(desk.a_trio())
    desk.simulator.clear_faults()

    # Then it says what that means, not to check a key
    meaning = Refusal.REDUCE_ONLY if code in REDUCE_ONLY else Refusal.ACCOUNT_RESTRICTED
    assert refused.state == "ROLLED_BACK"
    assert f"(code {code}). {SENTENCES[meaning]}" in refused.reason
    assert "API key" not in story(refused) + refused.reason

    # And nothing new is opened on the account
    with pytest.raises(TrioRefused) as gate:
        desk.queued(desk.a_trio())
    assert SENTENCES[meaning] in str(gate.value)
    assert str(code) in str(gate.value)

    # While the open trio stays covered, asks when the account may not trade at all, and can be closed
    assert len(desk.resting) == 2
    asked = {held.pk} if code in STOPPED else set()
    assert (modes_look(desk.account), modes_look(desk.account)) == (asked, set())
    assert (the(held).question_kind == QuestionKind.ACCOUNT_RESTRICTED) == bool(asked)
    services.trio_close(trio_id=held.pk, by="test")
    desk.carry_until(held, "CLOSED")

    # Until a check of the account finds it in order
    assert account_test(desk.account).problems == ()
    assert desk.placed(desk.a_trio()).state == "OPEN"


def test_a_stop_refused_because_of_the_account_is_sent_again_and_asks_about_the_account(desk: Desk) -> None:
    desk.simulator.refuses("STOP_MARKET", code=-4400)
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))

    def asks() -> bool:
        desk.carry()
        return bool(the(trio).question_kind)

    until(asks, why=lambda: story(trio))
    assert trio.question_kind == QuestionKind.ACCOUNT_RESTRICTED
    assert SENTENCES[Refusal.REDUCE_ONLY] in trio.question
    assert "API key" not in trio.question
    desk.simulator.clear_faults()
    desk.carry_until(trio, "CLOSED", "ROLLED_BACK")  # its bound passed: what protects was not held up


def test_what_is_asked_about_a_restriction_is_taken_back_when_that_is_lifted(desk: Desk) -> None:
    # Given an open trio that asks because the exchange let the account trade no more
    held = desk.placed(desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("2300"), take_profit=D("2600")))
    desk.simulator.refuses("MARKET", code=-4192)
    desk.placed(desk.a_trio())
    desk.simulator.clear_faults()
    assert modes_look(desk.account) == {held.pk}
    modes_look(desk.account)
    assert the(held).question_kind == QuestionKind.ACCOUNT_RESTRICTED

    # When a check finds the account in order
    account_test(desk.account)
    modes_look(desk.account)

    # Then nobody is asked any more, and the story says so
    assert the(held).question == ""
    assert "Not asked any more" in held.events.order_by("-id")[0].text


def test_a_code_that_is_not_known_shows_the_exchanges_words(desk: Desk) -> None:
    desk.simulator.refuses("MARKET", code=-7777)
    trio = desk.placed(desk.a_trio())
    assert trio.state == "ROLLED_BACK"
    assert "Order rejected (code -7777)." in trio.reason
    assert SENTENCES[Refusal.NOT_UNDERSTOOD] in trio.reason

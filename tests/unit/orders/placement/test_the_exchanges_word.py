"""What the exchange says of our own orders is what we know of them; a person is asked once about what a person changed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.types import PriceKind
from orders import services
from orders.domain.enums import Role
from orders.domain.operator_questions import QuestionKind
from orders.journal.replay import trio_replay
from orders.models import TrioOrder
from tests.builders import Desk, story, the
from worker.price_levels import price_levels

D = Decimal


def resting(desk: Desk) -> TrioOrder:
    trio = desk.placed(
        desk.a_trio(
            quantity=D("0.040"), entry_type="LIMIT", price=D("79500"), stop_loss=D("70000"), take_profit=D("90000"),
            protection="ON_FIRST_FILL",
        )
    )  # fmt: skip
    assert trio.state == "WORKING", story(trio)
    return trio


@pytest.mark.parametrize("is_heard", [True, False], ids=["event", "sweep alone"])
def test_an_entry_amended_in_the_app_is_followed_as_it_is_and_one_question_asked(
    desk: Desk, is_heard: bool
) -> None:
    trio = resting(desk)
    desk.deaf = not is_heard

    desk.simulator.amend(trio.legs.get().client_id, "0.090", "79800")
    desk.carry()
    desk.sweep()
    desk.sweep()

    # Then the books say what the exchange says, and the price watch waits there
    leg = trio.legs.get()
    assert (leg.quantity, leg.price) == (D("0.090"), D("79800")), story(trio)
    (level,) = price_levels([desk.account.pk])
    assert (level.price, level.kind) == (D("79800"), PriceKind.LAST)
    # And one question is asked, whose answer sticks
    questions = list(trio.events.filter(kind="question"))
    assert [event.data["question"] for event in questions] == [QuestionKind.ORDER_AMENDED]
    assert "quantity 0.04 → 0.09, price 79500 → 79800" in the(trio).question
    services.trio_answer(trio_id=trio.pk, by="test")
    desk.sweep()
    assert the(trio).question == ""
    # And the journal alone says the same
    assert trio_replay(the(trio)).differences == []

    # When it fills, all of it is covered
    desk.deaf = False
    desk.simulator.set_price("BTCUSDT", "79790")
    desk.carry_until(trio, "OPEN")
    desk.carry()
    assert desk.simulator.position("BTCUSDT").quantity == D("0.090")
    assert trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED", form="CLOSE_POSITION").exists(), story(
        trio
    )


def test_closing_by_the_answer_withdraws_the_amended_entry(desk: Desk) -> None:
    trio = resting(desk)
    desk.simulator.amend(trio.legs.get().client_id, "0.040", "79800")
    desk.carry()

    services.trio_answer(trio_id=trio.pk, by="test", choice=the(trio).asked.choices[1])  # type: ignore[union-attr]

    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []

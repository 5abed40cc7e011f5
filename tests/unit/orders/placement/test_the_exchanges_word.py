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
from tests.unit.orders.placement.app import bought_in_the_app, sold_in_the_app
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


# --- the exchange closes a position itself -----------------------------------------------------


@pytest.mark.parametrize(
    ("how", "result"),
    [("settlement", "SETTLEMENT"), ("delivery", "DELIVERY"), ("adl", "ADL"), ("liquidation", "LIQUIDATED")],
)
def test_what_the_exchange_closes_while_we_are_leaving_is_named_by_the_exchange(
    any_desk: Desk, how: str, result: str
) -> None:
    desk = any_desk
    # Given a trio on its way out whose exits are refused
    trio = desk.placed(desk.a_trio())
    desk.simulator.refuses("MARKET", code=-2010, side="SELL")
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "EXITING")

    side = "BOTH" if desk.account.position_mode == "ONE_WAY" else "LONG"
    desk.simulator.close_by_exchange("BTCUSDT", how, side=side)

    desk.carry_until(trio, "CLOSED")
    assert trio.result == result, story(trio)
    assert desk.resting == []


def test_an_order_of_ours_that_executed_before_the_exchange_closed_the_rest_names_the_trio(
    desk: Desk,
) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.liquidity("BTCUSDT", "0.004")  # so much can be sold at once
    services.trio_close(trio_id=trio.pk, by="test")
    desk.deaf = True
    desk.advance(trio)
    assert desk.simulator.position("BTCUSDT").quantity == D("0.006"), story(trio)

    desk.simulator.close_by_exchange("BTCUSDT", "settlement")
    desk.deaf = False

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL", story(trio)


# --- a person makes the position larger ---------------------------------------------------------


def test_a_position_that_a_person_enlarges_is_covered_whole_and_asked_about_once_for_each_size(
    any_desk: Desk,
) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))

    bought_in_the_app(desk, "0.005")
    for _ in range(5):
        desk.carry()

    assert the(trio).question_kind == QuestionKind.POSITION_ENLARGED, story(trio)
    assert "the position is 0.015 and this trio's orders made 0.01 of it" in trio.question
    assert trio.state == "OPEN"

    # An answer sticks until it grows again
    services.trio_answer(trio_id=trio.pk, by="test")
    desk.sweep()
    for _ in range(3):
        desk.service.advance(trio.pk)
    assert the(trio).question == ""
    bought_in_the_app(desk, "0.001")
    for _ in range(5):
        desk.carry()
    assert the(trio).question_facts["position"] == "0.016"  # type: ignore[index]
    assert trio.events.filter(kind="question").count() == 2

    # And it is taken back when it shrinks to what is ours
    sold_in_the_app(desk, "0.006")
    for _ in range(5):
        desk.carry()
    assert (the(trio).question, trio.state) == ("", "OPEN"), story(trio)
    assert "Not asked any more" in trio.events.order_by("-id")[0].text

    # And all of it leaves with the trio
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    side = "BOTH" if desk.account.position_mode == "ONE_WAY" else "LONG"
    assert desk.simulator.position("BTCUSDT", side=side).is_flat

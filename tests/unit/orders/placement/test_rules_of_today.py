"""The exchange changes a symbol's rules while a trio lives: what is sent fits the rules as they are then."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from orders import services
from orders.domain.enums import Role
from orders.domain.operator_questions import QuestionKind
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Symbol, TrioOrder
from orders.placement.service import VAIN_SECONDS
from tests.builders import Desk, story, the, until
from tests.unit.orders.placement.app import bought_in_the_app
from worker.settings_drift import symbols_look

D = Decimal


@pytest.mark.parametrize("is_known", [True, False], ids=["synced", "not synced yet"])
@pytest.mark.parametrize("verb", [services.trio_close, services.trio_panic])
def test_a_position_above_the_market_maximum_is_closed_in_as_many_exits_as_it_takes(
    any_desk: Desk, verb: object, is_known: bool
) -> None:
    desk = any_desk
    # Given a trio whose position a person made larger than one market order may be
    trio = larger_than_the_market_maximum(desk)
    if is_known:
        symbols_sync("PAPER")
    else:
        Symbol.objects.update(synced_at="2026-01-01T00:00:00Z")

    # When it is closed
    verb(trio_id=trio.pk, by="test")  # type: ignore[operator]
    desk.carry_until(trio, "CLOSED")

    # Then each exit fits
    closed_in(desk, trio, exits=2 if is_known else 3)


def test_rules_that_were_read_just_before_they_changed_are_read_again(desk: Desk) -> None:
    symbols_sync("PAPER")
    trio = larger_than_the_market_maximum(desk)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    closed_in(desk, trio, exits=3)


def larger_than_the_market_maximum(desk: Desk) -> TrioOrder:
    """A position of 0.150, of which one market order may be 0.100 from now on."""
    trio = desk.placed(desk.a_trio(quantity=D("0.080"), protection="ON_FIRST_FILL"))
    bought_in_the_app(desk, "0.070")
    desk.carry()
    desk.simulator.set_filters("BTCUSDT", MARKET_LOT_SIZE={"maxQty": "0.100"})
    return trio


def closed_in(desk: Desk, trio: TrioOrder, *, exits: int) -> None:
    sent = [(leg.quantity, leg.filled) for leg in trio.legs.filter(role=Role.EXIT)]
    taken = [filled for _, filled in sent if filled]
    assert taken == [D("0.100"), D("0.050")], story(trio)
    assert len(sent) == exits, sent
    assert desk.resting == []


def test_what_is_left_below_the_minimum_is_dust_with_its_question_and_ends_by_itself(desk: Desk) -> None:
    # Given a trio under which the market step becomes coarser
    trio = desk.placed(desk.a_trio(quantity=D("0.015"), protection="ON_FIRST_FILL"))
    lot = {"stepSize": "0.010", "minQty": "0.010"}
    desk.simulator.set_filters("BTCUSDT", MARKET_LOT_SIZE=lot)
    symbols_sync("PAPER")

    services.trio_close(trio_id=trio.pk, by="test")
    for _ in range(20):
        desk.carry()

    # Then all that can be closed is, the rest stays under its stop, and one question is asked
    assert desk.simulator.position("BTCUSDT").quantity == D("0.005")
    assert the(trio).question_kind == QuestionKind.DUST, story(trio)
    assert the(trio).question_facts == {"quantity": "0.005"}
    assert trio.legs.filter(role=Role.EXIT).count() == 1
    assert any(client_id.rpartition("-")[2].startswith("s") for client_id in desk.resting)

    # When the rules let it go, it goes
    desk.simulator.set_filters("BTCUSDT", MARKET_LOT_SIZE={"stepSize": "0.001", "minQty": "0.001"})
    symbols_sync("PAPER")
    desk.service.advance(trio.pk)
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL"


@pytest.mark.parametrize("is_known", [True, False], ids=["synced", "not synced yet"])
def test_legs_are_fitted_to_the_tick_of_the_day_they_go_out(any_desk: Desk, is_known: bool) -> None:
    desk = any_desk
    # Given an entry that rests while its symbol's tick changes
    trio = desk.placed(
        desk.a_trio(
            entry_type="LIMIT", price=D("99000"), stop_loss=D("95000.1"), take_profit=D("109999.9"),
            protection="ON_FIRST_FILL",
        )
    )  # fmt: skip
    assert trio.state == "WORKING", story(trio)
    desk.simulator.set_filters("BTCUSDT", PRICE_FILTER={"tickSize": "1.00"})
    if is_known:
        symbols_sync("PAPER")
    else:
        Symbol.objects.update(synced_at="2026-01-01T00:00:00Z")

    # When it fills
    desk.simulator.set_price("BTCUSDT", "98990")
    desk.carry_until(trio, "OPEN")
    for _ in range(5):
        desk.carry()

    # Then both legs rest, at prices that risk no more than was meant, and the trio says so
    levels = {leg.role: leg.trigger_price for leg in trio.legs.filter(state="ACCEPTED")}
    assert levels == {"STOP_LOSS": D("95001"), "TAKE_PROFIT": D("109999")}, story(trio)
    assert the(trio).state == "OPEN"
    noted = [event.text for event in trio.events.filter(kind="fitted")]
    assert "Stop-loss: 95000.1 is not a price of BTCUSDT any more, its tick is 1 now; 95001 is used." in noted
    assert (the(trio).stop_loss, the(trio).take_profit) == (D("95000.1"), D("109999.9"))


def test_a_resting_entry_that_could_not_be_protected_any_more_asks_before_it_fills_once(desk: Desk) -> None:
    trio = desk.placed(
        desk.a_trio(entry_type="LIMIT", price=D("99000"), stop_loss=D("98990"), protection="ON_FIRST_FILL")
    )
    desk.simulator.set_filters("BTCUSDT", PRICE_FILTER={"tickSize": "1000"})
    symbols_sync("PAPER")

    asked = [symbols_look(desk.account) for _ in range(2)]

    assert asked == [{trio.pk}, set()]
    assert the(trio).question_kind == QuestionKind.RULES_CHANGED
    assert "the stop-loss would be 99000" in the(trio).question

    # An answer sticks
    services.trio_answer(trio_id=trio.pk, by="test")
    assert symbols_look(desk.account) == set()
    assert the(trio).state == "WORKING"


def test_rules_that_explain_no_refusal_are_not_read_again_and_again(desk: Desk) -> None:
    # Given an exchange that refuses every exit for its size, whatever its rules say
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.simulator.refuses("MARKET", code=-4005)
    asked = readings(desk)
    began = time.monotonic()
    services.trio_close(trio_id=trio.pk, by="test")
    until(lambda: desk.carry() or trio.legs.filter(role=Role.EXIT).count() >= 5, why=lambda: story(trio))  # type: ignore[func-returns-value]

    # Then they are read once in two seconds at most
    read = readings(desk) - asked
    assert 1 <= read <= 1 + (time.monotonic() - began) / VAIN_SECONDS


def readings(desk: Desk) -> int:
    return sum(entry.path == "/fapi/v1/exchangeInfo" for entry in desk.simulator.log)

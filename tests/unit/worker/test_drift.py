"""What a person switches in the exchange's app while trios live: nothing new is opened, legs stay, a person is asked."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import SymbolSetting
from exchange.types import MarginType
from orders import services
from orders.clock import db_now
from orders.domain.errors import OrdersError
from orders.models import Symbol, TrioEvent, TrioOrder
from tests.builders import Desk, story, the
from worker.drift import drift_look

D = Decimal


def switch_position_mode(desk: Desk, *, hedge: bool) -> None:
    """Have the exchange show another mode. The real one refuses it while something rests; nobody relies on that."""
    desk.simulator.ex.by_key[desk.api_key].account.dual = hedge


def questions(trio: TrioOrder) -> list[str]:
    return [event.text for event in TrioEvent.objects.filter(trio=trio, kind="question")]


def test_a_switched_position_mode_opens_nothing_new_keeps_the_legs_and_asks_once(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    rested = desk.resting

    # When the mode is switched in the app, and looked at twice
    switch_position_mode(desk, hedge=True)
    asked = [drift_look(desk.account, all_of_it=False) for _ in range(2)]

    # Then the trio asks once, goes on in the mode it was placed in, and nothing new is opened
    assert asked == [{trio.pk}, set()]
    assert the(trio).question.startswith("The account's settings were changed on the exchange")
    assert "hedge mode now" in the(trio).question
    desk.account.refresh_from_db()
    assert desk.account.position_mode == "ONE_WAY"
    another = desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("1800"), take_profit=D("9000"))
    with pytest.raises(OrdersError, match="Nothing new is opened"):
        desk.queued(another)
    assert desk.resting == rested
    assert the(trio).state == "OPEN", story(trio)

    # When it is switched back, new ones are taken again
    switch_position_mode(desk, hedge=False)
    drift_look(desk.account, all_of_it=False)
    desk.account.refresh_from_db()
    assert desk.account.differs == ""


def test_what_was_answered_is_not_asked_again(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    switch_position_mode(desk, hedge=True)
    drift_look(desk.account, all_of_it=False)

    services.trio_answer(trio_id=trio.pk, by="test")

    assert drift_look(desk.account, all_of_it=False) == set()
    assert the(trio).question == ""
    assert len(questions(trio)) == 1


def test_a_mode_that_concerns_nothing_alive_is_taken_over_and_a_queued_trio_is_refused(desk: Desk) -> None:
    # Given a trio that has sent nothing yet
    trio = desk.queued(desk.a_trio())

    switch_position_mode(desk, hedge=True)
    assert drift_look(desk.account, all_of_it=False) == set()
    desk.account.refresh_from_db()
    assert (desk.account.position_mode, desk.account.differs) == ("HEDGE", "")

    # Then its entry, which names no side, never goes out
    desk.advance(trio)
    assert the(trio).state == "REFUSED", story(trio)
    assert "is in hedge mode" in the(trio).reason
    assert not desk.requests(path="/fapi/v1/order")


def test_multi_assets_mode_opens_nothing_new(desk: Desk) -> None:
    desk.simulator.ex.by_key[desk.api_key].account.multi_assets = True
    drift_look(desk.account, all_of_it=False)
    with pytest.raises(OrdersError, match="multi-assets mode is on"):
        desk.queued(desk.a_trio())


def test_a_symbol_that_stops_trading_asks_and_takes_nothing_new(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    rested = desk.resting
    Symbol.objects.update(synced_at=db_now() - timedelta(hours=1))

    # When it stops, and the rules are read anew
    desk.simulator.ex.catalogue.set_status("BTCUSDT", "SETTLING")
    asked = [drift_look(desk.account, all_of_it=True) for _ in range(2)]

    assert asked == [{trio.pk}, set()]
    assert the(trio).question.startswith("The symbol does not trade now: BTCUSDT is SETTLING")
    assert desk.resting == rested
    with pytest.raises(OrdersError, match="is not trading now"):
        desk.queued(desk.a_trio())


def test_a_margin_type_that_was_changed_asks(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    drift_look(desk.account, all_of_it=True)
    setting = SymbolSetting.objects.filter(account=desk.account, symbol="BTCUSDT")
    was = setting.get().margin_type
    other = MarginType.ISOLATED if was == MarginType.CROSSED.value else MarginType.CROSSED
    setting.update(margin_type=other.value)  # as it was read last time

    assert drift_look(desk.account, all_of_it=True) == {trio.pk}
    assert f"is {was} now, it was {other.value}" in the(trio).question
    assert setting.get().margin_type == was


def test_what_a_trio_asks_already_comes_first(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(question="A rest of 0.001 is left?")
    switch_position_mode(desk, hedge=True)

    assert drift_look(desk.account, all_of_it=False) == set()
    assert the(trio).question == "A rest of 0.001 is left?"

    services.trio_answer(trio_id=trio.pk, by="test")
    assert drift_look(desk.account, all_of_it=False) == {trio.pk}

"""Whole lives of trios, through the real service, PostgreSQL and the simulated exchange."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderType, Side, Stamp
from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.domain.errors import TrioRefused
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.installation import install_adopt
from orders.models import Install, TrioOrder
from tests.builders import Desk, story, the, until

D = Decimal
BOTH = [Protection.PRE_ARMED, Protection.ON_FIRST_FILL]


@pytest.mark.parametrize("protection", BOTH)
def test_a_market_trio_stands_after_three_order_requests_and_nothing_else(
    any_desk: Desk, protection: Protection, settings: Any
) -> None:
    settings.PROTECT_TIMEOUT_MS = 2000  # a machine with other things to do is no reason to look anything up
    desk = any_desk
    trio = desk.queued(desk.a_trio(protection=protection))
    before = len(desk.simulator.log)

    desk.advance(trio)

    asked = [(entry.method, entry.path) for entry in desk.simulator.log[before:]]
    assert sorted(asked) == [
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/order"),
    ], story(trio)
    desk.carry()
    assert the(trio).state == "OPEN", story(trio)
    side = "LONG" if desk.account.position_mode == "HEDGE" else "BOTH"
    assert desk.simulator.position("BTCUSDT", side=side).quantity == D("0.010")
    assert len(desk.resting) == 2


def test_a_pre_armed_trio_is_never_uncovered(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(protection=Protection.PRE_ARMED))
    assert (trio.state, trio.uncovered_ms) == ("OPEN", 0), story(trio)


@pytest.mark.parametrize("protection", BOTH)
@pytest.mark.parametrize(("price", "result"), [("111000", "TAKE_PROFIT"), ("94000", "STOP_LOSS")])
def test_a_trio_ends_by_its_target_or_its_stop(
    any_desk: Desk, protection: Protection, price: str, result: str
) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(protection=protection))

    desk.simulator.set_price("BTCUSDT", price)

    desk.carry_until(trio, "CLOSED")
    assert trio.result == result, story(trio)
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_a_short_trio_takes_profit_below(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(side="SELL", protection=protection))
    assert trio.state == "OPEN", story(trio)

    desk.simulator.set_price("BTCUSDT", "89000")

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TAKE_PROFIT", story(trio)
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_a_resting_limit_entry_is_covered_when_it_fills(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=protection))
    assert trio.state == "WORKING", story(trio)

    desk.simulator.set_price("BTCUSDT", "98990")

    desk.carry_until(trio, "OPEN")
    desk.carry()
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)
    assert trio.legs.filter(role=Role.TAKE_PROFIT, state=LegState.ACCEPTED).exists(), story(trio)


@pytest.mark.parametrize("protection", BOTH)
def test_a_partial_fill_is_covered_at_once(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=protection))

    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    desk.carry()

    verdict_stops = trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED)
    assert verdict_stops.exists(), story(trio)
    desk.simulator.set_price("BTCUSDT", "94900")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS", story(trio)
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_cancel_before_a_fill_leaves_nothing(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=protection))

    services.trio_cancel(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CANCELLED")
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_close_exits_at_market(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    trio = desk.placed(desk.a_trio(protection=protection))

    services.trio_close(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL", story(trio)
    assert desk.resting == []


@pytest.mark.parametrize("protection", BOTH)
def test_a_refused_stop_leaves_nothing_behind(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    desk.simulator.refuses("STOP_MARKET", code=-2010)

    trio = desk.placed(desk.a_trio(protection=protection))
    desk.carry_until(trio, "ROLLED_BACK")

    assert desk.resting == []
    side = "LONG" if desk.account.position_mode == "HEDGE" else "BOTH"
    assert desk.simulator.position("BTCUSDT", side=side).is_flat
    assert "refused the stop-loss" in trio.reason


@pytest.mark.parametrize("protection", BOTH)
def test_a_refused_target_leaves_nothing_behind(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    desk.simulator.refuses("TAKE_PROFIT_MARKET", code=-2010)

    trio = desk.placed(desk.a_trio(protection=protection))
    desk.carry_until(trio, "ROLLED_BACK")

    assert desk.resting == []
    side = "LONG" if desk.account.position_mode == "HEDGE" else "BOTH"
    assert desk.simulator.position("BTCUSDT", side=side).is_flat


@pytest.mark.parametrize("protection", BOTH)
def test_an_entry_whose_answer_got_lost_is_found_and_covered(any_desk: Desk, protection: Protection) -> None:
    desk = any_desk
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "lose_answer"}, 1)
    desk.deaf = True

    trio = desk.placed(desk.a_trio(protection=protection))

    assert trio.state == "OPEN", story(trio)
    assert trio.uncovered_longest_ms <= 2000
    entries = [e for e in desk.requests(path="/fapi/v1/order") if e.client_id.endswith("e1")]
    assert len(entries) == 1


@pytest.mark.parametrize("protection", BOTH)
def test_an_entry_that_never_arrived_is_proved_absent_and_never_sent_again(
    any_desk: Desk, protection: Protection
) -> None:
    desk = any_desk
    desk.simulator.fault(
        {"method": "POST", "path": "/fapi/v1/order"},
        {"do": "answer", "status": 503, "body": "", "execute": False},
        1,
    )

    trio = desk.queued(desk.a_trio(protection=protection))
    desk.advance(trio)
    desk.carry_until(trio, "ROLLED_BACK")

    assert "not sent a second time" in trio.reason
    assert desk.resting == []
    assert len(desk.requests(path="/fapi/v1/order")) == 1


@pytest.mark.parametrize("protection", BOTH)
def test_after_a_stop_whose_answer_got_lost_a_second_stop_is_sent(
    any_desk: Desk, protection: Protection
) -> None:
    desk = any_desk
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "lose_answer"}, 1)
    desk.deaf = True

    trio = desk.placed(desk.a_trio(protection=protection))

    assert trio.state == "OPEN", story(trio)
    assert trio.uncovered_longest_ms <= 2000, story(trio)


def test_a_stop_throttled_three_times_is_there_in_time(desk: Desk) -> None:
    desk.simulator.fault(
        {"method": "POST", "type": "STOP_MARKET"},
        {"do": "answer", "status": 503, "body": {"code": 0, "msg": "Service Unavailable."}, "execute": False},
        {"times": 3},
    )
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry_until(trio, "OPEN")

    def covered() -> bool:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()

    until(covered, why=lambda: story(trio))
    desk.carry()
    assert the(trio).uncovered_longest_ms <= 2000, story(trio)


def test_a_position_that_cannot_be_covered_is_closed_within_the_bound(desk: Desk) -> None:
    desk.simulator.fault(
        {"method": "POST", "type": "STOP_MARKET"},
        {"do": "answer", "status": 503, "body": {"code": 0, "msg": "Service Unavailable."}, "execute": False},
    )
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry_until(trio, "CLOSED")

    assert trio.result == "UNCOVERED", story(trio)
    assert desk.simulator.position("BTCUSDT").is_flat
    assert trio.uncovered_longest_ms <= 2000, story(trio)


def test_what_a_silent_stream_does_not_tell_the_sweep_does(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")
    desk.hear()

    desk.sweep()
    desk.carry_until(trio, "OPEN")
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists(), story(trio)


def test_a_person_closing_the_position_ends_the_trio_outside(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    exchange = exchange_for(desk.account.pk)
    order = NewOrder(
        "a-persons-own", "BTCUSDT", Side.SELL, OrderType.MARKET, quantity=D("0.010"), reduce_only=True
    )
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000))

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "OUTSIDE", story(trio)
    assert desk.resting == []


def test_two_workers_at_once_place_one_trio_once(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())

    def advance(_: int) -> None:
        try:
            desk.service.advance(trio.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(advance, range(8)))
    desk.carry_until(trio, "OPEN")

    assert len(desk.requests(path="/fapi/v1/order")) == 1
    assert len(desk.requests(path="/fapi/v1/algoOrder")) == 2
    assert desk.simulator.position("BTCUSDT").quantity == D("0.010")


def test_a_restored_copy_of_the_database_asks_the_exchange_nothing_until_it_is_adopted(desk: Desk) -> None:
    # Given an open trio whose close is wanted, in a database that now lies on another server
    trio = desk.placed(desk.a_trio())
    Install.objects.update(system_identifier="another server")
    services.trio_close(trio_id=trio.pk, by="test")
    before = len(desk.simulator.log)

    # When it is carried forward, nothing is asked, and nothing new is accepted either
    desk.advance(trio)
    assert len(desk.simulator.log) == before
    with pytest.raises(TrioRefused, match="adopt_install"):
        desk.queued(desk.a_trio(symbol="ETHUSDT"))

    # Until a person says that the other server is gone
    install_adopt()
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL", story(trio)


def test_a_trio_whose_decision_raises_keeps_its_cover_asks_a_person_and_holds_up_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = desk.placed(desk.a_trio())
    monkeypatch.setattr("orders.placement.service.decide", lambda snapshot: 1 / 0)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.advance(trio)
    assert the(trio).question
    assert (trio.failures, len(desk.resting)) == (1, 2)

    monkeypatch.undo()
    TrioOrder.objects.update(wake_at=db_now())
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []

"""The exchange takes orders and shows none of them: what cannot be read must not count as cover for ever."""

from __future__ import annotations

from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.exchange_data.clock import exchange_now_ms
from tests.builders import Desk, story, the, until


def test_a_stop_that_rests_counts_although_nothing_answers_its_look_up(desk: Desk) -> None:
    # Given a position under its stop, and an exchange whose look-ups of single orders fail
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry()
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v1/algoOrder"}, {"do": "answer", "status": 504}, "every"
    )

    # When it is to be looked up for longer than a position may be uncovered
    services.trio_refresh(trio_id=trio.pk, by="test")
    begun = exchange_now_ms("PAPER")

    def is_over() -> bool:
        desk.carry()
        return exchange_now_ms("PAPER") > begun + 3000

    until(is_over, seconds=10, why=lambda: story(trio))

    # Then nothing else is sent: what was acknowledged stands until it is shown to be gone
    assert the(trio).state == "OPEN"
    assert not trio.legs.filter(role=Role.EXIT).exists()
    assert trio.legs.filter(role=Role.STOP_LOSS).count() == 1


def test_a_stop_that_expired_is_placed_anew_although_no_position_can_be_read(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry()
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v3/positionRisk"}, {"do": "answer", "status": 504}, "every"
    )
    desk.simulator.expire(trio.legs.get(role=Role.STOP_LOSS).client_id)

    def another() -> bool:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, generation=2, state=LegState.ACCEPTED).exists()

    until(another, seconds=5, why=lambda: story(trio))
    assert the(trio).state == "OPEN"
    assert trio.uncovered_longest_ms < 2000


def test_an_exit_that_was_lost_is_followed_by_another_although_no_position_can_be_read(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    desk.carry()
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v3/positionRisk"}, {"do": "answer", "status": 504}, "every"
    )
    desk.simulator.fault({"method": "POST", "type": "MARKET"}, {"do": "lose_before"}, 1)
    services.trio_close(trio_id=trio.pk, by="test")

    def flat() -> bool:
        desk.carry()
        return desk.simulator.position("BTCUSDT").is_flat

    until(flat, seconds=8, why=lambda: story(trio))
    desk.simulator.clear_faults()
    desk.carry_until(trio, "CLOSED")


def test_a_target_that_never_gets_through_is_tried_ever_less_often(desk: Desk) -> None:
    # Given an exchange that takes stops and, for the time being, no targets
    throttled = {
        "do": "answer",
        "status": 503,
        "body": {"code": -1008, "msg": "Server is currently overloaded."},
    }
    desk.simulator.fault({"method": "POST", "type": "TAKE_PROFIT_MARKET"}, throttled, "every")
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))

    def tried() -> list[int]:
        desk.carry()
        sent = [e for e in desk.simulator.log if e.params.get("type") == "TAKE_PROFIT_MARKET"]
        return [entry.ms for entry in sent]

    until(lambda: len(tried()) == 4, seconds=8, why=lambda: story(trio))

    # Then each pause is longer than the one before, under the stop that rests
    first, second, third, fourth = tried()
    assert second - first >= 200
    assert third - second >= 400
    assert fourth - third >= 800
    assert trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()

    # And once it is taken, it rests
    desk.simulator.clear_faults()
    until(lambda: tried() and len(desk.resting) == 2, seconds=8, why=lambda: story(trio))

"""The exchange's clock is set back while a trio lives: what was dated by the old clock does not outlive it."""

from __future__ import annotations

import pytest

from orders import services
from orders.domain.enums import Role
from simulator.clock import wall_clock
from tests.builders import Desk, story, the

STEP_MS = 8000


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_a_close_after_a_step_back_sends_one_exit_and_asks_nothing(any_desk: Desk, protection: str) -> None:
    desk = any_desk
    # Given an open trio, all of it dated by a clock that is then set back
    trio = desk.placed(desk.a_trio(protection=protection))
    desk.carry()
    desk.simulator.clock = lambda: wall_clock() - STEP_MS
    before = len(desk.simulator.log)

    # When it is closed
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED", seconds=5)

    # Then one exit executed, none was refused, and nobody was asked
    exits = [e for e in desk.simulator.log[before:] if e.params.get("type") == "MARKET" and e.status == 200]
    assert len(exits) == 1, story(trio)
    assert [(leg.state, leg.filled > 0) for leg in trio.legs.filter(role=Role.EXIT)] == [("FILLED", True)]
    assert not trio.events.filter(kind="question").exists(), story(trio)
    assert the(trio).result == "MANUAL"
    assert len(desk.simulator.log) - before < 40, "it asks again and again until the clock has caught up"

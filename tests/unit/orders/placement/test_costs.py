"""What a trio's life costs in statements: each is time in which a fill waits for its stop."""

from __future__ import annotations

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.builders import Desk, story, the

PLACED, LIVED = 17, 200


def test_a_market_trio_is_placed_and_lives_within_its_statements(desk: Desk) -> None:
    # Given everything compiled and cached that ever is
    warm = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "111000")
    desk.carry_until(warm, "CLOSED")
    desk.simulator.set_price("BTCUSDT", "100000")
    desk.carry()

    trio = desk.queued(desk.a_trio(protection="ON_FIRST_FILL"))
    with CaptureQueriesContext(connection) as placing:
        desk.advance(trio)
    with CaptureQueriesContext(connection) as living:
        desk.carry_until(trio, "OPEN")
        desk.carry()
        desk.simulator.set_price("BTCUSDT", "111000")
        desk.carry_until(trio, "CLOSED")

    assert the(trio).result == "TAKE_PROFIT", story(trio)
    assert len(placing) <= PLACED, len(placing)
    assert len(placing) + len(living) <= LIVED, (len(placing), len(living))

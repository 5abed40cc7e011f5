"""Whole lives on every variant of the exchange that nobody has confirmed: none may change an end."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from accounts import endpoints
from exchange.types import PositionMode
from orders import services
from orders.domain.enums import Protection, Role
from simulator import Simulator
from simulator.transport import InProcessAdapter
from tests.builders import Desk, story
from tests.unit.orders.conftest import _desk

D = Decimal
VARIANTS: dict[str, dict[str, Any]] = {
    "production": {"profile": "prod"},
    "legs refused while flat": {"flat_reduce_only_algo": "refuse", "flat_hedge_algo": "refuse"},
    "hedge excess trimmed": {"hedge_excess_at_trigger": "trim"},
    "child ids of their own": {"child_ids": "own"},
    "look-ups that lag": {"algo_lookup_lag_ms": 400},
    "FINISHED before the fill": {"finished_first": True},
    "a slow trigger": {"trigger_delay_ms": 100},
    "ids shared between namespaces": {"shared_ids": True},
}


@pytest.fixture(params=list(VARIANTS), ids=lambda name: name.replace(" ", "-"))
def venue(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    simulated = Simulator(symbols={"BTCUSDT"}, **VARIANTS[request.param])
    simulated.set_price("BTCUSDT", "100000")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


@pytest.fixture(params=["ONE_WAY", "HEDGE"])
def venue_desk(request: pytest.FixtureRequest, venue: Simulator, transactional_db: None) -> Desk:
    return _desk(venue, request.param)


@pytest.mark.parametrize("protection", list(Protection))
def test_a_market_trio_takes_profit_and_the_next_stops_out(venue_desk: Desk, protection: Protection) -> None:
    desk = venue_desk
    for price, result in (("111000", "TAKE_PROFIT"), ("94000", "STOP_LOSS")):
        desk.simulator.set_price("BTCUSDT", "100000")
        desk.sweep()
        trio = desk.placed(desk.a_trio(protection=protection))
        assert trio.state == "OPEN", story(trio)
        desk.simulator.set_price("BTCUSDT", price)
        desk.carry_until(trio, "CLOSED")
        assert trio.result == result, story(trio)
        assert desk.resting == []
        assert trio.uncovered_longest_ms <= 2000


@pytest.mark.parametrize("protection", list(Protection))
def test_a_partly_filled_limit_entry_is_covered_then_closed_by_hand(
    venue_desk: Desk, protection: Protection
) -> None:
    desk = venue_desk
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=protection))
    assert trio.state == "WORKING", story(trio)

    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    desk.carry()
    services.trio_close(trio_id=trio.pk, by="test")

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "MANUAL", story(trio)
    assert desk.resting == []
    hedge = desk.account.position_mode == PositionMode.HEDGE
    assert desk.simulator.position("BTCUSDT", side="LONG" if hedge else "BOTH").is_flat
    assert trio.uncovered_longest_ms <= 2000

"""A desk on an exchange whose time and prices move only when a test moves them."""

from __future__ import annotations

import pytest

from simulator import Simulator
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    simulator = Simulator(clock=clock)
    simulator.add_account("desk", KEY, SECRET, balance="10000")
    simulator.set_price("BTCUSDT", "63000")
    return simulator


@pytest.fixture
def desk(simulator: Simulator, clock: Clock) -> Desk:
    return Desk(simulator, clock)


@pytest.fixture
def hedge(simulator: Simulator, clock: Clock) -> Desk:
    simulator.add_account("hedge", "hedge0key", "hedge0secret", position_mode="HEDGE")
    return Desk(simulator, clock, "hedge0key", "hedge0secret")

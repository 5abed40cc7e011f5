"""A simulated exchange mounted under the real client, and an account on it.

What needs Django is imported where it is used: the tests of ``domain`` pass here too, and start without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulator import Simulator
    from tests.builders import Desk

KEY, SECRET = "paper-key-for-tests", "paper-secret-for-tests"
TESTNET_KEY, TESTNET_SECRET = "testnet-key-for-tests", "testnet-secret-for-tests"


@pytest.fixture(autouse=True)
def _impatient(settings: object) -> None:
    """Shorter patience, so that stories of silence do not take seconds. Everything else is as shipped."""
    settings.PROTECT_TIMEOUT_MS = 150  # type: ignore[attr-defined]
    settings.ABSENCE_MARGIN_MS = 300  # type: ignore[attr-defined]
    settings.RECV_WINDOW_MS = 1000  # type: ignore[attr-defined]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    from accounts import endpoints
    from simulator import Simulator
    from simulator.transport import InProcessAdapter

    simulated = Simulator(symbols={"BTCUSDT", "ETHUSDT", "ADAUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


def _desk(simulator: Simulator, mode: str) -> Desk:
    from accounts.services import account_add
    from orders.exchange_data.symbol_sync import symbols_sync
    from orders.placement import service
    from tests.builders import Desk

    service._read_in_vain.clear()  # of another test
    simulator.add_account("desk", KEY, SECRET, balance="100000", position_mode=mode)
    symbols_sync("PAPER")
    account = account_add(name="desk", environment="PAPER", api_key=KEY, api_secret=SECRET)
    return Desk(simulator, account, KEY).watched()


@pytest.fixture
def desk(simulator: Simulator, transactional_db: None) -> Desk:
    return _desk(simulator, "ONE_WAY")


@pytest.fixture
def hedge_desk(simulator: Simulator, transactional_db: None) -> Desk:
    return _desk(simulator, "HEDGE")


@pytest.fixture
def testnet(transactional_db: None) -> Iterator[Desk]:
    """The same desk on TESTNET: only the addresses differ, and what is asked of a person's money."""
    from accounts import endpoints
    from accounts.services import account_add
    from orders.exchange_data.symbol_sync import symbols_sync
    from simulator import Simulator
    from simulator.transport import InProcessAdapter
    from tests.builders import Desk

    simulated = Simulator(symbols={"BTCUSDT", "ETHUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    simulated.add_account("desk", TESTNET_KEY, TESTNET_SECRET, balance="100000")
    endpoints.use_transport("TESTNET", InProcessAdapter(simulated))
    symbols_sync("TESTNET")
    account = account_add(
        name="testnet", environment="TESTNET", api_key=TESTNET_KEY, api_secret=TESTNET_SECRET
    )
    yield Desk(simulated, account, TESTNET_KEY).watched()
    endpoints.use_transport("TESTNET", None)


@pytest.fixture(params=["ONE_WAY", "HEDGE"])
def any_desk(request: pytest.FixtureRequest, simulator: Simulator, transactional_db: None) -> Desk:
    return _desk(simulator, request.param)

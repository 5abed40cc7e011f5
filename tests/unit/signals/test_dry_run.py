"""What leaves for TESTNET because of a signal: nothing without limits, order/test alone in dry run, stops always."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from orders.models import RiskLimit
from tests.builders import Desk, story, the
from tests.unit.orders.conftest import KEY, SECRET
from tests.unit.signals.hooks import BUY, a_sender

D = Decimal


@pytest.fixture
def testnet(transactional_db: None) -> Iterator[Desk]:
    from accounts import endpoints
    from accounts.services import account_add
    from orders.exchange_data.symbol_sync import symbols_sync
    from simulator import Simulator
    from simulator.transport import InProcessAdapter

    simulated = Simulator(symbols={"BTCUSDT", "ETHUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    simulated.set_price("ETHUSDT", "4000")
    simulated.add_account("testnet", KEY, SECRET, balance="100000")
    endpoints.use_transport("TESTNET", InProcessAdapter(simulated))
    symbols_sync("TESTNET")
    account = account_add(name="testnet", environment="TESTNET", api_key=KEY, api_secret=SECRET)
    yield Desk(simulated, account, KEY).watched()
    endpoints.use_transport("TESTNET", None)


def sent(desk: Desk) -> list[str]:
    return [e.path for e in desk.requests(path="/fapi/v1/")]


def test_without_limits_nothing_automatic_leaves_for_the_testnet(testnet: Desk, settings: Any) -> None:
    settings.DRY_RUN_MODE = False
    result = a_sender(testnet).sends(BUY)

    assert (result.outcome, result.facts["rule"]) == ("REFUSED", "NO_LIMITS")
    assert sent(testnet) == []


def test_within_its_limits_a_signal_is_placed_there(testnet: Desk, settings: Any) -> None:
    settings.DRY_RUN_MODE = False
    RiskLimit.objects.create(account=testnet.account, source="hook:view", notional_order=D(2000))
    result = a_sender(testnet).sends(BUY)

    assert result.outcome == "PLACED", result.facts
    assert result.trio is not None
    assert testnet.carry_until(result.trio, "OPEN").source == "hook:view"


def test_in_dry_run_no_new_risk_leaves_while_a_living_trio_gets_its_stop(
    testnet: Desk, settings: Any
) -> None:
    # Given an entry of ETH that rests
    settings.DRY_RUN_MODE = False
    RiskLimit.objects.create(account=testnet.account, trios_open=5)
    sender = a_sender(testnet)
    resting = sender.sends({**BUY, "symbol": "ETHUSDT", "price": "3900"}).trio
    assert resting is not None
    testnet.carry_until(resting, "WORKING")
    before = len(sent(testnet))

    # When dry run is switched on, a signal comes, and the entry fills
    settings.DRY_RUN_MODE = True
    result = sender.sends(BUY)
    signals = sent(testnet)[before:]
    before = len(sent(testnet))
    testnet.simulator.set_price("ETHUSDT", "3890")
    testnet.carry_until(resting, "OPEN")

    # Then only a test of the signal's entry left, and the stop of what lives did
    assert result.outcome == "DRY_RUN", result.facts
    assert signals == ["/fapi/v1/order/test"]
    assert sent(testnet)[before:] == ["/fapi/v1/algoOrder", "/fapi/v1/algoOrder"], story(the(resting))
    assert testnet.simulator.position("BTCUSDT").is_flat
    assert len(testnet.resting) == 2

"""The same verbs over real HTTP, against the simulator in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts import gateways
from accounts.errors import ExchangeUnreachable, KeyRefused, SettingsRefused
from accounts.models import ExchangeAccount
from accounts.services import account_add, account_provision, account_test, paper_account_ensure
from accounts.symbol_settings import symbol_setting_want, symbol_settings_apply
from exchange.types import Endpoints, NewOrder, OrderType, Side, Stamp, TimeInForce
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Symbol

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def simulator(settings: Any) -> Iterator[subprocess.Popen[str]]:
    """A fresh simulator on a free port, known to us as PAPER; gone after the story."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--prices", "hand", "--die-with-parent"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = line.rpartition(" ")[2].strip()
    assert url.startswith("http://127.0.0.1:"), line
    settings.BINANCE_URLS = settings.BINANCE_URLS | {
        "PAPER": Endpoints(rest=url, stream=url.replace("http", "ws"), sapi=url)
    }
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        process.stdout.close()


def add(**wishes: Any) -> ExchangeAccount:
    given = {"name": "desk", "environment": "PAPER", "api_key": "desk-key", "api_secret": "desk-secret"}
    return account_add(**(given | wishes))


@pytest.mark.usefixtures("simulator")
def test_a_paper_account_needs_nothing_but_a_name() -> None:
    # When an account is entered that the simulator has never heard of
    account = add(balance=Decimal(2500), position_mode="HEDGE")

    # Then it trades there with that key, and testing it tells what it is
    assert account.position_mode == "HEDGE"
    check = account_test(account)
    assert not check.problems
    assert "2500.00 USDT" in check.sentence
    assert abs(check.probe.clock.offset_ms) < 1000
    assert account.permissions_note.startswith("reading, futures, no withdrawals")

    # And a wrong secret for the same key is told as such
    ExchangeAccount.objects.all().delete()
    with pytest.raises(KeyRefused, match="another secret"):
        add(api_secret="not-the-secret")


@pytest.mark.usefixtures("simulator")
def test_a_name_left_over_at_the_simulator_is_no_obstacle() -> None:
    # Given a database that was made anew while the simulator kept its accounts
    paper_account_ensure(name="demo")
    ExchangeAccount.objects.all().delete()

    # Then the same name is entered again, with another key
    assert not account_test(paper_account_ensure(name="demo")).problems


@pytest.mark.usefixtures("simulator")
def test_leverage_and_margin_are_set_and_left_alone_while_an_order_rests() -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=7, margin_type="ISOLATED")
    row = symbol_settings_apply(account, "BTCUSDT")
    assert (row.leverage, row.margin_type) == (7, "ISOLATED")

    # Given a resting order
    exchange = gateways.exchange_for(account.pk)
    mark = exchange.mark_prices("BTCUSDT")[0].mark
    order = NewOrder(
        client_id="test-1",
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=(mark * Decimal("0.97")).quantize(Decimal("0.1")),
        time_in_force=TimeInForce.GTC,
    )
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange.server_time(), 5000))

    # Then another wish has to wait
    symbol_setting_want(account, "BTCUSDT", leverage=3, margin_type=None)
    with pytest.raises(SettingsRefused, match="an order is open"):
        symbol_settings_apply(account, "BTCUSDT")


@pytest.mark.usefixtures("simulator")
def test_all_symbols_come_through_the_simulators_endpoint() -> None:
    first, second = symbols_sync("PAPER"), symbols_sync("PAPER")
    assert first.created == first.total >= 600
    assert second.unchanged == first.total
    assert Symbol.objects.get(symbol="BTCUSDT").tick_size == Decimal("0.1")


def test_a_simulator_that_is_gone_is_told_with_the_way_to_start_it(
    simulator: subprocess.Popen[str],
) -> None:
    account = add()
    gateways.forget(account.pk)
    simulator.send_signal(signal.SIGTERM)
    simulator.wait(timeout=20)
    with pytest.raises(ExchangeUnreachable, match="start it with “make demo”"):
        account_test(account)
    with pytest.raises(ExchangeUnreachable):
        account_provision(account)

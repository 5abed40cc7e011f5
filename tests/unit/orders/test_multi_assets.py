"""Accounts in multi-assets mode: all assets carry all positions. Supported here and in the simulator."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from accounts.symbol_settings import symbol_setting_want
from exchange.types import Side
from orders.domain.errors import RuleBroken, TrioRefused
from orders.services import trio_close
from tests.builders import Desk, story
from worker.order_executor import Intent, OrderExecutor
from worker.settings_drift import modes_look


@pytest.fixture
def portfolio(desk: Desk) -> Desk:
    """The desk in multi-assets mode, with dollars of another coin than it trades in."""
    account = desk.simulator.ex.by_key[desk.api_key].account
    account.multi_assets = True
    account.wallets.update(USDT=D(0), USDC=D(100))
    modes_look(desk.account)
    return desk


def test_what_one_asset_has_is_margin_for_another(portfolio: Desk) -> None:
    # A stop that the position's own margin would not reach: what the whole account has carries it
    trio = portfolio.placed(portfolio.a_trio(stop_loss=D("93000")))
    assert trio.state == "OPEN", story(trio)
    trio_close(trio_id=trio.pk, by="test")
    portfolio.carry_until(trio, "CLOSED")


def test_free_margin_is_that_of_the_whole_account(portfolio: Desk) -> None:
    with pytest.raises(RuleBroken) as refused:
        portfolio.queued(portfolio.a_trio(quantity=D("0.030"), stop_loss=D("99500")))
    assert "151.5 USDT of margin and fees, but only 100 USDT are free" in str(refused.value)


def test_the_liquidation_price_is_called_an_estimate_over_the_portfolio(portfolio: Desk) -> None:
    with pytest.raises(RuleBroken) as refused:
        portfolio.queued(portfolio.a_trio(stop_loss=D("85000")))
    assert "estimated over the whole portfolio (multi-assets mode)" in str(refused.value)


def test_only_isolated_margin_is_refused_there_as_the_exchange_does(portfolio: Desk) -> None:
    symbol_setting_want(portfolio.account, "BTCUSDT", leverage=None, margin_type="ISOLATED")
    with pytest.raises(TrioRefused, match="isolated-margin mode under the Multi-Assets mode"):
        portfolio.queued(portfolio.a_trio(stop_loss=D("99000")))


def test_a_batch_shares_one_purse(portfolio: Desk) -> None:
    portfolio.simulator.set_price("ETHUSDT", "2500")
    portfolio.sweep()
    one, two = OrderExecutor(portfolio.account).execute(
        [
            Intent("BTCUSDT", Side.BUY, D("0.012"), D("99500"), D("110000")),
            Intent("ETHUSDT", Side.BUY, D("0.5"), D("2480"), D("2600")),
        ]
    )
    assert one.placed, one.reason
    assert not two.placed
    assert "only 39.4 USDT are free" in two.reason

"""Net PnL is the figure: what the exchange booked, less its fees, to the last digit, wherever a result is shown."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from django.test import Client
from django.urls import reverse

from orders import selectors, services
from orders.cli.document import trio_sentence
from orders.models import Fill, TrioOrder
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import a_superuser, page_of


def closed_at(desk: Desk, price: str) -> TrioOrder:
    """Return a trio that was opened at 100000 and closed by hand at a price, with all its fills booked."""
    trio = desk.placed(desk.a_trio())
    until(lambda: desk.carry() or len(desk.resting) == 2, why=lambda: story(trio))  # type: ignore[func-returns-value]
    desk.simulator.set_price("BTCUSDT", price)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    until(
        lambda: desk.hear() or Fill.objects.filter(trio=trio, side="SELL").exists(), why=lambda: story(trio)
    )
    return trio


@pytest.mark.parametrize("price", ["100030", "99000", "104321.7"])
def test_net_pnl_is_the_exchanges_own_to_the_last_digit(desk: Desk, price: str) -> None:
    before = desk.simulator.wallet()
    trio = closed_at(desk, price)
    (result,) = selectors.net_pnl([trio.pk])[trio.pk]
    assert result.asset == "USDT"
    assert result.net == desk.simulator.wallet() - before
    assert result.net == result.realized - result.fees
    assert result.fees > 0


def test_a_loss_after_fees_is_red_in_the_list_and_on_the_page(desk: Desk) -> None:
    # Given a trio that made something, and less than its fees
    trio = closed_at(desk, "100030")
    (result,) = selectors.net_pnl([trio.pk])[trio.pk]
    assert result.realized > 0 > result.net
    operator: Client = a_superuser()
    shown = f'<b class="trio-bad">{result.net.normalize():f}</b> USDT'

    # Then list and page show the loss in red, and the page its parts
    assert shown in operator.get(reverse("admin:orders_trioorder_changelist")).content.decode()
    page = operator.get(page_of(trio)).content.decode()
    assert shown in page
    assert f"realised +{result.realized.normalize():f}, fees {result.fees.normalize():f}" in page

    # And so do commands
    assert f"Net PnL {result.net.normalize():f} USDT" in trio_sentence(the(trio))


def test_a_fee_in_another_asset_is_a_figure_of_its_own(desk: Desk) -> None:
    trio = closed_at(desk, "101000")
    Fill.objects.filter(trio=trio, side="SELL").update(commission=D("0.0007"), commission_asset="BNB")
    usdt, bnb = selectors.net_pnl([trio.pk])[trio.pk]
    assert (usdt.asset, bnb.asset, bnb.net) == ("USDT", "BNB", D("-0.0007"))
    assert usdt.net == usdt.realized - usdt.fees


def test_the_list_reads_all_results_at_once(desk: Desk) -> None:
    trio = closed_at(desk, "101000")
    assert list(selectors.net_pnl([trio.pk, 0])) == [trio.pk]
    assert selectors.net_pnl([]) == {}

"""The first page of a busy desk: what it is worth, what is at stake, and that it keeps itself fresh."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.exchange_data.clock import db_now
from orders.models import EquityDay, Heartbeat
from orders.queueing import market_at_hand
from tests.browser.sights import Picture, looked_at
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_first_page_says_how_the_desk_stands_and_keeps_itself_fresh(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, complaints: list[str]
) -> None:
    # Given a trio that lost, one that is open, and a refusal
    lost = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(lost, "CLOSED")
    desk.simulator.set_price("BTCUSDT", "100000")
    desk.placed(desk.a_trio())
    desk.sweep()
    for back, equity in ((9, Decimal(99000)), (4, Decimal(100500)), (1, Decimal(100000))):
        read_at = db_now() - timedelta(days=back)
        EquityDay.objects.create(
            account=desk.account,
            asset="USDT",
            day=read_at.date(),
            wallet=equity,
            equity=equity,
            read_at=read_at,
        )
    page = signed_in
    market_at_hand.forget()
    page.goto(f"{live_server.url}/admin/")
    expect(page.locator("[data-part=accounts] [data-name=Wallet]")).to_contain_text("99948")
    expect(page.locator("[data-part=open]")).to_contain_text("BTCUSDT")
    expect(page.locator("[data-part=protection]")).to_contain_text("every trio's position has its stop")
    expect(page.locator(".desk-nets dd.trio-bad").first).to_contain_text("-")
    expect(page.locator("[data-part=earned] canvas[data-from=first]")).to_be_visible()
    assert page.locator("[role=main]").count() == 1

    # When the price moves, the figure follows without the page being loaded again, and says how old it is
    page.evaluate("window.notReloaded = true")
    before = page.locator("[data-part=open] [data-name='Net PnL now']").inner_text()
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    expect(page.locator("[data-part=open] [data-name='Net PnL now'] b.trio-good")).to_be_visible()
    assert page.locator("[data-part=open] [data-name='Net PnL now']").inner_text() != before
    assert page.evaluate("window.notReloaded") is True
    expect(page.locator(".trio-age")).to_contain_text("Live: refreshed")
    desk.beat()
    looked_at(page, picture, "60-desk")

    # A worker that falls silent is named within seconds, and so is a network that is cut
    page.set_viewport_size({"width": 1440, "height": 900})
    Heartbeat.objects.update(beat=db_now() - timedelta(seconds=4))
    expect(page.locator("[data-part=alerts]")).to_contain_text("is not responding", timeout=5000)
    page.context.set_offline(True)
    expect(page.locator(".trio-age--stale")).to_contain_text("Not refreshed for", timeout=8000)
    page.context.set_offline(False)
    expect(page.locator(".trio-age")).to_contain_text("Live: refreshed", timeout=8000)
    complaints.clear()  # of the network that was cut

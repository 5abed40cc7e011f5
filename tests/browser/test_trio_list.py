"""The list of trios on every width: figures fit, and a phone shows nineteen without endless scrolling."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sights import Picture, looked_at
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_nineteen_trios_fit_a_phone(desk: Desk, signed_in: Page, live_server: Any, picture: Picture) -> None:
    # Given trios that won, lost, are open, and drafts: nineteen
    for price in ("111000", "94000"):
        trio = desk.placed(desk.a_trio())
        desk.simulator.set_price("BTCUSDT", price)
        desk.carry_until(trio, "CLOSED")
        desk.simulator.set_price("BTCUSDT", "100000")
    desk.placed(desk.a_trio())
    desk.sweep()
    for _ in range(16):
        desk.a_trio(side="SELL")

    # Then the list fits each width, and nothing of a row is cut off
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/")
    expect(page.locator("#result_list")).to_contain_text("if closed now")
    looked_at(page, picture, "61-list")
    for width in (1024, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        cut = page.evaluate(
            "(() => { const list = document.getElementById('result_list'); return list.scrollWidth - list.parentElement.clientWidth; })()"
        )
        assert cut <= 0, f"{cut} pixels of the list are cut off at {width}"
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("tr.data-row").count() == 19
    assert page.evaluate("document.documentElement.scrollHeight") < 4000


def test_the_statistics_fit_each_width(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    for price in ("111000", "94000"):
        trio = desk.placed(desk.a_trio())
        desk.simulator.set_price("BTCUSDT", price)
        desk.carry_until(trio, "CLOSED")
        desk.simulator.set_price("BTCUSDT", "100000")
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/statistics/?by=result")
    expect(page.locator(".trio-table")).to_contain_text("STOP_LOSS")
    looked_at(page, picture, "62-statistics")

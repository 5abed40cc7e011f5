"""Notices, alerts, drift policies and the rest of the plainer pages, at each width, light and dark."""

from __future__ import annotations

from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from notices.models import Destination, Notice, PriceAlert, Recipient
from orders.models import BulkRun, DriftChoices
from tests.browser.sights import Picture, looked_at
from tests.browser.test_axe import page_of
from tests.builders import Desk
from tests.unit.orders.admin.every_page import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What of its row each list shows.
LISTED: Final = {
    Notice: "swing",
    PriceAlert: "BTCUSDT",
    Destination: "hook",
    Recipient: "somebody",
    DriftChoices: "desk",
    BulkRun: "somebody",
}
CUT_OFF: Final = """[...document.querySelectorAll('#result_list tr > *')].filter(
  cell => cell.offsetParent && cell.scrollHeight > cell.clientHeight + 2).map(cell => cell.textContent.trim())"""


def test_plain_pages_fit_each_width(desk: Desk, signed_in: Page, live_server: Any, picture: Picture) -> None:
    world = World.made(desk)
    page = signed_in
    for at, (model, shown) in enumerate(LISTED.items()):
        name = f"11{at}-{model._meta.model_name}"
        page.goto(live_server.url + page_of(model, "changelist"))
        expect(page.locator("#content")).to_contain_text(shown)
        looked_at(page, picture, f"{name}-list", widths=(390, 1440))
        page.set_viewport_size({"width": 390, "height": 900})
        assert page.evaluate(CUT_OFF) == [], f"text of {name} is cut off"
        page.goto(live_server.url + page_of(model, "change", world.keys[model]))
        looked_at(page, picture, name, widths=(390, 1440))

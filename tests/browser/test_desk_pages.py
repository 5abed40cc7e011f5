"""An empty desk, a panic and a page that is not there, as people see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.sights import Picture, looked_at
from tests.builders import Desk, the

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_first_steps_and_a_page_that_is_not_there(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, complaints: list[str]
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/")
    expect(page.locator("[data-part=steps]")).to_contain_text("Place the first trio")
    looked_at(page, picture, "70-first-steps", widths=(390, 1440))
    page.goto(f"{live_server.url}/nowhere/")
    expect(page.locator("main")).to_contain_text("There is nothing here")
    picture("71-not-found")
    complaints.clear()  # of the page that is not there


def test_panic_is_typed_and_shown_until_all_is_flat(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, while_carried: Callable[..., Any]
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/panic/")
    looked_at(page, picture, "72-panic", widths=(390, 1440))
    page.fill("#typed", "close everything")
    page.click("button.trio-verb--danger")
    expect(page.locator("body")).to_contain_text("Nothing was requested")
    page.fill("#typed", "close 1")
    page.click("button.trio-verb--danger")
    expect(page.locator("[data-part=panic]")).to_contain_text("of 1")
    while_carried(
        lambda: page.locator("[data-part=panic]").get_by_text("Flat and verified").is_visible(),
        "the page shows that all is flat",
    )
    picture("73-panic-done")
    assert (the(trio).state, trio.result) == ("CLOSED", "PANIC")

"""Keys of the ticket and of a trio's page: listed in a dialog, and none of them does anything by itself."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import TrioOrder
from tests.browser.sights import Picture, looked_at
from tests.builders import Desk, the

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KEYS = "dialog#keys"


def body_focused(page: Page) -> None:
    page.evaluate("document.activeElement && document.activeElement.blur()")


def test_keys_of_a_trios_page_open_questions_and_do_nothing(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    expect(page.locator("#keys-open")).to_be_visible()
    body_focused(page)

    # The list is a dialog: what is behind it is out of reach, Escape closes it, and the focus comes back
    page.focus("#keys-open")
    page.keyboard.press("?")
    expect(page.locator(KEYS)).to_be_visible()
    assert page.evaluate("document.querySelector('dialog#keys').matches(':modal')") is True
    expect(page.locator(f"{KEYS} tr[data-key=s]")).to_be_visible()
    for _ in range(4):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "document.activeElement === document.body || !!document.activeElement.closest('dialog#keys')"
        )
    for width in (390, 1024, 1440):
        for colours in ("light", "dark"):
            page.emulate_media(color_scheme=colours)
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            picture(f"90-keys-{width}-{colours}")
    page.emulate_media(color_scheme="light")
    page.keyboard.press("Escape")
    expect(page.locator(KEYS)).not_to_be_visible()
    assert page.evaluate("document.activeElement.id") == "keys-open"

    # A letter opens the question, and no more; in a field it is a letter
    page.keyboard.press("x")
    expect(page.locator("#modal-content")).to_contain_text("Close at market?")
    page.keyboard.press("s")
    assert the(trio).close_wanted_at is None
    page.reload()
    page.focus("#remark-note")
    page.keyboard.type("x?")
    assert page.input_value("#remark-note") == "x?"
    assert page.locator("#modal-content #dialog").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(page.locator("#modal-content")).to_contain_text("Move the stop-loss?")

    # And switched off they do nothing, also after the page is loaded again; the list stays
    page.reload()
    page.click("#keys-open")
    page.check("#keys-off")
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator("#keys-open")).to_be_visible()
    body_focused(page)
    page.keyboard.press("x")
    assert page.locator("#modal-content #dialog").count() == 0
    page.keyboard.press("?")
    expect(page.locator(KEYS)).to_be_visible()
    assert (the(trio).state, the(trio).close_wanted_at) == ("OPEN", None)


def test_keys_of_the_ticket_go_to_its_fields(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    expect(page.locator("#keys-open")).to_be_visible()
    for key, field in (("q", "id_quantity"), ("s", "id_stop_loss"), ("t", "id_take_profit")):
        body_focused(page)
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == field
        assert page.input_value(f"#{field}") == ""
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator(".select2-search__field")).to_be_focused()
    page.keyboard.press("Escape")
    body_focused(page)
    page.keyboard.press("?")
    expect(page.locator(KEYS)).to_contain_text("to the stop-loss")
    picture("91-keys-ticket")
    page.keyboard.press("Escape")
    assert not TrioOrder.objects.exists()
    looked_at(page, picture, "92-ticket", widths=(390, 1440))

"""A ticket is kept as a template from what is typed, and fills the next form; notes and tags stand beneath a trio."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import TicketTemplate, TrioOrder
from tests.browser.sights import Picture, looked_at
from tests.browser.test_a_trios_life import choose_symbol
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_ticket_is_kept_as_it_is_typed_and_used_again(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "1% risk")
    page.fill("#id_stop_loss", "2%")
    page.fill("#id_take_profit", "1.5R")
    page.fill("#template-name", "Breakout, 1 % risk")
    page.keyboard.press("Enter")
    expect(page.locator(".ticket-templates__line")).to_contain_text("Breakout, 1 % risk")
    assert TicketTemplate.objects.get().terms["quantity"] == "1% risk"

    # An empty form is filled by a click, its figures follow, and nothing is saved
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    page.click(".ticket-templates__line a")
    assert page.input_value("#id_stop_loss") == "2%"
    expect(page.locator(".field-symbol .select2-selection__rendered")).to_contain_text("BTCUSDT")
    expect(page.locator("#ticket-preview")).to_contain_text("-999.124")
    assert not TrioOrder.objects.exists()
    page.click(".ticket-templates__all summary")
    looked_at(page, picture, "93-ticket-template")
    page.click(".ticket-templates__all summary")
    page.click("text=Remove")
    expect(page.locator("body")).to_contain_text("is removed")
    expect(page.locator(".ticket-templates")).to_have_count(0)


def test_notes_and_tags_beneath_a_trio(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    page.fill("#remark-tags", "breakout, <late>")
    page.click("text=Save tags")
    expect(page.locator("#remark-tags-wrong")).to_contain_text("is no tag")
    assert page.input_value("#remark-tags") == "breakout, <late>"
    page.fill("#remark-tags", "breakout, late-entry")
    page.click("text=Save tags")
    page.fill("#remark-note", "Entered late, after the second candle.\nWait for the retest next time.")
    page.click("text=Save note")
    expect(page.locator(".remarks__notes")).to_contain_text("Wait for the retest")
    looked_at(page, picture, "94-remarks")
    page.click(".remarks__tags >> text=breakout")
    expect(page.locator("#result_list")).to_contain_text(f"#{trio.pk}")
    looked_at(page, picture, "95-list-with-tags")

"""The order form answers while one types, never changes what is typed, and makes one trio however often it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import TrioOrder
from tests.browser.sights import Picture
from tests.browser.test_a_trios_life import choose_symbol
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_figures_follow_what_is_typed(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    figures = page.locator("#ticket-preview")
    expect(figures).to_contain_text("Choose symbol to see the preview")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "1% risk")
    page.fill("#id_stop_loss", "2%")
    page.fill("#id_take_profit", "1.5R")

    # Then the answer is there, what was typed is as it was, and the cursor where it was
    expect(figures).to_contain_text("-999.124")
    expect(page.locator(".field-quantity")).to_contain_text("Understood as 0.476 BTC")
    expect(page.locator(".field-stop_loss")).to_contain_text("Understood as 98000.0")
    assert page.input_value("#id_quantity") == "1% risk"
    assert page.evaluate("document.activeElement.id") == "id_take_profit"
    picture("40-ticket-understood")

    # When a stop is on no tick, the value that would do is one button away
    page.fill("#id_stop_loss", "98000.05")
    problem = page.locator(".field-stop_loss .ticket-problem")
    expect(problem).to_contain_text("whole number of ticks")
    assert page.get_attribute("#id_stop_loss", "aria-describedby") == "ticket-stop_loss"
    picture("41-ticket-problem")
    problem.locator("button").click()
    assert page.input_value("#id_stop_loss") == "98000.1"
    expect(problem).to_have_count(0)

    # It fits a phone
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        expect(figures).to_contain_text("Orders that will be sent")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(f"42-ticket-{width}")
    page.emulate_media(color_scheme="dark")
    picture("43-ticket-390-dark")

    # And a draft's own page shows the same
    page.set_viewport_size({"width": 1440, "height": 900})
    page.click("button[name=_save]")
    expect(page.locator("#content")).to_contain_text("not placed")
    expect(figures).to_contain_text("Orders that will be sent")
    assert page.input_value("#id_take_profit") == "102999.8"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    picture("44-ticket-draft-dark")


def test_an_older_answer_never_replaces_a_newer_one(
    desk: Desk, signed_in: Page, live_server: Any, complaints: list[str]
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_stop_loss", "95000")
    page.fill("#id_take_profit", "110000")
    page.fill("#id_quantity", "0.010")
    expect(page.locator("#ticket-preview")).to_contain_text("0.010 BTC")

    # When the back office answers no more, the figures say so and stay
    page.context.set_offline(True)
    page.fill("#id_quantity", "0.020")
    expect(page.locator(".ticket__late")).to_contain_text("does not answer")
    page.context.set_offline(False)
    page.fill("#id_quantity", "0.030")
    expect(page.locator("#ticket-preview")).to_contain_text("0.030 BTC")
    expect(page.locator(".ticket__late")).to_be_hidden()

    # And what is said about an earlier number is not shown
    def late(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('data-number="', 'data-number="-'))

    page.route("**/preview/", late)
    page.fill("#id_quantity", "0.040")
    page.wait_for_timeout(1500)
    expect(page.locator("#ticket-preview")).to_contain_text("0.030 BTC")
    complaints.clear()  # of the network that was cut


def test_two_clicks_and_a_second_tab_make_one_trio(desk: Desk, signed_in: Page, live_server: Any) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "0.010")
    page.fill("#id_stop_loss", "95000")
    page.fill("#id_take_profit", "110000")
    page.dblclick("button[name=_save]")
    expect(page.locator("#content")).to_contain_text("not placed")
    trio = TrioOrder.objects.get()

    desk.beat()
    page.click(".trio-verb:has-text('Place')")
    button = page.locator("#modal-content button[type=submit]")
    held: list[Any] = []
    page.route("**/place/**", lambda route: held.append(route))
    button.click()
    expect(button).to_contain_text("Placing…")
    button.click(force=True)
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert len(held) == 1
    held[0].continue_()
    page.unroute("**/place/**")
    expect(page.locator("body")).to_contain_text("queued for placement")
    desk.carry_until(trio, "OPEN")
    entries = [e for e in desk.requests("POST", "/fapi/v1/order") if e.path == "/fapi/v1/order"]
    assert len(entries) == 1

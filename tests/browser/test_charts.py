"""Pictures of prices: of a trio, and beside the order form, whose lines are dragged in step with its fields."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import TrioOrder
from tests.browser.sights import Picture, looked_at
from tests.browser.test_a_trios_life import choose_symbol
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_trios_page_shows_its_picture_its_money_and_what_comes_next(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()
    panel = page.locator("#trio-live")
    expect(panel).to_contain_text("Net PnL now")
    expect(panel).to_contain_text("Break-even of the trio")
    expect(panel).to_contain_text("First fill until a stop stood")
    expect(panel).to_contain_text("Waits")
    expect(panel.locator(".cover rect.cover--COVERED")).to_be_visible()
    expect(panel.locator(".cover svg")).to_have_attribute("aria-label", re.compile("covered from"))
    looked_at(page, picture, "63-trio")


def test_lines_are_dragged_in_step_with_the_form(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "0.010")
    page.fill("#id_stop_loss", "95000")
    page.fill("#id_take_profit", "110000")
    canvas = page.locator("#ticket-chart canvas")
    expect(canvas).to_be_visible()
    expect(page.locator("#ticket-preview")).to_contain_text("0.010 BTC")
    expect(canvas).to_have_attribute(
        "aria-label", "Prices, with Stop-loss 95000, Take-profit 110000, Mark 100000.0"
    )
    canvas.scroll_into_view_if_needed()

    # When the stop's line is dragged up, its field takes the price on the market's tick, and the figures follow
    def y_of(price: float) -> float:
        return float(
            page.evaluate(
                "(price) => Chart.getChart(document.querySelector('#ticket-chart canvas')).scales.y.getPixelForValue(price)",
                price,
            )
        )

    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 80, box["y"] + y_of(95000))
    page.mouse.down()
    page.mouse.move(box["x"] + 80, box["y"] + y_of(97000), steps=5)
    page.mouse.up()
    stop = page.input_value("#id_stop_loss")
    assert 96500 < float(stop) < 97500
    assert len(stop.partition(".")[2]) == 1, "in the market's own decimals"
    expect(page.locator("#ticket-preview")).to_contain_text(stop)
    expect(page.locator(".field-stop_loss .ticket-problem")).to_have_count(0)

    # And what is typed moves the line; an arrow key moves it by one tick
    page.fill("#id_take_profit", "109000.5")
    expect(canvas).to_have_attribute(
        "aria-label", f"Prices, with Stop-loss {stop}, Take-profit 109000.5, Mark 100000.0"
    )
    page.focus("#id_take_profit")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#id_take_profit") == "109000.6"
    looked_at_width(page, picture)
    assert not TrioOrder.objects.exists()


def looked_at_width(page: Page, picture: Picture) -> None:
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        picture(f"64-ticket-chart-{width}")


def test_sheets_and_positions_fit_each_width(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.placed(desk.a_trio())
    desk.sweep()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/slot/?holds=open")
    expect(page.locator("#result_list")).to_contain_text("at 95000")
    looked_at(page, picture, "65-positions")
    for name, address in (("66-proof", f"{trio.pk}/proof/"), ("67-proof-day", "proof/")):
        page.goto(f"{live_server.url}/admin/orders/trioorder/{address}")
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            picture(f"{name}-{width}")

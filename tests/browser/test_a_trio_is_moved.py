"""A trio from its placing to its proof sheet, its stop moved by dragging the line: what is let go asks before it moves anything."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import LevelMove, TrioOrder
from tests.browser.alive import stays_alive
from tests.browser.sights import Picture
from tests.browser.test_a_trios_life import confirm
from tests.builders import Desk, the

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Y_OF = """price => { const canvas = document.querySelector('#trio-chart canvas');
  return Chart.getChart(canvas).scales.y.getPixelForValue(price) + canvas.getBoundingClientRect().top }"""


def dragged(page: Page, begins: float, ends: float) -> None:
    """Carry the line at one price to another with the mouse."""
    canvas = page.locator("#trio-chart canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 90, page.evaluate(Y_OF, begins))
    page.mouse.down()
    page.mouse.move(box["x"] + 90, page.evaluate(Y_OF, ends), steps=6)
    page.mouse.up()


def test_a_trio_is_filled_moved_by_its_line_closed_in_part_and_proved(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, while_carried: Callable[..., Any]
) -> None:
    # Given a draft that is placed from its page, and filled
    trio = desk.a_trio()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    stays_alive(desk)
    confirm(page, "Place", "Place now")
    expect(page.locator("body")).to_contain_text("queued for placement")
    stays_alive(desk)
    desk.carry_until(trio, "OPEN")
    expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()
    expect(page.locator("#trio-chart .chart-said")).to_contain_text("Drag a line with ↕")

    # When its stop's line is dragged, the verb's own question comes with that level; Escape moves nothing
    modal = page.locator("dialog#modal")
    dragged(page, 95000, 97000)
    expect(modal).to_contain_text("Move the stop-loss?")
    level = Decimal(page.input_value("#modal #id_level"))
    assert 96500 < level < 97500
    assert level % Decimal("0.1") == 0, "on the market's tick"
    picture("101-dragged")
    page.keyboard.press("Escape")
    expect(modal).to_be_hidden()
    assert not LevelMove.objects.exists()

    # Confirmed, it is moved as it would be by its button
    dragged(page, 95000, 97000)
    level = Decimal(page.input_value("#modal #id_level"))
    page.click("#modal button[type=submit]")
    expect(page.locator("body")).to_contain_text("move of the stop-loss from 95000")
    while_carried(lambda: the(trio).stop_loss == level, "the stop is where its line was let go")

    # When the stop has gone elsewhere since it was shown, a move that would take it back is refused
    page.reload()
    expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()
    dragged(page, float(level), 96000)
    expect(modal).to_contain_text("Move the stop-loss?")
    TrioOrder.objects.filter(pk=trio.pk).update(stop_loss=level + 500)
    page.click("#modal button[type=submit]")
    expect(page.locator("body")).to_contain_text("now, not at")
    TrioOrder.objects.filter(pk=trio.pk).update(stop_loss=level)
    assert LevelMove.objects.count() == 1

    # And the target likewise; half of it is closed, and the target takes the rest
    page.reload()
    expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()
    dragged(page, 110000, 108000)
    expect(modal).to_contain_text("Move the take-profit?")
    page.fill("#modal #id_level", "108000")
    page.click("#modal button[type=submit]")
    expect(page.locator("body")).to_contain_text("move of the take-profit from 110000 to 108000 requested")
    stays_alive(desk)
    while_carried(lambda: the(trio).take_profit == 108000, "the target is moved")
    page.click("#verb-close-part")
    page.fill("#modal #id_part", "50%")
    page.click("#modal button[type=submit]")
    expect(page.locator("body")).to_contain_text("closing 0.005 at market requested")
    while_carried(lambda: trio.size_changes.filter(end="DONE").exists(), "half is closed")
    desk.simulator.set_price("BTCUSDT", "108500")
    stays_alive(desk)
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TAKE_PROFIT"

    # Then its proof sheet says what it came to, and no line can be dragged any more
    expect(page.locator(".trio-head").get_by_text("closed", exact=True)).to_be_visible()
    page.reload()
    expect(page.locator("#trio-chart .chart-said")).not_to_contain_text("Drag")
    page.click("text=Proof sheet")
    expect(page.locator("main")).to_contain_text("TAKE_PROFIT")
    picture("102-proof")

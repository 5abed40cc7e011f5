"""A trio is placed, moved and closed by the keyboard alone; what has the focus is seen, and keeps it while the page goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.models import TrioOrder
from tests.browser.alive import stays_alive
from tests.browser.sights import Picture
from tests.builders import Desk, the

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOCUSED = "document.activeElement.id"
TABS_MAX = 80
NO_MOUSE = """() => {
  window.clicked = [];
  for (const kind of ["pointerdown", "mousedown", "touchstart"])
    document.addEventListener(kind, (event) => window.clicked.push(event.type), true);
}"""


def tabbed_to(page: Page, where: str) -> None:
    """Press Tab until what has the focus is this; on the way everything that has it can be seen."""
    for _ in range(TABS_MAX):
        if page.evaluate("where => document.activeElement.matches(where)", where):
            break
        page.keyboard.press("Tab")
    else:
        raise AssertionError(f"Tab does not lead to {where}")
    assert page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement); "
        "return s.outlineStyle !== 'none' || s.boxShadow !== 'none'; })()"
    ), f"nothing shows that {where} has the focus"


def in_dialog(page: Page) -> bool:
    found: bool = page.evaluate(
        "!!document.activeElement.closest('dialog#modal:modal') || document.activeElement === document.body"
    )
    return found


def test_a_trio_is_placed_moved_and_closed_without_a_mouse(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, while_carried: Callable[..., Any]
) -> None:
    page = signed_in
    page.add_init_script(f"({NO_MOUSE})()")
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    expect(page.locator("#keys-open")).to_be_visible()

    # Given a ticket that is filled by its keys: the symbol by search, Enter takes what is highlighted
    page.keyboard.press("/")
    expect(page.locator(".select2-search__field")).to_be_focused()
    with page.expect_response(lambda answer: "term=BTC" in answer.url):
        page.keyboard.type("BTC")
    expect(page.locator(".select2-results__option--highlighted")).to_contain_text("BTCUSDT")
    page.keyboard.press("Enter")
    expect(page.locator(".field-symbol .select2-selection__rendered")).to_contain_text("BTCUSDT")
    tabbed_to(page, "#id_side")
    tabbed_to(page, "#id_quantity")
    page.keyboard.type("0.010")
    tabbed_to(page, "#id_stop_loss")
    page.keyboard.type("95000")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "id_take_profit"
    page.keyboard.type("110000")
    expect(page.locator("#ticket-preview")).to_contain_text("0.010 BTC")

    # When Enter saves it, nothing is placed; Tab leads to “Place”, and its dialog holds the focus
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_contain_text("not placed")
    trio = TrioOrder.objects.get()
    tabbed_to(page, "#verb-place")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog#modal")
    expect(dialog).to_contain_text("A trio is placed once")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Cancel", "not on the verb itself"
    for _ in range(8):
        assert in_dialog(page)
        page.keyboard.press("Tab")

    # Escape closes it, and the focus is back on what opened it
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert page.evaluate(FOCUSED) == "verb-place"
    assert the(trio).state == "DRAFT"
    stays_alive(desk)
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("A trio is placed once")
    tabbed_to(page, "#modal button[type=submit]")
    picture("100-keyboard-place")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_contain_text("queued for placement")

    # Then the panel goes on by itself, and what has the focus keeps it
    stays_alive(desk)
    desk.carry_until(trio, "OPEN")
    expect(page.locator(".trio-head").get_by_text("open", exact=True)).to_be_visible()
    tabbed_to(page, "#verb-refresh")
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    expect(page.locator("#trio-live .trio-rung--mark b")).to_have_text("101000")
    assert page.evaluate(FOCUSED) == "verb-refresh"

    # When the stop is moved: its key opens the question with the level in hand
    page.keyboard.press("s")
    expect(page.locator("#modal #id_level")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("96000")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_contain_text("move of the stop-loss from 95000 to 96000 requested")
    while_carried(lambda: the(trio).stop_loss == 96000, "the stop is at 96000")

    # And closed, by its key and the dialog's button
    expect(page.locator("#keys-open")).to_be_visible()
    page.keyboard.press("x")
    expect(dialog).to_contain_text("Close at market?")
    tabbed_to(page, "#modal button[type=submit]")
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_contain_text("close at market requested")
    while_carried(
        lambda: page.locator(".trio-head").get_by_text("closed", exact=True).is_visible(),
        "the page shows CLOSED",
    )
    assert (the(trio).state, trio.result) == ("CLOSED", "MANUAL")
    assert page.evaluate("window.clicked") == []


def test_what_is_opened_stays_open_while_the_panel_is_drawn_anew(
    desk: Desk, signed_in: Page, live_server: Any
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    page.focus("#verb-close")
    page.keyboard.press("Enter")
    expect(page.locator("dialog#modal")).to_contain_text("Close at market?")

    # When the panel changes behind the dialog
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    expect(page.locator("#trio-live .trio-rung--mark b")).to_have_text("101000")
    assert page.evaluate("document.querySelector('dialog#modal').matches(':modal')") is True

    # Then Escape leads back to the verb as it is drawn now, and keys work again
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUSED) == "verb-close"
    page.keyboard.press("s")
    expect(page.locator("dialog#modal")).to_contain_text("Move the stop-loss?")
    assert the(trio).close_wanted_at is None


def test_a_question_answered_before_its_form_is_ready_is_answered_all_the_same(
    desk: Desk, signed_in: Page, live_server: Any
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")

    # Given someone, or a busy browser, for whom Enter comes in the very moment the question appears
    page.evaluate(
        """() => new MutationObserver(() => {
          const level = document.querySelector("#modal #id_level");
          if (!level || level.value === "96000") return;
          level.value = "96000";
          level.form.requestSubmit();
        }).observe(document.getElementById("modal-content"), { childList: true })"""
    )
    page.keyboard.press("s")

    # Then it is the question that is answered
    expect(page.locator("body")).to_contain_text("move of the stop-loss from 95000 to 96000 requested")
    assert [move.level for move in the(trio).moves_wanted] == [96000]

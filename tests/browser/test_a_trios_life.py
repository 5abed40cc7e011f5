"""An operator drafts a trio in the browser, places it, watches it live and closes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from accounts.models import ExchangeAccount
from orders.models import Symbol, TrioOrder
from tests.browser.sights import Picture
from tests.builders import Desk, the

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def choose_symbol(page: Page, name: str) -> None:
    page.click(".field-symbol .select2-selection")
    page.fill(".select2-search__field", name)
    page.click(f".select2-results__option:has-text('{name} (PAPER)')")


def confirm(page: Page, verb: str, button: str) -> None:
    page.click(f".trio-verb:has-text('{verb}')")
    page.click(f"#modal-content button:has-text('{button}')")


def test_a_trio_is_drafted_placed_watched_and_closed(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, while_carried: Callable[..., Any]
) -> None:
    page = signed_in
    picture("01-first-page-empty")

    # Given a draft entered by hand, at first with a stop on no whole tick
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    choose_symbol(page, "BTCUSDT")
    page.fill("#id_quantity", "0.010")
    page.fill("#id_stop_loss", "95000.05")
    page.fill("#id_take_profit", "110000")
    picture("02-draft-form")
    page.click("button[name=_save]")
    expect(page.locator(".field-stop_loss")).to_contain_text("whole number of ticks")
    picture("03-draft-refused")
    page.fill("#id_stop_loss", "95000")
    page.click("button[name=_save]")
    expect(page.locator("#content")).to_contain_text("not placed")
    picture("04-draft-saved")
    trio = TrioOrder.objects.get()
    assert trio.state == "DRAFT"

    # When it is validated and placed, each behind its dialog
    confirm(page, "Validate", "Validate")
    expect(page.locator("body")).to_contain_text("would be accepted. Mark price: 100000")
    page.click(".trio-verb:has-text('Place')")
    expect(page.locator("#modal-content")).to_contain_text("A trio is placed once")
    picture("05-dialog")
    desk.beat()
    page.click("#modal-content button:has-text('Place now')")
    expect(page.locator("body")).to_contain_text("queued for placement")
    assert the(trio).state in ("QUEUED", "PLACING")

    # Then its page shows it open by itself, without being loaded again
    page.evaluate("window.notReloaded = true")
    desk.advance(trio)
    while_carried(
        lambda: page.locator(".trio-head").get_by_text("open", exact=True).is_visible(), "the page shows OPEN"
    )
    assert page.evaluate("window.notReloaded") is True
    assert page.locator("text=whole position").count() + page.locator("text=stop loss").count() > 0
    picture("06-open")

    # And closing it behind a dialog ends it, live again
    confirm(page, "Close at market", "Close now")
    expect(page.locator("body")).to_contain_text("close at market requested")
    while_carried(
        lambda: page.locator(".trio-head").get_by_text("closed", exact=True).is_visible(),
        "the page shows CLOSED",
    )
    assert (the(trio).state, trio.result) == ("CLOSED", "MANUAL")
    (left,) = page.locator("a.trio-verb").all_inner_texts()
    assert "Place again" in left
    picture("07-closed")


def test_the_pages_of_a_busy_desk(desk: Desk, signed_in: Page, live_server: Any, picture: Picture) -> None:
    # Given trios in several states, one of which asks a person
    done = desk.placed(desk.a_trio(side="SELL"))
    desk.simulator.set_price("BTCUSDT", "89000")
    desk.carry_until(done, "CLOSED")
    desk.simulator.set_price("BTCUSDT", "100000")
    asking = desk.placed(desk.a_trio())
    question = "Somebody increased this position in the exchange's app. Close the whole of it, or leave it?"
    TrioOrder.objects.filter(pk=asking.pk).update(question_kind="OTHER", question_facts={"text": question})
    desk.a_trio()
    page = signed_in

    # Then the first page, the list and the trio's page show it, light and dark
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        page.goto(f"{live_server.url}/admin/")
        expect(page.locator("#content")).to_contain_text(question)
        picture(f"10-first-page-{colours}")
        page.goto(f"{live_server.url}/admin/orders/trioorder/")
        expect(page.locator("#result_list")).to_contain_text("TAKE PROFIT", ignore_case=True)
        picture(f"11-list-{colours}")
        page.goto(f"{live_server.url}/admin/orders/trioorder/{asking.pk}/change/")
        expect(page.locator(".trio-question", has_text="Action needed")).to_contain_text(question)
        picture(f"12-asking-{colours}")
        page.goto(f"{live_server.url}/admin/orders/trioorder/{done.pk}/change/")
        picture(f"13-took-profit-{colours}")


def test_a_refused_dialog_is_not_silent(
    desk: Desk, signed_in: Page, live_server: Any, complaints: list[str], picture: Picture
) -> None:
    # Given an operator whose permission is taken away while a dialog is open
    trio = desk.a_trio()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    page.click(".trio-verb:has-text('Cancel')")
    expect(page.locator("#modal-content")).to_contain_text("Cancel the unfilled part?")
    User.objects.update(is_superuser=False)

    # When it is confirmed
    page.click("#modal-content button:has-text('Cancel it')")

    # Then the dialog says so, and nothing was done
    expect(page.locator("#modal-content")).to_contain_text("You may not do this")
    picture("30-refused-dialog")
    assert the(trio).state == "DRAFT"

    # And when the session has ended, the login is asked for
    Session.objects.all().delete()
    page.click("#modal-content button:has-text('Cancel it')")
    expect(page).to_have_url(re.compile("/login/"))
    assert the(trio).state == "DRAFT"
    complaints.clear()  # the refusals above are the story


def test_the_symbols_offered_follow_the_account(desk: Desk, signed_in: Page, live_server: Any) -> None:
    # Given a second account on the test exchange, which lists the same contract
    twin = Symbol.objects.get(symbol="BTCUSDT")
    twin.pk, twin.environment = None, "TESTNET"
    twin.save()
    ExchangeAccount.objects.create(
        name="abroad", environment="TESTNET", position_mode="ONE_WAY", key_hash="of another key"
    )
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")

    def offered(account: str) -> list[str]:
        page.select_option("#id_account", label=account)
        page.click(".field-symbol .select2-selection")
        with page.expect_response(lambda answer: "term=BTC" in answer.url):
            page.fill(".select2-search__field", "BTC")
        page.locator(".select2-results__option:has-text('BTCUSDT')").first.wait_for()
        names = page.locator(".select2-results__option:has-text('BTCUSDT')").all_inner_texts()
        page.keyboard.press("Escape")
        return names

    # Then each account is offered its own exchange's
    assert offered("desk (Paper)") == ["BTCUSDT (PAPER)"]
    assert offered("abroad (Testnet)") == ["BTCUSDT (TESTNET)"]
    assert offered("desk (Paper)") == ["BTCUSDT (PAPER)"]
    assert page.locator(".field-symbol .select2-selection").count() == 1


def test_a_selection_is_cancelled_after_a_question(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    trio = desk.a_trio()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/")
    page.check("input.action-select[name=_selected_action]")
    page.select_option("select[name=action]", "cancel_selected")
    page.click("#changelist-actions button[type=submit]")
    expect(page.locator("body")).to_contain_text("Cancel the unfilled part of 1 trio?")
    picture("20-selection")
    assert the(trio).state == "DRAFT"
    page.click("button:has-text('Yes, do it')")
    expect(page.locator("[data-part=bulk]")).to_contain_text("Done: 1 cancelled")
    assert the(trio).state == "CANCELLED"

"""Fifty trios at once: a bar that moves by itself, a stop that takes back the rest, and the same page without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from orders.admin import actions
from orders.bulk import bulk_carry
from orders.models import BulkRun, TrioOrder
from tests.browser.sights import Picture, looked_at
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIFTY = 50


def test_fifty_are_cancelled_with_a_bar_and_the_rest_is_stopped(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given fifty drafts, and a web that begins nothing: the test is the worker
    monkeypatch.setattr(actions, "bulk_carry", lambda run_id, for_seconds: None)
    for _ in range(FIFTY):
        desk.a_trio(side="SELL")
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/")
    page.check("#action-toggle")
    page.select_option("select[name=action]", "cancel_selected")
    page.click("#changelist-actions button[type=submit]")
    expect(page.locator("body")).to_contain_text(f"Cancel the unfilled part of {FIFTY} trios?")
    page.click("button:has-text('Yes, do it')")
    part = page.locator("[data-part=bulk]")
    expect(part).to_contain_text(f"0 of {FIFTY}")
    expect(part).to_contain_text(f"{FIFTY} not started")

    # When a worker does some of them, the bar moves by itself, and the focus stays where it was
    run = BulkRun.objects.get()
    page.focus("#bulk-stop-now")
    bulk_carry(run.pk, for_seconds=0)
    expect(part).to_contain_text(f"10 of {FIFTY}")
    assert page.locator("progress").get_attribute("value") == "10"
    assert page.evaluate("document.activeElement.id") == "bulk-stop-now"
    desk.beat()
    looked_at(page, picture, "80-bulk-under-way")

    # When it is stopped by the keyboard, the rest is taken back, and nobody begins it any more
    page.focus("#bulk-stop-now")
    page.keyboard.press("Enter")
    expect(part).to_contain_text("Done: 10 cancelled, 40 taken back")
    expect(part).to_contain_text("stopped by operator")
    bulk_carry(run.pk)
    assert TrioOrder.objects.filter(state="DRAFT").count() == FIFTY - 10
    page.reload()
    expect(part).to_contain_text("40 taken back")
    looked_at(page, picture, "81-bulk-stopped", widths=(390, 1440))
    page.goto(f"{live_server.url}/admin/orders/bulkrun/")
    expect(page.locator("#result_list")).to_contain_text("10 asked, 40 taken back; stopped by operator")
    looked_at(page, picture, "82-bulk-runs")


def test_it_is_begun_watched_and_stopped_without_javascript(
    desk: Desk,
    signed_in: Page,
    live_server: Any,
    monkeypatch: pytest.MonkeyPatch,
    browser: Any,
) -> None:
    monkeypatch.setattr(actions, "bulk_carry", lambda run_id, for_seconds: None)
    for _ in range(3):
        desk.a_trio()
    plain = browser.new_context(
        java_script_enabled=False, storage_state=signed_in.context.storage_state()
    ).new_page()
    plain.goto(f"{live_server.url}/admin/orders/trioorder/")
    for box in plain.locator("input.action-select[name=_selected_action]").all():
        box.check()
    plain.select_option("select[name=action]", "cancel_selected")
    plain.locator("#changelist-actions button[type=submit]").click()
    plain.click("button:has-text('Yes, do it')")
    expect(plain.locator("[data-part=bulk]")).to_contain_text("3 not started")
    plain.reload()
    plain.click("#bulk-stop-now")
    expect(plain.locator("[data-part=bulk]")).to_contain_text("Done: 3 taken back")
    assert TrioOrder.objects.filter(state="DRAFT").count() == 3
    plain.context.close()

"""What is on the screen is what is: its age, what Enter picks, and what is placed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from playwright.sync_api import Page, expect

from orders.exchange_data.clock import db_now
from orders.models import Heartbeat, Symbol, TrioOrder, Watch
from tests.builders import Desk, the


def test_a_panel_that_is_not_refreshed_says_so(
    desk: Desk, signed_in: Page, live_server: Any, complaints: list[str]
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    expect(page.locator(".trio-age")).to_contain_text("Live: refreshed")

    # When the network is cut, the panel warns, and stops to when it is back
    page.context.set_offline(True)
    expect(page.locator(".trio-age--stale")).to_contain_text("Not refreshed for", timeout=15_000)
    page.context.set_offline(False)
    expect(page.locator(".trio-age")).to_contain_text("Live: refreshed", timeout=15_000)

    # When nobody watches any more, it says that too, in the panel and on the first page
    Watch.objects.update(beat=db_now() - timedelta(seconds=30))
    desk_beat = Heartbeat.objects.get()
    desk_beat.beat = db_now() + timedelta(seconds=60)
    desk_beat.save()
    expect(page.locator(".trio-question")).to_contain_text("This account is not monitored", timeout=15_000)
    assert "it is monitored until it ends" not in page.content()
    page.goto(f"{live_server.url}/admin/")
    expect(page.locator("#content")).to_contain_text("not watched now")
    expect(page.locator(".trio-age")).to_contain_text("Live: refreshed")
    complaints.clear()  # of the network that was cut


def test_a_network_that_is_cut_is_shown_within_five_seconds(
    desk: Desk, signed_in: Page, live_server: Any, complaints: list[str]
) -> None:
    trio = desk.placed(desk.a_trio())
    page = signed_in
    for place in ("/admin/", f"/admin/orders/trioorder/{trio.pk}/change/"):
        page.goto(live_server.url + place)
        expect(page.locator(".trio-age")).to_contain_text("Live: refreshed")
        page.evaluate(
            """() => { window.cut = 0; window.shown = 0; const see = () => {
              if (!window.cut && !navigator.onLine) window.cut = performance.now();
              if (window.cut && !window.shown && document.querySelector('.trio-age--stale')) window.shown = performance.now();
            }; setInterval(see, 50); }"""
        )
        page.context.set_offline(True)
        page.wait_for_function("window.shown > 0", timeout=15_000)
        assert page.evaluate("window.shown - window.cut") <= 5000 + 100, place
        page.context.set_offline(False)
        expect(page.locator(".trio-age")).to_contain_text("Live: refreshed")
    complaints.clear()  # of the network that was cut


def test_enter_picks_the_best_match_and_nothing_that_is_not_highlighted(
    desk: Desk, signed_in: Page, live_server: Any
) -> None:
    # Given the same coin against two quotes, the first of the alphabet not the wallet's
    twin = Symbol.objects.get(symbol="ADAUSDT")
    twin.pk, twin.symbol, twin.quote_asset, twin.margin_asset = None, "ADAUSDC", "USDC", "USDC"
    twin.save()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/add/")
    page.click(".field-symbol .select2-selection")
    page.locator(".select2-results__option--highlighted").wait_for()

    # When Enter comes at once after typing, nothing of the old list is picked
    page.route("**/autocomplete/**", lambda route: None)  # the answer does not come
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    assert page.input_value("#id_symbol") == ""
    page.unroute("**/autocomplete/**")

    # And with the list there, it is the coin against the account's own money
    page.keyboard.press("Escape")
    page.click(".field-symbol .select2-selection")
    with page.expect_response(lambda answer: "term=ada" in answer.url):
        page.fill(".select2-search__field", "ada")
    expect(page.locator(".select2-results__option--highlighted")).to_contain_text("ADAUSDT")
    page.keyboard.press("Enter")
    expect(page.locator(".field-symbol .select2-selection__rendered")).to_contain_text("ADAUSDT")


def test_a_draft_with_unsaved_changes_is_not_placed(desk: Desk, signed_in: Page, live_server: Any) -> None:
    trio = desk.a_trio()
    page = signed_in
    page.goto(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    page.fill("#id_quantity", "0.020")
    for verb in ("Place", "Validate"):
        page.click(f".trio-verb:has-text('{verb}')")
        expect(page.locator("#trio-unsaved")).to_contain_text("Save the draft first")
        assert page.locator("#modal-content #dialog").count() == 0
    assert the(trio).state == "DRAFT"

    # Saved, it is what the dialog shows
    page.click("button[name=_save]")
    page.click(".trio-verb:has-text('Place')")
    expect(page.locator("#modal-content")).to_contain_text("0.02")
    assert TrioOrder.objects.get().quantity.normalize() == the(trio).quantity.normalize()

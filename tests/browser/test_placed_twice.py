"""A trio that is sent twice, from a phone and from a second tab, is placed once; an equal one is another order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from orders.domain.enums import Role
from orders.models import Leg, TrioOrder
from tests.builders import Desk, story

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ANSWER_TAKES_MS = 3000
BUTTON = "#modal-content button[type=submit]"


@pytest.fixture
def phone(signed_in: Page, browser: Browser) -> Iterator[Page]:
    """The same person's phone: 390 × 844, and fingers."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        storage_state=signed_in.context.storage_state(),
    )
    yield context.new_page()
    context.close()


def asked(page: Page, address: str, trio: TrioOrder) -> None:
    """Open a draft's page and its question."""
    page.goto(f"{address}/admin/orders/trioorder/{trio.pk}/change/")
    page.tap(".trio-verb:has-text('Place')")
    expect(page.locator(BUTTON)).to_contain_text("Place now")


def test_two_taps_and_a_second_tab_place_one_trio(desk: Desk, phone: Page, live_server: Any) -> None:
    # Given a draft whose question is open in two tabs of a phone, and an answer that takes its time
    desk.simulator.set_price("ETHUSDT", "2500")
    terms: dict[str, Any] = {
        "quantity": Decimal("0.010"),
        "stop_loss": Decimal("2300"),
        "take_profit": Decimal("2800"),
    }
    trio = desk.a_trio("ETHUSDT", **terms)
    second = phone.context.new_page()
    for page in (phone, second):
        asked(page, live_server.url, trio)
    held: list[tuple[Any, Any]] = []
    phone.route("**/place/**", lambda route: held.append((route, route.fetch(max_redirects=0))))
    desk.beat()

    # When it is tapped twice, 80 ms apart, and sent once more by Enter
    phone.bring_to_front()
    box = phone.locator(BUTTON).bounding_box()
    assert box is not None
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    phone.touchscreen.tap(*at)
    phone.wait_for_timeout(80)
    phone.touchscreen.tap(*at)
    phone.focus(BUTTON)
    phone.keyboard.press("Enter")
    expect(phone.locator(BUTTON)).to_contain_text("Placing…")

    # And sent by the second tab as well, before the first has its answer
    second.bring_to_front()
    desk.beat()
    second.tap(BUTTON)
    expect(second.locator("body")).to_contain_text("was placed already")
    assert second.url.startswith(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    phone.bring_to_front()
    phone.wait_for_timeout(ANSWER_TAKES_MS)
    expect(phone.locator(BUTTON)).to_contain_text("Placing…")
    ((route, answer),) = held
    route.fulfill(response=answer)

    # Then there is one trio with one entry, and both tabs show it
    expect(phone.locator("body")).to_contain_text("queued for placement")
    assert phone.url.startswith(f"{live_server.url}/admin/orders/trioorder/{trio.pk}/change/")
    desk.advance(trio)
    desk.carry_until(trio, "OPEN")
    entries = [e for e in desk.requests("POST", "/fapi/v1/order") if e.params.get("type") == "MARKET"]
    assert len(entries) == 1, story(trio)
    assert Leg.objects.filter(role=Role.ENTRY).count() == TrioOrder.objects.count() == 1

    # And a new, equal one is another order, which its slot refuses
    phone.unroute("**/place/**")
    other = desk.a_trio("ETHUSDT", **terms)
    asked(phone, live_server.url, other)
    desk.beat()
    phone.tap(BUTTON)
    expect(phone.locator("body")).to_contain_text("is taken by trio")
    other.refresh_from_db()
    assert other.state == "DRAFT"

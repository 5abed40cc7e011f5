"""No page breaks a rule of WCAG 2.2 AA that a machine can see, light or dark; nor does a dialog on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import ExchangeAccount
from notices.models import Notice, PriceAlert, Recipient
from orders.models import BulkRun, DriftChoices, Slot, TrioOrder
from signals.models import Signal, Strategy
from tests.browser.axe import violations
from tests.builders import Desk
from tests.unit.orders.admin.every_page import World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LISTS: Final = (TrioOrder, Slot, BulkRun, Notice, PriceAlert, DriftChoices, ExchangeAccount, Signal)
OWN_PAGES: Final = (BulkRun, Notice, PriceAlert, DriftChoices, ExchangeAccount, Recipient, Strategy)
SHEETS: Final = ("panic/", "statistics/", "proof/", "1/proof/", "add/")


def judged(page: Page, name: str, *, shown: Callable[[], Any] = lambda: None) -> list[str]:
    """Return what axe finds on the page that is open, loaded once light and once dark."""
    found = []
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        page.reload()
        page.wait_for_load_state("networkidle")
        shown()
        found += [f"{name}, {colours}: {line}" for line in violations(page)]
    return found


def page_of(model: Any, place: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{place}", args=args)


def test_no_page_breaks_wcag_aa(desk: Desk, signed_in: Page, live_server: Any, complaints: list[str]) -> None:
    world = World.made(desk)
    asks, draft = TrioOrder.objects.order_by("pk")[:2]
    page = signed_in
    places = [
        "/admin/",
        *(page_of(model, "changelist") for model in LISTS),
        *(page_of(model, "change", world.keys[model]) for model in OWN_PAGES),
        page_of(TrioOrder, "change", draft.pk),
        *(page_of(TrioOrder, "changelist") + sheet for sheet in SHEETS),
        "/nowhere/",
    ]
    found = []
    for place in places:
        page.goto(live_server.url + place)
        found += judged(page, place)
    own = page_of(TrioOrder, "change", asks.pk)
    page.goto(live_server.url + own)

    def drawn() -> None:
        expect(page.locator("#trio-chart[data-drawn]")).to_be_visible()

    def asked() -> None:
        page.click("#verb-move-stop")
        expect(page.locator("#modal")).to_contain_text("Move the stop-loss?")

    def listed() -> None:
        page.click("#keys-open")

    for name, shown in (("its own page", drawn), ("a dialog", asked), ("the keys", listed)):
        found += judged(page, name, shown=shown)
    complaints.clear()  # of the page that is not there
    assert len(places) >= 10
    assert not found, "\n".join(found)


def test_the_login_breaks_nothing_either(page: Page, live_server: Any, transactional_db: None) -> None:
    page.goto(f"{live_server.url}/admin/login/")
    found = judged(page, "login")
    assert not found, "\n".join(found)

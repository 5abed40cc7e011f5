"""The accounts' pages in a real browser: dialogs open, post, and say what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import ExchangeAccount
from accounts.symbol_settings import symbol_setting_want
from tests.unit.accounts.conftest import KEY, SECRET
from tests.unit.accounts.venue import Venue

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Add = Callable[..., ExchangeAccount]


@pytest.fixture
def signed_in(page: Page, live_server: Any) -> Page:
    """An operator's browser; whatever it complains about in its console fails the test."""
    client = Client()
    user = User.objects.create_superuser("operator")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.set_default_timeout(10_000)
    return page


def test_entering_and_testing_an_account_by_hand(signed_in: Page, live_server: Any, venue: Venue) -> None:
    page = signed_in
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    venue.customer(KEY, SECRET)

    # When the account is entered with a wrong secret, the form says so and forgets the secret
    page.goto(live_server.url + reverse("admin:accounts_exchangeaccount_add"))
    page.fill("input[name=name]", "desk")
    page.select_option("select[name=environment]", "TESTNET")
    page.fill("input[name=api_key]", KEY)
    page.fill("input[name=new_secret]", "wrong")
    page.click("button[name=_save]")
    expect(page.get_by_text("does not belong to this API key")).to_be_visible()
    expect(page.locator("input[name=new_secret]")).to_have_value("")

    expect(page.locator("input[name=api_key]")).to_have_value("")

    # And with the right one it is kept
    page.fill("input[name=api_key]", KEY)
    page.fill("input[name=new_secret]", SECRET)
    page.click("button[name=_save]")
    expect(page.get_by_text("permissions: reading, futures, no withdrawals")).to_be_visible()
    account = ExchangeAccount.objects.get()

    # Then its connection can be tested from its page, behind a dialog
    page.goto(live_server.url + reverse("admin:accounts_exchangeaccount_change", args=[account.pk]))
    asked = len(venue.requests)
    page.get_by_role("link", name="Test connection").click()
    page.get_by_role("button", name="Test", exact=True).wait_for()
    assert len(venue.requests) == asked, "opening the dialog asks nobody"
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("Clock offset")).to_be_visible()
    assert complaints == []


def test_setting_leverage_by_hand(signed_in: Page, live_server: Any, add: Add, venue: Venue) -> None:
    # Given an account with a wish that shows on its page
    account = add()
    symbol_setting_want(account, "ETHUSDT", leverage=3, margin_type=None)
    page = signed_in
    page.goto(live_server.url + reverse("admin:accounts_exchangeaccount_change", args=[account.pk]))
    expect(page.get_by_text("ETHUSDT").first).to_be_visible()

    # When leverage is set for another symbol; an incomplete wish is refused in place
    page.locator("a:not([href])", has_text="Leverage and margin").first.click()
    page.get_by_text("Set for a symbol").click()
    page.fill("input[name=symbol]", "BTCUSDT")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text("Enter a leverage, a margin type, or both")).to_be_visible()
    page.fill("input[name=leverage]", "4")
    page.get_by_role("button", name="Set", exact=True).click()

    # Then the page says so and the exchange has it
    expect(page.get_by_text("BTCUSDT: leverage 4, margin type CROSSED.")).to_be_visible()
    assert venue.customers[KEY].settings["BTCUSDT"]["leverage"] == 4

"""An account is put away and taken out again from its page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts.models import ExchangeAccount
from tests.browser.sights import Picture, looked_at
from tests.builders import Desk

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_an_account_is_archived_found_under_the_filter_and_taken_out(
    desk: Desk, signed_in: Page, live_server: Any, picture: Picture
) -> None:
    page = signed_in
    own = f"{live_server.url}/admin/accounts/exchangeaccount/{desk.account.pk}/change/"
    page.goto(own)
    page.locator("a[href$='/archive/']").first.click()
    expect(page.locator("#modal-content")).to_contain_text("Archive this account?")
    page.locator("#modal-content button[type=submit]").click()
    expect(page.locator("body")).to_contain_text("desk is archived")
    expect(page.locator("body")).to_contain_text("Archived since")
    assert ExchangeAccount.objects.get().archived_at is not None
    looked_at(page, picture, "96-account-archived")

    # It is in no list until it is asked for
    page.goto(f"{live_server.url}/admin/accounts/exchangeaccount/")
    expect(page.locator("#result_list")).to_have_count(0)
    page.goto(f"{live_server.url}/admin/accounts/exchangeaccount/?archived=yes")
    expect(page.locator("#result_list")).to_contain_text("desk")
    looked_at(page, picture, "97-accounts-archived")
    page.goto(own)
    page.locator("a[href$='/unarchive/']").first.click()
    page.locator("#modal-content button[type=submit]").click()
    expect(page.locator("body")).to_contain_text("is in use again, and switched off")
    assert ExchangeAccount.objects.get().is_active is False

"""The admin in a real browser: one can sign in, and nothing on the way is blocked or missing."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_signing_in_lands_on_the_dashboard_without_a_complaint(live_server: Any, page: Any) -> None:
    # Given an operator, and an ear on the console and on what the server refuses
    User.objects.create_superuser("boss", password="a long enough password")
    complaints: list[str] = []
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "response", lambda got: complaints.append(f"{got.status} {got.url}") if got.status >= 400 else None
    )

    # When they sign in
    page.goto(f"{live_server.url}/")
    page.fill("input[name=username]", "boss")
    page.fill("input[name=password]", "a long enough password")
    page.click("button[type=submit]")
    page.wait_for_url(f"{live_server.url}/admin/")

    # Then the dashboard is there, with the badge, and nobody complained
    page.get_by_role("heading", name="Watched accounts").wait_for()
    assert page.get_by_text("PAPER", exact=True).first.is_visible()
    assert complaints == []

"""A real browser on the real admin, with the simulated exchange behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from orders.queueing import market_at_hand
from tests.browser.sights import Picture
from tests.builders import Desk, until
from tests.unit.orders.conftest import _impatient, desk, simulator  # noqa: F401  # its fixtures are ours

PASSWORD = "a long enough password"

expect.set_options(
    timeout=20_000
)  # a page on a busy machine may take longer than the five seconds of the library


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    """What was read of the exchange for another test's screen is no part of this one's."""
    market_at_hand.forget()
    yield
    market_at_hand.forget()


@pytest.fixture
def picture(page: Page, tmp_path: Path) -> Picture:
    """Keep a screenshot of the whole page, under BROWSER_SCREENSHOTS when that is set."""
    folder = Path(os.environ.get("BROWSER_SCREENSHOTS", str(tmp_path)))
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> Path:
        path = folder / f"{name}.png"
        page.screenshot(path=str(path), full_page=True)
        return path

    return take


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser complains about: errors of scripts, blocked content, missing files."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "response",
        lambda answer: found.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
    )
    yield found
    assert found == []


@pytest.fixture
def signed_in(page: Page, live_server: Any, transactional_db: None, complaints: list[str]) -> Page:
    """An operator who has signed in through the login form."""
    User.objects.create_superuser("operator", password=PASSWORD)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{live_server.url}/admin/")
    page.fill("#id_username", "operator")
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{live_server.url}/admin/")
    return page


@pytest.fixture
def while_carried(desk: Desk) -> Callable[..., Any]:  # noqa: F811
    """Wait for something on the page while the desk does a runworker's work."""

    def wait(what: Callable[[], Any], why: str) -> Any:
        def look() -> Any:
            desk.carry()
            return what()

        return until(look, why=why, seconds=15)

    return wait

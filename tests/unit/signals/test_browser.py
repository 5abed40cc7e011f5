"""The pages of signals in a real browser: dialogs open, post, and show what came of it; nothing overflows a phone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from orders.models import TrioOrder
from signals.models import Signal, SizingRule, TrioFile
from tests.builders import Desk
from tests.unit.orders.operators import BACKEND
from tests.unit.signals.hooks import BUY, a_sender
from worker.signal_execution import signals_execute

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(page: Page, live_server: Any) -> Page:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"), backend=BACKEND)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.set_default_timeout(20_000)
    return page


def url(live_server: Any, name: str, *args: Any) -> str:
    return str(live_server.url + reverse(f"admin:signals_{name}", args=args))


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_secret_is_made_a_payload_tried_and_a_signal_read(
    signed_in: Page, live_server: Any, desk: Desk
) -> None:
    page, sender = signed_in, a_sender(desk)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)

    # A secret is shown in its dialog, and lets in
    page.goto(url(live_server, "hooksource_change", sender.source.pk))
    page.get_by_role("link", name="New secret").click()
    page.get_by_role("button", name="Make it").click()
    shown = page.locator("[data-secret]")
    expect(shown).to_have_text(re.compile(r"^[\w-]{43}$"))
    assert sender.post(BUY, secret=shown.inner_text()).status_code == 202

    # A payload is tried, mended, and tried again in the same dialog
    page.goto(url(live_server, "hooksource_change", sender.source.pk))
    page.get_by_role("link", name="Try a payload").click()
    page.fill("textarea[name=payload]", '{"symbol": "BTCUSDT.P", "action": "buy", "stop": "9,5"}')
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_text("It would be refused (422).")).to_be_visible()
    page.fill("textarea[name=payload]", '{"symbol": "BTCUSDT.P", "action": "buy"}')
    page.get_by_role("button", name="Try", exact=True).click()
    expect(page.get_by_text("It would be accepted (202).")).to_be_visible()

    # What became of the signal stands on its page
    signal = Signal.objects.get()
    desk.beat()
    signals_execute([signal.pk])
    page.goto(url(live_server, "signal_change", signal.pk))
    expect(page.get_by_text("PLACED").first).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(url(live_server, "signal_changelist"))
    assert overflow(page) <= 0
    assert complaints == []


def test_a_file_is_placed_and_a_ticket_sent(
    signed_in: Page, live_server: Any, desk: Desk, tmp_path: Any
) -> None:
    page = signed_in
    SizingRule.objects.create(account=desk.account, kind="QUANTITY", value="0.010")
    file = tmp_path / "trios.csv"
    file.write_text(
        "account,symbol,side,quantity,stop_loss,take_profit\ndesk,BTCUSDT,BUY,0.010,95000,110000\n"
    )

    page.goto(url(live_server, "triofile_add"))
    page.set_input_files("input[name=upload]", str(file))
    page.click("button[name=_save]")
    page.goto(url(live_server, "triofile_change", TrioFile.objects.get().pk))
    expect(page.get_by_text("All rows are valid.")).to_be_visible()
    page.get_by_role("link", name="Place these trios").click()
    page.get_by_role("button", name="Place them").click()
    expect(page.get_by_text("1 trio is on the way")).to_be_visible()
    desk.beat()
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    page.reload()
    expect(page.get_by_text("1 of 1 done.")).to_be_visible()

    # The slot is taken now: the ticket says so
    page.goto(url(live_server, "signal_changelist"))
    page.get_by_role("link", name="New ticket").click()
    page.select_option("select[name=accounts]", str(desk.account.pk))
    page.fill("input[name=symbol]", "BTCUSDT")
    page.fill("input[name=stop_value]", "5")
    page.fill("input[name=target_value]", "2")
    page.get_by_role("button", name="Place them").click()
    expect(page.get_by_text("on its way. Reload this page")).to_be_visible()
    desk.beat()
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    page.reload()
    expect(page.get_by_text("is taken by trio").first).to_be_visible()
    assert TrioOrder.objects.count() == 1

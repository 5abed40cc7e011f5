"""An account's days: what it was worth, and what the exchange booked, each asset by itself."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from decimal import Decimal as D

from django.urls import reverse

from accounts.models import ExchangeAccount
from orders.account_days import account_days
from orders.equity import equity_store
from orders.exchange_data.clock import db_now
from orders.income import income_read
from orders.models import EquityDay
from tests.builders import Desk
from tests.unit.orders.admin.test_trio_list import ended
from tests.unit.orders.operators import a_clerk, a_superuser

DAYS = "admin:orders_account_days"


def test_a_day_is_what_was_read_and_what_the_exchange_booked(desk: Desk) -> None:
    # Given a trio that lost today, and yesterday's balance
    ended(desk, "94000")
    income_read(desk.account)
    equity_store(desk.account)
    today = db_now().astimezone(UTC).date()
    yesterday = today - timedelta(days=1)
    EquityDay.objects.create(
        account=desk.account,
        asset="USDT",
        day=yesterday,
        wallet=D(100000),
        equity=D(100000),
        read_at=db_now(),
    )

    # Then today has both, yesterday its balance alone, and the days add up to the wallet
    (now, before) = account_days(desk.account, yesterday, today)
    assert (now.day, before.day) == (today, yesterday)
    assert now.wallet == desk.simulator.wallet()
    assert now.transfers == D(100000)  # the account was opened with it
    assert now.net == desk.simulator.wallet() - D(100000)
    assert now.net < 0 < now.fees
    assert (before.wallet, before.net) == (D(100000), D(0))
    assert account_days(desk.account, date(2020, 1, 1), date(2020, 1, 2)) == []

    # And the page and the file show them
    client = a_superuser()
    query = {"account": "desk"}
    page = client.get(reverse(DAYS), query).content.decode()
    assert f"{today:%b %Y}" in page
    file = b"".join(client.get(reverse(DAYS), query | {"format": "csv"}).streaming_content).decode()  # type: ignore[attr-defined]
    lines = file.splitlines()
    assert lines[0].split(",")[:4] == ["day", "asset", "wallet", "equity"]
    assert D(lines[1].split(",")[8]) == now.net
    account = ExchangeAccount.objects.get()
    link = client.get(reverse("admin:accounts_exchangeaccount_change", args=[account.pk])).content.decode()
    assert f"{reverse(DAYS)}?account=desk" in link


def test_days_of_nobody_and_for_nobody(desk: Desk) -> None:
    assert a_superuser().get(reverse(DAYS), {"account": "dsek"}).status_code == 404
    assert a_clerk("view", "close").get(reverse(DAYS), {"account": "desk"}).status_code == 403
    page = a_superuser("second").get(reverse(DAYS), {"account": "desk", "since": "x", "until": "2020-01-01"})
    assert "There is no data for desk" in page.content.decode()

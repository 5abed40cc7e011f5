"""An account that is not used any more is put away: nothing is opened on it, it is out of sight, and nothing of it is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from accounts.archive import account_archive, account_unarchive
from accounts.errors import AccountInUse
from accounts.models import ExchangeAccount
from orders import services
from orders.domain.errors import TrioRefused
from orders.models import Slot
from tests.builders import Desk, the
from tests.unit.orders.admin.test_trio_list import listed
from tests.unit.orders.operators import SUBMITTED, a_clerk, a_superuser, told

LIST = "admin:accounts_exchangeaccount_changelist"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def confirm(client: Client, verb: str, desk: Desk) -> list[str]:
    address = reverse(f"admin:accounts_exchangeaccount_{verb}", args=[desk.account.pk])
    answer = client.post(address, SUBMITTED, headers={"HX-Request": "true"})
    assert answer.status_code == 200
    found = told(answer)
    client.cookies.pop("messages", None)
    return found


def shown(client: Client, **query: str) -> set[int]:
    page = client.get(reverse(LIST), query)
    return {account.pk for account in page.context["cl"].result_list}


def test_what_lives_on_it_keeps_an_account_where_it_is(desk: Desk, operator: Client) -> None:
    # Given an account with an open trio
    trio = desk.placed(desk.a_trio())
    (refusal,) = confirm(operator, "archive", desk)
    assert f"desk is in use: {the(trio)}" in refusal
    assert ExchangeAccount.objects.get().is_active

    # And one with a position that nobody here opened
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    Slot.objects.update(quantity=1)
    with pytest.raises(AccountInUse):
        account_archive(desk.account)

    # And once it is flat it goes
    Slot.objects.update(quantity=0)
    (sentence,) = confirm(operator, "archive", desk)
    assert "desk is archived" in sentence


def test_nothing_new_is_opened_on_it_and_what_was_stays_to_be_read(desk: Desk, operator: Client) -> None:
    old = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(old, "CLOSED")
    desk.simulator.set_price("BTCUSDT", "100000")
    draft = desk.a_trio()
    confirm(operator, "archive", desk)

    # Then a draft on it is refused, no form offers it, and a list shows it where it is asked for alone
    with pytest.raises(TrioRefused, match="switched off"):
        services.trio_queue(trio_id=draft.pk, by="anna")
    form = operator.get(reverse("admin:orders_trioorder_add")).content.decode()
    assert "desk (Paper)" not in form
    assert (
        "desk"
        not in operator.get(reverse("admin:orders_panic")).content.decode().partition("<select")[2][:200]
    )
    assert shown(operator) == set()
    assert shown(operator, archived="yes") == shown(operator, archived="any") == {desk.account.pk}
    assert listed(operator, account__id__exact=desk.account.pk) == {old.pk, draft.pk}
    assert "desk (archived)" in operator.get(reverse("admin:orders_trioorder_changelist")).content.decode()
    page = operator.get(reverse("admin:accounts_exchangeaccount_change", args=[desk.account.pk]))
    body = page.content.decode()
    assert "Archived since" in body
    assert "Take out of the archive" in body
    assert "unarchive/" in body
    assert "/archive/" not in body
    assert 'name="is_active"' not in body

    # And it is taken out again, switched off until somebody switches it on
    confirm(operator, "unarchive", desk)
    account = ExchangeAccount.objects.get()
    assert (account.archived_at, account.is_active) == (None, False)
    assert shown(operator) == {account.pk}
    assert [change.archived_at is None for change in account.history.order_by("-history_id")[:2]] == [
        True,
        False,
    ]


def test_it_takes_the_right_to_change_accounts(desk: Desk, operator: Client) -> None:
    for verb in ("archive", "unarchive"):
        address = reverse(f"admin:accounts_exchangeaccount_{verb}", args=[desk.account.pk])
        assert a_clerk("view", name=verb).post(address, SUBMITTED).status_code == 403
    assert ExchangeAccount.objects.get().archived_at is None


def test_a_script_that_checks_accounts_leaves_archived_ones_out(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    account_archive(desk.account)
    account_archive(desk.account)  # twice is once
    call_command("check_accounts")
    assert "desk" not in capsys.readouterr().out
    account_unarchive(desk.account)
    call_command("check_accounts")
    assert "desk" in capsys.readouterr().out


def test_the_books_keep_its_figures(desk: Desk, operator: Client) -> None:
    trio: Any = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    account_archive(desk.account)
    found = operator.get(reverse("admin:orders_statistics"), {"format": "json"}).json()
    assert found["assets"][0]["trades"] == 1

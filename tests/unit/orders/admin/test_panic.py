"""The panic page closes what it showed, once the words are typed, and shows the way until all is flat."""

from __future__ import annotations

import re
import threading
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.hold import accounts_held
from orders import risk_gates, services
from orders.domain.errors import TrioRefused
from orders.models import TrioOrder
from orders.panic import living_trios, panic
from orders.trio_lock import short_transaction
from tests.builders import Desk, the
from tests.unit.orders.operators import a_clerk, a_superuser, told

ASK, WAY = "admin:orders_panic", "admin:orders_panic_progress"
RELEASE = "admin:orders_panic_release"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def seen(client: Client, **query: Any) -> str:
    found = re.search(r'name="seen" value="([^"]*)"', client.get(reverse(ASK), query).content.decode())
    return found.group(1) if found else ""


def confirmed(client: Client, **sent: str) -> Any:
    return client.post(reverse(ASK), {"on": "", **sent})


def test_what_was_shown_is_closed_once_the_words_are_typed(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    shown = seen(operator)
    assert shown == str(trio.pk)

    # Neither other words nor another set of trios closes anything
    for sent in ({"typed": "yes", "seen": shown}, {"typed": "close 1", "seen": "77"}, {"typed": "close 1"}):
        answer = confirmed(operator, **sent)
        assert "Nothing was requested" in told(answer)[-1]
        operator.cookies.pop("messages", None)
    assert the(trio).panic_wanted_at is None

    # When they are typed, it is closed, by whom is recorded, and the way is shown until it is flat
    answer = confirmed(operator, typed=" Close  1 ", seen=shown)
    assert answer.status_code == 302
    assert the(trio).panic_wanted_at is not None
    assert LogEntry.objects.filter(change_message__contains="Panic").count() == 1
    assert "0 of 1" in operator.get(answer["Location"]).content.decode()
    desk.carry_until(trio, "CLOSED")
    desk.sweep()
    assert trio.result == "PANIC"
    parts = operator.get(reverse(WAY), {"parts": "1"}).content.decode()
    assert "Flat and verified" in parts
    assert "1 of 1" in parts
    assert "there is nothing to close" in operator.get(reverse(ASK)).content.decode()


def test_one_account_alone(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    assert seen(operator, on="desk") == str(trio.pk)
    answer = confirmed(operator, on="desk", typed="close 1", seen=str(trio.pk))
    assert "Type “close 1 on desk”" in told(answer)[-1]
    assert confirmed(operator, on="dsek", typed="close 1", seen=str(trio.pk)).status_code == 404
    assert the(trio).panic_wanted_at is None, "never all of them for a name that is none"
    confirmed(operator, on="desk", typed="close 1 on desk", seen=str(trio.pk))
    assert the(trio).panic_wanted_at is not None


def test_panic_is_for_who_may_close(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    clerk = a_clerk("view", "place")
    assert clerk.get(reverse(ASK)).status_code == 403
    assert confirmed(clerk, typed="close 1").status_code == 403
    assert clerk.get(reverse(WAY)).status_code == 200
    assert Client().get(reverse(ASK)).status_code == 302
    strict = a_superuser("strict", csrf=True)
    assert confirmed(strict, typed="close 1", seen="1").status_code == 403


def test_a_panic_holds_its_account_until_a_person_with_the_right_releases_it(
    desk: Desk, operator: Client
) -> None:
    # Given a draft, and a trio that a panic closes
    later = desk.a_trio(symbol="ETHUSDT", stop_loss=None, take_profit=None)
    trio = desk.placed(desk.a_trio())
    confirmed(operator, typed="close 1", seen=str(trio.pk))

    # Then nothing new is opened, while what is open is closed
    with pytest.raises(
        TrioRefused, match=r"A panic requested by operator at .* holds desk: nothing new is opened"
    ):
        desk.queued(later)
    desk.carry_until(trio, "CLOSED")

    # Who may not both place and close releases nothing
    assert a_clerk("view", "close").post(reverse(RELEASE)).status_code == 403
    page = operator.get(reverse(WAY)).content.decode()
    assert "nothing new is opened" in page
    assert "by operator" in page

    # When it is released, new trios are accepted again, and who did is recorded
    operator.post(reverse(RELEASE), {"on": ""})
    assert LogEntry.objects.filter(change_message="Released after a panic.").count() == 1
    assert risk_gates.new_risk_refusal(the(later)) == ""
    assert "nothing new is opened" not in operator.get(reverse(WAY)).content.decode()
    assert "Nothing is held" in told(operator.post(reverse(RELEASE), {"on": ""}))[-1]


def test_the_command_holds_and_releases_one_account(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.placed(desk.a_trio())
    call_command("panic", "--account", "desk", "--yes")
    with pytest.raises(TrioRefused, match="holds desk"):
        desk.queued(desk.a_trio(symbol="ETHUSDT", stop_loss=None, take_profit=None))
    call_command("panic", "--release", "--account", "desk")
    assert "Released: desk." in capsys.readouterr().out
    assert not accounts_held().exists()


def another(desk: Desk) -> TrioOrder:
    desk.simulator.set_price("ETHUSDT", "2000")
    levels: dict[str, Any] = {"stop_loss": Decimal(1900), "take_profit": Decimal(2200)}
    return desk.placed(desk.a_trio(symbol="ETHUSDT", quantity=Decimal("0.1"), **levels))


def test_what_began_while_a_person_thought_about_it_is_closed_too(desk: Desk) -> None:
    # Given a list that was shown, and a trio that began after it
    shown = desk.placed(desk.a_trio())
    assert [trio.pk for trio in living_trios()] == [shown.pk]
    later = another(desk)

    done = panic(by="operator")
    assert [trio.pk for trio in done.closing] == [shown.pk, later.pk]
    assert the(later).panic_wanted_at is not None


def test_a_row_that_cannot_be_had_holds_up_no_other_trio(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given two trios, and a process that holds the first one's row
    monkeypatch.setattr(services, "PERSON_WAITS_SECONDS", 1)
    first = desk.placed(desk.a_trio())
    second = another(desk)
    freed = threading.Event()
    held = threading.Event()

    def hold() -> None:
        with short_transaction(trio_id=first.pk), connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            held.set()
            freed.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)

    # When a panic closes everything, then it says which one is left, and the other is closed
    try:
        done = panic(by="operator")
    finally:
        freed.set()
        holder.join()
    assert ([trio.pk for trio in done.closing], [trio.pk for trio in done.left]) == ([second.pk], [first.pk])
    assert panic(by="operator").left == []
    assert the(first).panic_wanted_at is not None


def test_a_panic_with_nothing_open_holds_its_account_all_the_same(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("panic", "--account", "desk", "--yes")
    assert "there is nothing to close. Nothing new is opened there until" in capsys.readouterr().out
    with pytest.raises(TrioRefused, match="holds desk"):
        desk.queued(desk.a_trio())

"""Where it is said that somebody cannot be told, and what scripts can ask."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from notices.models import Delivery
from notices.selectors import NOBODY_SENDS
from orders.exchange_data.clock import db_now
from tests.builders import Desk
from tests.unit.notices.people import Person, asks, hurry, look, told
from tests.unit.notices.receiver import Receiver
from tests.unit.orders.admin.every_page import signed_in


def health() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/healthz").json()
    return found


def test_health_and_the_dashboard_say_who_cannot_be_told_and_stay_well(
    desk: Desk, anna: Person, receiver: Receiver
) -> None:
    look()
    asks(desk.placed(desk.a_trio()))
    desk.beat()
    before = health()
    assert before["notices"] == []

    # When the service fails twice
    receiver.status = 403
    for _ in range(2):
        hurry()
        assert told() == 1

    # Then it is said, and nothing else changes
    said = "“hook” (Webhook (JSON)) of anna: The service answered 403: the token may be wrong, or the channel gone."
    desk.beat()
    after = health()
    assert after["notices"] == [said]
    assert {name: after[name] for name in ("ok", "problems")} == {
        name: before[name] for name in ("ok", "problems")
    }
    boss = signed_in(User.objects.create_superuser("boss"))
    assert "Notifications are not being delivered" in boss.get(reverse("admin:index")).content.decode()

    receiver.status = 200
    hurry()
    assert told() == 1
    assert health()["notices"] == []


def test_health_says_that_nobody_sends(desk: Desk, anna: Person) -> None:
    look()
    asks(desk.placed(desk.a_trio()))
    look()
    Delivery.objects.update(next_at=db_now() - timedelta(minutes=3))

    assert health()["notices"] == [NOBODY_SENDS]


def test_a_test_message_says_what_came_of_it(
    anna: Person, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("send_test_notice", "anna")
    assert "the test message was accepted by Webhook (JSON)" in capsys.readouterr().out
    assert receiver.titles == ["Test of the notices"]

    receiver.status = 404
    with pytest.raises(SystemExit) as ended:
        call_command("send_test_notice", "anna", "--destination", "hook", "--json")
    assert ended.value.code == 2
    (row,) = json.loads(capsys.readouterr().out)["destinations"]
    assert (row["sent"], row["failure"], row["facts"]) == (False, "ANSWERED", {"status": 404})

    with pytest.raises(SystemExit):
        call_command("send_test_notice", "nobody")
    assert "“nobody” has no such active destination" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "says"), [(200, "was accepted by"), (500, "The service answered 500")])
def test_the_test_button_gives_a_clear_answer(
    anna: Person, receiver: Receiver, status: int, says: str
) -> None:
    receiver.status = status
    page = reverse("admin:notices_destination_send_test", args=[anna.destination.pk])
    browser = anna.browser

    assert 'method="post"' in browser.get(page).content.decode()
    assert receiver.messages == []
    answer = browser.post(page, {"_form_submitted": "True"}, follow=True)

    assert says in answer.content.decode()
    assert len(receiver.messages) == 1


def test_the_list_of_notices(
    desk: Desk, anna: Person, receiver: Receiver, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.PUBLIC_URL = "https://desk.example.com"
    call_command("list_notices")
    assert "Nobody was told anything." in capsys.readouterr().out
    look()
    trio = desk.placed(desk.a_trio())
    asks(trio)
    assert told() == 1

    call_command("list_notices", "--user", "anna", "--waiting", "--json")

    document = json.loads(capsys.readouterr().out)
    (row,) = document["notices"]
    assert (row["user"], row["kind"], row["facts"]["trio"], document["more"]) == (
        "anna",
        "TRIO_ASKS",
        trio.pk,
        False,
    )
    assert [delivery["state"] for delivery in row["deliveries"]] == ["SENT"]
    link = f"https://desk.example.com/admin/notices/notice/{row['notice']}/change/"
    assert link in receiver.texts

    # And the link needs a login
    path = link.removeprefix("https://desk.example.com")
    assert "/login/" in Client().get(path).headers["Location"]
    page = anna.browser.get(path).content.decode()
    assert "Acknowledge" in page
    assert row["sentence"].split("asks:")[0] in page
    with pytest.raises(SystemExit):
        call_command("list_notices", "--limit", "0")

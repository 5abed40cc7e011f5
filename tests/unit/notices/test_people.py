"""Quiet hours, digest, acknowledgement, escalation: who is told what, and when."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.urls import reverse

from notices.deriving import notices_make
from notices.domain.kinds import Cause, Kind
from notices.models import Notice, Recipient
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.story import question_over
from tests.builders import Desk
from tests.unit.notices.people import Person, asks, look, send_all, told
from tests.unit.notices.receiver import Receiver

NIGHT = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 29, 7, 0, tzinfo=UTC)


def closed(number: int) -> Cause:
    facts = {"trio": number, "side": "BUY", "symbol": "BTCUSDT", "account": "desk", "result": "TAKE_PROFIT"}
    return Cause(Kind.TRIO_CLOSED, f"trio:{number}:ended", {**facts, "net": [["+1.50", "USDT"]]})


def disabled(number: int = 1) -> Cause:
    facts = {"strategy": "swing", "fault": "RAISED", "detail": "KeyError"}
    return Cause(Kind.STRATEGY_DISABLED, f"strategy-event:{number}", facts)


def happens(*causes: Cause, now: datetime) -> None:
    notices_make(causes, Recipient.objects.filter(is_active=True), now=now)


def test_quiet_hours_hold_back_all_but_what_matters_and_the_rest_comes_in_one_message(
    anna: Person, receiver: Receiver
) -> None:
    # Given a night that is quiet, two trios that close and a strategy that is disabled
    Recipient.objects.update(quiet_from=time(22), quiet_until=time(7), zone="UTC")
    happens(closed(1), disabled(), closed(2), now=NIGHT)

    assert told(NIGHT) == 1
    assert receiver.titles == ["URGENT: A strategy was disabled"]

    # When the morning comes
    assert told(MORNING) == 1

    # Then the rest is told together
    assert receiver.titles[1] == "2 notices"
    assert "Trio 1 (BUY BTCUSDT on “desk”) was closed by TAKE_PROFIT: net +1.50 USDT." in receiver.texts
    assert told(MORNING) == 0


def test_what_a_person_wants_in_the_digest_or_not_at_all(anna: Person, receiver: Receiver) -> None:
    Recipient.objects.update(modes={"TRIO_CLOSED": "DIGEST", "TRIO_FAILED": "OFF"}, digest_at=time(8))
    failed = Cause(
        Kind.TRIO_FAILED, "trio:3:ended", {**closed(3).facts, "state": "EXPIRED", "reason": "Late."}
    )
    happens(closed(1), failed, now=MORNING)

    assert told(MORNING) == 0
    assert told(MORNING + timedelta(hours=1)) == 1
    assert anna.kinds == ["TRIO_CLOSED"]


def test_people_are_told_in_their_own_way(anna: Person, receiver: Receiver) -> None:
    with Receiver("127.0.0.1") as another:
        Person.made("bert", modes={"TRIO_CLOSED": "OFF"}).told_at(another)
        happens(closed(1), disabled(), now=MORNING)

        assert told(MORNING) == 3

    assert (len(receiver.messages), len(another.messages)) == (2, 1)


def test_nobody_acknowledges_so_the_next_person_is_told_and_then_nobody_else(
    anna: Person, receiver: Receiver
) -> None:
    # Given two who come one after the other, in a circle
    with Receiver("127.0.0.1") as another:
        bert = Person.made("bert", modes={"STRATEGY_DISABLED": "OFF"}).told_at(another)
        Recipient.objects.filter(user=anna.user).update(escalate_to=bert.user, escalate_minutes=10)
        Recipient.objects.filter(user=bert.user).update(escalate_to=anna.user, escalate_minutes=5)
        happens(disabled(), now=MORNING)
        assert told(MORNING) == 1

        # When ten minutes pass without an acknowledgement
        assert told(MORNING + timedelta(minutes=9, seconds=59)) == 0
        assert told(MORNING + timedelta(minutes=10)) == 1

        # Then the second one was told, though that kind is none of theirs usually; and the circle ends
        assert another.titles == ["URGENT: A strategy was disabled"]
        assert bert.notices[0].escalated_from == anna.notices[0]
        assert told(MORNING + timedelta(minutes=60)) == 0


def test_an_acknowledgement_ends_it_for_everybody(anna: Person, receiver: Receiver) -> None:
    bert = Person.made("bert")
    Recipient.objects.filter(user=anna.user).update(escalate_to=bert.user, escalate_minutes=1)
    happens(disabled(), now=MORNING)
    page = reverse("admin:notices_notice_acknowledge", args=[anna.notices[0].pk])

    # A GET changes nothing; a POST of somebody who may does
    anna.browser.get(page)
    assert anna.notices[0].acknowledged_at is None
    anna.browser.post(page, {"_form_submitted": "True"})

    assert [notice.acknowledged_by for notice in (*anna.notices, *bert.notices)] == ["anna", "anna"]
    assert told(MORNING + timedelta(minutes=5)) == 1, "anna's own message; nobody else is told"
    shown = anna.browser.get(reverse("admin:notices_notice_change", args=[anna.notices[0].pk]))
    assert "by anna" in shown.content.decode()


def test_a_question_that_is_answered_goes_no_further(desk: Desk, anna: Person, receiver: Receiver) -> None:
    bert = Person.made("bert", modes={"TRIO_ASKS": "OFF"})
    Recipient.objects.filter(user=anna.user).update(escalate_to=bert.user, escalate_minutes=1)
    look()
    trio = desk.placed(desk.a_trio())
    asks(trio)
    look()
    question_over(trio, at=db_now(), answered=True)
    trio.save()

    look(db_now() + timedelta(minutes=2))

    (notice,) = anna.notices
    assert notice.over_at is not None
    assert bert.notices == []


def test_a_person_sees_and_changes_their_own_alone(anna: Person) -> None:
    bert = Person.made("bert")
    happens(disabled(), now=MORNING)
    (theirs,) = bert.notices
    destination = anna.destination

    for name, key in (("notice", theirs.pk), ("recipient", bert.recipient.pk)):
        answer = anna.browser.get(reverse(f"admin:notices_{name}_change", args=[key]))
        assert answer.status_code == 302, name
    for name in ("send_test", "replace_url"):
        bert.browser.post(
            reverse(f"admin:notices_destination_{name}", args=[destination.pk]),
            {"_form_submitted": "True", "secret_url": "jsons://hooks.example.com/x"},
        )
    bert.browser.post(
        reverse("admin:notices_notice_acknowledge", args=[anna.notices[0].pk]), {"_form_submitted": "True"}
    )

    assert anna.destination.scheme == "json"
    assert anna.notices[0].acknowledged_at is None


def test_somebody_without_the_right_to_see_trios_reaches_none_of_it(transactional_db: None) -> None:
    nobody = Person.made("nobody")
    nobody.user.user_permissions.clear()
    for name in ("notice", "recipient", "destination", "pricealert"):
        assert nobody.browser.get(reverse(f"admin:notices_{name}_changelist")).status_code == 403


@pytest.mark.parametrize(
    ("typed", "field", "says"),
    [
        ({"zone": "Mars/Olympus"}, "zone", "is no time zone"),
        ({"quiet_from": "22:00"}, "quiet_until", "need both a start and an end"),
        ({"escalate_minutes": "0"}, "escalate_minutes", "greater than or equal to 1"),
    ],
)
def test_how_a_person_is_told_is_checked(anna: Person, typed: dict[str, str], field: str, says: str) -> None:
    usual = {"zone": "UTC", "digest_at": "08:00", "escalate_minutes": "10", "is_active": "on"}
    page = reverse("admin:notices_recipient_change", args=[anna.recipient.pk])

    answer: Any = anna.browser.post(page, usual | typed)

    assert answer.status_code == 200
    assert says in answer.content.decode()
    assert field in answer.context["adminform"].form.errors


def test_how_a_person_is_told_is_saved(anna: Person) -> None:
    page = reverse("admin:notices_recipient_change", args=[anna.recipient.pk])
    typed = {
        "zone": "Europe/Paris",
        "digest_at": "08:00",
        "escalate_minutes": "10",
        "is_active": "on",
        "quiet_from": "22:00",
        "quiet_until": "07:00",
        "mode_TRIO_CLOSED": "DIGEST",
        "mode_TRIO_ASKS": "AT_ONCE",
    }

    assert anna.browser.post(page, typed).status_code == 302

    assert anna.recipient.modes == {"TRIO_CLOSED": "DIGEST"}
    assert anna.recipient.hours.quiet_ends(NIGHT) == datetime(2026, 11, 29, 6, 0, tzinfo=UTC)
    assert TrioOrder.objects.count() == Notice.objects.count() == send_all() == 0

"""People who are told, and what a worker does about it, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from exchange.secret import Secret
from notices.delivering import deliveries_claim, delivery_send, notices_queue
from notices.deriving import notices_derive
from notices.escalating import notices_escalate
from notices.models import Delivery, Destination, Notice, Recipient
from notices.sender.process import Sender
from notices.services import destination_store, recipient_of
from orders.domain.operator_questions import Question, QuestionKind
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.story import Put, question_put
from tests.unit.notices.receiver import Receiver
from tests.unit.orders.admin.every_page import signed_in


@dataclass
class Person:
    """A user who may see trios, and how they are told."""

    user: User

    @classmethod
    def made(cls, name: str, **said: Any) -> Person:
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_trioorder"))
        Recipient.objects.filter(pk=recipient_of(user).pk).update(**said)
        return cls(user)

    def told_at(self, receiver: Receiver, name: str = "hook", path: str = "/token-of-the-webhook") -> Person:
        destination_store(Destination(recipient=self.recipient, name=name), Secret(receiver.url(path)))
        return self

    @property
    def recipient(self) -> Recipient:
        return Recipient.objects.get(user=self.user)

    @property
    def destination(self) -> Destination:
        return self.recipient.destinations.get()

    @property
    def notices(self) -> list[Notice]:
        return list(self.recipient.notices.order_by("id"))

    @property
    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    @property
    def browser(self) -> Client:
        return signed_in(User.objects.get(pk=self.user.pk))


def look(now: datetime | None = None) -> None:
    """Do what a worker's look does, up to handing over."""
    notices_derive()
    now = now or db_now()
    notices_escalate(now)
    notices_queue(now)


def send_all() -> int:
    """Send what is due, one after the other. Returns how many messages that were."""
    sent = 0
    while claimed := deliveries_claim(1):
        assert len(claimed) == 1
        delivery_send(claimed[0], Sender())
        sent += 1
    return sent


def told(now: datetime | None = None) -> int:
    """Look, and send what is due. ``now``: as if it were then."""
    look(now)
    if now is not None:
        hurry()
    return send_all()


def hurry() -> None:
    """Let the pause of every delivery be over."""
    Delivery.objects.filter(state="WAITING").update(next_at=db_now() - timedelta(seconds=1))


def asks(trio: TrioOrder, text: str = "Is this as you want it?") -> int:
    """Have a trio ask a person. Returns the question's number."""
    assert question_put(trio.pk, Question(QuestionKind.OTHER, {"text": text})) is Put.ASKED
    trio.refresh_from_db()
    assert trio.question_number is not None
    return trio.question_number

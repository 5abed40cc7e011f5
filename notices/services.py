"""What people do about notices: say where and how they are told, try it, acknowledge."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction

from exchange.secret import Secret, revealed
from notices.credentials import UrlUnreadable, url_of
from notices.delivering import destination_record, message_send
from notices.domain.failures import Failure, FailureKind
from notices.domain.message import Message
from notices.domain.urls import scheme_of, url_refused
from notices.errors import NoticesError
from notices.models import Destination, DestinationUrl, Notice, Recipient
from notices.sender.process import Sender
from orders.exchange_data.clock import db_now

TEST_MESSAGE = Message(
    "Test of the notices",
    "This is a test: notices of the trio back office arrive here. Nothing needs to be done.",
)


def recipient_of(user: Any) -> Recipient:
    """Return how a person is told; made with the usual settings where there is nothing yet."""
    return Recipient.objects.get_or_create(user=user)[0]


def url_check(url: Secret) -> str:
    """Return the scheme of a URL that may be stored. Raises NoticesError, which repeats nothing of it."""
    refused = url_refused(revealed(url), settings.NOTICES_ALSO_TO)
    if refused is not None:
        raise NoticesError(refused.sentence, field="secret_url")
    return scheme_of(revealed(url))


def destination_store(destination: Destination, url: Secret) -> Destination:
    """Save a destination, new or not, with a URL. What is known of its failures was about another one. Raises NoticesError."""
    destination.scheme = url_check(url)
    destination.failures, destination.failure, destination.failure_facts = 0, "", {}
    with transaction.atomic():
        destination.save()
        DestinationUrl.objects.update_or_create(destination=destination, defaults={"url": url})
    return destination


def destination_test(destination: Destination) -> Failure | None:
    """Send a test message now, and wait for what comes of it (half a minute at most). Returns why it failed, if it did."""
    try:
        url = url_of(destination.pk)
    except UrlUnreadable:
        failure: Failure | None = Failure(FailureKind.UNREADABLE)
    else:
        failure = message_send(url, TEST_MESSAGE, Sender())
    destination_record(destination, failure, now=db_now())
    return failure


def tested(destination: Destination, failure: Failure | None) -> str:
    """Say what came of a test."""
    if failure is None:
        return f"{destination.name}: the test message was accepted by {destination.service}. Check that it has arrived."
    return f"{destination.name}: {failure.sentence}"


def notice_acknowledge(notice: Notice, *, by: str) -> int:
    """Say that somebody takes care of it: for everybody who was told of the same. Returns how many notices that ends."""
    same = Notice.objects.filter(kind=notice.kind, cause=notice.cause, acknowledged_at=None)
    return same.update(acknowledged_at=db_now(), acknowledged_by=by)

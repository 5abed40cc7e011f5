"""From notices that are due to messages that were taken: handed over, claimed, sent, recorded.

No transaction and no connection is open while a message is sent. A claim is a delivery whose next attempt lies past the
longest that sending takes: who dies in between loses nothing, and the message is sent by somebody else then (so, in that
case alone, perhaps twice).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from exchange.secret import Secret
from infrastructure.rows import fetch_all
from notices.credentials import UrlUnreadable, url_of
from notices.domain.failures import Failure, FailureKind
from notices.domain.message import Item, Message, message_of
from notices.domain.timing import pause_after
from notices.models import Delivery, Destination, Notice
from notices.sender.process import DEADLINE_SECONDS, Sender
from orders.exchange_data.clock import db_now

logger = logging.getLogger(__name__)

QUEUE_MAX: Final = 500
LEASE_SECONDS: Final = 2 * DEADLINE_SECONDS
# An array, and not IN: a plan may run what stands in IN more than once, and claim more than was asked for.
CLAIM: Final = """
    UPDATE notices_delivery SET attempts = attempts + 1, next_at = clock_timestamp() + %s * interval '1 second'
    WHERE id = ANY (ARRAY(
        SELECT delivery.id FROM notices_delivery delivery
        JOIN notices_destination destination ON destination.id = delivery.destination_id
        JOIN notices_recipient recipient ON recipient.id = destination.recipient_id
        WHERE delivery.state = 'WAITING' AND delivery.next_at <= clock_timestamp()
          AND destination.is_active AND recipient.is_active
        ORDER BY delivery.urgent DESC, delivery.id LIMIT %s FOR UPDATE OF delivery SKIP LOCKED))
    RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery: all that sending it takes."""

    delivery_id: int
    destination_id: int
    message: Message


def notices_queue(now: datetime) -> int:
    """Hand over what is due: what matters by itself, the rest of a person's in one message. Returns how many notices."""
    with transaction.atomic():
        due = list(
            Notice.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(queued_at=None, due_at__lte=now)
            .order_by("id")[:QUEUE_MAX]
        )
        groups: dict[tuple[int, int], list[Notice]] = defaultdict(list)
        for notice in due:
            groups[notice.recipient_id, notice.pk if notice.is_urgent else 0].append(notice)
        destinations = _destinations({notice.recipient_id for notice in due})
        for (recipient_id, _), notices in groups.items():
            for destination_id in destinations.get(recipient_id, ()):
                delivery_make(destination_id, notices, now=now)
        Notice.objects.filter(pk__in=[notice.pk for notice in due]).update(queued_at=now)
    return len(due)


def delivery_make(destination_id: int, notices: Iterable[Notice], *, now: datetime) -> Delivery:
    """Record that notices are to be delivered to a destination, as one message."""
    listed = list(notices)
    delivery = Delivery.objects.create(
        destination_id=destination_id,
        urgent=any(notice.is_urgent for notice in listed),
        made_at=now,
        next_at=now,
    )
    delivery.notices.add(*listed)
    return delivery


def _destinations(recipients: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    rows = Destination.objects.filter(recipient__in=recipients, is_active=True).order_by("id")
    for recipient_id, pk in rows.values_list("recipient_id", "pk"):
        found[recipient_id].append(pk)
    return found


def deliveries_claim(most: int) -> list[int]:
    """Take up to so many deliveries that are due, what matters first: nobody else sends them meanwhile."""
    if most <= 0:
        return []
    return [pk for (pk,) in fetch_all(CLAIM, LEASE_SECONDS, most)]


def delivery_send(delivery_id: int, sender: Sender) -> Failure | None:
    """Send a claimed delivery and record what came of it. Takes up to half a minute, without a connection meanwhile."""
    parcel = _parcel(delivery_id)
    try:
        url = url_of(parcel.destination_id)
    except UrlUnreadable:
        failure: Failure | None = Failure(FailureKind.UNREADABLE)
    else:
        failure = message_send(url, parcel.message, sender)
    delivery_record(delivery_id, failure)
    return failure


def message_send(url: Secret, message: Message, sender: Sender) -> Failure | None:
    """Send one message, with this thread's connection given back meanwhile. Returns why it failed, if it did."""
    if not connection.in_atomic_block:  # within one there is nothing to give back: only tests send there
        connection.close()
    return sender.send(url, title=message.title, body=message.body, also=settings.NOTICES_ALSO_TO)


def _parcel(delivery_id: int) -> Parcel:
    delivery = Delivery.objects.get(pk=delivery_id)
    items = [item_of(notice) for notice in delivery.notices.order_by("id")]
    return Parcel(delivery_id, delivery.destination_id, message_of(items))


def item_of(notice: Notice) -> Item:
    path = reverse("admin:notices_notice_change", args=[notice.pk])
    link = f"{settings.PUBLIC_URL}{path}" if settings.PUBLIC_URL else ""
    return Item(notice.title, notice.sentence, notice.is_urgent, link)


def delivery_record(delivery_id: int, failure: Failure | None) -> None:
    """Write down what came of an attempt: taken, to be tried again after a growing pause, or given up."""
    now = db_now()
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(of=("self",)).select_related("destination").get(pk=delivery_id)
        )
        if delivery.state != Delivery.State.WAITING:
            return
        delivery.failure = failure.kind.value if failure else ""
        delivery.failure_facts = dict(failure.facts) if failure else {}
        pause = None if failure is None or failure.kind.is_final else pause_after(delivery.attempts)
        if pause is not None:
            delivery.next_at = now + pause
        else:
            delivery.state = Delivery.State.SENT if failure is None else Delivery.State.GIVEN_UP
            delivery.ended_at = now
        delivery.save()
        destination_record(delivery.destination, failure, now=now)
    if failure is not None:
        told = "given up" if pause is None else f"tried again in {pause // timedelta(seconds=1)} s"
        logger.warning("delivery %s was not taken (%s); %s", delivery_id, failure.kind.value, told)


def destination_record(destination: Destination, failure: Failure | None, *, now: datetime) -> None:
    """Write down how a destination stands after an attempt."""
    if failure is None:
        destination.failures, destination.failure, destination.failure_facts = 0, "", {}
        destination.sent_at = now
    else:
        destination.failures += 1
        destination.failure, destination.failure_facts = failure.kind.value, dict(failure.facts)
        destination.failed_at = now
    destination.save(update_fields=["failures", "failure", "failure_facts", "failed_at", "sent_at"])

"""What matters and nobody has acknowledged goes on to the next person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from notices.deriving import may_be_told
from notices.models import Notice, Recipient

WAITING_MAX: Final = 200


def notices_escalate(now: datetime) -> int:
    """Tell the next person of what has waited long enough for the one before. Returns how many notices went on."""
    with transaction.atomic():
        waiting = (
            Notice.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(severity="URGENT", acknowledged_at=None, over_at=None, escalated_at=None)
            .exclude(recipient__escalate_to=None)
            .select_related("recipient__escalate_to")
            .order_by("id")[:WAITING_MAX]
        )
        gone_on = [notice for notice in waiting if _has_waited(notice, now)]
        for notice in gone_on:
            _tell_next(notice, now)
        Notice.objects.filter(pk__in=[notice.pk for notice in gone_on]).update(escalated_at=now)
    return len(gone_on)


def _has_waited(notice: Notice, now: datetime) -> bool:
    return now >= notice.made_at + timedelta(minutes=notice.recipient.escalate_minutes)


def _tell_next(notice: Notice, now: datetime) -> None:
    """Make the next person's notice, at once and whatever kinds that person wants; nothing where there is one already."""
    user = notice.recipient.escalate_to
    if user is None or not may_be_told(user):
        return
    person, _ = Recipient.objects.get_or_create(user=user)
    Notice.objects.get_or_create(
        recipient=person,
        kind=notice.kind,
        cause=notice.cause,
        defaults={
            "severity": notice.severity,
            "facts": notice.facts,
            "made_at": now,
            "due_at": now,
            "escalated_from": notice,
        },
    )

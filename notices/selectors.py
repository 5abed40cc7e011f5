"""What is read of notices: who cannot be told, and the newest."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from notices.models import Delivery, Destination, Notice

SHOWN_MAX: Final = 20
FAILURES_SHOWN: Final = 2  # in a row: one that is tried again within seconds is no news
LATE: Final = timedelta(minutes=2)
NOBODY_SENDS: Final = "Notices have waited to be sent for more than two minutes: no runworker sends them."


def delivery_problems() -> list[str]:
    """Return, in sentences, which destinations take nothing, and whether nobody sends."""
    failing = Destination.objects.filter(is_active=True, recipient__is_active=True).exclude(failure="")
    rows = failing.select_related("recipient__user")
    found = [
        f"“{row.name}” ({row.service}) of {row.recipient.user}: {row.problem}"
        for row in rows[:SHOWN_MAX]
        if row.failures >= FAILURES_SHOWN or row.deliveries.filter(state=Delivery.State.GIVEN_UP).exists()
    ]
    waiting = Delivery.objects.filter(
        state=Delivery.State.WAITING, destination__is_active=True, destination__recipient__is_active=True
    )
    if waiting.filter(next_at__lt=timezone.now() - LATE).exists():
        found.append(NOBODY_SENDS)
    return found


def notices_listed() -> QuerySet[Notice]:
    """Return notices with what a list shows of them, newest first."""
    return Notice.objects.select_related("recipient__user").prefetch_related("deliveries__destination")

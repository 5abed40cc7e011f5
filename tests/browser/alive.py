"""A runworker that stays alive for a minute, however slow the machine that tests."""

from __future__ import annotations

from datetime import timedelta

from orders.exchange_data.clock import db_now
from orders.models import Heartbeat, Watch
from tests.builders import Desk

A_MINUTE = timedelta(seconds=60)


def stays_alive(desk: Desk) -> None:
    """Sweep the account and beat ahead: between two keys of a slow browser nobody falls silent."""
    desk.watched()
    Heartbeat.objects.update(beat=db_now() + A_MINUTE)
    Watch.objects.filter(account=desk.account).update(beat=db_now() + A_MINUTE)

"""The two clocks: the database's, which all processes share, and each exchange's, kept as an offset from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection

from accounts.gateways import public_exchange
from exchange.clock_offset import ClockReading, read_offset
from exchange.types import ExchangeMs, OurMs
from infrastructure.rows import fetch_first
from orders.domain.stepped_clock import STEP_MS
from orders.domain.sweep_schedule import CLOCK_MS
from orders.models import Clock

RENEWING = 0x7472_636C  # the family of our advisory locks on clocks
TRY_LOCK = "SELECT pg_try_advisory_lock(%s, hashtext(%s))"
UNLOCK = "SELECT pg_advisory_unlock(%s, hashtext(%s))"
OFFSET = "SELECT offset_ms FROM orders_clock WHERE environment = %s"


def db_now() -> datetime:
    """Return the database's clock, not the start of its transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    assert isinstance(now, datetime)
    return now


def to_ms(moment: datetime) -> OurMs:
    return OurMs((moment - EPOCH) // ONE_MS)


def to_exchange_ms(moment: datetime, offset_ms: int) -> ExchangeMs:
    """Return the exchange's time at one of our moments; ``offset_ms`` is what ``offset_ms()`` gave for it."""
    return ExchangeMs(to_ms(moment) + offset_ms)


def from_ms(ms: int) -> datetime:
    """Return the moment, by whichever clock ``ms`` is."""
    return EPOCH + ms * ONE_MS


SLOW_MS = 500
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS = (datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)) - EPOCH


def offset_ms(environment: str) -> int:
    """Return what to add to the database's clock to get exchange time; measured once if never before.

    Raises ``exchange.errors`` when it must be measured and the exchange does not answer.
    """
    if (row := fetch_first(OFFSET, str(environment))) is None:
        return clock_measure(environment).offset_ms
    (offset,) = row
    return int(offset)


def exchange_now_ms(environment: str) -> ExchangeMs:
    """Return the exchange's time now, in ms."""
    return to_exchange_ms(db_now(), offset_ms(environment))


def clock_renew(environment: str) -> None:
    """Measure the offset anew unless somebody did lately, or is doing it: all accounts and processes share it.

    Raises ``exchange.errors`` when the exchange does not answer.
    """
    if not _is_old(environment):
        return
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [RENEWING, str(environment)])
        (ours,) = cursor.fetchone()
    if not ours:
        return
    try:
        if _is_old(environment):  # still: another process may just have measured it
            clock_measure(environment)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(UNLOCK, [RENEWING, str(environment)])


def _is_old(environment: str) -> bool:
    measured_at = Clock.objects.filter(environment=environment).values_list("measured_at", flat=True).first()
    age = None if measured_at is None else db_now() - measured_at
    # A clock that was set back is measured, too.
    return age is None or not timedelta(0) <= age <= timedelta(milliseconds=CLOCK_MS)


def clock_measure(environment: str) -> Clock:
    """Ask the exchange for its time between two readings of ours and keep the offset.

    A reading with a long round trip is worth less: of three, the quickest counts, and a slow one that agrees
    with the better one we have changes nothing.
    Raises ``exchange.errors`` when the exchange does not answer.
    """
    read = read_offset(public_exchange(environment).server_time, _db_ms, tries=3)
    known = Clock.objects.filter(environment=environment).first()
    if known is not None and _is_better(known, than=read):
        known.measured_at = db_now()
        known.save(update_fields=["measured_at"])
        return known
    now = db_now()
    measured: dict[str, object] = {
        "offset_ms": read.offset_ms,
        "round_trip_ms": read.round_trip_ms,
        "measured_at": now,
    }
    if known is not None and known.offset_ms - read.offset_ms > STEP_MS:
        measured["stepped_ts"] = to_exchange_ms(now, read.offset_ms)
    clock, _ = Clock.objects.update_or_create(environment=environment, defaults=measured)
    return clock


def _is_better(known: Clock, *, than: ClockReading) -> bool:
    """Is a slow reading worth less than the one we have, and does it not contradict it?"""
    agrees = abs(known.offset_ms - than.offset_ms) <= than.round_trip_ms // 2  # a reading is that uncertain
    return than.round_trip_ms > SLOW_MS and known.round_trip_ms < than.round_trip_ms and agrees


def _db_ms() -> OurMs:
    return to_ms(db_now())

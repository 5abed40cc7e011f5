"""Short transactions: nobody who is paused inside one keeps a row locked for more than a second."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

logger = logging.getLogger(__name__)

TRIES = 5
BOUNDS = "SET LOCAL lock_timeout = %s; SET LOCAL idle_in_transaction_session_timeout = '1s'; "
CLOCK = "SELECT clock_timestamp()"  # a statement of its own: beside the lock it might be read before the lock is had
_T = TypeVar("_T")


@contextlib.contextmanager
def short_transaction(
    *, row_lock: str = "", key: int | None = None, wait_seconds: int = 1
) -> Iterator[datetime]:
    """Open a transaction that waits so long for a lock, and in which being idle ends after a second.

    ``row_lock``: a statement that locks the row with the primary key ``key``; what belongs to that row must
    be read inside. Yields the database's clock, read after the lock. Raises OperationalError when a lock
    cannot be had in time.
    """
    values: list[str | int] = [f"{wait_seconds}s"]
    sql = BOUNDS + CLOCK
    if key is not None:
        sql = BOUNDS + row_lock + CLOCK
        values.append(key)
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:  # one round trip
            cursor.execute(sql, values)
            (now,) = cursor.fetchone()
        yield now


def retried(work: Callable[[datetime], _T], *, what: str, row_lock: str = "", key: int | None = None) -> _T:
    """Do ``work`` in a short transaction; a lock that cannot be had, or a lost connection, is tried again.

    ``work`` is given the database's clock, and is done from its start each time. Raises OperationalError past
    five tries.
    """
    for left in reversed(range(TRIES)):
        try:
            with short_transaction(row_lock=row_lock, key=key) as now:
                return work(now)
        except (OperationalError, InterfaceError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            logger.warning("%s did not get through (%s)", what, reason)
            if not left:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("unreachable")

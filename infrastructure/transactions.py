"""Short transactions: a process that is paused inside one keeps its row locked for a second at most."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from infrastructure.connections import error_line

logger = logging.getLogger(__name__)

TRIES = 5
BOUNDS = "SET LOCAL lock_timeout = %s; SET LOCAL idle_in_transaction_session_timeout = '1s'; "
CLOCK = (
    "SELECT clock_timestamp()"  # a statement of its own: together with the lock it might be read before it
)
_T = TypeVar("_T")


@contextlib.contextmanager
def short_transaction(
    *, row_lock: str = "", key: int | None = None, wait_seconds: int = 1
) -> Iterator[datetime]:
    """Open a transaction that waits ``wait_seconds`` for a lock, and that PostgreSQL ends after a second idle.

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
    """Do ``work`` in a short transaction; try again when a lock cannot be had or the connection is lost.

    ``work`` is given the database's clock, and is done from its start each time. ``what`` names it in the log.
    Raises OperationalError or InterfaceError after five tries.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            with short_transaction(row_lock=row_lock, key=key) as now:
                return work(now)
        except (OperationalError, InterfaceError) as error:
            outcome = "trying again" if tries_left else "giving up"
            logger.warning("%s: the transaction failed (%s); %s", what, error_line(error), outcome)
            if not tries_left:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("unreachable")

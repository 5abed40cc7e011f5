"""Short transactions: a process that is paused inside one keeps its row locked for a second at most."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import (
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from infrastructure.connections import error_line
from infrastructure.planned import planned, unplanned
from infrastructure.writes import gathered

logger = logging.getLogger(__name__)

TRIES = 5
BOUNDS = "SET LOCAL lock_timeout = %s; SET LOCAL idle_in_transaction_session_timeout = '1s'; "
CLOCK = (
    "SELECT clock_timestamp()"  # a statement of its own: together with the lock it might be read before it
)
_T = TypeVar("_T")


@contextlib.contextmanager
def _opened(
    *, row_lock: str, key: int | None, wait_seconds: int, read: str, values: Sequence[Any]
) -> Iterator[Any]:
    """Open a short transaction; yield the first row of ``read``, which sees what is committed once the lock is had."""
    lock = () if key is None else (key,)
    with transaction.atomic(durable=True):
        sql = BOUNDS + (row_lock if key is not None else "") + (planned(read) if values else read)
        with connection.cursor() as cursor:  # one round trip
            cursor.execute(sql, [f"{wait_seconds}s", *lock, *values])
            row = cursor.fetchone()
        with gathered():
            yield row


@contextlib.contextmanager
def short_transaction(
    *, row_lock: str = "", key: int | None = None, wait_seconds: int = 1
) -> Iterator[datetime]:
    """Open a transaction that waits ``wait_seconds`` for a lock, and that PostgreSQL ends after a second idle.

    ``row_lock``: a statement that locks the row with the primary key ``key``; what belongs to that row must
    be read inside. What is written by ``infrastructure.rows`` is gathered. Yields the database's clock, read after
    the lock. Raises OperationalError when a lock cannot be had in time.
    """
    with _opened(row_lock=row_lock, key=key, wait_seconds=wait_seconds, read=CLOCK, values=()) as (now,):
        yield now


def retried(
    work: Callable[[Any], _T],
    *,
    what: str,
    row_lock: str = "",
    key: int | None = None,
    read: str = CLOCK,
    values: Sequence[Any] = (),
) -> _T:
    """Do ``work`` in a short transaction; try again when a lock cannot be had or the connection is lost.

    ``work`` is given the first row of ``read``, a statement that is sent together with the lock and sees what is
    committed once that is had; it is done from its start each time. ``what`` names it in the log.
    Raises OperationalError or InterfaceError after five tries.
    """
    for tries_left in reversed(range(TRIES)):
        try:
            with _opened(row_lock=row_lock, key=key, wait_seconds=1, read=read, values=values) as row:
                return work(row)
        except (OperationalError, InterfaceError, NotSupportedError, ProgrammingError) as error:
            if not (unplanned(error) or isinstance(error, (OperationalError, InterfaceError))):
                raise
            outcome = "trying again" if tries_left else "giving up"
            logger.warning("%s: the transaction failed (%s); %s", what, error_line(error), outcome)
            if not tries_left:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("unreachable")

"""Short transactions: nobody who is paused inside one keeps a row locked for more than a second."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

logger = logging.getLogger(__name__)

TRIES = 5
BOUNDS = "SET LOCAL lock_timeout = %s; SET LOCAL idle_in_transaction_session_timeout = '1s'"
_T = TypeVar("_T")


@contextlib.contextmanager
def short_transaction(*, wait_seconds: int = 1) -> Iterator[None]:
    """Open a transaction that waits so long for a lock, and in which being idle ends after a second.

    Raises OperationalError when a lock cannot be had in time.
    """
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(BOUNDS, [f"{wait_seconds}s"])
        yield


def locked(work: Callable[[], _T], *, what: str) -> _T:
    """Do ``work`` in a short transaction; a lock that cannot be had, or a lost connection, is tried again.

    ``work`` is done from its start each time. Raises OperationalError past five tries.
    """
    for left in reversed(range(TRIES)):
        try:
            with short_transaction():
                return work()
        except (OperationalError, InterfaceError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            logger.warning("%s did not get through (%s)", what, reason)
            if not left:
                raise
            connection.close_if_unusable_or_obsolete()
    raise AssertionError("unreachable")

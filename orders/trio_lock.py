"""The one lock of the mechanism: a trio's row, held for one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, TypeVar

from infrastructure import transactions

ROW = "SELECT FROM orders_trioorder WHERE id = %s FOR UPDATE; "
PERSON_WAITS_SECONDS: Final = 10  # for a row that somebody else has locked
_T = TypeVar("_T")


def short_transaction(
    *, trio_id: int | None = None, wait_seconds: int = 1
) -> AbstractContextManager[datetime]:
    """Open a short transaction; with ``trio_id`` it holds that trio's row. Yields the database's clock.

    Everything about the trio must be read inside. Raises OperationalError when the lock cannot be had in time.
    """
    return transactions.short_transaction(row_lock=ROW, key=trio_id, wait_seconds=wait_seconds)


def locked(work: Callable[[datetime], _T], *, what: str, trio_id: int | None = None) -> _T:
    """Do ``work`` in a short transaction, tried again when the lock or the connection is lost.

    ``work`` is given the database's clock. Raises OperationalError past five tries.
    """
    return transactions.retried(lambda row: work(row[0]), what=what, row_lock=ROW, key=trio_id)


def locked_read(
    work: Callable[[Any], _T], *, trio_id: int, read: str, values: Sequence[Any], what: str
) -> _T:
    """Like ``locked``; ``work`` is given the first row of ``read`` (None without one), read after the lock with it."""
    return transactions.retried(work, what=what, row_lock=ROW, key=trio_id, read=read, values=values)

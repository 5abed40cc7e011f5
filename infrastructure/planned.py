"""Statements that PostgreSQL parses and plans once for each connection, and then only executes.

Of the hot path's statements planning is the larger part. A pooler between us and PostgreSQL that hands each transaction
another connection does not know what was prepared: the first such answer turns this off for the process, and
the same statements are sent as they are.
"""

from __future__ import annotations

import hashlib
import logging
import re
from functools import lru_cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from django.db import Error, connection

logger = logging.getLogger(__name__)

SHAPES_MAX: Final = 200  # that a connection keeps; what is rarer is not worth its memory
# Not there, there already, or planned for a table that has changed since.
FORGOTTEN: Final = frozenset({"26000", "42P05", "0A000"})
GENERIC: Final = "generic plans"  # among the names a connection knows: it was told to plan without values
_PLACE: Final = re.compile(r"%s|%%")
_known: Final[WeakKeyDictionary[Any, set[str]]] = WeakKeyDictionary()
_off: list[str] = []


def planned(sql: str) -> str:
    """Return what to execute instead of ``sql``, with the same parameters (``%s``); it is prepared if need be."""
    if _off:
        return sql
    connection.ensure_connection()
    known = _known.setdefault(connection.connection, set())
    name, body, execute = _forms(sql)
    if name not in known:
        if len(known) >= SHAPES_MAX:
            return sql
        # Left to itself, PostgreSQL plans anew for each of the first five sets of values. In a bulk that is most of them:
        # it is spread over many connections. A transaction that is undone would undo the setting, too.
        generic = ""
        if GENERIC not in known and not connection.in_atomic_block:
            generic = "SET plan_cache_mode = force_generic_plan; "
        with connection.cursor() as cursor:
            cursor.execute(f"{generic}PREPARE {name} AS {body}")
        known |= {name, GENERIC} if generic else {name}
    return execute


def fetch_planned(sql: str, *values: Any) -> Any:
    """Return the first row of a statement that is planned once; None when it has none."""
    try:
        return _first(planned(sql), values)
    except Error as error:
        if connection.in_atomic_block or not unplanned(error):
            raise
        return _first(sql, values)


def unplanned(error: Error) -> bool:
    """Plan nothing ahead any more if this error says that what was prepared is not there; return whether it does."""
    code = getattr(error.__cause__, "pgcode", None)
    if code not in FORGOTTEN:
        return False
    if not _off:
        _off.append(code)
        logger.warning(
            "PostgreSQL does not know what was prepared (%s), as behind a pooler; statements are sent whole now",
            code,
        )
    return True


def _first(sql: str, values: tuple[Any, ...]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


@lru_cache(maxsize=1000)
def _forms(sql: str) -> tuple[str, str, str]:
    """Return the statement's name, its text with numbered parameters, and how to execute it."""
    count = 0

    def numbered(place: re.Match[str]) -> str:
        nonlocal count
        if place.group() == "%%":
            return "%"
        count += 1
        return f"${count}"

    body = _PLACE.sub(numbered, sql)
    name = "p" + hashlib.sha256(sql.encode()).hexdigest()[:24]
    places = ", ".join(["%s"] * count)
    return name, body, f"EXECUTE {name}({places})" if count else f"EXECUTE {name}"

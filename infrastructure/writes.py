"""What a transaction writes, gathered until something is read or it ends, and then sent as one statement.

A turn writes six to ten rows. Sent one by one, each costs a round trip and a plan of its own while a position
waits for its stop. Gathered, they are the parts of one ``WITH``. Nobody who reads can tell: any other statement
on the connection sends first what was gathered before it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.db.models import Model

Columns = dict[str, Any]  # values by the quoted name of their column


@dataclass(slots=True)
class Writes:
    """Inserts and updates that were not sent yet."""

    # By table, columns and what follows the values: rows that differ in nothing else go out together.
    _inserts: dict[tuple[str, tuple[str, ...], str], list[Columns]] = field(default_factory=dict)
    _inserted: dict[tuple[str, Any], Columns] = field(default_factory=dict)
    _updates: dict[tuple[str, Any], Columns] = field(default_factory=dict)
    _keys: dict[type[Model], list[int]] = field(default_factory=dict)

    def reserve(self, keys: Mapping[type[Model], list[int]]) -> None:
        """Keep keys for rows to come. They were taken from the tables' sequences under the lock."""
        self._keys |= keys

    def key_for(self, model: type[Model]) -> int | None:
        """Return a reserved key for a new row; nothing when there is none left."""
        reserved = self._keys.get(model)
        return reserved.pop(0) if reserved else None

    def insert(self, table: str, columns: Columns, *, key: Any = None, conflict: str = "") -> None:
        """Have a row inserted. ``key``: its own, where one was reserved. ``conflict``: an ON CONFLICT clause."""
        self._inserts.setdefault((table, tuple(columns), conflict), []).append(columns)
        if key is not None:
            self._inserted[table, key] = columns

    def update(self, table: str, key_column: str, key: Any, columns: Columns) -> None:
        """Have columns of one row updated; of each column the last value counts."""
        fresh = self._inserted.get((table, key))
        if fresh is not None:
            fresh |= columns
            return
        known = self._updates.setdefault((table, key), {})
        known |= columns | {"": key_column}

    def send(self) -> None:
        """Send all of it as one statement. Raises ObjectDoesNotExist when a row to update is gone."""
        if not self._inserts and not self._updates:
            return
        parts, values = self._parts()
        expected = len(self._updates)
        names = [f"w{number}" for number in range(len(parts))]
        last = names[len(parts) - expected :]
        count = " + ".join(f"(SELECT count(*) FROM {name})" for name in last) or "0"  # noqa: S608
        clauses = ", ".join(f"{name} AS ({part})" for name, part in zip(names, parts, strict=True))
        self._inserts, self._inserted, self._updates = {}, {}, {}
        with connection.cursor() as cursor:
            cursor.execute(f"WITH {clauses} SELECT {count}", values)
            (written,) = cursor.fetchone()
        if written != expected:
            raise ObjectDoesNotExist(f"{expected - written} of the rows to be updated are gone")

    def _parts(self) -> tuple[list[str], list[Any]]:
        parts: list[str] = []
        values: list[Any] = []
        for (table, names, conflict), rows in self._inserts.items():
            places = ", ".join(["(" + ", ".join(["%s"] * len(names)) + ")"] * len(rows))
            parts.append(f"INSERT INTO {table} ({', '.join(names)}) VALUES {places}{conflict}")  # noqa: S608
            values += [row[name] for row in rows for name in names]
        for (table, key), columns in self._updates.items():
            key_column = columns.pop("")
            changes = ", ".join(f"{name} = %s" for name in columns)
            parts.append(f"UPDATE {table} SET {changes} WHERE {key_column} = %s RETURNING 1")  # noqa: S608
            values += [*columns.values(), key]
        return parts, values


class _Thread(threading.local):
    gathered: Writes | None = None


_thread = _Thread()


def gathering() -> Writes | None:
    """Return where this thread's writes are gathered; nothing while each is sent at once."""
    return _thread.gathered


def send_gathered() -> None:
    """Send what this thread has gathered so far. Raises what writing it raises."""
    writes = _thread.gathered
    if writes is None:
        return
    _thread.gathered = None  # what sends is not gathered itself
    try:
        writes.send()
    finally:
        _thread.gathered = writes


@contextlib.contextmanager
def gathered() -> Iterator[Writes]:
    """Gather what is written inside, and send it before anything else and at the end; nothing after an error."""

    def send_first(execute: Callable[..., Any], *call: Any) -> Any:
        send_gathered()
        return execute(*call)

    _thread.gathered = writes = Writes()
    try:
        with connection.execute_wrapper(send_first):
            yield writes
            send_gathered()
    finally:
        _thread.gathered = None

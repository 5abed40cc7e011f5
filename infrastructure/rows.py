"""Writing one row with a statement compiled once for each set of columns; no signals, no full_clean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Field, Model


def row_insert(row: Model) -> None:
    """Insert ``row`` and set its key, as ``save(force_insert=True)`` does; no signal is sent."""
    sql, fields = _insert_of(type(row))
    with connection.cursor() as cursor:
        cursor.execute(sql, _values(row, fields, add=True))
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def row_insert_once(row: Model) -> bool:
    """Insert ``row`` unless the table knows it already, by any of its constraints; return whether it was new."""
    sql, fields = _insert_of(type(row))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.replace(" RETURNING", " ON CONFLICT DO NOTHING RETURNING"), _values(row, fields, add=True)
        )
        found = cursor.fetchone()
    if found is not None:
        (row.pk,) = found
    return found is not None


def row_update(row: Model, *names: str) -> None:
    """Write these columns of ``row``, all without names, as ``save(update_fields=…)`` does; no signal is sent.

    Raises ObjectDoesNotExist when the row is gone.
    """
    sql, fields = _update_of(type(row), names)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_values(row, fields, add=False), row.pk])
        if cursor.rowcount != 1:
            raise ObjectDoesNotExist(f"{row._meta.object_name} {row.pk} is gone")


def _values(row: Model, fields: Sequence[Field[Any, Any]], *, add: bool) -> list[Any]:
    return [field.get_db_prep_save(field.pre_save(row, add), connection) for field in fields]


@lru_cache
def _insert_of(model: type[Model]) -> tuple[str, tuple[Field[Any, Any], ...]]:
    fields = tuple(_columns(model))
    names = ", ".join(_quoted(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    table, key = _quoted(model._meta.db_table), _quoted(model._meta.pk.column)
    return f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {key}", fields  # noqa: S608


@lru_cache
def _update_of(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[Field[Any, Any], ...]]:
    named = {model._meta.get_field(name) for name in names}
    fields = tuple(field for field in _columns(model) if not names or field in named)
    assert len(fields) == len(named) or not names, f"{names} are not all columns of {model.__name__}"
    changes = ", ".join(f"{_quoted(field.column)} = %s" for field in fields)
    table, key = _quoted(model._meta.db_table), _quoted(model._meta.pk.column)
    return f"UPDATE {table} SET {changes} WHERE {key} = %s", fields  # noqa: S608


def _columns(model: type[Model]) -> Iterator[Field[Any, Any]]:
    return (
        field for field in model._meta.local_concrete_fields if not field.primary_key and not field.generated
    )


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(name or "")

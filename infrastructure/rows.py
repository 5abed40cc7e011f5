"""Rows read and written over and over, by SQL that is written once.

Django compiles a queryset anew each time, which costs more than PostgreSQL needs for the answer. A trio is
decided about many times in its life, by the same few reads and writes; a fill waits for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from string import Formatter
from typing import Any, Final, Generic, NamedTuple, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import (
    BigIntegerField,
    BooleanField,
    CharField,
    DateTimeField,
    DecimalField,
    Field,
    ForeignKey,
    IntegerField,
    JSONField,
    Model,
    OneToOneField,
    PositiveBigIntegerField,
    PositiveIntegerField,
    PositiveSmallIntegerField,
    TextField,
)
from django.db.models.base import ModelState

from infrastructure.writes import Writes, gathering

_Model = TypeVar("_Model", bound=Model)
_NONE: Final = type(None)
PLAIN_KINDS: Final[Mapping[type, frozenset[type]]] = {
    CharField: frozenset({str, _NONE}),
    TextField: frozenset({str, _NONE}),
    BooleanField: frozenset({bool, _NONE}),
    DateTimeField: frozenset({datetime, _NONE}),
    DecimalField: frozenset({Decimal, _NONE}),
    ForeignKey: frozenset({int, _NONE}),
    OneToOneField: frozenset({int, _NONE}),
    **dict.fromkeys(
        (
            IntegerField,
            BigIntegerField,
            PositiveIntegerField,
            PositiveBigIntegerField,
            PositiveSmallIntegerField,
        ),
        frozenset({int, _NONE}),
    ),
}


class Read(Generic[_Model]):
    """A read of whole rows of a model.

    ``{leg}`` in the SQL stands for the columns of the table called ``leg`` there. The first one named is the
    model's own; each other one is called like the relation by which it hangs on the model, and is found there
    as after ``select_related``. Of the tables in ``only`` no more than these columns (and the key) are read.
    """

    def __init__(
        self, model: type[_Model], sql: str, *, only: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._model = model
        self._sql = sql
        self._only = only or {}

    def all(self, *values: Any) -> list[_Model]:
        """Return every row. A list is a value too, for ``= ANY (%s)``."""
        with connection.cursor() as cursor:
            cursor.execute(self.statement, values)
            rows = cursor.fetchall()
        return [_made(self.tables, row) for row in rows]

    def first(self, *values: Any) -> _Model | None:
        """Return the first row, if there is one."""
        rows = self.all(*values)
        return rows[0] if rows else None

    def get(self, *values: Any) -> _Model:
        """Return the one row there is. Raises the model's DoesNotExist."""
        for row in self.all(*values):
            return row
        model: Any = self._model
        raise model.DoesNotExist(f"{model._meta.object_name} matching query does not exist.")

    def with_rest(self, row: Sequence[Any]) -> tuple[_Model, Sequence[Any]]:
        """Return what one row of ``statement`` holds: the model's, and the columns after those of its tables."""
        return _made(self.tables, row), row[self.tables[-1].end :]

    @cached_property
    def tables(self) -> list[_Table]:
        found: list[_Table] = []
        for alias in (name for _, name, _, _ in Formatter().parse(self._sql) if name):
            relation: Any = self._model._meta.get_field(alias) if found else None
            model = relation.related_model if found else self._model
            start = found[-1].end if found else 0
            found.append(_table(alias, model, self._only.get(alias), start=start, relation=relation))
        return found

    @cached_property
    def statement(self) -> str:
        return self._sql.format(**{table.alias: table.columns for table in self.tables})


class Listed(Generic[_Model]):
    """Rows that hang on another one, read by the same statement as a column of it: as JSON, in order.

    ``sql`` is what follows ``SELECT … FROM``; the columns are those of ``read``'s tables, which it must name.
    """

    def __init__(self, read: Read[_Model], sql: str, *, order: str) -> None:
        self._read, self._sql, self._order = read, sql, order

    @cached_property
    def column(self) -> str:
        """The SQL of the column."""
        columns = ", ".join(table.columns for table in self._read.tables)
        row = f"json_build_array({columns})"
        return f"(SELECT json_agg({row} ORDER BY {self._order})::text FROM {self._sql})"  # noqa: S608

    def made(self, text: str | None) -> list[_Model]:
        """Return the rows that were read as this column."""
        if text is None:
            return []
        return [_made(self._read.tables, self._typed(row)) for row in json.loads(text, parse_float=Decimal)]

    def _typed(self, row: list[Any]) -> list[Any]:
        for place, kind in self._kinds:
            if row[place] is not None:
                row[place] = kind(row[place])
        return row

    @cached_property
    def _kinds(self) -> list[tuple[int, Callable[[Any], Any]]]:
        """What JSON has no type for: times and numbers of any precision."""
        kinds: dict[str, Callable[[Any], Any]] = {
            "DateTimeField": datetime.fromisoformat,
            "DecimalField": Decimal,
        }
        return [
            (table.start + place, kinds[kind])
            for table in self._read.tables
            for place, kind in enumerate(table.kinds)
            if kind in kinds
        ]


def _made(tables: Sequence[_Table], row: Sequence[Any]) -> Any:
    own, *joined = tables
    found = own.made(row)
    for table in joined:
        other = table.made(row)
        table.relation.set_cached_value(found, other)
        if other is not None and table.relation.one_to_one:
            table.relation.remote_field.set_cached_value(other, found)
    return found


class _Table(NamedTuple):
    alias: str
    model: type[Model]
    relation: Any  # the field by which it hangs on the first table; none for that one
    columns: str
    names: list[str]
    start: int
    end: int
    key: int
    converted: list[tuple[int, Callable[..., Any]]]
    kinds: list[str]

    def made(self, row: Sequence[Any]) -> Any:
        """Return this table's part of a row; ``None`` where it was joined to nothing."""
        if row[self.key] is None:
            return None
        values = row[self.start : self.end]
        if self.converted:
            values = list(values)
            for place, convert in self.converted:
                values[place] = convert(values[place], None, connection)
        # As ``Model.from_db``, which goes through every column twice and sends signals that nobody hears.
        found = self.model.__new__(self.model)
        state = ModelState()
        state.adding, state.db = False, DEFAULT_DB_ALIAS
        found.__dict__.update(zip(self.names, values, strict=True), _state=state)
        _note_stored(found)
        return found


def _table(
    alias: str, model: type[Model], only: Collection[str] | None, *, start: int, relation: Any
) -> _Table:
    read = None if only is None else {model._meta.get_field(name) for name in only}
    fields = [
        field for field in model._meta.concrete_fields if read is None or field.primary_key or field in read
    ]
    return _Table(
        alias,
        model,
        relation,
        columns=", ".join(f"{_quoted(alias)}.{_quoted(field.column)}" for field in fields),
        names=[field.attname for field in fields],
        start=start,
        end=start + len(fields),
        key=start + [field.primary_key for field in fields].index(True),
        converted=[
            (place, field.from_db_value)
            for place, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ],
        kinds=[field.get_internal_type() for field in fields],
    )


def all_but(model: type[Model], *names: str) -> set[str]:
    """Return the columns of a model without these."""
    return {field.name for field in model._meta.concrete_fields} - set(names)


def fetch_all(sql: str, *values: Any) -> list[Any]:
    """Return the rows of a statement, as tuples of what PostgreSQL gives."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[Any] = cursor.fetchall()
    return rows


def fetch_first(sql: str, *values: Any) -> Any:
    """Return the first of its rows, ``None`` when it has none."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()


# --- writing ----------------------------------------------------------------------------------


def row_new(model: type[_Model], **values: Any) -> _Model:
    """Return a new row, unsaved, as ``model(**values)`` does: a third of its time, and no signal is sent.

    Values are named as columns are, or as the relation where they are a row.
    """
    blank = _blank(model)
    found = model.__new__(model)
    found._state = state = ModelState()
    own = found.__dict__
    own |= blank.constants
    for name, make in blank.made:
        own[name] = make()
    for name, value in values.items():
        if (relation := blank.relations.get(name)) is not None:
            state.fields_cache[name] = value
            if value is not None:
                own[relation.attname], state.db = value.pk, DEFAULT_DB_ALIAS
                if relation.one_to_one:
                    relation.remote_field.set_cached_value(value, found)
        elif name in own:
            own[name] = value
        else:
            raise TypeError(f"{model.__name__} has no column {name}")
    return found


class _Blank(NamedTuple):
    """What a new row begins with, and its relations."""

    constants: dict[str, Any]
    made: list[tuple[str, Callable[[], Any]]]
    relations: dict[str, Any]


@lru_cache
def _blank(model: type[Model]) -> _Blank:
    fields = model._meta.concrete_fields
    made = [(f.attname, f.default) for f in fields if f.has_default() and callable(f.default)]
    fresh = {name for name, _ in made}
    constants = {field.attname: field.get_default() for field in fields if field.attname not in fresh}
    constants |= dict.fromkeys(fresh)
    return _Blank(constants, made, {f.name: f for f in fields if f.is_relation})


def row_insert(row: Model) -> None:
    """Insert ``row`` and set its key, as ``save(force_insert=True)`` does; no signal is sent.

    It is gathered with the other writes of its transaction where its key was reserved.
    """
    writes = gathering()
    key = writes.key_for(type(row)) if writes is not None else None
    if writes is not None and key is not None:
        row.pk = key
        _gather(writes, row)
        return
    sql, columns = _insert_of(type(row))
    with connection.cursor() as cursor:
        cursor.execute(sql, _values(row, columns, add=True))
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def row_append(row: Model) -> None:
    """Insert ``row``, whose key nobody asks for; it is gathered with the other writes of its transaction."""
    writes = gathering()
    if writes is None:
        row_insert(row)
    else:
        _gather(writes, row)


def row_append_once(row: Model) -> None:
    """Like ``row_append``; nothing happens where the table knows the row already, by any of its constraints."""
    writes = gathering()
    if writes is None:
        row_insert_once(row)
    else:
        _gather(writes, row, conflict=" ON CONFLICT DO NOTHING")


def _gather(writes: Writes, row: Model, *, conflict: str = "") -> None:
    table, columns = _columns_of(type(row), ())
    values = _by_column(row, columns, add=True)
    if row.pk is not None:
        values[_quoted(type(row)._meta.pk.column)] = row.pk
        _note_stored(row)  # it may be updated by this very transaction
    writes.insert(table, values, key=row.pk, conflict=conflict)
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS


def row_insert_once(row: Model) -> bool:
    """Insert ``row`` unless the table knows it already, by any of its constraints; return whether it was new."""
    sql, columns = _insert_of(type(row))
    with connection.cursor() as cursor:
        cursor.execute(
            sql.replace(" RETURNING", " ON CONFLICT DO NOTHING RETURNING"), _values(row, columns, add=True)
        )
        found = cursor.fetchone()
    if found is not None:
        (row.pk,) = found
    return found is not None


def row_update(row: Model, *names: str) -> None:
    """Write these columns of ``row``, as ``save(update_fields=…)`` does; no signal is sent.

    Without names: those that differ from what was read by this module, or from what was written last. It is
    gathered with the other writes of its transaction. Raises ObjectDoesNotExist when the row is gone, then or
    when they are sent.
    """
    writes = gathering()
    if writes is not None:
        table, columns = _columns_of(type(row), names)
        if not names:
            columns = _changed(row, columns)
            if not columns:
                return
        values = _by_column(row, columns, add=False)
        if names:
            _note_written(row, columns)
        writes.update(table, _quoted(type(row)._meta.pk.column), row.pk, values)
        return
    sql, columns = _update_of(type(row), names)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*_values(row, columns, add=False), row.pk])
        if cursor.rowcount != 1:
            raise ObjectDoesNotExist(f"{row._meta.object_name} {row.pk} is gone")
    _note_written(row, columns)


def _note_stored(row: Model) -> None:
    """Note what the database has of ``row``, or will have by the end of the transaction."""
    stored = row.__dict__.copy()
    for name in _containers(type(row)):
        if name in stored:
            stored[name] = _kept(stored[name])
    state: Any = row._state
    state.stored = stored


def _kept(value: Any) -> Any:
    """Return a value as it is now: a list or mapping may be changed in place."""
    if isinstance(value, list | dict):
        return deepcopy(value) if value else type(value)()
    return value


def _note_written(row: Model, columns: Sequence[_Column]) -> None:
    """Note that these columns are written as ``row`` has them: set back later, they differ again."""
    stored: dict[str, Any] | None = getattr(row._state, "stored", None)
    if stored is not None:
        values = row.__dict__
        stored |= {column.name: _kept(values[column.name]) for column in columns if column.name in values}


@lru_cache
def _containers(model: type[Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields if isinstance(field, JSONField))


def _changed(row: Model, columns: tuple[_Column, ...]) -> tuple[_Column, ...]:
    """Return the columns that are to be written, and count them as stored; none when ``row`` is as it is stored."""
    stored: dict[str, Any] | None = getattr(row._state, "stored", None)
    if stored is None:
        return columns
    values = row.__dict__
    changed = tuple(
        column
        for column in columns
        if column.name in values and (column.name not in stored or values[column.name] != stored[column.name])
    )
    if not changed:
        return ()
    _note_stored(row)
    return (*changed, *(column for column in columns if column.dates_change and column not in changed))


def _by_column(row: Model, columns: Sequence[_Column], *, add: bool) -> dict[str, Any]:
    return {column.quoted: _value(row, column, add=add) for column in columns}


def _values(row: Model, columns: Sequence[_Column], *, add: bool) -> list[Any]:
    return [_value(row, column, add=add) for column in columns]


def _value(row: Model, column: _Column, *, add: bool) -> Any:
    """Return what the database is given of a column."""
    value = row.__dict__.get(column.name, column)
    kind = type(value)
    if kind in column.plain_kinds and (kind not in _MAY_BE_UNSOUND or _is_sound(value)):
        return value
    return column.field.get_db_prep_save(column.field.pre_save(row, add), connection)


_MAY_BE_UNSOUND: Final = frozenset({Decimal, datetime})


def _is_sound(value: Any) -> bool:
    """Is this neither a number that is none nor a time without a zone? Django refuses the one, and warns of the other."""
    return value.is_finite() if type(value) is Decimal else value.tzinfo is not None


class _Column(NamedTuple):
    """A column that can be written. ``plain_kinds``: types of value that Django would hand on as they are."""

    name: str
    quoted: str
    plain_kinds: frozenset[type]
    dates_change: bool
    field: Field[Any, Any]


@lru_cache
def _insert_of(model: type[Model]) -> tuple[str, tuple[_Column, ...]]:
    table, columns = _columns_of(model, ())
    names = ", ".join(column.quoted for column in columns)
    places = ", ".join(["%s"] * len(columns))
    key = _quoted(model._meta.pk.column)
    return f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {key}", columns  # noqa: S608


@lru_cache
def _update_of(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[_Column, ...]]:
    table, columns = _columns_of(model, names)
    changes = ", ".join(f"{column.quoted} = %s" for column in columns)
    return f"UPDATE {table} SET {changes} WHERE {_quoted(model._meta.pk.column)} = %s", columns  # noqa: S608


@lru_cache
def _columns_of(model: type[Model], names: tuple[str, ...]) -> tuple[str, tuple[_Column, ...]]:
    """Return a model's table, and of its columns those with these names, or all that can be written."""
    named = {model._meta.get_field(name) for name in names}
    fields = [
        field
        for field in model._meta.local_concrete_fields
        if not field.primary_key and not field.generated and (not names or field in named)
    ]
    assert len(fields) == len(named) or not names, f"{names} are not all columns of {model.__name__}"
    return _quoted(model._meta.db_table), tuple(map(_column, fields))


def _column(field: Field[Any, Any]) -> _Column:
    dates_change = getattr(field, "auto_now", False)
    dated = dates_change or getattr(field, "auto_now_add", False)
    kinds = frozenset[type]() if dated else PLAIN_KINDS.get(type(field), frozenset())
    return _Column(field.attname, _quoted(field.column), kinds, dates_change, field)


def _quoted(name: str | None) -> str:
    return connection.ops.quote_name(name or "")

"""Statements that are executed over and over: compiled once, then only executed.

Django compiles a queryset anew each time, which costs more than PostgreSQL needs for the answer. A trio is
decided about many times in its life, by the same few reads and writes; a fill waits for each of them.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, transaction
from django.db.models import Model, QuerySet
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    ValuesListIterable,
    get_related_populators,
)

logger = logging.getLogger(__name__)
_Row = TypeVar("_Row", covariant=True)
Value = int | str | list[int]
_all: weakref.WeakSet[Prepared[Any]] = weakref.WeakSet()
MARK = 1_876_500_000  # stands for a number while a read is compiled; no number of ours is one of these


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    params: tuple[Any, ...]
    places: dict[int, int]  # place in ``params`` → which of the values belongs there
    converters: dict[int, Any]
    make: Callable[[Sequence[Any]], Any]


def compile_all() -> None:
    """Compile every read there is, before the first fill waits for it.

    Without a database that answers, each is compiled when it is first asked.
    """
    try:
        with transaction.atomic():  # a read that locks is not compiled outside of one
            for read in list(_all):
                read.compile()
    except (OperationalError, InterfaceError) as error:
        logger.warning("the database does not answer yet: %s", type(error).__name__)


class Prepared(Generic[_Row]):
    """A read whose values come later. ``build`` makes its queryset of as many values as ``kinds`` names.

    Each value is an ``int``, a ``str`` or, for an ``…__in``, a ``list`` of numbers, and must be compared as it
    is. The queryset yields rows of a model, of ``values_list()`` or of one flat column; prefetches are not made.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, _Row]], *kinds: type[Value]) -> None:
        self._build = build
        self._kinds = kinds
        self._lock = threading.Lock()
        self._compiled: _Compiled | None = None
        _all.add(self)

    def compile(self) -> None:
        """Compile now what would be compiled when it is first asked. Asks the database nothing."""
        self._compile()

    def all(self, *values: Value) -> list[_Row]:
        """Return every row."""
        compiled = self._compiled or self._compile()
        params = list(compiled.params)
        for place, which in compiled.places.items():
            params[place] = values[which]
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, params)
            rows = cursor.fetchall()
        if compiled.converters:
            rows = [_converted(row, compiled.converters) for row in rows]
        return [compiled.make(row) for row in rows]

    def first(self, *values: Value) -> _Row | None:
        """Return the first row, if there is one."""
        rows = self.all(*values)
        return rows[0] if rows else None

    def get(self, *values: Value) -> _Row:
        """Return the one row there is. Raises the model's DoesNotExist."""
        for row in self.all(*values):
            return row
        model = self._build(*self._marks()).model
        raise model.DoesNotExist(f"{model._meta.object_name} matching query does not exist.")

    def _marks(self) -> list[Value]:
        made: dict[type[Value], Callable[[int], Value]] = {int: int, str: str, list: lambda mark: [mark]}
        return [made[kind](MARK + place) for place, kind in enumerate(self._kinds)]

    def _compile(self) -> _Compiled:
        with self._lock:
            if self._compiled is None:
                self._compiled = self._compiled_now()
            return self._compiled

    def _compiled_now(self) -> _Compiled:
        marks = self._marks()
        rows = self._build(*marks)
        compiler = rows.query.get_compiler(using=DEFAULT_DB_ALIAS)
        sql, params = compiler.as_sql()
        asked = [mark[0] if isinstance(mark, list) else mark for mark in marks]
        places = {
            place: asked.index(param)
            for place, param in enumerate(params)
            if isinstance(param, int | str) and param in asked
        }
        listed = [place for place, which in places.items() if isinstance(marks[which], list)]
        missing = set(range(len(marks))) - set(places.values())
        assert not missing, f"values {sorted(missing)} of a prepared read are nowhere in: {sql}"
        selected = [column[0] for column in compiler.select]
        return _Compiled(
            _any_of(sql, listed),
            tuple(params),
            places,
            compiler.get_converters(selected),
            _maker(rows, compiler),
        )


def _any_of(sql: str, places: Sequence[int]) -> str:
    """Turn ``IN (%s)`` into what takes a list of any length, at the parameters that are lists."""
    parts = sql.split("%s")
    for place in places:
        assert parts[place].endswith("IN (") and parts[place + 1].startswith(")"), sql  # noqa: PT018
        parts[place] = parts[place].removesuffix("IN (") + "= ANY ("
    return "%s".join(parts)


def _converted(row: Sequence[Any], converters: dict[int, Any]) -> list[Any]:
    found = list(row)
    for place, (functions, expression) in converters.items():
        for function in functions:
            found[place] = function(found[place], expression, connection)
    return found


def _maker(rows: QuerySet[Any, Any], compiler: Any) -> Callable[[Sequence[Any]], Any]:
    """Return what makes a result of a row, as the queryset itself would."""
    iterable = rows._iterable_class
    if iterable is FlatValuesListIterable:
        return lambda row: row[0]
    if iterable is ValuesListIterable:
        return tuple
    assert iterable is ModelIterable, f"a prepared read cannot yield {iterable.__name__}"
    assert not compiler.annotation_col_map, "a prepared read has no annotations"
    model: type[Model] = compiler.klass_info["model"]
    fields = compiler.klass_info["select_fields"]
    start, end = fields[0], fields[-1] + 1
    names = [column[0].target.attname for column in compiler.select[start:end]]
    populators = get_related_populators(compiler.klass_info, compiler.select, DEFAULT_DB_ALIAS)  # type: ignore[call-arg]

    def make(row: Sequence[Any]) -> Model:
        found = model.from_db(DEFAULT_DB_ALIAS, names, row[start:end])
        for populator in populators:
            populator.populate(row, found)
        return found

    return make


# --- writing ----------------------------------------------------------------------------------

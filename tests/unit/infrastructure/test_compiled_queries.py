"""A statement compiled once says what its queryset says, whatever the values."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.db import connections as django_connections
from django.test.utils import CaptureQueriesContext

from infrastructure import connections
from infrastructure.compiled_queries import Prepared, compile_all
from infrastructure.rows import row_insert, row_insert_once, row_update
from orders.exchange_data.clock import db_now
from orders.models import Clock, Symbol

pytestmark = pytest.mark.django_db
BY_STATUS = Prepared(
    lambda status, pk: Symbol.objects.filter(status=status, pk__gte=pk).order_by("symbol"), str, int
)
NAMES = Prepared(
    lambda pks: Symbol.objects.filter(pk__in=pks).order_by("pk").values_list("symbol", "tick_size"), list
)
FLAT = Prepared(lambda: Symbol.objects.order_by("symbol").values_list("symbol", flat=True))


def symbol(name: str, **columns: Any) -> Symbol:
    usual: dict[str, Any] = {
        "environment": "PAPER",
        "status": "TRADING",
        "base_asset": name,
        "quote_asset": "USDT",
    }
    usual |= {"margin_asset": "USDT", "price_precision": 2, "quantity_precision": 3, "synced_at": db_now()}
    return Symbol(symbol=f"{name}USDT", **(usual | columns))


@pytest.fixture
def three() -> list[Symbol]:
    rows = [
        symbol("BTC", tick_size=Decimal("0.10"), raw={"onboardDate": 1, "filters": []}),
        symbol("ETH", tick_size=None),
        symbol("XRP", status="BREAK"),
    ]
    for row in rows:
        row_insert(row)
    return rows


def test_a_prepared_read_gives_what_its_queryset_gives_each_time(three: list[Symbol]) -> None:
    for status, pk in (("TRADING", 0), ("BREAK", 0), ("TRADING", three[1].pk), ("nothing", 0)):
        found = BY_STATUS.all(status, pk)
        wanted = list(Symbol.objects.filter(status=status, pk__gte=pk).order_by("symbol"))
        assert [row.__dict__ | {"_state": 0} for row in found] == [
            row.__dict__ | {"_state": 0} for row in wanted
        ]
    assert BY_STATUS.first("nothing", 0) is None
    with pytest.raises(Symbol.DoesNotExist):
        BY_STATUS.get("nothing", 0)


def test_lists_of_any_length_and_rows_that_are_no_models(three: list[Symbol]) -> None:
    pks = [row.pk for row in three]
    assert [NAMES.all(pks[:count]) for count in (0, 1, 2)] == [
        [],
        [("BTCUSDT", Decimal("0.1"))],
        [("BTCUSDT", Decimal("0.1")), ("ETHUSDT", None)],
    ]
    assert FLAT.all() == ["BTCUSDT", "ETHUSDT", "XRPUSDT"]


def test_it_is_compiled_once(three: list[Symbol]) -> None:
    made = []

    def build(pk: int) -> Any:
        made.append(pk)
        return Symbol.objects.filter(pk=pk)

    read = Prepared(build, int)
    assert [read.get(row.pk).symbol for row in three] == [row.symbol for row in three]
    assert len(made) == 1


def test_a_worker_compiles_all_before_anything_waits_for_it() -> None:
    made = []

    def build(pk: int) -> Any:
        made.append(pk)
        return Symbol.objects.filter(pk=pk)

    read = Prepared(build, int)
    compile_all()
    assert len(made) == 1
    assert read.first(0) is None
    assert len(made) == 1


def test_a_value_that_the_statement_does_not_hold_is_a_bug_said_at_once() -> None:
    with pytest.raises(AssertionError, match="nowhere in"):
        Prepared(lambda pk, other: Symbol.objects.filter(pk=pk), int, int).all(1, 2)


def test_writing_is_what_saving_is(three: list[Symbol]) -> None:
    # Given the same row, saved by Django
    saved = symbol("SOL", tick_size=Decimal("0.01"), raw={"a": [1, None]})
    saved.save()
    row = symbol("ADA", tick_size=Decimal("0.01"), raw={"a": [1, None]})
    row_insert(row)

    def columns(pk: int) -> dict[str, Any]:
        return {
            name: value
            for name, value in Symbol.objects.filter(pk=pk).values()[0].items()
            if name not in ("id", "symbol", "base_asset", "synced_at", "first_seen_at")
        }

    assert columns(row.pk) == columns(saved.pk)
    assert Symbol.objects.get(pk=row.pk).first_seen_at is not None

    # Only the columns named are written, each once, and all without names
    row.tick_size, row.status = Decimal("0.5"), "BREAK"
    row_update(row, "tick_size", "tick_size")
    assert (columns(row.pk)["tick_size"], columns(row.pk)["status"]) == (Decimal("0.5"), "TRADING")
    row_update(row)
    assert columns(row.pk)["status"] == "BREAK"


def test_a_row_that_is_gone_or_a_column_that_is_none_is_said(three: list[Symbol]) -> None:
    Symbol.objects.filter(pk=three[0].pk).delete()
    with pytest.raises(ObjectDoesNotExist, match="is gone"):
        row_update(three[0], "status")
    with pytest.raises(Exception, match="no field named"):
        row_update(three[1], "colour")


def test_what_is_known_is_not_inserted_twice() -> None:
    now = db_now()
    clock = Clock(environment="PAPER", offset_ms=1, round_trip_ms=2, measured_at=now)
    assert row_insert_once(clock)
    again = Clock(environment="PAPER", offset_ms=9, round_trip_ms=9, measured_at=now + timedelta(seconds=1))
    assert not row_insert_once(again)
    assert again.pk is None
    assert list(Clock.objects.values_list("pk", "offset_ms")) == [(clock.pk, 1)]


def test_a_connection_that_just_worked_is_not_asked_whether_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(connections, "close_old_connections", lambda: asked.append(True))
    monkeypatch.setattr(connections, "_thread", type(connections._thread)())

    # The first piece of work of a thread, and one right after it
    connections.connection_look_after()
    connections.connection_look_after()
    assert len(asked) == 1

    # One after an error, and one after a pause
    wrapper = django_connections["default"]
    monkeypatch.setattr(wrapper, "errors_occurred", True)
    connections.connection_look_after()
    assert len(asked) == 2
    monkeypatch.setattr(wrapper, "errors_occurred", False)
    connections._thread.asked_at -= 2 * connections.FRESH_SECONDS
    connections.connection_look_after()
    assert len(asked) == 3


def test_queries_are_seen_by_who_counts_them(three: list[Symbol]) -> None:
    with CaptureQueriesContext(connection) as asked:
        FLAT.all()
        row_update(three[0], "status")
    assert len(asked) == 2

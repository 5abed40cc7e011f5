"""Rows read and written by SQL of our own are what Django's own reads and writes make of them."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.db import connection
from django.db import connections as django_connections
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from accounts.models import ExchangeAccount
from infrastructure import connections
from infrastructure.rows import (
    Read,
    all_but,
    fetch_all,
    fetch_first,
    row_insert,
    row_insert_once,
    row_new,
    row_update,
)
from infrastructure.writes import gathered
from orders.exchange_data.clock import db_now
from orders.models import Clock, Fill, Leg, Outcome, Request, Sighting, Slot, Symbol, TrioEvent, TrioOrder

pytestmark = pytest.mark.django_db
BY_STATUS = Read(
    Symbol, "SELECT {symbol} FROM orders_symbol symbol WHERE status = %s AND id >= %s ORDER BY symbol.symbol"
)
BY_KEYS = Read(Symbol, "SELECT {symbol} FROM orders_symbol symbol WHERE id = ANY (%s) ORDER BY id")


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


def content(row: Model | None) -> Any:
    """Return all that a row holds: columns, what it would have to ask for, and the rows that hang on it."""
    if row is None:
        return None
    state = row._state
    return (
        {name: value for name, value in vars(row).items() if name != "_state"},
        (state.adding, state.db),
        {
            name: content(other) if name != "request" else other.pk
            for name, other in state.fields_cache.items()
        },
    )


def test_a_read_gives_what_a_queryset_gives_each_time(three: list[Symbol]) -> None:
    for status, pk in (("TRADING", 0), ("BREAK", 0), ("TRADING", three[1].pk), ("nothing", 0)):
        found = BY_STATUS.all(status, pk)
        wanted = Symbol.objects.filter(status=status, pk__gte=pk).order_by("symbol")
        assert [content(row) for row in found] == [content(row) for row in wanted]
    assert BY_STATUS.first("nothing", 0) is None
    with pytest.raises(Symbol.DoesNotExist):
        BY_STATUS.get("nothing", 0)


def test_lists_of_any_length(three: list[Symbol]) -> None:
    pks = [row.pk for row in three]

    assert [BY_KEYS.all(pks[:count]) for count in (0, 1, 2)] == [[], three[:1], three[:2]]


def test_rows_that_are_no_models(three: list[Symbol]) -> None:
    sizes = "SELECT symbol, tick_size FROM orders_symbol WHERE status = %s ORDER BY id"

    assert fetch_all(sizes, "TRADING") == [("BTCUSDT", Decimal("0.1")), ("ETHUSDT", None)]
    assert fetch_first(sizes, "BREAK") == ("XRPUSDT", None)
    assert fetch_first(sizes, "nothing") is None


def test_joined_rows_hang_on_the_first_as_after_select_related(three: list[Symbol]) -> None:
    # Given a draft without a slot, and another that has one
    account = ExchangeAccount.objects.create(name="desk", environment="PAPER")
    slot = Slot.objects.create(account=account, symbol="BTCUSDT", position_side="BOTH", strangers=["x"])
    with_slot = TrioOrder.objects.create(
        account=account, symbol=three[0], slot=slot, quantity=Decimal(1), side="BUY"
    )
    without = TrioOrder.objects.create(account=account, symbol=three[0], quantity=Decimal(1), side="BUY")
    read = Read(
        TrioOrder,
        """
        SELECT {trio}, {slot}, {symbol} FROM orders_trioorder trio
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        LEFT JOIN orders_slot slot ON slot.id = trio.slot_id
        WHERE trio.id = %s
        """,
        only={"symbol": {"symbol"}, "trio": all_but(TrioOrder, "reason")},
    )

    for trio in (with_slot, without):
        wanted = (
            TrioOrder.objects.select_related("slot", "symbol")
            .defer("reason", *(f"symbol__{name}" for name in all_but(Symbol, "id", "symbol")))
            .get(pk=trio.pk)
        )
        with CaptureQueriesContext(connection) as asked:
            found = read.get(trio.pk)
            assert (found.slot, found.symbol.symbol) == (trio.slot, "BTCUSDT")
        assert len(asked) == 1
        assert content(found) == content(wanted)
        assert "reason" in found.get_deferred_fields()
        assert found.symbol.get_deferred_fields() == all_but(Symbol, "id", "symbol")


def test_a_column_or_relation_that_is_none_is_said() -> None:
    with pytest.raises(FieldDoesNotExist, match="colour"):
        Read(Symbol, "SELECT {symbol}, {colour} FROM orders_symbol symbol").all()
    with pytest.raises(FieldDoesNotExist, match="colour"):
        Read(Symbol, "SELECT {symbol} FROM orders_symbol symbol", only={"symbol": {"colour"}}).all()


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

    # One after an error, and one after a long pause; a short one needs no round trip
    wrapper = django_connections["default"]
    monkeypatch.setattr(wrapper, "errors_occurred", True)
    connections.connection_look_after()
    assert len(asked) == 2
    monkeypatch.setattr(wrapper, "errors_occurred", False)
    connections._thread.asked_at -= 2 * connections.FRESH_SECONDS
    connections.connection_look_after()
    assert len(asked) == 2
    connections._thread.asked_at -= 2 * connections.FRESH_SECONDS
    connections._thread.probed_at -= 2 * connections.PROBED_SECONDS
    connections.connection_look_after()
    assert len(asked) == 3


def test_queries_are_seen_by_who_counts_them(three: list[Symbol]) -> None:
    with CaptureQueriesContext(connection) as asked:
        BY_KEYS.all([])
        row_update(three[0], "status")
    assert len(asked) == 2


class TestOnlyWhatDiffersIsWritten:
    def written(self, row: Model) -> list[str]:
        """Return the statements that writing this row inside a short transaction sends."""
        with CaptureQueriesContext(connection) as asked, gathered():
            row_update(row)
        return [query["sql"] for query in asked.captured_queries]

    def test_a_row_that_is_as_it_was_read_is_not_written(self, three: list[Symbol]) -> None:
        [row] = BY_KEYS.all([three[0].pk])

        assert self.written(row) == []

    def test_one_column_that_differs_is_written_alone_and_once(self, three: list[Symbol]) -> None:
        [row] = BY_KEYS.all([three[0].pk])

        row.tick_size = Decimal("0.5")

        [statement] = self.written(row)
        assert '"tick_size" = ' in statement
        assert '"status"' not in statement
        assert BY_KEYS.all([row.pk])[0].tick_size == Decimal("0.5")
        assert self.written(row) == []

    def test_a_list_that_was_changed_in_place_is_written(self, three: list[Symbol]) -> None:
        [row] = BY_KEYS.all([three[0].pk])

        row.raw["filters"].append("new")

        assert len(self.written(row)) == 1
        assert BY_KEYS.all([row.pk])[0].raw["filters"] == ["new"]

    @pytest.mark.parametrize("gathers", [True, False])
    def test_a_column_that_was_written_by_name_and_set_back_is_written_again(
        self, three: list[Symbol], *, gathers: bool
    ) -> None:
        [row] = BY_KEYS.all([three[1].pk])

        with gathered() if gathers else nullcontext():
            row.tick_size = Decimal(7)
            row_update(row, "tick_size")
            row.tick_size = None
            row_update(row)

        assert BY_KEYS.all([row.pk])[0].tick_size is None

    def test_an_empty_list_that_was_filled_in_place_is_written(self, three: list[Symbol]) -> None:
        three[0].raw = []
        row_update(three[0], "raw")
        [row] = BY_KEYS.all([three[0].pk])

        row.raw.append("new")

        assert len(self.written(row)) == 1

    def test_a_change_by_somebody_else_is_not_overwritten(self, three: list[Symbol]) -> None:
        [row] = BY_KEYS.all([three[0].pk])
        Symbol.objects.filter(pk=row.pk).update(status="BREAK")

        row.tick_size = Decimal("0.5")
        self.written(row)

        assert BY_KEYS.all([row.pk])[0].status == "BREAK"

    def test_a_row_that_fills_in_its_own_time_does_so_when_it_is_written(self) -> None:
        account = ExchangeAccount.objects.create(name="one", environment="PAPER")
        slot = Slot.objects.create(account=account, symbol="BTCUSDT", position_side="BOTH")
        read = Read(Slot, "SELECT {slot} FROM orders_slot slot WHERE id = %s")
        row = read.get(slot.pk)

        row.quantity = Decimal(1)
        self.written(row)

        assert read.get(slot.pk).updated_at > slot.updated_at

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [("tick_size", Decimal("NaN"), ValidationError), ("price_precision", "two", ValueError)],
    )
    def test_what_django_would_refuse_is_refused(
        self, three: list[Symbol], name: str, value: Any, error: type[Exception]
    ) -> None:
        [row] = BY_KEYS.all([three[0].pk])
        setattr(row, name, value)

        with pytest.raises(error):
            row_update(row)


@pytest.mark.parametrize("model", [Leg, Request, Outcome, Sighting, Fill, TrioEvent, Slot, Symbol])
def test_a_new_row_is_as_django_makes_it(model: type[Model]) -> None:
    assert content(row_new(model)) == content(model())


def test_a_new_row_knows_what_it_hangs_on() -> None:
    trio = TrioOrder(pk=7)
    trio._state.db = "default"
    leg = row_new(Leg, trio=trio, role="ENTRY", quantity=Decimal(2))
    assert content(leg) == content(Leg(trio=trio, role="ENTRY", quantity=Decimal(2)))
    assert leg.trio is trio
    assert content(row_new(Fill, trio=None, leg=leg, account_id=3)) == content(
        Fill(trio=None, leg=leg, account_id=3)
    )
    request = Request(pk=3)
    outcome = row_new(Outcome, request=request)
    assert request.outcome is outcome  # it has one at most, and knows it
    with pytest.raises(TypeError, match="no column colour"):
        row_new(Leg, colour="red")


def test_new_rows_share_nothing() -> None:
    first, second = row_new(TrioEvent), row_new(TrioEvent)
    first.data["text"] = "of the first"
    assert second.data == TrioEvent().data

"""Writes gathered in a transaction: sent as one statement, before anything that could tell."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.test.utils import CaptureQueriesContext

from infrastructure.rows import row_append, row_insert, row_update
from infrastructure.transactions import short_transaction
from infrastructure.writes import gathering
from orders.exchange_data.clock import db_now
from orders.models import Heartbeat

pytestmark = pytest.mark.django_db(transaction=True)


def beat(process: str) -> Heartbeat:
    now = db_now()
    return Heartbeat(process=process, beat=now, started_at=now)


def test_what_a_transaction_writes_goes_out_as_one_statement() -> None:
    # Given a row that is there
    there, one, two = beat("there"), beat("one"), beat("two")
    row_insert(there)

    # When a transaction appends two rows and updates one twice
    with CaptureQueriesContext(connection) as sent, short_transaction() as now:
        row_append(one)
        there.note = "first"
        row_update(there, "note")
        row_append(two)
        there.note, there.beat = "second", now + timedelta(seconds=1)
        row_update(there, "note", "beat")

    # Then one statement wrote all of it, and of a column written twice the last value stands
    writing = [query["sql"] for query in sent.captured_queries if query["sql"].startswith("WITH")]
    assert len(writing) == 1
    assert writing[0].count("UPDATE") == 1
    assert len(sent) == 4, "BEGIN, the clock, the writes, COMMIT"
    there.refresh_from_db()
    assert (there.note, there.beat) == ("second", now + timedelta(seconds=1))
    assert set(Heartbeat.objects.values_list("process", flat=True)) == {"there", "one", "two"}


def test_whoever_reads_inside_sees_what_was_written_before() -> None:
    with short_transaction():
        row_append(beat("one"))
        assert list(Heartbeat.objects.values_list("process", flat=True)) == ["one"]
        row_append(beat("two"))
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM orders_heartbeat")
            assert cursor.fetchone() == (2,)


def test_an_error_undoes_what_was_gathered_too() -> None:
    def write_and_fail() -> None:
        with short_transaction():
            row_append(beat("one"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert not Heartbeat.objects.exists()

    # And nothing of it is left for the next transaction
    with short_transaction():
        row_append(beat("two"))
    assert Heartbeat.objects.get().process == "two"


def test_a_row_that_is_gone_is_no_silence() -> None:
    gone = beat("gone")
    row_insert(gone)
    Heartbeat.objects.all().delete()

    def write() -> None:
        with short_transaction():
            row_append(beat("one"))
            gone.note = "still here"
            row_update(gone, "note")

    with pytest.raises(ObjectDoesNotExist):
        write()
    assert not Heartbeat.objects.exists()


def test_a_new_row_with_a_reserved_key_is_written_with_what_it_became() -> None:
    with short_transaction():
        writes = gathering()
        assert writes is not None
        with connection.cursor() as cursor:
            cursor.execute("SELECT ARRAY[nextval('orders_heartbeat_id_seq')]")
            writes.reserve({Heartbeat: cursor.fetchone()[0]})
        row = beat("one")
        row_insert(row)
        assert row.pk is not None
        row.note = "beaten"
        row_update(row, "note")
    assert Heartbeat.objects.get(pk=row.pk).note == "beaten"

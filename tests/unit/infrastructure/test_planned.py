"""Statements planned once for a connection, and what happens when PostgreSQL has forgotten them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from infrastructure import planned as planning
from infrastructure.planned import fetch_planned, planned
from infrastructure.transactions import retried

pytestmark = pytest.mark.django_db(transaction=True)
SQL = "SELECT %s::int + 1, '100 %%'"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    planning._off.clear()


def forgotten() -> None:
    """What a pooler does: another connection, behind our back."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


def test_a_statement_is_prepared_once_and_gives_the_same() -> None:
    assert fetch_planned(SQL, 1) == (2, "100 %")
    with CaptureQueriesContext(connection) as asked:
        assert fetch_planned(SQL, 41) == (42, "100 %")
    assert [query["sql"].split("(")[0].split()[0] for query in asked.captured_queries] == ["EXECUTE"]


def test_a_new_connection_prepares_anew() -> None:
    assert fetch_planned(SQL, 1) == (2, "100 %")
    connection.close()
    assert fetch_planned(SQL, 2) == (3, "100 %")
    assert not planning._off


def test_behind_a_pooler_statements_are_sent_whole() -> None:
    fetch_planned(SQL, 1)
    forgotten()
    assert fetch_planned(SQL, 2) == (3, "100 %")
    assert planned(SQL) == SQL


def test_a_transaction_that_meets_a_forgotten_statement_is_done_again() -> None:
    def look(number: int) -> object:
        try:
            return retried(lambda row: row[0], what="a look", read=SQL, values=[number])
        except OperationalError as error:
            return error

    assert look(1) == 2
    forgotten()
    assert look(2) == 3


def test_another_error_is_no_reason() -> None:
    with pytest.raises(Exception, match="division by zero"):
        fetch_planned("SELECT 1 / %s::int", 0)
    assert not planning._off


def test_plans_are_made_without_values_also_after_a_transaction_that_was_undone() -> None:
    connection.close()
    with transaction.atomic():
        planned("SELECT 1 WHERE 1 = %s")
        transaction.set_rollback(True)

    planned("SELECT 2 WHERE 1 = %s")

    with connection.cursor() as cursor:
        cursor.execute("SHOW plan_cache_mode")
        assert cursor.fetchone() == ("force_generic_plan",)

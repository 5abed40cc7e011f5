"""A process that runs for long keeps no statements, whatever DEBUG says, and keeps its connections."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import CaptureQueriesContext

from infrastructure.connections import FRESH_SECONDS, _thread, connection_look_after
from tests.builders import until
from worker.loop import WorkerLoop
from worker.rq_worker import DjangoWorker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def debugging(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DEBUG as ``make setup`` writes it, and Django as it is before a worker starts."""
    settings.DEBUG = True
    logged = property(lambda wrapper: wrapper.force_debug_cursor or settings.DEBUG)
    monkeypatch.setattr(BaseDatabaseWrapper, "queries_logged", logged)


def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7")


@pytest.mark.parametrize("worker", ["runworker", "rqworker"])
def test_a_worker_keeps_no_statements_while_debugging(debugging: None, redis_queue: Any, worker: str) -> None:
    connection.queries_log.clear()
    ask()
    assert len(connection.queries_log) == 1  # as a page of the web does

    if worker == "runworker":
        WorkerLoop()
    else:
        DjangoWorker([redis_queue], connection=redis_queue.connection)
    connection.queries_log.clear()
    ask()

    assert not connection.queries_logged
    assert len(connection.queries_log) == 0
    # What is asked for by name is kept all the same
    with CaptureQueriesContext(connection) as captured:
        ask()
    assert len(captured) == 1


@pytest.mark.parametrize("worker", ["runworker", "rqworker"])
def test_a_worker_keeps_its_connections(
    monkeypatch: pytest.MonkeyPatch, redis_queue: Any, worker: str
) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 60)
    connection.close()
    ask()
    assert connection.close_at is not None  # as for the web, whose threads come and go

    if worker == "runworker":
        WorkerLoop()
    else:
        DjangoWorker([redis_queue], connection=redis_queue.connection)
    connection.close()
    ask()

    assert connection.close_at is None


def test_a_connection_that_the_server_has_ended_is_replaced_before_it_is_used() -> None:
    # Given a connection that was asked a moment ago whether it lives
    ask()
    connection_look_after()
    ask()
    raw = connection.connection
    ended = raw.get_backend_pid()

    # When the server ends it, as when it is restarted
    other = connection.copy("other")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ended])
        gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        until(lambda: cursor.execute(gone, [ended]) or cursor.fetchone() == (0,))
    other.close()
    _thread.asked_at -= 2 * FRESH_SECONDS

    # Then the next piece of work has another one
    connection_look_after()
    ask()
    assert connection.connection is not raw

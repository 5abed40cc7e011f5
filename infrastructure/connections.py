"""Each thread's database connection, checked between one piece of work and the next."""

from __future__ import annotations

import select
import threading
import time
from typing import Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from local_servers.manager import EmbeddedServersError

FRESH_SECONDS: Final = 1.0
PROBED_SECONDS: Final = 30.0
UNANSWERED: Final = (OperationalError, InterfaceError, EmbeddedServersError)
_thread = threading.local()


def connection_look_after() -> None:
    """Close this thread's connection if it is broken or too old; Django opens a new one when it is needed.

    To be called before each piece of work. A connection is checked at most once a second, and by a round trip
    only twice a minute: the server's end of it has something to say as soon as it is closed. Work that loses its
    connection in between is tried again, or found by the poll.
    """
    now = time.monotonic()
    if not connection.errors_occurred:
        if now - getattr(_thread, "asked_at", float("-inf")) < FRESH_SECONDS:
            return
        if now - getattr(_thread, "probed_at", float("-inf")) < PROBED_SECONDS and _is_quiet():
            _thread.asked_at = now
            return
    close_old_connections()
    _thread.asked_at = _thread.probed_at = now


def _is_quiet() -> bool:
    """Is this thread's connection open, with nothing to be read from it? Between two statements that is so until it ends."""
    raw = connection.connection
    if raw is None or raw.closed:
        return False
    waiting = select.poll()
    waiting.register(raw.fileno(), select.POLLIN)
    return not waiting.poll(0)


def database_silent(error: Exception) -> str:
    """Say in one sentence, for a person, why the database did not do its work; ``error`` is one of UNANSWERED."""
    reason = error_line(error).strip().rstrip(".")
    # With a code it did answer: a lock could not be had, say.
    what = "refused" if getattr(error.__cause__, "pgcode", None) else "does not answer"
    return f"The database (PostgreSQL) {what}: {reason}."


def connections_kept() -> None:
    """Keep each thread's connection until it breaks; to be called by a process that runs for long.

    What a new connection reads and plans anew costs more than a whole turn of a trio, and after each quiet minute a bulk
    would pay for it on dozens of threads. One that has broken is still noticed, and replaced.
    """
    for known in connections.settings.values():
        known["CONN_MAX_AGE"] = None


def statements_unlogged() -> None:
    """Keep no statements in memory in this process, whatever DEBUG says; to be called by one that runs for long.

    Django would pass each through a cursor that times it and keeps its text. What is asked for by name
    (``CaptureQueriesContext``) is still kept.
    """
    BaseDatabaseWrapper.queries_logged = property(lambda wrapper: wrapper.force_debug_cursor)  # type: ignore[assignment]


def error_line(error: Exception) -> str:
    """Return the first line of a database error, for a log; what follows it is hints and positions."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

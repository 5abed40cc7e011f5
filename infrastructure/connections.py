"""Each thread's database connection, checked between one piece of work and the next."""

from __future__ import annotations

import threading
import time
from typing import Final

from django.db import close_old_connections, connection

FRESH_SECONDS: Final = 1.0
_thread = threading.local()


def connection_look_after() -> None:
    """Close this thread's connection if it is broken or too old; Django opens a new one when it is needed.

    To be called before each piece of work. A connection is checked at most once a second: checking it each
    time would cost a round trip for every event. Work that loses its connection in between is tried again,
    or found by the poll.
    """
    now = time.monotonic()
    checked = now - getattr(_thread, "asked_at", -FRESH_SECONDS) < FRESH_SECONDS
    if checked and not connection.errors_occurred:
        return
    close_old_connections()
    _thread.asked_at = now


def error_line(error: Exception) -> str:
    """Return the first line of a database error, for a log; what follows it is hints and positions."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

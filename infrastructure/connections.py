"""Each thread's connection to the database, looked after between one piece of work and the next."""

from __future__ import annotations

import threading
import time
from typing import Final

from django.db import close_old_connections, connection

FRESH_SECONDS: Final = 1.0
_thread = threading.local()


def connection_look_after() -> None:
    """Let go of this thread's connection if it is broken or old. To be called before each piece of work.

    It is asked at most once a second whether it lives: asking each time would cost a round trip for every
    event. Whoever loses it in between tries again, or is found by the poll.
    """
    now = time.monotonic()
    fresh = now - getattr(_thread, "asked_at", -FRESH_SECONDS) < FRESH_SECONDS
    if fresh and not connection.errors_occurred:
        return
    close_old_connections()
    _thread.asked_at = now

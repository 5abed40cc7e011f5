"""Has the journals anchored once a minute, in a thread of its own: the poll never waits for it."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from infrastructure.connections import error_line
from orders.journal.anchors import anchor_write

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 10.0


class AnchorTimer:
    """Every process tries once a minute; the first one writes that minute's anchor for all."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="anchor")
        self._under_way: Future[None] | None = None
        self._next_at = 0.0

    def poll(self) -> None:
        """Start this minute's anchor if it is time. Returns at once."""
        if time.monotonic() < self._next_at or (self._under_way and not self._under_way.done()):
            return
        self._next_at = time.monotonic() + INTERVAL_SECONDS
        self._under_way = self._pool.submit(self._write)

    def _write(self) -> None:
        close_old_connections()
        try:
            anchor_write()
        except (OperationalError, InterfaceError) as error:
            self._next_at = time.monotonic() + RETRY_SECONDS
            logger.warning(
                "the journals could not be anchored: %s; trying again in %.0f s",
                error_line(error),
                RETRY_SECONDS,
            )
        except Exception:
            logger.exception("the journals could not be anchored; trying again with the next minute")
        finally:
            connection.close()  # one connection less for the other 59 seconds

    def stop(self) -> None:
        self._pool.shutdown(wait=True)

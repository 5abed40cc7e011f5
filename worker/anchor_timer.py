"""The minute's anchor of the journals, written beside the poll: it waits for nothing of this."""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from orders.journal.anchors import anchor_write

logger = logging.getLogger(__name__)

EVERY_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 10.0


class Anchorer:
    """Tries once a minute, in a thread of its own; of several processes the first one writes."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="anchor")
        self._under_way: Future[None] | None = None
        self._next = 0.0

    def beat(self) -> None:
        """Have this minute's anchor written if it is time. Returns at once."""
        if time.monotonic() < self._next or (self._under_way and not self._under_way.done()):
            return
        self._next = time.monotonic() + EVERY_SECONDS
        self._under_way = self._pool.submit(self._write)

    def _write(self) -> None:
        close_old_connections()
        try:
            anchor_write()
        except (OperationalError, InterfaceError) as error:
            self._next = time.monotonic() + AGAIN_SECONDS
            logger.warning("the journals could not be anchored: %s", str(error).splitlines()[:1])
        except Exception:
            logger.exception("the journals could not be anchored")
        finally:
            connection.close()  # one connection less for the other 59 seconds

    def stop(self) -> None:
        self._pool.shutdown(wait=True)

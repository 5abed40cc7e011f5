"""The 250 ms poll: trios whose wake-up has come are carried forward, by whichever process gets there."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections, connection

from orders.domain.words import TrioState
from orders.models import TrioOrder
from orders.placement import OrderPlacementService

logger = logging.getLogger(__name__)

DUE = """
    SELECT id FROM orders_trioorder
    WHERE wake_at <= clock_timestamp() AND state <> %s
    ORDER BY wake_at LIMIT %s
    FOR UPDATE SKIP LOCKED
"""


def due_ids(limit: int = 100) -> list[int]:
    """Return trios that are due and that nobody is deciding about at this instant, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [TrioState.DRAFT, limit])
        return [row[0] for row in cursor.fetchall()]


class Advancer:
    """A pool that carries trios forward, one at a time each, so that no request ever blocks the poll."""

    def __init__(self, *, threads: int = 8, service: OrderPlacementService | None = None) -> None:
        self._service = service or OrderPlacementService()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="advance")
        self._lock = threading.Lock()
        self._busy: dict[int, bool] = {}  # trio → was it called for again meanwhile?

    def call(self, trio_id: int) -> None:
        """Have a trio carried forward; a call while it is being carried is done right after."""
        with self._lock:
            if trio_id in self._busy:
                self._busy[trio_id] = True
                return
            self._busy[trio_id] = False
        self._pool.submit(self._run, trio_id)

    def _run(self, trio_id: int) -> None:
        while True:
            close_old_connections()
            try:
                self._service.advance(trio_id)
            except TrioOrder.DoesNotExist:
                logger.warning("trio %s does not exist", trio_id)
            except Exception:  # the poll finds it again; one trio never holds up another
                logger.exception("trio %s could not be carried forward", trio_id)
            with self._lock:
                if not self._busy[trio_id]:
                    del self._busy[trio_id]
                    return
                self._busy[trio_id] = False

    @property
    def idle(self) -> bool:
        with self._lock:
            return not self._busy

    def stop(self) -> None:
        """Let what is under way finish."""
        self._pool.shutdown(wait=True)


def due_once(advancer: Advancer) -> int:
    """One pass: call for every trio that is due. Returns how many."""
    ids = due_ids()
    for trio_id in ids:
        advancer.call(trio_id)
    return len(ids)

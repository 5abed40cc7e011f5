"""The 250 ms poll: trios whose wake-up is due are advanced, by whichever process gets to them first."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from infrastructure.connections import connection_look_after
from orders.domain.enums import TrioState
from orders.models import TrioOrder
from orders.placement.perform import Answer
from orders.placement.service import OrderPlacementService
from worker.wake_timer import WakeTimer

logger = logging.getLogger(__name__)

TIMER_MS_MAX = 1000  # a wake-up further away is left to the poll
DUE = """
    SELECT id FROM orders_trioorder
    WHERE awake AND wake_at <= clock_timestamp() AND state <> %s
    ORDER BY wake_at LIMIT %s
    FOR UPDATE SKIP LOCKED
"""


def due_ids(limit: int = 100) -> list[int]:
    """Return the trios that are due and whose row nobody holds at this instant, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [TrioState.DRAFT, limit])
        return [row[0] for row in cursor.fetchall()]


class AdvancePool:
    """A thread pool that advances trios, each in one thread at a time, so that no request blocks the poll.

    No thread waits for an entry's answer: its fill may be reported before it, and cover must not wait.
    """

    def __init__(self, *, threads: int = 16, service: OrderPlacementService | None = None) -> None:
        self._service = service or OrderPlacementService()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="advance")
        self._changed = threading.Condition()
        self._busy: dict[int, bool] = {}  # trio → was it submitted again meanwhile?
        self._answers: dict[int, list[Answer]] = {}  # came in, and are not recorded yet
        self._in_flight: set[Future[Answer]] = set()
        self._timer = WakeTimer(self.submit)

    def submit(self, trio_id: int, answer: Answer | None = None) -> None:
        """Have a trio advanced; if it is being advanced already, once more right after."""
        with self._changed:
            if answer is not None:
                self._answers.setdefault(trio_id, []).append(answer)
            if trio_id in self._busy:
                self._busy[trio_id] = True
                return
            self._busy[trio_id] = False
        self._pool.submit(self._run, trio_id)

    def _run(self, trio_id: int) -> None:
        while True:
            with self._changed:
                answers: list[Answer | None] = [*self._answers.pop(trio_id, [])]
                self._busy[trio_id] = False
            connection_look_after()
            for answer in answers or [None]:
                self._advance(trio_id, answer)
            with self._changed:
                if not self._busy[trio_id]:
                    del self._busy[trio_id]
                    self._changed.notify_all()
                    return

    def _advance(self, trio_id: int, answer: Answer | None) -> None:
        advance = partial(
            self._service.advance,
            trio_id,
            answer=answer,
            later=partial(self._await_answer, trio_id),
            again=partial(self._wake_later, trio_id),
            if_due=True,
        )
        try:
            try:
                advance()
            except (OperationalError, InterfaceError):
                if answer is None:
                    raise
                connection.close()  # an answer that is not recorded would have to be looked up
                advance()
        except TrioOrder.DoesNotExist:
            logger.warning("trio %s does not exist: it was deleted while it was due", trio_id)
        except Exception:  # one trio never holds up another
            logger.exception("trio %s could not be advanced; the poll tries again", trio_id)

    def _wake_later(self, trio_id: int, in_ms: int) -> None:
        """Serve what is due soon to the millisecond: the poll would come up to 250 ms late."""
        if in_ms <= TIMER_MS_MAX:
            self._timer.schedule(trio_id, in_ms=in_ms)

    def _await_answer(self, trio_id: int, future: Future[Answer]) -> None:
        """Advance the trio when this answer is there."""
        with self._changed:
            self._in_flight.add(future)
        future.add_done_callback(partial(self._answered, trio_id))

    def _answered(self, trio_id: int, future: Future[Answer]) -> None:
        self.submit(trio_id, future.result())
        with self._changed:
            self._in_flight.discard(future)
            self._changed.notify_all()

    @property
    def is_idle(self) -> bool:
        with self._changed:
            return self._nothing_left()

    def _nothing_left(self) -> bool:
        return not self._busy and not self._in_flight

    def stop(self) -> None:
        """Let what is under way finish: an answer that is not recorded would have to be looked up."""
        self._timer.stop()
        with self._changed:
            self._changed.wait_for(self._nothing_left, timeout=settings.BINANCE_TIMEOUT_MS / 1000 + 2)
        self._pool.shutdown(wait=True)


def advance_due(pool: AdvancePool) -> int:
    """One pass of the poll: have every due trio advanced. Returns how many there were."""
    ids = due_ids()
    for trio_id in ids:
        pool.submit(trio_id)
    return len(ids)

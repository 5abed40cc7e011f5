"""The 250 ms poll: trios whose wake-up has come are carried forward, by whichever process gets there."""

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
from worker.wake_timer import Alarm

logger = logging.getLogger(__name__)

SOON_MS = 1000
DUE = """
    SELECT id FROM orders_trioorder
    WHERE awake AND wake_at <= clock_timestamp() AND state <> %s
    ORDER BY wake_at LIMIT %s
    FOR UPDATE SKIP LOCKED
"""


def due_ids(limit: int = 100) -> list[int]:
    """Return trios that are due and that nobody is deciding about at this instant, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(DUE, [TrioState.DRAFT, limit])
        return [row[0] for row in cursor.fetchall()]


class Advancer:
    """A pool that carries trios forward, one at a time each, so that no request ever blocks the poll.

    Nobody waits for an entry's answer here: a fill may be told before it, and its cover must not wait.
    """

    def __init__(self, *, threads: int = 16, service: OrderPlacementService | None = None) -> None:
        self._service = service or OrderPlacementService()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="advance")
        self._changed = threading.Condition()
        self._busy: dict[int, bool] = {}  # trio → was it called for again meanwhile?
        self._answers: dict[int, list[Answer]] = {}  # came in, and are not recorded yet
        self._in_the_air: set[Future[Answer]] = set()
        self._alarm = Alarm(self.call)

    def call(self, trio_id: int, answer: Answer | None = None) -> None:
        """Have a trio carried forward; a call while it is being carried is done right after."""
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
        carry = partial(
            self._service.advance,
            trio_id,
            answer=answer,
            later=partial(self._later, trio_id),
            again=partial(self._again, trio_id),
            if_due=True,
        )
        try:
            try:
                carry()
            except (OperationalError, InterfaceError):
                if answer is None:
                    raise
                connection.close()  # an answer that nobody writes down would have to be looked up
                carry()
        except TrioOrder.DoesNotExist:
            logger.warning("trio %s does not exist", trio_id)
        except Exception:  # the poll finds it again; one trio never holds up another
            logger.exception("trio %s could not be carried forward", trio_id)

    def _again(self, trio_id: int, in_ms: int) -> None:
        """Serve what is due soon to the millisecond: the poll would come up to 250 ms late."""
        if in_ms <= SOON_MS:
            self._alarm.set(trio_id, in_ms)

    def _later(self, trio_id: int, future: Future[Answer]) -> None:
        """Carry the trio on when this answer is there."""
        with self._changed:
            self._in_the_air.add(future)
        future.add_done_callback(partial(self._answered, trio_id))

    def _answered(self, trio_id: int, future: Future[Answer]) -> None:
        self.call(trio_id, future.result())
        with self._changed:
            self._in_the_air.discard(future)
            self._changed.notify_all()

    @property
    def idle(self) -> bool:
        with self._changed:
            return self._rests()

    def _rests(self) -> bool:
        return not self._busy and not self._in_the_air

    def stop(self) -> None:
        """Let what is under way finish: an answer that nobody writes down would have to be looked up."""
        self._alarm.stop()
        with self._changed:
            self._changed.wait_for(self._rests, timeout=settings.BINANCE_TIMEOUT_MS / 1000 + 2)
        self._pool.shutdown(wait=True)


def due_once(advancer: Advancer) -> int:
    """One pass: call for every trio that is due. Returns how many."""
    ids = due_ids()
    for trio_id in ids:
        advancer.call(trio_id)
    return len(ids)

"""The 250 ms poll: trios whose wake-up is due are advanced, by whichever process gets to them first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from infrastructure.connections import connection_look_after
from infrastructure.rows import fetch_all
from orders.domain.enums import TrioState
from orders.models import TrioOrder
from orders.placement.admission import Admission
from orders.placement.inbox import Inbox
from orders.placement.news import News
from orders.placement.perform import Answer
from orders.placement.service import OrderPlacementService
from worker.placing_feed import PlacingFeed
from worker.wake_timer import WakeTimer

logger = logging.getLogger(__name__)

TIMER_MS_MAX = 1000  # a wake-up further away is left to the poll
PLACING_THREADS = 4  # none waits for an answer
# A position is reported together with the execution that changed it, which says what is to be done: one turn takes in both.
# And what an answer has told already waits for the answers to what was sent then: that turn takes in all of it.
NEWS_WAITS_MS = 15
NEWS_WAITS_FOR_ANSWERS_MS = 200
# What is queued asks for room first, unless a person takes it back or its time is over: that needs no room.
DUE = """
    SELECT id FROM orders_trioorder
    WHERE awake AND wake_at <= clock_timestamp() AND (state <> ALL (%s) OR state = 'QUEUED' AND (
        coalesce(cancel_wanted_at, close_wanted_at, panic_wanted_at) IS NOT NULL
        OR place_before <= clock_timestamp()))
    ORDER BY wake_at LIMIT %s
    FOR UPDATE SKIP LOCKED
"""
# Due before the next poll: served to the millisecond, whoever it was that let it rest.
SOON = """
    SELECT id, greatest(1, ceil(extract(epoch FROM wake_at - clock_timestamp()) * 1000))::int FROM orders_trioorder
    WHERE awake AND wake_at > clock_timestamp() AND wake_at <= clock_timestamp() + %s * interval '1 millisecond'
      AND state <> ALL (%s)
    ORDER BY wake_at LIMIT %s
"""
SOON_MS = 300
# In turns from each account, so that one with much to place leaves room for others. Nothing is locked: what
# only waits is read again and again. Who watches an account places its trios, too: the entry's answer and what the stream
# says of it come to one process, which takes one turn for both. Others step in when that process falls silent or is slow.
QUEUED = """
    SELECT trio.id, trio.account_id FROM orders_trioorder trio
    LEFT JOIN orders_watch watch ON watch.account_id = trio.account_id
    WHERE trio.awake AND trio.wake_at <= clock_timestamp() AND trio.state = %(queued)s AND (
        %(holder)s IN ('', watch.holder)
        OR watch.beat IS NULL OR watch.beat < clock_timestamp() - %(silent_ms)s * interval '1 millisecond'
        OR trio.wake_at < clock_timestamp() - %(slow_ms)s * interval '1 millisecond')
    ORDER BY row_number() OVER (PARTITION BY trio.account_id ORDER BY trio.wake_at), trio.wake_at LIMIT %(limit)s
"""
SLOW_MS = 2000  # many at once may be too many for one process
NOT_BEGUN = [TrioState.DRAFT.value, TrioState.QUEUED.value]


def due_begun(limit: int = 100) -> list[int]:
    """Return the trios due of which something was sent and whose row nobody holds at this instant."""
    return [row[0] for row in fetch_all(DUE, NOT_BEGUN, limit)]


def due_soon(limit: int = 100) -> list[tuple[int, int]]:
    """Return the trios of which something was sent that are due before the next poll, with the ms until then."""
    return fetch_all(SOON, SOON_MS, NOT_BEGUN, limit)


def due_queued(holder: str = "", limit: int = 200) -> list[tuple[int, int]]:
    """Return the trios due that wait to be placed, each with its account.

    ``holder``: the process that is to place them, without those that another one will; without it, all.
    """
    values: dict[str, Any] = {
        "queued": TrioState.QUEUED,
        "holder": holder,
        "silent_ms": settings.TAKEOVER_MS,
        "slow_ms": SLOW_MS,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(QUEUED, values)
        found: list[tuple[int, int]] = cursor.fetchall()
    return found


class AdvancePool:
    """Threads that advance trios, each in one at a time, so that no request blocks the poll.

    What is placed has threads of its own: what protects never waits for one of them. No thread waits for an
    entry's answer: its fill may be reported before it, and cover must not wait.
    """

    def __init__(self, *, threads: int = 16, service: OrderPlacementService | None = None) -> None:
        self._service = service or OrderPlacementService()
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="advance")
        self._placing = ThreadPoolExecutor(max_workers=PLACING_THREADS, thread_name_prefix="placing")
        self._changed = threading.Condition()
        self._busy: dict[int, bool] = {}  # trio → was it submitted again meanwhile?
        self._answers: dict[int, list[Answer]] = {}  # came in, and are not recorded yet
        self._inboxes: dict[int, Inbox] = {}  # of the busy ones
        self._held: dict[int, list[tuple[News, Callable[[], None]]]] = {}  # of others: it waits for more
        self._in_flight: set[Future[Answer]] = set()
        self._stopping = False
        self._timer = WakeTimer(self.submit)
        self._news_timer = WakeTimer(self._waited)
        self._feed = PlacingFeed(partial(self.submit, admitted=Admission.ADMITTED))

    def submit(
        self, trio_id: int, answer: Answer | None = None, *, admitted: Admission | None = None
    ) -> None:
        """Have a trio advanced; if it is being advanced already, once more right after.

        ``admitted``: it holds a place in the air, and its entry goes out in the threads for placing.
        """
        with self._changed:
            if answer is not None:
                self._answers.setdefault(trio_id, []).append(answer)
            if trio_id in self._busy:
                self._busy[trio_id] |= answer is None
                return
            self._open(trio_id)
        (self._pool if admitted is None else self._placing).submit(self._run, trio_id, admitted)

    def tell(self, news: News, lost: Callable[[], None]) -> None:
        """Have news of a trio recorded by the turn that decides about it, together with what else waits for it.

        ``lost`` is called when it could not be recorded.
        """
        trio_id = news.trio_id
        with self._changed:
            if trio_id in self._busy:
                self._inboxes[trio_id].put(news, lost)
                if news.may_wait:
                    self._news_timer.schedule(trio_id, in_ms=NEWS_WAITS_FOR_ANSWERS_MS)
                return
            self._held.setdefault(trio_id, []).append((news, lost))
            if news.may_wait and not self._stopping:
                self._news_timer.schedule(trio_id, in_ms=NEWS_WAITS_MS)
                return
            self._open(trio_id)
        self._pool.submit(self._run, trio_id, None)

    def _waited(self, trio_id: int) -> None:
        """What waited for more has waited for long enough, unless a turn has taken it meanwhile."""
        with self._changed:
            if trio_id in self._busy:
                self._inboxes[trio_id].ring()
                return
            if trio_id not in self._held:
                return
            self._open(trio_id)
        self._pool.submit(self._run, trio_id, None)

    def _open(self, trio_id: int) -> None:
        """Note that a thread is about to take turns of it, with what is known of it by now."""
        self._busy[trio_id] = False
        self._inboxes[trio_id] = Inbox()
        for news, lost in self._held.pop(trio_id, ()):
            self._inboxes[trio_id].put(news, lost)

    @property
    def wants_queued(self) -> bool:
        """Is it time to read again what is queued?"""
        return self._feed.wants_more

    def place(self, queued: list[tuple[int, int]]) -> None:
        """Have queued trios, each with its account, advanced as soon as there is room in the air."""
        self._feed.offer(queued)

    def _run(self, trio_id: int, admitted: Admission | None) -> None:
        while True:
            with self._changed:
                answers = self._answers.pop(trio_id, [])
                inbox = self._inboxes[trio_id]
                self._busy[trio_id] = False
            connection_look_after()
            self._advance(trio_id, answers, inbox, admitted)
            admitted = None  # said of one turn only
            with self._changed:
                more = self._busy[trio_id] or trio_id in self._answers
                if not more and inbox.is_empty:
                    del self._busy[trio_id], self._inboxes[trio_id]
                    self._changed.notify_all()
                    return

    def _advance(self, trio_id: int, answers: list[Answer], inbox: Inbox, admitted: Admission | None) -> None:
        advance = partial(
            self._service.advance,
            trio_id,
            answers=answers,
            news=inbox,
            brought=partial(self._brought, trio_id, answers),
            later=partial(self._await_answer, trio_id),
            again=partial(self.wake_later, trio_id),
            if_due=True,
            admitted=admitted,
        )
        try:
            try:
                advance()
            except (OperationalError, InterfaceError):
                if not answers:
                    raise
                connection.close()  # an answer that is not recorded would have to be looked up
                advance()
        except TrioOrder.DoesNotExist:
            logger.warning("trio %s does not exist: it was deleted while it was due", trio_id)
            inbox.set_down()
        except Exception:  # one trio never holds up another
            logger.exception("trio %s could not be advanced; the poll tries again", trio_id)
            inbox.set_down()

    def _brought(self, trio_id: int, answers: list[Answer]) -> list[Answer]:
        """Return the answers that came in since they were asked for last; those before are recorded by now."""
        with self._changed:
            answers[:] = self._answers.pop(trio_id, [])
        return list(answers)

    def wake_later(self, trio_id: int, in_ms: int) -> None:
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
        return not self._busy and not self._in_flight and not self._held

    def stop(self) -> None:
        """Let what is under way finish: an answer that is not recorded would have to be looked up."""
        self._timer.stop()
        self._news_timer.stop()
        self._feed.stop()
        with self._changed:
            self._stopping, held = True, list(self._held)
        for trio_id in held:
            self.submit(trio_id)
        with self._changed:
            self._changed.wait_for(self._nothing_left, timeout=settings.BINANCE_TIMEOUT_MS / 1000 + 2)
        self._placing.shutdown(wait=True)
        self._pool.shutdown(wait=True)


def advance_due(pool: AdvancePool, *, holder: str = "") -> int:
    """One pass of the poll: have what has begun advanced, and of what is queued as many as there is room for.

    ``holder``: by which name this process watches accounts. Returns how many trios were due.
    """
    begun, queued = due_begun(), 0
    for trio_id in begun:
        pool.submit(trio_id)
    for trio_id, in_ms in due_soon():
        pool.wake_later(trio_id, in_ms)
    if pool.wants_queued:
        waiting = due_queued(holder)
        pool.place(waiting)
        queued = len(waiting)
    return len(begun) + queued

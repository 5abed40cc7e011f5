"""Looks for signals, reversals and bulk runs that wait for something: a lost job, a process that died, a close. Holds up no pass."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from infrastructure.connections import connection_look_after
from orders.bulk import EXITS, bulk_carry, bulks_due
from orders.domain.enums import BulkVerb
from orders.drift import reversed_carry, reversed_due
from orders.reversal import reversal_carry, reversals_due
from signals.services import signals_waiting
from worker.signal_execution import signals_execute

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25  # a reversal waits for its close
SLICE_SECONDS = 1.0  # of one bulk run, then the next has its turn
HEAD_START_SECONDS = 1.0  # for the job, or the strategy's thread, that is at it


class SignalPoll:
    """One thread of its own, so that protection never waits for a signal."""

    name = "signal-poll"
    every_seconds = LOOK_SECONDS

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._at = 0.0
        self._looking: Future[None] | None = None

    def poll(self) -> None:
        """Look, once in ``every_seconds``, unless the look before is still under way."""
        now = time.monotonic()
        if now < self._at or (self._looking is not None and not self._looking.done()):
            return
        self._at = now + self.every_seconds
        self._looking = self._pool.submit(self._look)

    def stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        connection_look_after()
        try:
            if waiting := signals_waiting(for_seconds=HEAD_START_SECONDS):
                signals_execute(waiting)
        except Exception:
            logger.exception("signals could not be looked for; tried again")


class ReversalPoll(SignalPoll):
    """The same for reversals, whose second trio goes once the first is closed."""

    name = "reversal-poll"

    def _look(self) -> None:
        connection_look_after()
        try:
            due = reversals_due()
        except Exception:
            logger.exception("reversals could not be looked for; tried again")
            return
        for trio_id in due:
            _run_logged(partial(reversal_carry, trio_id), what=f"trio {trio_id}: its reversal")


class ReversedPoll(SignalPoll):
    """The same for positions that were turned round outside, which a policy adopts, or which are gone."""

    name = "reversed-poll"
    every_seconds = 1.0

    def _look(self) -> None:
        connection_look_after()
        try:
            due = reversed_due()
        except Exception:
            logger.exception("reversed positions could not be looked for; tried again")
            return
        for trio_id, adopts in due:
            carry = partial(reversed_carry, trio_id, adopts=adopts)
            _run_logged(carry, what=f"trio {trio_id}: its reversed position")


class BulkPoll(SignalPoll):
    """The same for runs on many trios, which the web begins and anybody may stop; a slice of each in turn.

    ``verbs``: those of which it carries out runs. ``stopping``: set when the process is about to end.
    """

    name = "bulk-poll"

    def __init__(
        self,
        verbs: Collection[BulkVerb] = tuple(BulkVerb),
        *,
        stopping: threading.Event | None = None,
    ) -> None:
        super().__init__()
        self._verbs = verbs
        self._stopping = stopping or threading.Event()

    def _look(self) -> None:
        connection_look_after()
        try:
            due = bulks_due(self._verbs)
        except Exception:
            logger.exception("bulk runs could not be looked for; tried again")
            return
        for run_id in due:
            if self._stopping.is_set():
                return
            carry = partial(bulk_carry, run_id, for_seconds=SLICE_SECONDS, stopping=self._stopping.is_set)
            _run_logged(carry, what=f"bulk run {run_id}")


class BulkExitPoll(BulkPoll):
    """The same in a thread of its own for runs that take risk away: they wait for none that places."""

    name = "bulk-exit-poll"

    def __init__(self, *, stopping: threading.Event | None = None) -> None:
        super().__init__(EXITS, stopping=stopping)


def _run_logged(carry: Callable[[], object], *, what: str) -> None:
    """Carry one thing out. What fails is tried again with the next look, and keeps nothing behind it from its turn."""
    connection_look_after()
    try:
        carry()
    except Exception:
        logger.exception("%s could not be carried out; tried again", what)

"""Polls for signals, reversals and bulk runs that wait for something: a lost job, a process that died, a close."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from infrastructure.connections import connection_look_after
from orders.bulk import EXITS, bulk_carry, bulks_due
from orders.domain.enums import BulkVerb
from orders.drift import reversed_carry, reversed_due
from orders.reversal import reversal_carry, reversals_due
from signals.services import signals_waiting
from worker.signal_execution import signals_execute

logger = logging.getLogger(__name__)

Work: TypeAlias = tuple[str, Callable[[], object]]  # what it is, as a log names it, and what carries it out

LOOK_SECONDS = 0.25  # a reversal waits for its close
SLICE_SECONDS = 1.0  # of one bulk run, then the next has its turn
HEAD_START_SECONDS = 1.0  # for the job, or the strategy's thread, that is at it


class Poll(ABC):
    """Looks for what is due, in a thread of its own, so that protection never waits for it.

    ``stopping``: set when the process is about to end; then nothing more is begun.
    """

    name = "poll"
    every_seconds = LOOK_SECONDS

    def __init__(self, *, stopping: threading.Event | None = None) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._stopping = stopping or threading.Event()
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
        """Wait for the look that is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        connection_look_after()
        try:
            due = self._due()
        except Exception:
            logger.exception("%s: what is due could not be looked for; tried again", self.name)
            return
        for what, carry in due:
            if self._stopping.is_set():
                return
            _run_logged(carry, what=what)

    @abstractmethod
    def _due(self) -> Iterable[Work]:
        """Return what is due now."""


class SignalPoll(Poll):
    """Carries out signals whose job was lost, or whose process died."""

    name = "signal-poll"

    def _due(self) -> Iterable[Work]:
        waiting = signals_waiting(for_seconds=HEAD_START_SECONDS)
        return [("signals", partial(signals_execute, waiting))] if waiting else []


class ReversalPoll(Poll):
    """Carries on reversals, whose second trio goes once the first is closed."""

    name = "reversal-poll"

    def _due(self) -> Iterable[Work]:
        return [(f"trio {trio}: its reversal", partial(reversal_carry, trio)) for trio in reversals_due()]


class ReversedPoll(Poll):
    """Carries on positions that were turned round outside, which a policy adopts, or which are gone."""

    name = "reversed-poll"
    every_seconds = 1.0

    def _due(self) -> Iterable[Work]:
        return [
            (f"trio {trio}: its reversed position", partial(reversed_carry, trio, adopts=adopts))
            for trio, adopts in reversed_due()
        ]


class BulkPoll(Poll):
    """Carries on runs on many trios, which the web begins and anybody may stop; a slice of each in turn.

    ``verbs``: those of which it carries out runs.
    """

    name = "bulk-poll"

    def __init__(
        self,
        verbs: Collection[BulkVerb] = tuple(BulkVerb),
        *,
        stopping: threading.Event | None = None,
    ) -> None:
        super().__init__(stopping=stopping)
        self._verbs = verbs

    def _due(self) -> Iterable[Work]:
        stopping = self._stopping.is_set
        return [
            (f"bulk run {run}", partial(bulk_carry, run, for_seconds=SLICE_SECONDS, stopping=stopping))
            for run in bulks_due(self._verbs)
        ]


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

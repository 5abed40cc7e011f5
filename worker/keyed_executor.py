"""Work that must stay in order where it concerns one thing, and must not wait where it does not."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)

Work = Callable[[], object]


class Lanes:
    """A pool of threads in which the work of one lane is done one after the other, lanes side by side.

    A row held by a process that hangs stops its own lane for as long as the database allows, and no other.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[Work]] = {}

    def submit(self, lane: Hashable, work: Work) -> None:
        """Do ``work`` after all that was submitted to the same lane. Raises RuntimeError after ``stop``."""
        with self._changed:
            waiting = self._waiting.get(lane)
            if waiting is not None:
                waiting.append(work)
                return
            self._waiting[lane] = deque([work])
        self._pool.submit(self._drive, lane)

    def _drive(self, lane: Hashable) -> None:
        while True:
            with self._changed:
                waiting = self._waiting[lane]
                if not waiting:
                    del self._waiting[lane]
                    self._changed.notify_all()
                    return
                work = waiting.popleft()
            try:
                work()
            except Exception:  # what follows in this lane must be done all the same
                logger.exception("work in lane %s went wrong", lane)

    def rest(self, *, timeout: float) -> bool:
        """Wait until all that was submitted is done; return whether it was, in ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout=timeout)

    def stop(self) -> None:
        """Finish what was submitted, and take no more."""
        self._pool.shutdown(wait=True)

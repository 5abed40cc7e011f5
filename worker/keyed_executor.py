"""A thread pool that keeps work on one thing in order, and lets work on other things go ahead."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)

Work = Callable[[], object]


class KeyedExecutor:
    """Runs work with the same key one after the other, in the order of submission; keys run in parallel.

    A row that a hanging process holds delays the work of its own key for as long as the database allows,
    and no other.
    """

    def __init__(self, max_workers: int, *, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers, thread_name_prefix=name)
        self._changed = threading.Condition()
        self._pending: dict[Hashable, deque[Work]] = {}  # a key is in here as long as a thread serves it

    def submit(self, key: Hashable, work: Work) -> None:
        """Run ``work`` after everything submitted with the same key. Raises RuntimeError after ``shutdown``."""
        with self._changed:
            pending = self._pending.get(key)
            if pending is not None:
                pending.append(work)
                return
            self._pending[key] = deque([work])
        self._pool.submit(self._run, key)

    def _run(self, key: Hashable) -> None:
        while True:
            with self._changed:
                pending = self._pending[key]
                if not pending:
                    del self._pending[key]
                    self._changed.notify_all()
                    return
                work = pending.popleft()
            try:
                work()
            except Exception:  # the work queued behind it must still be done
                logger.exception("work on %s failed; what is queued behind it is still done", key)

    def wait_until_idle(self, *, timeout: float) -> bool:
        """Wait until all submitted work is done; return False if it is not within ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending, timeout=timeout)

    def shutdown(self) -> None:
        """Finish what was submitted, and accept no more."""
        self._pool.shutdown(wait=True)

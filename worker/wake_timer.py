"""Wake-ups to the millisecond for what is due soon; the poll serves what this process does not live to."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable


class Alarm:
    """One thread that calls back for a trio when its rest is over."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self._call = call
        self._changed = threading.Condition()
        self._due: list[tuple[float, int]] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="alarm", daemon=True)
        self._thread.start()

    def set(self, trio_id: int, in_ms: int) -> None:
        """Call for ``trio_id`` in so many ms. Called for once too often is harmless: deciding again is."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + in_ms / 1000, trio_id))
            self._changed.notify()

    def stop(self) -> None:
        """Call for nothing any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (trio_id := self._next()) is not None:
            self._call(trio_id)

    def _next(self) -> int | None:
        """Return the next trio whose time has come; ``None`` when stopped."""
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(wait)
        return None

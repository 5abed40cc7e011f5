"""Wake trios to the millisecond when they are due soon. If this process dies first, the poll finds them."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable


class WakeTimer:
    """One thread that calls back with a trio's id once its delay is over."""

    def __init__(self, callback: Callable[[int], None]) -> None:
        self._callback = callback
        self._changed = threading.Condition()
        self._due: list[tuple[float, int]] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="wake-timer", daemon=True)
        self._thread.start()

    def schedule(self, trio_id: int, *, in_ms: int) -> None:
        """Call back with ``trio_id`` in that many ms. One call too many is harmless: the trio is only decided again."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + in_ms / 1000, trio_id))
            self._changed.notify()

    def stop(self) -> None:
        """Drop what is scheduled and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (trio_id := self._wait_for_next()) is not None:
            self._callback(trio_id)

    def _wait_for_next(self) -> int | None:
        """Return the next trio whose delay is over; ``None`` when stopped."""
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[1]
                self._changed.wait(wait)
        return None

"""Feeds queued trios to the threads for placing: as many as there is room for in the air, the oldest first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from orders.placement.admission import Admission, admit_each

logger = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 0.02
ASKED_AT_ONCE = 16
OFFER_AGAIN_SECONDS = 1.0  # while enough waits here: a long queue is not read four times a second


class PlacingFeed:
    """One thread that asks for room while something waits, and hands over what was admitted.

    What waits costs no transaction and no thread: it is a number in a list, replaced by each poll.
    """

    def __init__(self, place: Callable[[int], None]) -> None:
        self._place = place
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._offered_at = -OFFER_AGAIN_SECONDS
        self._stopped = False
        self._thread: threading.Thread | None = None

    def offer(self, queued: Iterable[tuple[int, int]]) -> None:
        """Take these trios, each with its account, instead of those that waited."""
        with self._changed:
            self._waiting = list(queued)
            self._offered_at = time.monotonic()
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="placing-feed", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    @property
    def wants_more(self) -> bool:
        """Is it time to read again what is queued?"""
        with self._changed:
            old = time.monotonic() - self._offered_at >= OFFER_AGAIN_SECONDS
            return old or len(self._waiting) < ASKED_AT_ONCE

    def stop(self) -> None:
        """Hand over nothing more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                asked = self._waiting[:ASKED_AT_ONCE]
            try:
                self._feed(asked)
            except Exception:  # the next poll offers them again
                logger.exception("queued trios could not be handed over")
                self.offer([])
            with self._changed:
                if self._waiting:
                    self._changed.wait(ASK_AGAIN_SECONDS)

    def _feed(self, asked: list[tuple[int, int]]) -> None:
        answers = dict(zip(asked, admit_each(asked), strict=True))
        for (trio_id, _), answer in answers.items():
            if answer is Admission.ADMITTED:
                self._place(trio_id)
        with self._changed:  # without an answer nothing waits here: the next poll offers it again
            self._waiting = [
                one for one in self._waiting if answers.get(one, Admission.FULL) is Admission.FULL
            ]

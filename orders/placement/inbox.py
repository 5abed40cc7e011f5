"""News of one trio on its way to the turn that decides about it; whoever brings what must not wait rings a bell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

from orders.placement.news import News, take_in_alone

logger = logging.getLogger(__name__)


def _nothing() -> None:
    pass


class Inbox:
    """News that no turn has recorded yet. Safe to fill from several threads; one at a time takes from it."""

    def __init__(self, news: Iterable[News] = ()) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[News, Callable[[], None]]] = []
        self._taken: list[tuple[News, Callable[[], None]]] = []
        self.bell: Future[None] = Future()  # is done as long as something waits that must not
        for piece in news:
            self.put(piece)

    def put(self, news: News, lost: Callable[[], None] = _nothing) -> None:
        """Add a piece of news, and ring unless it may wait. ``lost`` is called when it cannot be recorded."""
        with self._lock:
            self._waiting.append((news, lost))
            if not news.may_wait:
                self._ring()

    def ring(self) -> None:
        """What waits has waited for long enough."""
        with self._lock:
            if self._waiting:
                self._ring()

    def _ring(self) -> None:
        if not self.bell.done():
            self.bell.set_result(None)

    @property
    def is_empty(self) -> bool:
        with self._lock:
            return not self._waiting and not self._taken

    def take(self) -> list[News]:
        """Return all that is not recorded yet, also what was taken by a transaction that was undone."""
        with self._lock:
            self._taken += self._waiting
            self._waiting = []
            if self.bell.done():
                self.bell = Future()
            return [news for news, _ in self._taken]

    def recorded(self) -> None:
        """What was taken is committed."""
        with self._lock:
            self._taken = []

    def set_down(self) -> None:
        """Record each piece in a transaction of its own: one that cannot be recorded takes no other with it."""
        self.take()
        with self._lock:
            pieces, self._taken = self._taken, []
        for news, lost in pieces:
            try:
                take_in_alone(news)
            except Exception:
                logger.exception("trio %s: an event could not be recorded", news.trio_id)
                lost()

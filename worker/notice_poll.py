"""Has people told of what was recorded: in threads of its own, by processes of their own. Holds up no pass.

One thread looks, a few wait for the processes that send. Whatever hangs here, a name server, a service, a message that
never ends, hangs in one of those.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from django.db import InterfaceError, OperationalError, connection

from infrastructure.connections import connection_look_after, error_line
from notices.delivering import deliveries_claim, delivery_send, notices_queue
from notices.deriving import notices_derive, somebody_is_told
from notices.escalating import notices_escalate
from notices.sender.process import Sender
from orders.exchange_data.clock import db_now
from worker.alert_watch import AlertWatch

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
SENDING_THREADS = 2


class NoticePoll:
    """Looks once a second. ``poll`` returns at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="notices")
        self._sending = ThreadPoolExecutor(SENDING_THREADS, thread_name_prefix="notices-send")
        self._sender = Sender()
        self._alerts = AlertWatch()
        self._lock = threading.Lock()
        self._under_way = 0
        self._at = 0.0
        self._looking: Future[None] | None = None

    def poll(self) -> None:
        """Look, unless the look before is still under way."""
        now = time.monotonic()
        if now < self._at or (self._looking is not None and not self._looking.done()):
            return
        self._at = now + LOOK_SECONDS
        self._looking = self._pool.submit(_run_logged, self._look)

    def stop(self) -> None:
        """End what is being sent; another worker sends it."""
        self._sender.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._sending.shutdown(wait=True, cancel_futures=True)
        self._alerts.stop()

    def _look(self) -> None:
        if not somebody_is_told():  # one statement a second is all that it costs whoever does not use it
            self._alerts.stop()
            return
        self._alerts.refresh()
        notices_derive()
        now = db_now()
        notices_escalate(now)
        notices_queue(now)
        with self._lock:
            free = SENDING_THREADS - self._under_way
        for delivery_id in deliveries_claim(free):
            with self._lock:
                self._under_way += 1
            self._sending.submit(self._send, delivery_id)

    def _send(self, delivery_id: int) -> None:
        try:
            _run_logged(partial(delivery_send, delivery_id, self._sender))
        finally:
            connection.close()  # messages are rare
            with self._lock:
                self._under_way -= 1


def _run_logged(work: Callable[[], object]) -> None:
    connection_look_after()
    try:
        work()
    except (OperationalError, InterfaceError) as error:
        logger.warning("notices: the database does not answer (%s); tried again", error_line(error))
    except Exception:
        logger.exception("people could not be told; tried again")

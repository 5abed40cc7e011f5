"""What ``runworker`` does, as an object that other commands can keep running for their own duration."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from accounts.gateways import prepare
from orders.exchange_data.clock import db_now
from orders.models import Heartbeat
from orders.placement.service import INCARNATION, OrderPlacementService
from worker.anchor_timer import Anchorer
from worker.due_poll import Advancer, due_once
from worker.watch_manager import Watcher

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
BEAT = "UPDATE orders_heartbeat SET beat = clock_timestamp() WHERE process = %s"


class WorkerLoop:
    """Heartbeat, watches and the poll of due trios, every 250 ms, until told to stop."""

    def __init__(self, *, service: OrderPlacementService | None = None, only: int | None = None) -> None:
        self.process = f"{INCARNATION}:{uuid.uuid4().hex[:6]}"
        self.stopping = threading.Event()
        self.advancer = Advancer(service=service)
        self.watcher = Watcher(call=self.advancer.call, holder=self.process, only=only)
        self.anchorer = Anchorer()
        prepare()  # the exchange library takes most of a second; no position shall wait for it
        self._started_at = db_now()

    def once(self) -> int:
        """One pass of everything. Returns how many trios were due."""
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [self.process])
            beaten = cursor.rowcount
        if not beaten:
            Heartbeat.objects.create(process=self.process, beat=db_now(), started_at=self._started_at)
        try:
            self.watcher.beat()
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # a bug about one account; the trios that are due must not wait for it
            logger.exception("watching went wrong; what is due is carried on all the same")
        self.anchorer.beat()
        return due_once(self.advancer)

    def run(self) -> None:
        """Go on until ``stopping`` is set; a lost database is waited for, nothing is given up."""
        while not self.stopping.is_set():
            began = time.monotonic()
            close_old_connections()
            try:
                self.once()
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database does not answer: %s", _first_line(error))
            except Exception:
                logger.exception("a pass went wrong; the next one is made all the same")
            self.stopping.wait(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
        self.close()

    def close(self) -> None:
        """Finish what is under way, give the watches back, take the heartbeat off."""
        try:
            self.watcher.stop()
            self.advancer.stop()
            self.anchorer.stop()
            Heartbeat.objects.filter(process=self.process).delete()
        except (OperationalError, InterfaceError) as error:
            logger.warning("the database does not answer at the end: %s", _first_line(error))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

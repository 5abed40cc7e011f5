"""What ``runworker`` does, as an object that other commands can keep running while they work."""

from __future__ import annotations

import logging
import threading
import time
import uuid

from django.db import InterfaceError, OperationalError, connection

from accounts.gateways import prepare
from infrastructure.connections import (
    connection_look_after,
    connections_kept,
    error_line,
    statements_unlogged,
)
from orders.exchange_data.clock import db_now
from orders.models import Heartbeat
from orders.placement.service import INCARNATION, OrderPlacementService
from worker.anchor_timer import AnchorTimer
from worker.due_poll import AdvancePool, advance_due
from worker.notice_poll import NoticePoll
from worker.polls import BulkExitPoll, BulkPoll, Poll, ReversalPoll, ReversedPoll, SignalPoll
from worker.strategy_loop import StrategyLoop
from worker.watch_manager import WatchManager

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
POLLS = (SignalPoll, ReversalPoll, ReversedPoll, BulkExitPoll, BulkPoll)
BEAT = "UPDATE orders_heartbeat SET beat = clock_timestamp(), note = %s WHERE process = %s"


class WorkerLoop:
    """Heartbeat, watches and due trios, every 250 ms, until ``stopping`` is set.

    ``only``: the one account to watch; due trios are advanced whatever their account. ``full``: strategies are run
    and people are told, too, and the accounts are shared with others like it; one that will soon end does none of it.
    """

    def __init__(
        self, *, service: OrderPlacementService | None = None, only: int | None = None, full: bool = False
    ) -> None:
        statements_unlogged()
        connections_kept()
        self.process = f"{INCARNATION}:{uuid.uuid4().hex[:6]}"
        self.stopping = threading.Event()
        self.advance_pool = AdvancePool(service=service)
        self.watch_manager = WatchManager(
            advance=self.advance_pool.submit,
            tell=self.advance_pool.tell,
            holder=self.process,
            only_account=only,
            shares=full,
        )
        self.anchor_timer = AnchorTimer()
        self.polls: tuple[Poll, ...] = tuple(made(stopping=self.stopping) for made in POLLS)
        self.strategy_loop = StrategyLoop(holder=self.process) if full else None
        self.notice_poll = NoticePoll() if full else None
        prepare()  # importing the exchange library takes most of a second, and no position must wait for that
        self._shares = full
        self._started_at = db_now()

    def once(self) -> int:
        """Make one pass over everything. Returns how many trios were due."""
        self._beat()
        try:
            self.watch_manager.poll()
        except (OperationalError, InterfaceError):
            raise
        except Exception:  # a bug about one account; the trios that are due must not wait for it
            logger.exception(
                "watching the accounts failed; due trios are advanced, the next pass tries again"
            )
        self.anchor_timer.poll()
        for poll in self.polls:
            poll.poll()
        if self.strategy_loop is not None:
            self.strategy_loop.poll()
        if self.notice_poll is not None:
            self.notice_poll.poll()
        return advance_due(self.advance_pool, holder=self.process)

    def _beat(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [self.watch_manager.silence, self.process])
            exists = cursor.rowcount
        if not exists:
            Heartbeat.objects.create(
                process=self.process, beat=db_now(), started_at=self._started_at, shares=self._shares
            )

    def run(self) -> None:
        """Make passes until ``stopping`` is set. A lost database is waited for; no error ends the loop."""
        while not self.stopping.is_set():
            began = time.monotonic()
            connection_look_after()
            try:
                self.once()
            except (OperationalError, InterfaceError) as error:
                logger.warning(
                    "the database does not answer (%s); trying again with the next pass", error_line(error)
                )
            except Exception:
                logger.exception("a pass failed; trying again with the next one")
            self.stopping.wait(max(0.0, POLL_SECONDS - (time.monotonic() - began)))
        self.close()

    def close(self) -> None:
        """Finish what is under way, give the watches back, delete the heartbeat."""
        try:
            # From now on others may take all there is, without leaving our share to us.
            Heartbeat.objects.filter(process=self.process).update(shares=False)
            if self.strategy_loop is not None:
                self.strategy_loop.stop()
            self.watch_manager.stop()
            for poll in self.polls:  # they only record wishes, and nobody's watch waits for that
                poll.stop()
            if self.notice_poll is not None:
                self.notice_poll.stop()
            self.advance_pool.stop()
            self.anchor_timer.stop()
            Heartbeat.objects.filter(process=self.process).delete()
        except (OperationalError, InterfaceError) as error:
            logger.warning(
                "the database does not answer while stopping (%s); another worker takes the watches over",
                error_line(error),
            )

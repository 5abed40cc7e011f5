"""Reads the income of watched accounts, and what they are worth, one at a time, in a thread of its own: no sweep, check or stop waits for it.

It is charged to the budget as watching is, so what places and protects comes first.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import close_old_connections

from accounts.errors import AccountsError
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.rate_limits import Priority, spending
from orders.equity import equity_store
from orders.income import income_read
from worker.income_schedule import IncomeSchedule, stagger_of

logger = logging.getLogger(__name__)


class IncomeReader:
    """One account's income. ``poll`` and ``want`` return at once; they may be called from any thread."""

    def __init__(self, account: ExchangeAccount, pool: ThreadPoolExecutor) -> None:
        self._account = account
        self._pool = pool
        self._lock = threading.Lock()
        self._schedule = IncomeSchedule(time.monotonic(), stagger=stagger_of(account.pk))
        self._reading: Future[None] | None = None

    def want(self) -> None:
        """A trio has ended, or funding was taken."""
        with self._lock:
            self._schedule.wanted(time.monotonic())

    def poll(self) -> None:
        """Have the income read if that is due and not under way."""
        with self._lock:
            busy = self._reading is not None and not self._reading.done()
            if busy or not self._schedule.is_due(time.monotonic()):
                return
            self._schedule.begun(time.monotonic())
            self._reading = self._pool.submit(self._read)

    def _read(self) -> None:
        close_old_connections()
        try:
            with spending(Priority.WATCH):
                reading = income_read(self._account)
                equity_store(self._account)
        except (ExchangeError, AccountsError) as error:
            wait = error.wait_ms / 1000 if isinstance(error, ExchangeError) else 0.0
            self._failed(str(error), wait)
        except Exception:
            logger.exception("account %s: its income could not be booked", self._account.pk)
            self._failed("an error", 0.0)
        else:
            with self._lock:
                self._schedule.read()
            if reading.differences:
                logger.warning(
                    "account %s: its income differs from our executions (%s)",
                    self._account.pk,
                    ", ".join(sorted(reading.differences)),
                )

    def _failed(self, why: str, wait: float) -> None:
        with self._lock:
            pause = self._schedule.failed(time.monotonic(), wait)
        logger.warning(
            "account %s: its income was not read (%s); trying again in %.0f s", self._account.pk, why, pause
        )

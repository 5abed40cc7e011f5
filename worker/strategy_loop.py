"""All strategies that this worker runs: which they are, the bars they look at, and who executes what they want.

Everything slow is on threads of its own: the worker's pass only looks whether it is time, and what protects never
waits for a strategy, a bar or a signal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from accounts.models import Environment
from infrastructure.connections import connection_look_after, error_line
from orders.placement.service import INCARNATION
from signals.models import Strategy
from signals.strategy_services import strategies_claim, strategies_release
from worker.candles import CandleFeed, SeriesKey
from worker.signal_execution import signals_execute
from worker.strategy_runner import Decider, Setup, StrategyRunner

logger = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
EXECUTING_THREADS = 4


class StrategyLoop:
    """Strategies, candles and their signals. ``poll`` is called with every pass and returns at once."""

    def __init__(self, *, holder: str = INCARNATION) -> None:
        self._holder = holder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="strategies")
        self._executing = ThreadPoolExecutor(EXECUTING_THREADS, thread_name_prefix="signals")
        self._refreshing: Future[None] | None = None
        self._refresh_at = 0.0
        self._feeds: dict[str, CandleFeed] = {}
        self._runners: dict[int, StrategyRunner] = {}

    def poll(self) -> None:
        """Refresh what runs once a second, and have what is due of bars read."""
        now = time.monotonic()
        if now < self._refresh_at or (self._refreshing is not None and not self._refreshing.done()):
            return
        self._refresh_at = now + REFRESH_SECONDS
        self._refreshing = self._pool.submit(self._refresh)

    def stop(self) -> None:
        """End every strategy's process, and give the strategies back."""
        self._pool.submit(self._stop_all).result()
        self._pool.shutdown(wait=True)
        self._executing.shutdown(wait=True)

    # --- in the thread that refreshes -----------------------------------------------------------------

    def _refresh(self) -> None:
        connection_look_after()
        try:
            self._arrange(strategies_claim(self._holder))
            for feed in self._feeds.values():
                feed.poll()
        except (OperationalError, InterfaceError) as error:
            logger.warning("strategies: the database does not answer (%s); trying again", error_line(error))
        except Exception:
            logger.exception("strategies could not be looked after; trying again")

    def _arrange(self, strategies: Iterable[Strategy]) -> None:
        """Start and stop what was enabled, disabled or changed since; then watch exactly the bars that are looked at."""
        rows = {strategy.pk: strategy for strategy in strategies}
        setups = {
            pk: setup for pk, row in rows.items() if (setup := Setup.of(row)).environment and setup.symbols
        }
        for pk in list(self._runners):
            if self._runners[pk].setup != setups.get(pk) or not self._runners[pk].is_running:
                self._runners.pop(pk).stop()
        self._watch(setups.values())
        for pk in setups.keys() - self._runners.keys():
            setup = setups[pk]
            decider = Decider(setup, rows[pk].parameters, self._feeds[setup.environment])
            self._runners[pk] = StrategyRunner(decider, execute=self._execute)

    def _watch(self, setups: Iterable[Setup]) -> None:
        wanted: dict[str, set[SeriesKey]] = {}
        if settings.WORKER_SYMBOLS:
            home = Environment.TESTNET if settings.BINANCE_TESTNET else Environment.PAPER
            wanted[home.value] = {(symbol, settings.TIMEFRAME) for symbol in settings.WORKER_SYMBOLS}
        for setup in setups:
            wanted.setdefault(setup.environment, set()).update((s, setup.timeframe) for s in setup.symbols)
        for environment in self._feeds.keys() - wanted.keys():
            self._feeds.pop(environment).stop()
        for environment, keys in wanted.items():
            if environment not in self._feeds:
                self._feeds[environment] = CandleFeed(environment, heard=partial(self._heard, environment))
            self._feeds[environment].watch(keys)

    def _heard(self, environment: str, key: SeriesKey) -> None:
        """Wake the strategies that look at a series: it has a new closed bar."""
        symbol, timeframe = key
        for runner in list(self._runners.values()):
            setup = runner.setup
            if (setup.environment, setup.timeframe) == (environment, timeframe) and symbol in setup.symbols:
                runner.wake(symbol)

    def _stop_all(self) -> None:
        for runner in self._runners.values():
            runner.stop()
        self._runners.clear()
        for feed in self._feeds.values():
            feed.stop()
        self._feeds.clear()
        connection_look_after()
        try:
            strategies_release(self._holder)
        except (OperationalError, InterfaceError) as error:
            logger.warning(
                "strategies could not be given back (%s); another worker takes them", error_line(error)
            )
        finally:
            connection.close()

    # --- signals --------------------------------------------------------------------------------------

    def _execute(self, signals: Sequence[int]) -> None:
        """Have signals carried out, without waiting. What is lost here is found by the poll of signals."""
        self._executing.submit(_run_logged, partial(signals_execute, signals))


def _run_logged(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        logger.exception("signals could not be carried out; the poll of signals tries again")
    finally:
        connection.close()  # signals are rare

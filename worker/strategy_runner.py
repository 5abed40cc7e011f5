"""One strategy at work: its process is asked about each closed bar, in order, and what it answers is recorded once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from exchange.errors import ExchangeError
from infrastructure.connections import connection_look_after, error_line
from orders.exchange_data.clock import offset_ms
from signals.catalogue import path_of
from signals.domain.bars import Bar
from signals.domain.faults import StrategyFailed
from signals.models import Strategy
from signals.strategies.process import Bounds, StrategyProcess
from signals.strategy_services import (
    Decided,
    Desk,
    bar_cursor,
    bar_decided,
    bar_seed,
    held_by,
    size_of,
    strategy_disable,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Setup:
    """A strategy as it was set up when its process was started; another one means another process."""

    desk: Desk
    code: str
    parameters: str
    environment: str
    symbols: tuple[str, ...]
    timeframe: str
    history_bars: int
    bounds: Bounds

    @classmethod
    def of(cls, strategy: Strategy) -> Setup:
        accounts = sorted(strategy.accounts.all(), key=lambda account: account.pk)
        own = tuple(part.strip().upper() for part in strategy.symbols.split(",") if part.strip())
        return cls(
            Desk(
                strategy.pk,
                strategy.name,
                tuple(account.pk for account in accounts),
                size_of(strategy),
                strategy.cooldown_bars,
                strategy.dry_run,
                settings.SIGNAL_MAX_AGE_SECONDS * 1000,
            ),
            strategy.code,
            repr(sorted(strategy.parameters.items())),
            accounts[0].environment if accounts else "",
            own or tuple(settings.WORKER_SYMBOLS),
            strategy.timeframe or settings.TIMEFRAME,
            strategy.history_bars,
            Bounds(strategy.deadline_seconds, strategy.memory_mb),
        )


class Bars(Protocol):
    """Where closed bars come from."""

    def after(self, key: tuple[str, str], open_time: int) -> list[Bar]: ...

    def until(self, key: tuple[str, str], open_time: int, count: int) -> list[Bar]: ...

    def last(self, key: tuple[str, str]) -> Bar | None: ...


class Decider:
    """Asks a strategy about what it has not decided about yet. One caller at a time; nothing of it is a thread."""

    def __init__(self, setup: Setup, parameters: dict[str, Any], bars: Bars) -> None:
        self.setup = setup
        self._parameters = parameters
        self._bars = bars
        self._process: StrategyProcess | None = None
        self._decided: dict[str, int] = {}  # by symbol: the newest bar that is decided about

    def load(self) -> None:
        """Start the strategy's process, unless it runs. Raises StrategyFailed."""
        if self._process is None:
            setup = self.setup
            process = StrategyProcess(path_of(setup.code), setup.bounds)
            process.load(self._parameters, timeframe=setup.timeframe, history=setup.history_bars)
            self._process = process

    def decide(self, symbol: str) -> list[int]:
        """Decide about each bar of a symbol that is due, in order; return the signals that are to be executed.

        Raises StrategyFailed when the strategy did what none may do, and what the database or the exchange says.
        """
        key = symbol, self.setup.timeframe
        if symbol not in self._decided and not self._begin(symbol):
            return []
        found = []
        for bar in self._bars.after(key, self._decided[symbol]):
            if (signal_id := self._decide(symbol, bar)) is not None:
                found.append(signal_id)
            self._decided[symbol] = bar.open_time
        return found

    def _begin(self, symbol: str) -> bool:
        """Find where the strategy stands on a symbol; where it has not begun, it begins after the newest bar."""
        desk, timeframe = self.setup.desk, self.setup.timeframe
        last = self._bars.last((symbol, timeframe))
        if last is None:
            return False
        cursor = bar_cursor(desk.strategy_id, symbol, timeframe)
        if cursor is None:
            cursor = bar_seed(desk.strategy_id, symbol, timeframe, last)
        self._decided[symbol] = cursor.bar_open_ts
        return True

    def _decide(self, symbol: str, bar: Bar) -> int | None:
        setup = self.setup
        self.load()
        assert self._process is not None
        history = self._bars.until((symbol, setup.timeframe), bar.open_time, setup.history_bars)
        try:
            found = self._process.decide(symbol, history, held_by(setup.desk, symbol))
        except StrategyFailed:
            self._process = None
            raise
        decided = Decided(bar, symbol, setup.timeframe, found)
        offset = offset_ms(setup.environment) if found is not None else 0  # most bars want nothing
        signal = bar_decided(setup.desk, decided, offset_ms=offset)
        return None if signal is None else signal.pk

    def kill(self) -> None:
        """End the process at once, whatever it is doing; to be called from another thread."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


class StrategyRunner:
    """A thread that has one strategy decide. It waits for nobody else's, and nobody waits for it.

    ``execute`` is given the signals of one bar and must not wait for their trios.
    """

    def __init__(self, decider: Decider, *, execute: Callable[[Sequence[int]], None]) -> None:
        self.decider = decider
        self.setup = decider.setup
        self._execute = execute
        self._changed = threading.Condition()
        self._due: set[str] = set(self.setup.symbols)
        self._stopping = False
        self._thread = threading.Thread(
            target=self._run, name=f"strategy-{self.setup.desk.name}"[:40], daemon=True
        )
        self._thread.start()

    def wake(self, symbol: str) -> None:
        """Have a symbol looked at: it has a new closed bar."""
        with self._changed:
            self._due.add(symbol)
            self._changed.notify()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """End its process and its thread; what it has not decided about is found again by whoever goes on."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self.decider.kill()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            while (symbol := self._next()) is not None:
                self._look(symbol)
        except StrategyFailed as failed:
            self._disable(failed)
        finally:
            self.decider.close()
            connection.close()

    def _next(self) -> str | None:
        with self._changed:
            while not self._due and not self._stopping:
                self._changed.wait()
            return None if self._stopping else self._due.pop()

    def _look(self, symbol: str) -> None:
        connection_look_after()
        try:
            if signals := self.decider.decide(symbol):
                self._execute(signals)
        except StrategyFailed:
            raise
        except (ExchangeError, OperationalError, InterfaceError) as error:
            logger.warning(
                "strategy %s on %s: %s; trying again", self.setup.desk.name, symbol, error_line(error)
            )
            self._again(symbol)
        except Exception:
            logger.exception(
                "strategy %s on %s: a bar could not be decided about; trying again",
                self.setup.desk.name,
                symbol,
            )
            self._again(symbol)

    def _again(self, symbol: str) -> None:
        with self._changed:
            self._due.add(symbol)
            if not self._stopping:
                self._changed.wait(RETRY_SECONDS)

    def _disable(self, failed: StrategyFailed) -> None:
        """Disable it, however long the database takes: it must not be started again as if nothing had happened."""
        while not self._stopping:
            connection_look_after()
            try:
                strategy_disable(self.setup.desk.strategy_id, failed.fault, failed.detail)
            except (OperationalError, InterfaceError) as error:
                logger.warning(
                    "strategy %s failed, and the database does not answer (%s); trying again",
                    self.setup.desk.name,
                    error_line(error),
                )
                with self._changed:
                    self._changed.wait(RETRY_SECONDS)
            else:
                return

"""A process that carries trios, and may die at a boundary or be paused before it asks."""

from __future__ import annotations

import threading
from typing import Any, Final, cast

from django.db import connection

from accounts.gateways import KeyMark, exchange_for
from exchange.port import Exchange
from exchange.types import OrderView, Stamp, WireRequest
from orders.placement.service import OrderPlacementService, TurnResult

INSIDE_BEGIN: Final = "inside begin"
AFTER_BEGIN: Final = "after begin"
BEFORE_ACT: Final = "before the exchange acted"
AFTER_ACT: Final = "after the exchange acted"
INSIDE_FINISH: Final = "inside finish"
AFTER_FINISH: Final = "after finish"
BOUNDARIES: Final = (INSIDE_BEGIN, AFTER_BEGIN, BEFORE_ACT, AFTER_ACT, INSIDE_FINISH, AFTER_FINISH)
PAUSED_SECONDS: Final = 30.0  # nobody is paused for ever: a failing test must come to its end


class Died(BaseException):
    """The end of a process. Not an Exception: nothing in the product may survive it."""


class Process(OrderPlacementService):
    """The service as one process runs it. What it committed and did not send dies with it."""

    def __init__(self, name: str) -> None:
        super().__init__(gateway=self._exchange, asked_by=name)
        self.dies_at = ""
        self.wakes: threading.Event | None = None  # set: it is stopped before its next request until then
        self.stopped = threading.Event()

    def reach(self, boundary: str) -> None:
        if boundary == self.dies_at:
            raise Died(boundary)

    def _exchange(self, account_id: int, key: KeyMark | None = None) -> Exchange:
        return cast(Exchange, Wire(self, exchange_for(account_id, key)))

    def _decide(self, *means: Any, **words: Any) -> TurnResult:
        turn = super()._decide(*means, **words)
        if turn.calls:
            self.reach(INSIDE_BEGIN)
        return turn

    def _locked_turn(self, *means: Any, **words: Any) -> TurnResult:
        turn = super()._locked_turn(*means, **words)
        _, answers, *_ = means
        if answers:
            self.reach(INSIDE_FINISH)
        return turn

    def _turn(self, *means: Any, **words: Any) -> TurnResult:
        turn = super()._turn(*means, **words)
        if words["answers"]:
            self.reach(AFTER_FINISH)
        if turn.calls:
            self.reach(AFTER_BEGIN)
        return turn


class Wire:
    """One process's way to the exchange: where it dies or is stopped around a request."""

    def __init__(self, process: Process, exchange: Exchange) -> None:
        self._process = process
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def send(self, request: WireRequest, *, stamp: Stamp, timeout_ms: int | None = None) -> OrderView | None:
        process = self._process
        process.reach(BEFORE_ACT)
        if process.wakes is not None:
            process.stopped.set()
            process.wakes.wait(PAUSED_SECONDS)
        try:
            return self._exchange.send(request, stamp=stamp, timeout_ms=timeout_ms)
        finally:
            process.reach(AFTER_ACT)


class Paused:
    """A process stopped between begin and perform: what it committed leaves only when it is woken."""

    def __init__(self, process: Process, trio_id: int) -> None:
        self.process = process
        self._trio_id = trio_id
        self._thread = threading.Thread(target=self._run, name="paused process")
        process.wakes = threading.Event()
        self._thread.start()

    def _run(self) -> None:
        try:
            self.process.advance(self._trio_id)
        finally:
            self.process.stopped.set()  # it had nothing to ask
            connection.close()

    def asleep(self, seconds: float = 5.0) -> bool:
        """Wait until it has come to its request, or has ended without one; say which."""
        self.process.stopped.wait(seconds)
        return self._thread.is_alive()

    def wake(self) -> None:
        assert self.process.wakes is not None
        self.process.wakes.set()
        self._thread.join(PAUSED_SECONDS)
        assert not self._thread.is_alive(), "a woken process did not come to an end"

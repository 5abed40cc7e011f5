"""A strategy's process as seen from outside: started, asked within a deadline, ended with all it has started."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from signals.domain.bars import Bar
from signals.domain.faults import Fault, StrategyFailed
from signals.strategies.schema import ParameterSpec

CHECKOUT: Final = Path(__file__).resolve().parents[2]
ANSWER_BYTES_MAX: Final = 64 * 1024
START_SECONDS: Final = 10.0
MAIN: Final = "import sys; sys.path.insert(0, sys.argv[1]); from signals.strategies.child import main; main()"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a strategy may use: seconds for an answer, memory."""

    deadline_seconds: int = 5
    memory_mb: int = 512


@dataclass(frozen=True, slots=True)
class Held:
    """What a strategy's own trios hold of a symbol, as it is told."""

    quantity: str = "0"
    is_waiting: bool = False


class StrategyProcess:
    """One strategy in a process of its own. Not thread-safe: one caller at a time.

    Every method raises StrategyFailed when the strategy did what none may do; by then its process is gone.
    """

    def __init__(self, path: str, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._asked = 0
        self._sent: dict[str, int] = {}  # by symbol: the open time of the newest bar the process was given
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-I", "-B", "-c", MAIN, str(CHECKOUT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
            close_fds=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        for fd in (self._in, self._out):
            os.set_blocking(fd, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def describe(self) -> list[ParameterSpec]:
        """Return the strategy's parameters."""
        answer = self._ask({"do": "describe", "path": self._path, **self._limits()}, START_SECONDS)
        return [ParameterSpec.from_json(row) for row in answer["parameters"]]

    def load(self, parameters: Mapping[str, Any], *, timeframe: str, history: int) -> None:
        """Make the strategy with its parameters."""
        asked = {"do": "load", "path": self._path, "parameters": dict(parameters), "timeframe": timeframe}
        self._ask({**asked, "history": history, **self._limits()}, START_SECONDS)

    def decide(self, symbol: str, bars: Sequence[Bar], held: Held) -> dict[str, Any] | None:
        """Ask for a decision about the last of these closed bars; return the signal, if any.

        Only the bars that the process does not have yet are sent.
        """
        known = self._sent.get(symbol)
        anew = known is None or known < bars[0].open_time
        fresh = bars if anew or known is None else [bar for bar in bars if bar.open_time > known]
        answer = self._ask(
            {
                "do": "decide",
                "symbol": symbol,
                "anew": anew,
                "bars": [_row(bar) for bar in fresh],
                "position": {"quantity": held.quantity, "is_waiting": held.is_waiting},
            },
            self._bounds.deadline_seconds,
        )
        self._sent[symbol] = bars[-1].open_time
        found: dict[str, Any] | None = answer["signal"]
        return found

    def kill(self) -> None:
        """End the process and everything it has started; who waits for its answer is told that it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and everything it has started, and forget it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    # --- inside -------------------------------------------------------------------------------------

    def _limits(self) -> dict[str, int]:
        return {"memory_mb": self._bounds.memory_mb, "deadline_seconds": self._bounds.deadline_seconds}

    def _ask(self, asked: Mapping[str, Any], seconds: float) -> Mapping[str, Any]:
        self._asked += 1
        deadline = time.monotonic() + seconds
        try:
            self._write(json.dumps({**asked, "n": self._asked}).encode() + b"\n", deadline)
            answer = self._read(deadline)
        except StrategyFailed:
            self.close()
            raise
        if fault := answer.get("fault"):
            self.close()
            raise StrategyFailed(Fault(fault), str(answer.get("text", ""))[:300])
        return answer

    def _write(self, data: bytes, deadline: float) -> None:
        while data:
            self._wait(self._in, selectors.EVENT_WRITE, deadline)
            try:
                data = data[os.write(self._in, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise StrategyFailed(Fault.EXITED, self._ending()) from None

    def _read(self, deadline: float) -> Mapping[str, Any]:
        """Read one answer. Whoever writes anything else is ended: it would be taken for the next one."""
        found = b""
        while not found.endswith(b"\n"):
            self._wait(self._out, selectors.EVENT_READ, deadline)
            try:
                part = os.read(self._out, ANSWER_BYTES_MAX)
            except BlockingIOError:
                continue
            if not part:
                raise StrategyFailed(Fault.EXITED, self._ending())
            found += part
            if len(found) > ANSWER_BYTES_MAX:
                raise StrategyFailed(Fault.FLOODED)
        try:
            answer = json.loads(found)
        except ValueError:  # two lines are no JSON either
            raise StrategyFailed(Fault.FLOODED) from None
        if not isinstance(answer, dict) or answer.get("n") != self._asked:
            raise StrategyFailed(Fault.FLOODED)
        return answer

    def _wait(self, fd: int, what: int, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(fd, what)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise StrategyFailed(Fault.STALLED)

    def _ending(self) -> str:
        try:
            code = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return ""
        return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _row(bar: Bar) -> list[Any]:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume)
    return [bar.open_time, bar.close_time, *(format(number, "f") for number in numbers)]

"""The process in which one strategy runs: JSON lines in, JSON lines out, and nothing else to reach.

It is started with an empty environment, no descriptor but its pipes, in a session of its own, and limits itself before
the strategy's code is imported. That contains faults. It is no jail for malice: code of the same user can read what the
user can read.
"""

from __future__ import annotations

import collections
import importlib
import json
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from signals.strategies.api import Action, Candle, History, Position, Signal
from signals.strategies.schema import BadParameter, describe, read_parameters

FILES_MAX = 64
TEXT_MAX = 300
FIGURES_MAX = 24
CPU_MARGIN_SECONDS = 2
PROTECTIONS = ("", "PRE_ARMED", "ON_FIRST_FILL")


class NotLoaded(Exception):
    """The strategy's code cannot be imported."""


class BadAnswer(ValueError):
    """The strategy returned something that is not a signal."""


def main() -> None:
    incoming, outgoing = _own_pipes()
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(incoming, lines), daemon=True).start()
    _serve(lines, outgoing)


def _own_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Take the pipes for ourselves: what a strategy prints goes nowhere."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    return incoming, outgoing


def _read(incoming: IO[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    for line in incoming:
        lines.put(line)
    os._exit(0)  # whoever started us is gone: nobody waits for an answer, however busy the strategy is


def _serve(lines: queue.SimpleQueue[bytes], outgoing: IO[bytes]) -> None:
    runner = Runner()
    while True:
        asked = json.loads(lines.get())
        try:
            said = runner.answer(asked)
        except MemoryError:
            said = {"fault": "MEMORY", "text": "it needed more memory than it may have"}
        except Exception as error:
            said = {"fault": _fault_of(error), "text": _in_one_line(error)}
        outgoing.write(json.dumps({"n": asked["n"], **said}).encode() + b"\n")


def _fault_of(error: Exception) -> str:
    kinds = {NotLoaded: "IMPORT", BadParameter: "PARAMETERS", BadAnswer: "ANSWER"}
    return kinds.get(type(error), "RAISED")


def _in_one_line(error: BaseException) -> str:
    error = error.__cause__ or error if isinstance(error, NotLoaded) else error
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:TEXT_MAX]


class Runner:
    """One strategy and the history of each symbol it looks at."""

    def __init__(self) -> None:
        self._strategy: Any = None
        self._histories: dict[str, collections.deque[Candle]] = {}
        self._timeframe = ""
        self._bars = 0
        self._deadline_seconds = 1

    def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        match asked["do"]:
            case "describe":
                self._limit(asked)
                return {"parameters": [spec.as_json() for spec in describe(_load(asked["path"]))]}
            case "load":
                self._limit(asked)
                return self._loaded(asked)
            case _:
                return self._decided(asked)

    def _limit(self, asked: Mapping[str, Any]) -> None:
        memory = int(asked["memory_mb"]) * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES_MAX, FILES_MAX))
        self._deadline_seconds = int(asked["deadline_seconds"])
        self._limit_cpu()

    def _limit_cpu(self) -> None:
        """Let the kernel end a strategy that computes on after its deadline, should nobody else do so."""
        seconds = int(time.process_time()) + self._deadline_seconds + CPU_MARGIN_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))

    def _loaded(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        strategy = _load(asked["path"])
        values = read_parameters(describe(strategy), asked["parameters"])
        try:
            self._strategy = strategy(**values)
        except ValueError as error:
            raise BadParameter(str(error)[:TEXT_MAX]) from error
        self._timeframe, self._bars = asked["timeframe"], int(asked["history"])
        return {"ready": True}

    def _decided(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self._limit_cpu()
        symbol = asked["symbol"]
        history = self._histories.setdefault(symbol, collections.deque(maxlen=self._bars))
        if asked["anew"]:
            history.clear()
        history.extend(_candle(row) for row in asked["bars"])
        held = Position(Decimal(asked["position"]["quantity"]), bool(asked["position"]["is_waiting"]))
        found = self._strategy.on_candle(History(symbol, self._timeframe, list(history)), held)
        return {"signal": None if found is None else _as_json(found)}


def _load(path: str) -> Any:
    """Import a strategy by the path that the installation's settings name. Raises NotLoaded, BadParameter."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except MemoryError:
        raise
    except Exception as error:
        raise NotLoaded from error
    if not isinstance(found, type) or not callable(getattr(found, "on_candle", None)):
        raise BadParameter(f"{name} is not a class with on_candle.")
    return found


def _candle(row: list[Any]) -> Candle:
    return Candle(row[0], row[1], *(Decimal(text) for text in row[2:]))


def _as_json(signal: object) -> dict[str, Any]:
    """Write a signal down. Raises BadAnswer for what is none."""
    if not isinstance(signal, Signal):
        raise BadAnswer(f"it returned {type(signal).__name__}, no Signal and not None")
    if len(signal.figures) > FIGURES_MAX:
        raise BadAnswer(f"its signal has more than {FIGURES_MAX} figures")
    return {
        "action": Action(signal.action).value,
        "stop_loss": _price(signal.stop_loss, "stop_loss"),
        "take_profit": _price(signal.take_profit, "take_profit"),
        "price": _price(signal.price, "price"),
        "trigger_price": _price(signal.trigger_price, "trigger_price"),
        "protection": _protection(signal.protection),
        "reason": str(signal.reason)[:TEXT_MAX],
        "figures": {str(name)[:40]: _number(value, str(name)) for name, value in signal.figures.items()},
    }


def _price(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Decimal) or not value.is_finite() or value <= 0:
        raise BadAnswer(f"{name} is not a price: it must be a positive Decimal")
    return _number(value, name)


def _protection(value: object) -> str:
    if value not in PROTECTIONS:
        raise BadAnswer(f"protection is one of {', '.join(PROTECTIONS[1:])}, or empty")
    return str(value)


def _number(value: object, name: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal) or not value.is_finite() or not -30 < value.adjusted() < 30:
        raise BadAnswer(f"{name[:40]} is not a Decimal")
    return format(value, "f")[:60]


if __name__ == "__main__":
    sys.exit("Started by runworker, not by hand.")

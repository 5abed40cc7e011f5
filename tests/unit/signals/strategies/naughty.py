"""Strategies that do what none may do, each in its own way. They run in processes of their own, as all do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from signals.strategies.api import Action, History, Position, Signal, parameter


@dataclass
class Raises:
    """Raises on every bar."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        raise RuntimeError("no idea\nwhat to do")


@dataclass
class Sleeps:
    """Never answers."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        time.sleep(600)
        return None


@dataclass
class Computes:
    """Never answers either, and leaves nobody else any time."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        while True:
            pass


@dataclass
class Hoards:
    """Takes memory without end."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        kept = []
        while True:
            kept.append(bytearray(10_000_000))


@dataclass
class Exits:
    """Leaves in the middle of a bar."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        os._exit(7)


@dataclass
class Floods:
    """Writes into every descriptor it finds."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        for fd in range(3, 64):
            try:
                for _ in range(200):
                    os.write(fd, b'{"n": 1, "signal": null}\n' * 200)
            except OSError:
                continue
        return None


@dataclass
class Prints:
    """Says more than anybody wants to read, where strategies may say it."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        sys.stdout.write("chatter " * 100_000)
        sys.stderr.write("chatter " * 100_000)
        return None


@dataclass
class Multiplies:
    """Starts a process that would outlive it, and then never answers."""

    def on_candle(self, history: History, position: Position) -> Signal | None:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        time.sleep(600)
        return None


@dataclass
class Odd:
    """Returns what is no signal."""

    def on_candle(self, history: History, position: Position) -> Any:
        return {"action": "BUY"}


@dataclass
class Floating:
    """Returns a signal whose stop is no Decimal."""

    def on_candle(self, history: History, position: Position) -> Any:
        return Signal(Action.BUY, 95.5, Decimal(110))  # type: ignore[arg-type]


@dataclass
class Looks:
    """Tells what it can see: its environment, its descriptors, where it is."""

    path: str = parameter("", help="a file it tries to write")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        open_ones = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
        wrote = 0
        try:
            wrote = Path(self.path).write_text("x" * 10)
        except OSError:
            pass
        seen = f"{sorted(os.environ)} {Path.cwd()} wrote {wrote}"
        return Signal(Action.CLOSE, reason=seen, figures={"descriptors": Decimal(len(open_ones))})


@dataclass
class Waits:
    """Wants to enter where the price is not yet."""

    protection: str = parameter("ON_FIRST_FILL", help="when the legs go out")
    limit: bool = parameter(False, help="with a limit")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        close = history.last.close
        return Signal(
            Action.BUY, close, close * 2, price=close + Decimal("0.03") if self.limit else None,
            trigger_price=close + Decimal("0.02"), protection=self.protection,
        )  # fmt: skip


@dataclass
class Buys:
    """Wants to buy after every bar; its figures say what it was given."""

    stop: Decimal = parameter(Decimal("0.4"), least=Decimal("0.1"), help="where the stop goes")
    above: Decimal = parameter(Decimal(0), help="only when the close is above this")

    def on_candle(self, history: History, position: Position) -> Signal | None:
        last = history.last
        if last.close <= self.above:
            return None
        return Signal(
            Action.BUY, self.stop, last.close * 2, reason="always",
            figures={"open_time": Decimal(last.open_time), "close": last.close, "bars": Decimal(len(history)),
                     "held": position.quantity},
        )  # fmt: skip

"""The processes of the product, and their deaths: killed and replaced, or put to sleep and woken, one after the other."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from orders.exchange_data.clock import db_now
from orders.models import Heartbeat
from tests.crash.stage import Stage
from tests.soak.plan import BAN, CARRIER, KILL, WATCHER, Death
from tests.soak.verdict import Trouble

COMMANDS: Final = {
    WATCHER: ("manage.py", "runworker"),
    CARRIER: ("manage.py", "rqworker", "orders", "default", "--worker-class", "worker.rq_worker.DjangoWorker",
              "--verbosity", "0"),
}  # fmt: skip
STRENGTH: Final = {WATCHER: 2, CARRIER: 2}
CALM_SECONDS: Final = 3.0  # between one trouble and the next: the promise is about one death at a time


def now_ms() -> int:
    return time.time_ns() // 10**6


@dataclass(slots=True)
class Crew:
    """Keeps the crew at strength. ``beat`` is called all along; it never waits."""

    stage: Stage
    tell: Callable[[str], None]
    deaths: list[Death] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    _alive: dict[str, list[subprocess.Popen[str]]] = field(default_factory=lambda: {WATCHER: [], CARRIER: []})
    _sleeping: tuple[int, bool, int, float] | None = None  # pid, watching, since, until
    _calm_from: float = 0.0
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(2))

    def muster(self) -> None:
        """Start everybody; the stage has started the first runworker."""
        self._alive[WATCHER].append(self.stage.processes[-1])
        for whom, strength in STRENGTH.items():
            while len(self._alive[whom]) < strength:
                self._start(whom)

    def _start(self, whom: str) -> None:
        self._alive[whom].append(self.stage.start(f"{whom}-{next(self._numbers)}", *COMMANDS[whom]))

    def beat(self, *, begun: int, hurry: bool = False) -> None:
        """Let come true what is due once so many trios have begun."""
        now = time.monotonic()
        for whom, processes in self._alive.items():
            for process in [p for p in processes if p.poll() is not None]:
                processes.remove(process)
                self.tell(f"a {whom} ended by itself ({process.returncode})")
                self._start(whom)
        if self._sleeping is not None:
            pid, watching, since, until = self._sleeping
            if now >= until:
                os.kill(pid, signal.SIGCONT)
                self.troubles.append(Trouble(since, now_ms(), watching))
                self._sleeping, self._calm_from = None, now + CALM_SECONDS
            return
        if not self.deaths or (begun <= self.deaths[0].at and not hurry):
            return
        if now < self._calm_from or not self._at_strength():
            return
        self._strike(self.deaths.pop(0), now)

    def _at_strength(self) -> bool:
        fresh = Heartbeat.objects.filter(beat__gt=db_now() - timedelta(seconds=1)).count()
        return fresh >= STRENGTH[WATCHER]

    def _strike(self, death: Death, now: float) -> None:
        self.done[death.what, death.whom] += 1
        if death.what == BAN:
            began = self.stage.venue.ask("POST", "/sim/ban", {"seconds": death.ms // 1000})
            self.troubles.append(Trouble(began["ms"], began["until"], watching=False, barred=True))
            self._calm_from = now + death.ms / 1000 + CALM_SECONDS
            return
        victim = self._alive[death.whom][0]
        watching = death.whom == WATCHER
        if death.what == KILL:
            self.troubles.append(Trouble(now_ms(), now_ms(), watching))
            victim.kill()
            victim.wait()
            self._alive[death.whom].pop(0)
            self._start(death.whom)
            self._calm_from = now + CALM_SECONDS
        else:
            os.kill(victim.pid, signal.SIGSTOP)
            self._sleeping = (victim.pid, watching, now_ms(), now + death.ms / 1000)

    @property
    def is_quiet(self) -> bool:
        """Has everything come true, and is everybody awake?"""
        return not self.deaths and self._sleeping is None

    def count(self, what: str) -> int:
        return sum(count for (did, _), count in self.done.items() if did == what)

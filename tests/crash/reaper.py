"""Death for the survivors too: whoever watches the accounts is killed, again and again, and taken over from."""

from __future__ import annotations

import itertools
import subprocess
import threading
from typing import Final

from tests.crash.stage import Stage

# What the promise allows more when the watching runworker dies as well: one more process, and the takeover.
EXTRA_MS: Final = 600 + 1500


class Reaper:
    """Keeps two runworkers; kills the older one every so many seconds and starts another."""

    def __init__(self, stage: Stage, *, every: float) -> None:
        self.kills = 0
        self._stage, self._every = stage, every
        self._names = (f"runworker-{n}" for n in itertools.count(2))
        self._workers = [stage.processes[-1], self._start()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._reap)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _start(self) -> subprocess.Popen[str]:
        return self._stage.start(next(self._names), "manage.py", "runworker")

    def _reap(self) -> None:
        while not self._over.wait(self._every):
            self._workers.append(self._start())
            if self._over.wait(self._every / 2):
                return
            oldest = self._workers.pop(0)
            oldest.kill()
            oldest.wait()
            self.kills += 1

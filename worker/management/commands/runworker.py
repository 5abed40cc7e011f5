"""``manage.py runworker``: the continuous loop that watches accounts, protects positions and reconciles."""

from __future__ import annotations

import gc
import signal
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orders.risk_gates import living_behind_switches
from worker.loop import POLL_SECONDS, WorkerLoop

READY_SECONDS = 30


class Command(BaseCommand):
    help = (
        "Watch every active account: read its event stream, compare what it holds with our books, and advance "
        "every trio that is due. Run two or more, on as many machines as you like: each account is watched by one "
        "of them at a time, and by another when that one dies. It also runs the enabled strategies, each by one worker at "
        "a time, on the closed bars of their symbols. Stops cleanly on SIGTERM and Ctrl-C."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="make one complete pass (sweep every account, advance what is due), then stop; no strategy is run",
        )

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        loop = WorkerLoop(full=not once)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stopping.set())
        if living := living_behind_switches():
            self.stderr.write(living)
        if once:
            self._once(loop)
            return
        gc.freeze()  # what is loaded now stays: no full collection walks through it while a fill waits
        self.stderr.write(f"runworker {loop.process} is running; stop it with Ctrl-C or SIGTERM.")
        loop.run()

    def _once(self, loop: WorkerLoop) -> None:
        deadline = time.monotonic() + READY_SECONDS
        passes, unread = 0, dict[str, str]()
        try:
            while time.monotonic() < deadline and not loop.stopping.is_set():
                due = loop.once()
                passes += 1
                unread = loop.watch_manager.unread()
                tried = all(unread.values())  # an account that cannot be read is not waited for
                if passes > 1 and not due and tried and loop.advance_pool.is_idle:
                    break
                loop.stopping.wait(POLL_SECONDS)
        finally:
            loop.close()
        if unread:
            named = "; ".join(
                f"“{name}”: {why or f'not within {READY_SECONDS} s'}" for name, why in unread.items()
            )
            raise CommandError(
                f"Not read: {named}. Everything due on the other accounts was done; orders that rest on the exchange stay there. "
                "Run it again, or leave runworker running.",
                returncode=1,
            )
        if time.monotonic() < deadline and not loop.stopping.is_set():
            self.stderr.write("One complete pass is done.")
            return
        if not loop.stopping.is_set():
            raise CommandError(
                f"Not all that is due could be done within {READY_SECONDS} s. The log says why; what rests on the "
                "exchange stays there. Run it again, or leave runworker running.",
                returncode=1,
            )

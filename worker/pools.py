"""What the watches of one process run on: its thread pools, and the event loop that reads the streams."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from worker.keyed_executor import KeyedExecutor


class WatchPools:
    """Shared by all accounts this process watches; shut down when none of them is watched any more."""

    def __init__(self) -> None:
        # Facts about one account and symbol are recorded one after the other, all others in parallel: a row
        # that a hanging process holds delays the facts about its own symbol alone.
        self.facts = KeyedExecutor(8, name="facts")
        self.sweeps = ThreadPoolExecutor(4, thread_name_prefix="sweep")
        # One at a time: trading rules are read once for all accounts of an environment.
        self.settings_checks = ThreadPoolExecutor(1, thread_name_prefix="settings")
        # One at a time, and in nobody's way.
        self.income = ThreadPoolExecutor(1, thread_name_prefix="income")
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="streams", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Finish the work under way and stop the loop. The streams must have been stopped before."""
        self.facts.shutdown()
        self.sweeps.shutdown(wait=True)
        self.settings_checks.shutdown(wait=True, cancel_futures=True)
        self.income.shutdown(wait=True, cancel_futures=True)
        # The loop's helper threads have used the database too; their connections close with them.
        helpers = asyncio.run_coroutine_threadsafe(self.loop.shutdown_default_executor(), self.loop)
        with contextlib.suppress(TimeoutError):
            helpers.result(timeout=5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=5)

"""A user stream whose events the test makes."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator
from typing import Any


class FakeStream:
    """Says what a test has put into ``made``, in order, and otherwise nothing."""

    made: queue.Queue[Any]

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def events(self) -> AsyncGenerator[Any, None]:
        while True:
            try:
                yield self.made.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.01)

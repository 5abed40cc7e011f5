"""What the plain loops share: what they read, when their clock runs, what they write. Only the standard library."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

# Place an entry and what protects it, through one account's client.
Place = Callable[[Any, dict[str, Any]], None]
Connect = Callable[[str, str, str], Any]


def run(library: str, connect: Connect, place: Place) -> None:
    """Place every trio that standard input names; the clock runs once every account is connected."""
    told = json.load(sys.stdin)
    clients: Sequence[Any] = [connect(told["url"], one["key"], one["secret"]) for one in told["accounts"]]
    began, processor = time.time_ns() // 10**6, time.process_time()
    for number, trio in enumerate(told["trios"]):
        place(clients[number % len(clients)], trio)
    used = time.process_time() - processor
    json.dump({"library": library, "began": began, "processor": used}, sys.stdout)

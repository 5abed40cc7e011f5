"""The log of requests: what was asked, what was answered, what came of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any, Final

KEPT: Final = 50_000  # entries in memory; older ones are in the file of the saved state, if there is one


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request. ``effect`` is executed, refused, read, lost_answer, lost_before, late or answered."""

    n: int
    ms: int
    account: str
    method: str
    path: str
    params: dict[str, str]
    status: int
    code: int
    client_id: str
    effect: str
    fault: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class RequestLog:
    """The newest entries, the counts of all of them, and a hash over all of them."""

    entries: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=KEPT))
    unsaved: list[LogEntry] = field(default_factory=list)
    count: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    weight: Counter[str] = field(default_factory=Counter)
    hashing: bool = False
    digest: str = ""

    def add(self, entry: LogEntry, weight: int, *, save: bool) -> None:
        self.entries.append(entry)
        self.count = entry.n
        account = entry.account or "-"
        self.requests[account] += 1
        self.weight[account] += weight
        if save:
            self.unsaved.append(entry)
        if self.hashing:
            text = json.dumps(entry.as_dict(), sort_keys=True, ensure_ascii=False)
            self.digest = hashlib.sha256((self.digest + text).encode()).hexdigest()

    def since(self, number: int, account: str | None = None) -> list[LogEntry]:
        """Entries after this number, oldest first."""
        newer = takewhile(lambda entry: entry.n > number, reversed(self.entries))
        return [entry for entry in newer if account is None or entry.account == account][::-1]

"""The log of requests: what was asked, what was answered, what came of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any, Final

from simulator.engine.cover import stem_of

MINUTE_MS: Final = 60_000
MINUTES_KEPT: Final = 240
Answered = tuple[int, int, str, str]  # status, code, method, path
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
    address: str = ""  # that it came from
    weight: int = 0  # charged to the address; none during a ban
    used: int = 0  # what the address had used of its minute then
    orders_10s: int = 0  # what the account had used of its windows, for an order that counts in them
    orders_1m: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Minute:
    """What came in one minute of the exchange clock: requests and weight, by address and by account."""

    requests: Counter[str] = field(default_factory=Counter)  # by account
    weight: Counter[str] = field(default_factory=Counter)  # by account
    by_address: Counter[str] = field(default_factory=Counter)  # weight
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, entry: LogEntry, account: str) -> None:
        self.requests[account] += 1
        self.weight[account] += entry.weight
        self.by_address[entry.address] += entry.weight
        self.statuses[str(entry.status)] += 1

    def as_dict(self) -> dict[str, Any]:
        return {
            "requests": dict(self.requests),
            "weight": dict(self.weight),
            "by_address": dict(self.by_address),
            "statuses": dict(self.statuses),
        }


@dataclass(slots=True)
class RequestLog:
    """The newest entries, the counts of all of them, and a hash over all of them."""

    entries: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=KEPT))
    unsaved: list[LogEntry] = field(default_factory=list)
    count: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    weight: Counter[str] = field(default_factory=Counter)
    answers: Counter[Answered] = field(default_factory=Counter)
    minutes: dict[int, Minute] = field(default_factory=dict)  # the newest, by the ms they begin at
    entries_asked: dict[tuple[str, str], int] = field(default_factory=dict)  # by account and stem: when last
    hashing: bool = False
    digest: str = ""

    def add(self, entry: LogEntry, *, save: bool) -> None:
        self.entries.append(entry)
        self.count = entry.n
        account = entry.account or "-"
        self.requests[account] += 1
        self.weight[account] += entry.weight
        self.answers[entry.status, entry.code, entry.method, entry.path] += 1
        self._minute(entry.ms).add(entry, account)
        if entry.method == "POST" and (parts := stem_of(entry.client_id)) is not None and parts[1] == "e":
            self.entries_asked[entry.account, parts[0]] = entry.ms
        if save:
            self.unsaved.append(entry)
        if self.hashing:
            text = json.dumps(entry.as_dict(), sort_keys=True, ensure_ascii=False)
            self.digest = hashlib.sha256((self.digest + text).encode()).hexdigest()

    def _minute(self, ms: int) -> Minute:
        begins = ms // MINUTE_MS * MINUTE_MS
        found = self.minutes.get(begins)
        if found is None:
            found = self.minutes[begins] = Minute()
            while len(self.minutes) > MINUTES_KEPT:
                del self.minutes[next(iter(self.minutes))]
        return found

    def summary(self) -> dict[str, Any]:
        """Everything counted: by answer since the start, and for the newest minutes by address and account."""
        return {
            "count": self.count,
            "answers": [
                {"status": status, "code": code, "method": method, "path": path, "count": count}
                for (status, code, method, path), count in sorted(self.answers.items())
            ],
            "minutes": [{"ms": ms, **minute.as_dict()} for ms, minute in self.minutes.items()],
        }

    def since(self, number: int, account: str | None = None) -> list[LogEntry]:
        """Entries after this number, oldest first."""
        newer = takewhile(lambda entry: entry.n > number, reversed(self.entries))
        return [entry for entry in newer if account is None or entry.account == account][::-1]

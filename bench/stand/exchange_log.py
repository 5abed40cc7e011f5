"""What the exchange's own log says of many trios: how fast they came, and how long each was without its stop."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ENTRIES: Final = "/fapi/v1/order"
CONDITIONAL: Final = "/fapi/v1/algoOrder"
POLL_SECONDS: Final = 0.05
Slot = tuple[str, str]  # account and symbol


@dataclass(frozen=True, slots=True)
class Placed:
    """One trio, as it arrived: when its entry, its first stop and its first target were carried out."""

    entry: int
    stop: int | None = None
    target: int | None = None

    @property
    def fill_to_stop(self) -> int | None:
        return None if self.stop is None else self.stop - self.entry

    @property
    def complete(self) -> int | None:
        return None if self.stop is None or self.target is None else max(self.stop, self.target)


@dataclass(slots=True)
class Arrived:
    """The trios of one bulk, by where they were opened."""

    trios: dict[Slot, Placed] = field(default_factory=dict)
    requests: int = 0
    orders: int = 0

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Arrived:
        """Read the rows of one bulk, in which each account opens each symbol once and at market."""
        found = cls()
        for row in rows:
            found.add(row)
        return found

    def add(self, row: Mapping[str, Any]) -> None:
        self.requests += 1
        if row["method"] != "POST" or row["path"] not in (ENTRIES, CONDITIONAL):
            return
        self.orders += 1
        if row["effect"] == "executed":
            self._note((row["account"], row["params"]["symbol"]), row["params"]["type"], row["ms"])

    def complete_in(self, slots: Collection[Slot]) -> bool:
        """Whether each of these has its entry, its stop and its target."""
        return all((trio := self.trios.get(slot)) is not None and trio.complete is not None for slot in slots)

    def _note(self, slot: Slot, kind: str, ms: int) -> None:
        known = self.trios.get(slot)
        if kind == "MARKET" and known is None:
            self.trios[slot] = Placed(ms)
        elif known and kind == "STOP_MARKET" and known.stop is None:
            self.trios[slot] = Placed(known.entry, ms, known.target)
        elif known and kind == "TAKE_PROFIT_MARKET" and known.target is None:
            self.trios[slot] = Placed(known.entry, known.stop, ms)

    @property
    def gaps(self) -> list[int]:
        """How long each was without its stop, ms. One that never got one is not among them: see ``uncovered``."""
        return [gap for trio in self.trios.values() if (gap := trio.fill_to_stop) is not None]

    @property
    def uncovered(self) -> int:
        return sum(trio.stop is None for trio in self.trios.values())

    @property
    def whole(self) -> int:
        """How many have entry, stop and target."""
        return sum(trio.complete is not None for trio in self.trios.values())

    @property
    def covered(self) -> int | None:
        """When the last stop arrived; None when one is missing."""
        stops = [trio.stop for trio in self.trios.values()]
        return None if not stops or None in stops else max(stop for stop in stops if stop is not None)

    @property
    def complete(self) -> int | None:
        """When the last of all stops and targets arrived; None when one is missing."""
        ends = [trio.complete for trio in self.trios.values()]
        return None if not ends or None in ends else max(end for end in ends if end is not None)


class Followed:
    """The log's file from now on. Who waits by reading it asks neither the exchange nor PostgreSQL meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self.arrived = Arrived()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield what was written since the last time; a line that is not whole yet waits."""
        with self._path.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                yield json.loads(line)

    def wait(self, slots: Collection[Slot], *, seconds: float) -> bool:
        """Wait until each of these has entry, stop and target; tell whether they came in time."""
        deadline = time.monotonic() + seconds
        while True:
            for row in self.rows():
                self.arrived.add(row)
            if self.arrived.complete_in(slots):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)

"""Where a process spends its time, from samples of its stacks (py-spy's raw form)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

FRAME: Final = re.compile(r"(?P<name>.+) \((?P<file>[^()]+?)(?::\d+)?\)$")
ROOMS: Final = (
    "accounts",
    "backoffice",
    "demo",
    "exchange",
    "infrastructure",
    "local_servers",
    "orders",
    "worker",
)


@dataclass(slots=True)
class Samples:
    """How often a function was at work, itself or through what it called."""

    total: int = 0
    through: Counter[str] = field(default_factory=Counter)  # each of our functions, once a sample
    itself: Counter[str] = field(default_factory=Counter)  # whatever was on top
    room: Counter[str] = field(default_factory=Counter)  # where our last function before the top stands

    @classmethod
    def of(cls, lines: Iterable[str]) -> Samples:
        """Read stacks with their counts: outermost first, parted by semicolons."""
        found = cls()
        for line in lines:
            stack, _, count = line.strip().rpartition(" ")
            if count.isdigit():
                found._add([frame for frame in stack.split(";") if FRAME.match(frame)], int(count))
        return found

    def _add(self, stack: list[str], count: int) -> None:
        named = [name_of(frame) for frame in stack if not frame.startswith(("thread ", "process "))]
        if not named:
            return
        self.total += count
        ours = [name for name in named if name.split("/")[0] in ROOMS]
        for name in dict.fromkeys(ours):
            self.through[name] += count
        self.itself[named[-1]] += count
        self.room["/".join(ours[-1].split(":")[0].split("/")[:2]) if ours else "elsewhere"] += count


def name_of(frame: str) -> str:
    """Return file and function of a frame, without its line."""
    match = FRAME.match(frame)
    if match is None:
        return frame
    return f"{match['file']}: {match['name']}"

"""The cells of the matrix as data: what is varied, what can happen together, and a seeded cover of it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Final

INSIDE_BEGIN, AFTER_BEGIN = "inside begin", "after begin"
BEFORE_ACT, AFTER_ACT = "perform, before the exchange acted", "perform, after it acted"
INSIDE_FINISH, AFTER_FINISH = "inside finish", "after finish"
BOUNDARIES: Final = (INSIDE_BEGIN, AFTER_BEGIN, BEFORE_ACT, AFTER_ACT, INSIDE_FINISH, AFTER_FINISH)
NEXT_STOP, PART, ADD, PART_TARGET, AMEND = "next stop", "part close", "add", "part target", "amend"
RUNG, TRAIL = "rung", "trailing order"
REQUESTS: Final = (
    *("entry", "stop", "target", "exit", "cancel"),
    *(NEXT_STOP, PART, ADD, PART_TARGET, AMEND, RUNG, TRAIL),
)
KILL, STOP, TIME_OUT = "SIGKILL", "SIGSTOP", "job's time-out"
DEATHS: Final = (KILL, STOP, TIME_OUT)
PROTECTIONS: Final = ("PRE_ARMED", "ON_FIRST_FILL")
MODES: Final = ("ONE_WAY", "HEDGE")

MARKET, LIMIT, PARTIAL, CANCELLED = "MARKET", "LIMIT", "LIMIT in two parts", "LIMIT, cancelled"
ENDINGS: Final = ("target", "stop", "close")
# What a person does to a trio while it lives, and the request of its own that each is made by.
VERBS: Final = {
    "stop moved": NEXT_STOP,
    "part off": PART,
    "added": ADD,
    "part target set": PART_TARGET,
    "entry changed": AMEND,
    "trailed by the exchange": TRAIL,
}
LIVES: Final = (*(f"{e} → {end}" for e in (MARKET, LIMIT, PARTIAL) for end in ENDINGS), CANCELLED)
BREAKOUT: Final = "STOP_MARKET"  # an entry that waits for its trigger
LADDER: Final = "ladder of two"  # whose second rung fills only on the way to the stop's level
LIVING: Final = (
    *(f"{LADDER} → {end}" for end in ENDINGS),
    *(f"{BREAKOUT} → {end}" for end in ENDINGS),
    *(
        f"{LIMIT if verb == 'entry changed' else MARKET} + {verb} → {end}"
        for verb in VERBS
        for end in ("target", "stop")
    ),
)

ENTRY: Final = {"method": "POST", "client_id": r"-e\d+$"}
RUNGS: Final = {"method": "POST", "client_id": r"-r\d+$"}
STOPS: Final = {"method": "POST", "client_id": r"-s\d+$"}
TARGETS: Final = {"method": "POST", "client_id": r"-p\d+$"}
SERVICE_UNAVAILABLE: Final = {
    "do": "answer",
    "status": 503,
    "body": {"code": -1000, "msg": "Service Unavailable."},
}
# name → (match, occurrence, then). Account and symbol are added: a cell meets its own fault only.
FAULTS: Final[dict[str, tuple[dict[str, Any], Any, dict[str, Any]] | None]] = {
    "none": None,
    "entry: answer lost": (ENTRY, 1, {"do": "lose_answer"}),
    "entry: 503 unknown, not executed": (ENTRY, 1, {"do": "answer", "status": 503}),
    "entry: executed 900 ms late": (ENTRY, 1, {"do": "execute_late", "ms": 900}),
    "rung: answer lost": (RUNGS, 1, {"do": "lose_answer"}),
    "rung: 503 unknown, not executed": (RUNGS, 1, {"do": "answer", "status": 503}),
    "rung: executed 900 ms late": (RUNGS, 1, {"do": "execute_late", "ms": 900}),
    "rung: Service Unavailable ×3": (RUNGS, {"times": 3}, SERVICE_UNAVAILABLE),
    "rung: refused": (RUNGS, 1, {"do": "refuse", "code": -2019}),
    "stop: refused once": (STOPS, 1, {"do": "refuse", "code": -2010}),
    "stop: Service Unavailable ×3": (STOPS, {"times": 3}, SERVICE_UNAVAILABLE),
    "stop: answer lost": (STOPS, 1, {"do": "lose_answer"}),
    "stop: hidden from look-ups for 3 s": (STOPS, 1, {"do": "forget_algo", "ms": 3000}),
    "target: refused": (TARGETS, 1, {"do": "refuse", "code": -2010}),
    "target: answer lost": (TARGETS, 1, {"do": "lose_answer"}),
    "cancel: answer lost": ({"method": "DELETE"}, 1, {"do": "lose_answer"}),
    "stream silent for 3 s": (ENTRY, 1, {"do": "silence_stream", "ms": 3000}),
}


# What keeps the entry, or a rung of it, off the book.
NOT_TAKEN: Final = (
    "entry: 503 unknown, not executed",
    "rung: 503 unknown, not executed",
    "rung: refused",
)
Pair = tuple[str, str, str, str]  # an axis and its value, and another's


@dataclass(frozen=True, slots=True)
class Cell:
    """One life: who dies how and where, what the exchange does wrong, and what the trio is."""

    boundary: str
    request: str
    death: str
    fault: str
    life: str
    protection: str
    mode: str

    @property
    def entry(self) -> str:
        return self.life.split(" → ")[0].split(" + ")[0]

    @property
    def verb(self) -> str:
        """What a person does to it, if anything."""
        return self.life.split(" → ")[0].partition(" + ")[2]

    @property
    def ending(self) -> str:
        return self.life.split(" → ")[1] if " → " in self.life else "cancel"

    def __str__(self) -> str:
        point = f"{self.death} {self.boundary} of the {self.request}"
        return f"{point} · {self.fault} · {self.life} · {self.protection} · {self.mode}"


AXES: Final[dict[str, tuple[str, ...]]] = {
    "boundary": BOUNDARIES,
    "request": REQUESTS,
    "death": DEATHS,
    "fault": tuple(FAULTS),
    "life": (*LIVES, *LIVING),
    "protection": PROTECTIONS,
    "mode": MODES,
}


def possible(cell: Cell) -> bool:
    """Can this cell's death and fault both come about? What cannot is not counted in the product."""
    armed = cell.protection == "PRE_ARMED"
    asked = set()
    entry_asked = not rolls_back_before_entry(cell)
    entry_goes_out = entry_asked and not (
        cell.request in ("entry", RUNG) and cell.boundary in (AFTER_BEGIN, BEFORE_ACT)
    )
    fills = entry_goes_out and cell.fault not in NOT_TAKEN and cell.entry != CANCELLED
    if entry_asked:
        asked.add("entry")
    if entry_asked and cell.entry == LADDER:
        asked.add(RUNG)
    if armed or fills:
        asked.add("stop")
    if fills or (armed and cell.entry == MARKET):
        asked.add("target")
    if fills and (cell.ending == "close" or cell.fault == "target: refused"):
        asked.add("exit")
    # Of a ladder what rests is taken back: when it is not taken whole, and with the way out.
    leaves_rungs = cell.entry == LADDER and entry_goes_out and (not fills or cell.ending != "stop")
    if armed or leaves_rungs or (cell.entry == CANCELLED and entry_goes_out):
        asked.add("cancel")
    if cell.verb == "entry changed" and entry_goes_out and cell.fault != "entry: 503 unknown, not executed":
        asked.add(AMEND)
    elif cell.verb and fills:
        asked.add(VERBS[cell.verb])
    if cell.request not in asked:
        return False
    subject = cell.fault.split(":")[0]
    if subject in ("entry", RUNG):
        return entry_goes_out and subject in asked
    return subject not in REQUESTS or subject in asked


def rolls_back_before_entry(cell: Cell) -> bool:
    """Is an armed leg refused, or left in doubt by a death, so that the market is never touched?"""
    if cell.protection != "PRE_ARMED":
        return False
    refused = ["stop: refused once"] + (["target: refused"] if cell.entry == MARKET else [])
    return cell.fault in refused


@cache
def product() -> tuple[Cell, ...]:
    """Every possible cell, in a fixed order."""
    return tuple(cell for values in itertools.product(*AXES.values()) if possible(cell := Cell(*values)))


def pairs(cell: Cell) -> Iterator[Pair]:
    """The pairs of values a cell covers."""
    names = [field.name for field in fields(cell)]
    for one, other in itertools.combinations(names, 2):
        yield one, getattr(cell, one), other, getattr(cell, other)


def all_pairs() -> frozenset[Pair]:
    return frozenset(pair for cell in product() for pair in pairs(cell))


def cover(count: int, *, seed: int) -> list[Cell]:
    """Return ``count`` different cells; the first of them cover every possible pair of values.

    With fewer cells than that takes, as many pairs as so few can.
    """
    rng = random.Random(seed)
    cells = list(product())
    if count >= len(cells):
        return cells
    rng.shuffle(cells)
    chosen: dict[Cell, None] = {}
    missing = set(all_pairs())
    while missing and len(chosen) < count:
        best = max(rng.sample(cells, 200), key=lambda cell: sum(pair in missing for pair in pairs(cell)))
        if not any(pair in missing for pair in pairs(best)):
            wanted = next(iter(sorted(missing)))
            best = next(cell for cell in cells if wanted in set(pairs(cell)))
        chosen[best] = None
        missing -= set(pairs(best))
    for cell in cells:
        if len(chosen) >= count:
            break
        chosen[cell] = None
    return list(chosen)

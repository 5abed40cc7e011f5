"""What a seed determines: each trio, the fault it meets, and who dies or sleeps when which trio begins."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from tests.crash.cells import CANCELLED, ENTRY, FAULTS, LIMIT, LIVES, PROTECTIONS, RUNGS, STOPS, TARGETS

ACCOUNTS: Final = 8  # every other one in hedge mode
SYMBOLS: Final = 12  # of each account, its own: a price belongs to one trio at a time
FULL: Final = 5000  # the floors below are for so many trios; fewer trios, lower floors
EACH_KIND: Final = 50
KILLS: Final = 20
ABSENCES: Final = 100
SHARE: Final = 20  # percent of trios that meet a fault
# In each so many trios a runworker and an rqworker are killed, one of them is paused, and our address is barred.
BLOCK: Final = 240

EXITS: Final = {"method": "POST", "path": "/fapi/v1/order", "client_id": r"-x\d+$"}
CANCELS: Final = {"method": "DELETE"}
ANY: Final = {"method": "POST", "client_id": r"-[es]\d+$"}
LIMIT_REACHED: Final = {
    "do": "answer",
    "status": 429,
    "body": {"code": -1003, "msg": "Too many requests; current limit is 2400 requests per minute."},
    "headers": {"Retry-After": "1"},
}
WINDOW_USED: Final = LIMIT_REACHED | {
    "body": {"code": -1015, "msg": "Too many new orders; current limit is 300 orders per 10 SECOND."}
}
UNKNOWN: Final = {
    "code": -1007,
    "msg": "Timeout waiting for response from backend server. Send status unknown.",
}
TIMED_OUT: Final = {"do": "answer", "status": 408, "body": UNKNOWN}
Rule = tuple[dict[str, Any], Any, dict[str, Any]]

KINDS: Final[dict[str, Rule]] = {
    # No ladder is lived here, and the stream's silence has a name of its own.
    **{
        name: rule
        for name, rule in FAULTS.items()
        if rule is not None and rule[0] != RUNGS and name != "stream silent for 3 s"
    },
    "entry: -1007, executed": (ENTRY, 1, TIMED_OUT | {"execute": True}),
    "entry: -1007, not executed": (ENTRY, 1, TIMED_OUT),
    "entry: lost on its way": (ENTRY, 1, {"do": "lose_before"}),
    "entry: too late for its window": (ENTRY, 1, {"do": "execute_late", "ms": 2600}),
    "entry: -1008": (ENTRY, 1, {"do": "throttle", "ms": 500}),
    "entry: 429": (ENTRY, 1, LIMIT_REACHED),
    "entry: -1015": (ENTRY, 1, WINDOW_USED),
    "entry: answered after 900 ms": (ENTRY, 1, {"do": "delay", "ms": 900}),
    "stop: -1007, executed": (STOPS, 1, TIMED_OUT | {"execute": True}),
    "stop: -1007, not executed": (STOPS, 1, TIMED_OUT),
    "stop: lost on its way": (STOPS, 1, {"do": "lose_before"}),
    "stop: 429": (STOPS, 1, LIMIT_REACHED),
    "stop: -1015": (STOPS, 1, WINDOW_USED),
    "stop: answered after 900 ms": (STOPS, 1, {"do": "delay", "ms": 900}),
    "target: -1008": (TARGETS, 1, {"do": "refuse", "code": -1008, "status": 503}),
    "exit: answer lost": (EXITS, 1, {"do": "lose_answer"}),
    "exit: Service Unavailable ×2": (EXITS, {"times": 2}, FAULTS["stop: Service Unavailable ×3"][2]),  # type: ignore[index]
    "stream: silent for 3 s": (ANY, 1, {"do": "silence_stream", "ms": 3000}),
    "stream: cut": (ANY, 1, {"do": "drop_stream"}),
    "events: told twice": (ENTRY, 1, {"do": "duplicate"}),
    "events: told in reverse": (ENTRY, 1, {"do": "reorder"}),
    "events: the fill is never told": (
        {"event": "ORDER_TRADE_UPDATE", "client_id": r"-e\d+$", "status": "FILLED"},
        1,
        {"do": "drop"},
    ),
}
# Where nobody executed the entry, its absence has to be proved.
ABSENT: Final = frozenset(
    {
        "entry: 503 unknown, not executed",
        "entry: -1007, not executed",
        "entry: lost on its way",
        "entry: too late for its window",
    }
)

# What a person does, here or in the exchange's app, or the exchange itself does, to a trio that stands.
AMEND, DROP_STOP, NARROW, MOVE_STOP, MOVE_TARGET, TRAIL, PART, ADD, SPLIT, CHANGE = (
    "entry amended in the app",
    "stop dropped by the exchange",
    "market lot made smaller",
    "stop moved",
    "target moved",
    "stop trailed",
    "part taken off",
    "added to",
    "part target set",
    "entry changed here",
)
ACTS: Final = (AMEND, DROP_STOP, NARROW, MOVE_STOP, MOVE_TARGET, TRAIL, PART, ADD, SPLIT, CHANGE)
ACT_SHARE: Final = 40  # percent of the trios that could meet one

KILL, PAUSE, BAN, WATCHER, CARRIER, ADDRESS = "kill", "pause", "ban", "runworker", "rqworker", "address"
BAN_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Trio:
    """One trio of a seed: what it is, how it ends, and which fault it meets (none: "")."""

    number: int
    account: int
    symbol: int
    side: str
    life: str
    protection: str
    fault: str
    act: str = ""

    @property
    def entry(self) -> str:
        return self.life.split(" → ")[0]

    @property
    def ending(self) -> str:
        return self.life.split(" → ")[1] if " → " in self.life else "cancel"

    @property
    def mode(self) -> str:
        return "HEDGE" if self.account % 2 else "ONE_WAY"

    def __str__(self) -> str:
        words = (
            self.side,
            self.life,
            self.protection,
            self.mode,
            self.fault or "no fault",
            self.act or "no act",
        )
        return f"trio {self.number}: {' · '.join(words)}"


@dataclass(frozen=True, slots=True)
class Death:
    """A process dies, or sleeps for ``ms``, when this trio begins; or the exchange bars our address for so long."""

    at: int
    what: str
    whom: str
    ms: int = 0


def trio(seed: int, number: int) -> Trio:
    """Return one trio of a seed; every second meets a fault, each kind as often as any other."""
    kinds = list(KINDS)
    block, place = divmod(number, 2 * len(kinds))
    shuffled = random.Random(f"{seed}:{block}:faults").sample(range(2 * len(kinds)), 2 * len(kinds))
    fault = kinds[shuffled[place]] if shuffled[place] < len(kinds) else ""
    rng = random.Random(f"{seed}:{number}")
    life, protection = rng.choice([both for both in _lives() if meets(fault, *both)])
    return Trio(
        number=number,
        account=number % ACCOUNTS,
        symbol=number // ACCOUNTS % SYMBOLS,
        side=rng.choice(("BUY", "SELL")),
        life=life,
        protection=protection,
        fault=fault,
        act=_act(seed, number, life),
    )


def _act(seed: int, number: int, life: str) -> str:
    """Return what a person or the exchange does to such a trio, if anything."""
    rng = random.Random(f"{seed}:{number}:act")
    entry, _, ending = life.partition(" → ")
    stands = entry != CANCELLED
    possible = {
        AMEND: entry == LIMIT,
        DROP_STOP: stands,
        NARROW: ending == "close",
        MOVE_STOP: stands,
        MOVE_TARGET: stands,
        TRAIL: stands,
        PART: stands,
        ADD: stands,
        SPLIT: stands,
        CHANGE: entry == LIMIT,
    }
    acts = [act for act, meets_it in possible.items() if meets_it]
    return rng.choice(acts) if acts and rng.randrange(100) < ACT_SHARE else ""


def _lives() -> Iterator[tuple[str, str]]:
    for life in LIVES:
        for protection in PROTECTIONS:
            yield life, protection


def meets(fault: str, life: str, protection: str) -> bool:
    """Does such a trio make the request, or cause the event, that this fault strikes?"""
    entry, _, ending = life.partition(" → ")
    armed = protection == "PRE_ARMED"
    fills = entry != CANCELLED
    checks: dict[str, Callable[[], bool]] = {
        "stop": lambda: fills,
        "target": lambda: fills,
        "exit": lambda: ending == "close",
        "cancel": lambda: armed or not fills,
    }
    if fault == "events: the fill is never told":
        return fills
    if fault == "entry: -1015":  # ten seconds of armed legs without an entry would look like legs left over
        return not armed
    return checks.get(fault.split(":")[0], lambda: True)()


def trios(seed: int, count: int) -> list[Trio]:
    """Return the first ``count`` trios of a seed."""
    return [trio(seed, number) for number in range(count)]


def deaths(seed: int, count: int) -> list[Death]:
    """Return who dies and sleeps in a run of ``count`` trios, in order."""
    found = []
    for block in range(ceil(count / BLOCK)):
        rng = random.Random(f"{seed}:{block}:deaths")
        first, last = block * BLOCK, min(count, (block + 1) * BLOCK) - 1
        found += [Death(rng.randint(first, last), KILL, whom) for whom in (WATCHER, CARRIER)]
        whom = (WATCHER, CARRIER)[block % 2]
        found.append(Death(rng.randint(first, last), PAUSE, whom, rng.randrange(700, 4000)))
        found.append(Death(rng.randint(first, last), BAN, ADDRESS, 1000 * BAN_SECONDS))
    return sorted(found, key=lambda death: (death.at, death.what, death.whom))


def floor(least: int, count: int) -> int:
    """What a floor for 5,000 trios is for so many; a short soak proves a little of everything."""
    return ceil(least * count / FULL) if least != EACH_KIND else least * count // FULL

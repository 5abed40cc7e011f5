"""Faults as data: which request or event, which occurrence, what happens then.

{"match": {"method": "POST", "path": "/fapi/v1/algoOrder", "type": "STOP_MARKET", "client_id": "^ab"},
 "occurrence": 1, "then": {"do": "refuse", "code": -2021}}

``then`` may be a list of such actions with weights; each time one is drawn from the seed:

{"occurrence": {"share": "0.05"}, "then": [{"weight": 3, "do": "lose_answer"}, {"do": "delay", "ms": 900}]}
"""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

FOREVER: Final = 1 << 60

# What may happen to a request, with the words each action takes.
REQUEST_ACTIONS: Final[dict[str, frozenset[str]]] = {
    "refuse": frozenset({"code", "msg", "status"}),
    "answer": frozenset({"status", "body", "execute", "headers"}),
    "lose_answer": frozenset(),
    "lose_before": frozenset(),
    "execute_late": frozenset({"ms"}),
    "delay": frozenset({"ms"}),
    "duplicate": frozenset(),
    "reorder": frozenset(),
    "silence_stream": frozenset({"ms"}),
    "drop_stream": frozenset(),
    "forget_algo": frozenset({"ms"}),
    "vanish_algo": frozenset(),
    "stick_triggering": frozenset(),
    "throttle": frozenset({"ms"}),
}
EVENT_ACTIONS: Final = frozenset({"duplicate", "drop"})
MATCH_WORDS: Final = frozenset(
    {"method", "path", "type", "client_id", "symbol", "account", "side", "positionSide", "reduceOnly", "closePosition",
     "event", "status"}
)  # fmt: skip


class FaultError(ValueError):
    """A fault that cannot be understood; the text says what is wrong and what would be right."""


@dataclass(slots=True)
class Fault:
    """One rule, with the count of what it has matched and done so far."""

    id: int
    match: dict[str, Any]
    occurrence: Any
    then: dict[str, Any]
    pattern: re.Pattern[str] | None = None
    matched: int = 0
    fired: int = 0
    until: int = 0  # a throttle lasts until then once it has begun
    choices: list[tuple[int, dict[str, Any]]] = field(
        default_factory=list
    )  # (weight, then), one drawn each time

    def as_dict(self) -> dict[str, Any]:
        then: Any = [{"weight": weight, **each} for weight, each in self.choices] or self.then
        return {"id": self.id, "match": self.match, "occurrence": self.occurrence, "then": then,
                "matched": self.matched, "fired": self.fired}  # fmt: skip

    def draw(self, rng: random.Random) -> None:
        """Choose what happens this time."""
        if self.choices:
            at = rng.randrange(sum(weight for weight, _ in self.choices))
            for weight, then in self.choices:
                at -= weight
                if at < 0:
                    self.then = then
                    return

    @property
    def on_events(self) -> bool:
        return "event" in self.match

    def wants(self, words: Mapping[str, str]) -> bool:
        """Whether all words of the match hold for this request or event."""
        for name, wanted in self.match.items():
            given = words.get(name, "")
            if name == "client_id":
                if self.pattern is None or not self.pattern.search(given):
                    return False
            elif name == "path":
                if not fnmatch.fnmatchcase(given, str(wanted)):
                    return False
            elif isinstance(wanted, bool):
                if (given == "true") != wanted:
                    return False
            elif isinstance(wanted, list):
                if given not in wanted:
                    return False
            elif given != str(wanted):
                return False
        return True

    def strikes(self, rng: random.Random) -> bool:
        """Count one match and say whether this occurrence is meant."""
        self.matched += 1
        when = self.occurrence
        if when == "every":
            hit = True
        elif isinstance(when, list):
            hit = self.matched in when
        elif isinstance(when, dict):
            hit = self._within(when, rng)
        else:
            hit = self.matched == when
        self.fired += hit
        return hit

    def _within(self, when: dict[str, Any], rng: random.Random) -> bool:
        if "share" in when:
            return rng.randrange(1_000_000) < int(Decimal(str(when["share"])) * 1_000_000)
        if "after" in when:
            return self.matched > int(when["after"])
        return self.matched <= int(when["times"])


@dataclass(slots=True)
class Faults:
    """All rules in force, in the order they were given; the first that strikes decides."""

    seed: int
    rules: list[Fault] = field(default_factory=list)
    silent_until: dict[str, int] = field(default_factory=dict)
    _made: int = 0
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}:faults")

    def add(self, raw: object) -> Fault:
        """Take in one fault. Raises FaultError with a sentence."""
        fault = parse(raw, self._made + 1)
        self._made += 1
        self.rules.append(fault)
        return fault

    def clear(self, ident: int | None = None) -> None:
        """Take away one rule, or all of them and every silence."""
        self.rules = [rule for rule in self.rules if ident is not None and rule.id != ident]
        if ident is None:
            self.silent_until.clear()

    def for_request(self, words: Mapping[str, str], now: int) -> Fault | None:
        """The fault that strikes this request, if any."""
        for rule in self.rules:
            if rule.on_events:
                continue
            if rule.until > now and rule.wants(words):
                return rule
            if rule.wants(words) and rule.strikes(self._rng):
                rule.draw(self._rng)
                if rule.then["do"] == "throttle" and "ms" in rule.then:
                    rule.until = now + int(rule.then["ms"])
                return rule
        return None

    def on_event(self, account: str, event: dict[str, Any]) -> list[dict[str, Any]]:
        """What is told instead of this event: itself, nothing, or itself twice."""
        if self.silent_until.get(account, 0) > event["E"]:
            return []
        if not any(rule.on_events for rule in self.rules):
            return [event]
        body = event.get("o") if isinstance(event.get("o"), dict) else event
        assert isinstance(body, dict)
        words = {
            "event": event["e"],
            "account": account,
            "symbol": str(body.get("s", "")),
            "client_id": str(body.get("c") or body.get("caid") or ""),
            "status": str(body.get("X", "")),
            "type": str(body.get("o", "")),
            "side": str(body.get("S", "")),
        }
        for rule in self.rules:
            if rule.on_events and rule.wants(words) and rule.strikes(self._rng):
                return [] if rule.then["do"] == "drop" else [event, event]
        return [event]


def parse(raw: object, ident: int) -> Fault:
    """Read one fault. Raises FaultError with a sentence."""
    if not isinstance(raw, dict):
        raise FaultError("A fault is an object with match, occurrence and then.")
    unknown = set(raw) - {"match", "occurrence", "then", "id", "matched", "fired"}
    if unknown:
        raise FaultError(f"A fault has match, occurrence and then; {', '.join(sorted(unknown))} is unknown.")
    match, then, when = raw.get("match", {}), raw.get("then"), raw.get("occurrence", "every")
    if not isinstance(match, dict) or set(match) - MATCH_WORDS:
        raise FaultError(f"match is an object with any of: {', '.join(sorted(MATCH_WORDS))}.")
    choices: list[tuple[int, dict[str, Any]]] = []
    if isinstance(then, list) and then:
        for each in then:
            rest = dict(each) if isinstance(each, dict) else {}
            weight = rest.pop("weight", 1)
            if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
                raise FaultError("weight is a whole number above 0.")
            choices.append((weight, rest))
        then = choices[0][1]
    for each in [action for _, action in choices] if choices else [then]:
        _check_action(each, on_event="event" in match)
    assert isinstance(then, dict)
    _check_occurrence(when)
    pattern = None
    if "client_id" in match:
        try:
            pattern = re.compile(str(match["client_id"]))
        except re.error as error:
            raise FaultError(f"client_id is not a regular expression: {error}.") from error
    return Fault(ident, dict(match), when, dict(then), pattern, choices=choices)


def _check_action(then: object, *, on_event: bool) -> None:
    if not isinstance(then, dict) or not isinstance(then.get("do"), str):
        raise FaultError('then is an object with "do", for example {"do": "lose_answer"}.')
    action = then["do"]
    if on_event:
        if action not in EVENT_ACTIONS:
            raise FaultError("To an event can happen: drop, duplicate.")
        return
    if action not in REQUEST_ACTIONS:
        raise FaultError(f"There is no fault {action!r}. Known: {', '.join(sorted(REQUEST_ACTIONS))}.")
    if set(then) - {"do"} - REQUEST_ACTIONS[action]:
        takes = ", ".join(sorted(REQUEST_ACTIONS[action])) or "nothing more"
        raise FaultError(f"{action} takes {takes}.")
    for name in ("ms", "status", "code"):
        if name in then and (not isinstance(then[name], int) or isinstance(then[name], bool)):
            raise FaultError(f"{name} is a whole number.")
    if action in ("execute_late", "delay", "silence_stream") and "ms" not in then:
        raise FaultError(f"{action} needs ms, a whole number of milliseconds.")


def _check_occurrence(when: object) -> None:
    whole = isinstance(when, int) and not isinstance(when, bool) and when >= 1
    several = isinstance(when, list) and all(isinstance(n, int) and n >= 1 for n in when)
    counted = False
    if isinstance(when, dict) and len(when) == 1:
        name, value = next(iter(when.items()))
        if name in ("times", "after"):
            counted = isinstance(value, int) and value >= 0
        elif name == "share":
            try:
                counted = 0 <= Decimal(str(value)) <= 1
            except InvalidOperation:
                counted = False
    if not (when == "every" or whole or several or counted):
        raise FaultError(
            'occurrence is a number, "every", a list of numbers, {"times": n}, {"after": n} or {"share": 0.1}.'
        )

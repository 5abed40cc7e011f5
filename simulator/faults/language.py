"""The fault language: reading a fault from JSON, with a message for every mistake."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from simulator.faults.fault import Fault

# What can be done to a request, with the arguments each action takes.
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
BOUNDS: Final = {"ms": (0, 86_400_000), "status": (100, 599), "code": (-99_999, 99_999)}
EVENT_ACTIONS: Final = frozenset({"duplicate", "drop"})
MATCH_FIELDS: Final = frozenset(
    {"method", "path", "type", "client_id", "symbol", "account", "side", "positionSide", "reduceOnly", "closePosition",
     "event", "status"}
)  # fmt: skip


class FaultError(ValueError):
    """A fault that cannot be understood; the message says what is wrong and what would be right."""


def parse(raw: object, ident: int) -> Fault:
    """Read one fault. Raises FaultError."""
    if not isinstance(raw, dict):
        raise FaultError("A fault is an object with match, occurrence and then.")
    unknown = set(raw) - {"match", "occurrence", "then", "id", "matched", "fired"}
    if unknown:
        raise FaultError(f"A fault has match, occurrence and then; {', '.join(sorted(unknown))} is unknown.")
    match, occurrence = raw.get("match", {}), raw.get("occurrence", "every")
    if not isinstance(match, dict) or set(match) - MATCH_FIELDS:
        raise FaultError(f"match is an object with any of: {', '.join(sorted(MATCH_FIELDS))}.")
    weighted, action = _actions(raw.get("then"), on_event="event" in match)
    _check_occurrence(occurrence)
    pattern = None
    if "client_id" in match:
        try:
            pattern = re.compile(str(match["client_id"]))
        except re.error as error:
            raise FaultError(f"client_id is not a regular expression: {error}.") from error
    return Fault(ident, dict(match), occurrence, action, pattern, weighted)


def _actions(then: object, *, on_event: bool) -> tuple[list[tuple[int, dict[str, Any]]], dict[str, Any]]:
    """The actions to draw from, if there are several, and the first or only one."""
    if not isinstance(then, list) or not then:
        return [], _checked_action(then, on_event=on_event)
    weighted = []
    for each in then:
        action = dict(each) if isinstance(each, dict) else {}
        weight = action.pop("weight", 1)
        if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
            raise FaultError("weight is a whole number above 0.")
        weighted.append((weight, action))
    for _, action in weighted:
        _checked_action(action, on_event=on_event)
    return weighted, dict(weighted[0][1])


def _checked_action(then: object, *, on_event: bool) -> dict[str, Any]:
    if not isinstance(then, dict) or not isinstance(then.get("do"), str):
        raise FaultError('then is an object with "do", for example {"do": "lose_answer"}.')
    name = then["do"]
    if on_event:
        if name not in EVENT_ACTIONS:
            raise FaultError("To an event can happen: drop, duplicate.")
        return dict(then)
    if name not in REQUEST_ACTIONS:
        raise FaultError(f"There is no fault {name!r}. Known: {', '.join(sorted(REQUEST_ACTIONS))}.")
    if set(then) - {"do"} - REQUEST_ACTIONS[name]:
        takes = ", ".join(sorted(REQUEST_ACTIONS[name])) or "nothing more"
        raise FaultError(f"{name} takes {takes}.")
    for argument in ("ms", "status", "code"):
        value = then.get(argument, 0)
        if not isinstance(value, int) or isinstance(value, bool):
            raise FaultError(f"{argument} is a whole number.")
        least, most = BOUNDS[argument]
        if argument in then and not least <= value <= most:
            raise FaultError(f"{argument} is a whole number between {least} and {most}.")
    if name in ("execute_late", "delay", "silence_stream") and "ms" not in then:
        raise FaultError(f"{name} needs ms, a whole number of milliseconds.")
    return dict(then)


def _check_occurrence(when: object) -> None:
    if when == "every" or _is_occurrence_number(when) or _is_occurrence_rule(when):
        return
    if isinstance(when, list) and all(isinstance(n, int) and n >= 1 for n in when):
        return
    raise FaultError(
        'occurrence is a number, "every", a list of numbers, {"times": n}, {"after": n} or {"share": 0.1}.'
    )


def _is_occurrence_number(when: object) -> bool:
    return isinstance(when, int) and not isinstance(when, bool) and when >= 1


def _is_occurrence_rule(when: object) -> bool:
    if not isinstance(when, dict) or len(when) != 1:
        return False
    name, value = next(iter(when.items()))
    if name in ("times", "after"):
        return isinstance(value, int) and value >= 0
    if name != "share":
        return False
    try:
        return 0 <= Decimal(str(value)) <= 1
    except InvalidOperation:
        return False

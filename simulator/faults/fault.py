"""One fault: what it matches, and at which of the matches it happens."""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(slots=True)
class Fault:
    """One fault in force, with the count of what it has matched and done so far."""

    id: int
    match: dict[str, Any]
    occurrence: Any
    action: dict[str, Any]  # of several: the one drawn last
    client_id_pattern: re.Pattern[str] | None = None
    weighted_actions: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # to draw one from
    matched: int = 0
    fired: int = 0
    throttles_until: int = 0

    @property
    def name(self) -> str:
        """How the log names it."""
        return f"#{self.id} {self.action['do']}"

    @property
    def on_events(self) -> bool:
        return "event" in self.match

    def as_dict(self) -> dict[str, Any]:
        then: Any = [{"weight": weight, **action} for weight, action in self.weighted_actions] or self.action
        return {"id": self.id, "match": self.match, "occurrence": self.occurrence, "then": then,
                "matched": self.matched, "fired": self.fired}  # fmt: skip

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether each field of the match agrees with this request or event."""
        return all(self._agrees(name, wanted, fields.get(name, "")) for name, wanted in self.match.items())

    def _agrees(self, name: str, wanted: Any, given: str) -> bool:
        if name == "client_id":
            return self.client_id_pattern is not None and bool(self.client_id_pattern.search(given))
        if name == "path":
            return fnmatch.fnmatchcase(given, str(wanted))
        if isinstance(wanted, bool):
            return (given == "true") == wanted
        if isinstance(wanted, list):
            return given in wanted
        return given == str(wanted)

    def count_match(self, rng: random.Random) -> bool:
        """Count one match; return whether the fault happens at this one."""
        self.matched += 1
        happens = self._happens_now(rng)
        self.fired += happens
        return happens

    def _happens_now(self, rng: random.Random) -> bool:
        when = self.occurrence
        if when == "every":
            return True
        if isinstance(when, list):
            return self.matched in when
        if not isinstance(when, dict):
            return bool(self.matched == when)
        if "share" in when:
            return rng.randrange(1_000_000) < int(Decimal(str(when["share"])) * 1_000_000)
        if "after" in when:
            return self.matched > int(when["after"])
        return self.matched <= int(when["times"])

    def draw_action(self, rng: random.Random) -> None:
        """Of several actions, choose the one for this time by weight."""
        if not self.weighted_actions:
            return
        at = rng.randrange(sum(weight for weight, _ in self.weighted_actions))
        for weight, action in self.weighted_actions:
            at -= weight
            if at < 0:
                self.action = action
                return

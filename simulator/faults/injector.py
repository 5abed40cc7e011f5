"""The faults in force, and which of them a request or an event meets."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulator.faults.fault import Fault
from simulator.faults.language import parse


@dataclass(slots=True)
class FaultInjector:
    """All faults in force, in the order they were added; the first that happens decides."""

    seed: int
    in_force: list[Fault] = field(default_factory=list)
    silent_until: dict[str, int] = field(default_factory=dict)  # by account: its events are dropped
    _added: int = 0
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}:faults")

    def add(self, raw: object) -> Fault:
        """Put one fault in force. Raises FaultError."""
        fault = parse(raw, self._added + 1)
        self._added += 1
        self.in_force.append(fault)
        return fault

    def clear(self, ident: int | None = None) -> None:
        """Remove one fault, or all of them and every silence."""
        self.in_force = [fault for fault in self.in_force if ident is not None and fault.id != ident]
        if ident is None:
            self.silent_until.clear()

    def for_request(self, fields: Mapping[str, str], now: int) -> Fault | None:
        """The fault that happens to this request, if any."""
        for fault in self.in_force:
            if fault.on_events or not fault.matches(fields):
                continue
            if fault.throttles_until > now:
                return fault
            if fault.count_match(self._rng):
                fault.draw_action(self._rng)
                if fault.action["do"] == "throttle" and "ms" in fault.action:
                    fault.throttles_until = now + int(fault.action["ms"])
                return fault
        return None

    def filter_event(self, account: str, event: dict[str, Any]) -> list[dict[str, Any]]:
        """What is sent in place of this event: the event itself, nothing, or the event twice."""
        if self.silent_until.get(account, 0) > event["E"]:
            return []
        on_events = [fault for fault in self.in_force if fault.on_events]
        if not on_events:
            return [event]
        fields = _fields_of(account, event)
        for fault in on_events:
            if fault.matches(fields) and fault.count_match(self._rng):
                return [] if fault.action["do"] == "drop" else [event, event]
        return [event]


def _fields_of(account: str, event: dict[str, Any]) -> dict[str, str]:
    """What a match can ask of an event."""
    body = event.get("o") if isinstance(event.get("o"), dict) else event
    assert isinstance(body, dict)
    return {
        "event": event["e"],
        "account": account,
        "symbol": str(body.get("s", "")),
        "client_id": str(body.get("c") or body.get("caid") or ""),
        "status": str(body.get("X", "")),
        "type": str(body.get("o", "")),
        "side": str(body.get("S", "")),
    }

"""Recorded answers of the real exchange, and how each is put beside the simulator's own.

A check names the sample, asks the simulator for the same thing, and lists every deliberate difference with its reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.world import World

HERE = Path(__file__).parent / "samples"
FILES = ("official", "nautilus_rest", "nautilus_ws", "captured")

# Reasons that several differences share.
OLD = "an old sample: the key came later"
TRAILING = "only on trailing orders of the time before December 2025"
REFUSED = "the sample shows an order and a refusal in one object"
THIN = "the sample shows a smaller part of the same thing"
MADE = "written back by a library, with keys of its own"
NOTE = "the sample explains the key; the simulator sends it only when it applies"


@dataclass(frozen=True)
class Check:
    """One sample and the simulator's counterpart. ``missing``: theirs, not ours; ``extra``: ours, not theirs."""

    file: str
    name: str
    what: str
    ask: Callable[[World], Any]
    pick: tuple[str | int, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.file}/{self.name}" + "".join(f"/{p}" for p in self.pick)

    def sample(self) -> Any:
        found = SAMPLES[self.file][self.name]
        for step in self.pick:
            found = found[step]
        return found

    def differences(self) -> str:
        """The deliberate differences in words, for the docs."""
        rows = [f"without `{key}` ({why})" for key, why in self.missing.items()]
        rows += [f"also `{key}` ({why})" for key, why in self.extra.items()]
        rows += [f"`{key}`: {why}" for key, why in self.kinds.items()]
        return "; ".join(rows) or "none"


SAMPLES = {name: json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in FILES}


def kind(value: Any) -> str:
    if value is None or value == "None":
        return "nothing"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"


def compare(ours: Any, theirs: Any, check: Check, path: str = "") -> list[str]:
    """Every difference that is not declared, in words."""
    if path in check.kinds:
        return []
    if kind(theirs) != kind(ours):
        return [f"{path or 'the whole'}: theirs is {kind(theirs)} {theirs!r}, ours is {kind(ours)} {ours!r}"]
    if isinstance(theirs, dict):
        found = []
        for key in theirs.keys() - ours.keys():
            if key not in check.missing:
                found.append(f"{path}.{key} is missing in ours")
        for key in ours.keys() - theirs.keys():
            if key not in check.extra:
                found.append(f"{path}.{key} is only in ours")
        for key in theirs.keys() & ours.keys():
            found += compare(ours[key], theirs[key], check, f"{path}.{key}" if path else key)
        return found
    if isinstance(theirs, list) and theirs:
        if not ours:
            return [f"{path or 'the whole'}: ours is empty"]
        if isinstance(theirs[0], dict | list):
            return compare(ours[0], theirs[0], check, path)
        if len(theirs) > 3:
            pairs = list(zip(ours, theirs, strict=False))
            return [
                f"{path}[{n}]: {kind(b)} / {kind(a)}" for n, (a, b) in enumerate(pairs) if kind(a) != kind(b)
            ]
        return [] if kind(ours[0]) == kind(theirs[0]) else [f"{path}[0]: {kind(theirs[0])} / {kind(ours[0])}"]
    return []

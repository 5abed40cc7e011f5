"""What one benchmark found. It becomes JSON and comes back from it, so that a page shows what was measured and no more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.reporting.figures import short

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted of one figure. ``failure``: the bound beyond which it is not only missed."""

    what: str
    found: float | None
    limit: float
    unit: str
    at_least: bool = False
    failure: float | None = None

    @property
    def verdict(self) -> str:
        """Return ``met``, ``missed``, ``failed``, or ``not measured``."""
        if self.found is None or not math.isfinite(self.found):
            return "not measured"
        if self._holds(self.limit):
            return "met"
        return "failed" if self.failure is not None and not self._holds(self.failure) else "missed"

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {short(self.limit)} {self.unit}".rstrip()

    def _holds(self, bound: float) -> bool:
        assert self.found is not None
        return self.found >= bound if self.at_least else self.found <= bound


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One part of a picture: a value for each tick, of each series. ``lines``: ticks are numbers on an axis."""

    title: str
    unit: str
    ticks: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    lines: bool = False
    limit: float | None = None  # a target, drawn across


@dataclass(slots=True)
class Report:
    """Everything that one run of one benchmark has to say."""

    name: str
    title: str
    how: str
    sheets: list[Sheet] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    began: str = ""
    seconds: float = 0
    machine: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, float | None] = field(default_factory=dict)  # what the run before found, by target

    def as_dict(self) -> dict[str, Any]:
        """Return what goes into JSON, with each target's verdict."""
        found = asdict(self)
        for row, target in zip(found["targets"], self.targets, strict=True):
            row["verdict"] = target.verdict
        return _plain(found)  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Report:
        values = dict(raw)
        targets = [{k: v for k, v in row.items() if k != "verdict"} for row in values.pop("targets")]
        return cls(
            sheets=[Sheet(**row) for row in values.pop("sheets")],
            targets=[Target(**row) for row in targets],
            panels=[Panel(**row) for row in values.pop("panels")],
            **values,
        )

    def change(self, target: Target) -> float | None:
        """Return by what share a figure differs from the run before; None where there is none to compare."""
        before = self.earlier.get(target.what)
        if not before or target.found is None or target.verdict == "not measured":
            return None
        return target.found / before - 1


def _plain(value: Any) -> Any:
    """Return it as JSON can hold it: what is no number becomes nothing."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

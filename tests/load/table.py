"""What a scenario came to: figures, and the lines that must hold."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Table:
    """A small table. A line without a condition is a figure only."""

    title: str
    lines: list[tuple[str, str, bool | None]] = field(default_factory=list)

    def figure(self, what: str, value: object) -> None:
        self.lines.append((what, str(value), None))

    def holds(self, what: str, value: object, condition: bool) -> None:
        self.lines.append((what, str(value), condition))

    @property
    def good(self) -> bool:
        return all(condition is not False for _, _, condition in self.lines)

    def print(self) -> None:
        marks = {None: "    ", True: "ok  ", False: "NOT "}
        width = max(len(what) for what, _, _ in self.lines)
        print(self.title)
        for what, value, condition in self.lines:
            print(f"  {marks[condition]}{what:<{width}}  {value}")


def spread(values: list[int]) -> str:
    """Median and maximum, as text."""
    if not values:
        return "none"
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]}, max {ordered[-1]} ms ({len(ordered)})"

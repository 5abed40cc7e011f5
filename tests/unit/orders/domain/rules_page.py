"""The page of rules, made from the lists in orders/domain/decision. ``python -m`` this module writes it anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orders.domain.decision import cover, place, silence, strangers, transitions, unwind

CHECKOUT: Final = Path(__file__).resolve().parents[4]
PAGE: Final = "docs/reference/rules.md"
HEAD: Final = """# Rules

The decisions about a trio and their reasons: the ordered lists of `orders/domain/decision`, each rule with the reason that stands in its docstring.
First a trio takes every transition that its facts imply, then one step is chosen. How a list is gone through is said above it:

* **The first that applies** decides. Rules rely on those above them: that an order is not in doubt any more, say.
* **The soonest**: the rules stand beside each other. From the top, the first that has something to do now does it; while all of them wait,
  the trio rests until the earliest is due.

This page is made from the lists by `.venv/bin/python -m tests.unit.orders.domain.rules_page`. The state that each transition leads to is in [states](states.md),
what is done when something is refused or lost in [refusals and losses](../explanation/refusals-and-losses.md), and how to add a rule in
[contributing](../../CONTRIBUTING.md#add-a-rule).
"""
FIRST: Final = "The first that applies."
SOONEST: Final = "The soonest."
EACH: Final = "For each order the first that applies; among the orders the soonest."

Rule = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One list: when it is gone through, and how."""

    heading: str
    when: str
    room: Any
    list_name: str
    how: str = FIRST

    @property
    def rules(self) -> tuple[Rule, ...]:
        rules: tuple[Rule, ...] = getattr(self.room, self.list_name)
        return rules

    @property
    def file(self) -> str:
        return f"orders/domain/decision/{self.room.__name__.rpartition('.')[2]}.py"


PARTS: Final[tuple[tuple[str, tuple[Section, ...]], ...]] = (
    (
        "Transitions",
        (
            Section("Queued", "The trio is QUEUED.", transitions, "QUEUED"),
            Section("Placing", "The trio is PLACING.", transitions, "PLACING"),
            Section("Working", "The trio is WORKING.", transitions, "WORKING"),
            Section("Taken back", "Part of the two lists above.", transitions, "WITHDRAW"),
            Section("Withdrawing", "The trio is WITHDRAWING.", transitions, "WITHDRAWING"),
            Section("Open", "The trio is OPEN.", transitions, "OPEN"),
            Section("Open and uncovered", "Used by `by_cover`.", transitions, "UNCOVERED"),
            Section("Open and covered", "Used by `by_cover`.", transitions, "COVERED"),
            Section("Exiting", "The trio is EXITING.", transitions, "EXITING"),
            Section("Ended", "The trio has ended.", transitions, "ENDED"),
        ),
    ),
    (
        "Steps",
        (
            Section(
                "Wait for the exchange",
                "The exchange does not serve our address; whatever the trio's state.",
                silence,
                "SILENT",
            ),
            Section("Wait for placing", "The trio is QUEUED.", place, "QUEUE"),
            Section("Place", "The trio is PLACING.", place, "PLACE"),
            Section("Legs before the entry", "Used by `armed_legs_awaited`.", place, "ARMED_LEG", EACH),
            Section("Watch what rests", "The trio is WORKING.", place, "WORK", SOONEST),
            Section("Withdraw", "The trio is WITHDRAWING.", place, "WITHDRAW"),
            Section(
                "Cover",
                "The trio is OPEN and uncovered; or what is left of it is too small to close, and a stop may still be accepted.",
                cover,
                "COVER",
            ),
            Section("Stops under way", "Used by `stop_under_way`.", cover, "STOP_UNDER_WAY", EACH),
            Section("Hold", "The trio is OPEN and covered.", cover, "HOLD", SOONEST),
            Section("Stops and targets", "Used by `legs_followed`.", cover, "PROTECTION", EACH),
            Section("Target", "Used by `target_completed` for the newest target.", cover, "TARGET"),
            Section(
                "Orders that are not ours",
                "Used by `strangers_taken_back`, for those beside an adopted position that a person named.",
                strangers,
                "FOREIGN",
                EACH,
            ),
            Section("Undo", "The trio is ROLLING_BACK or EXITING.", unwind, "UNDO"),
            Section("Exit", "Used by `position_exited`.", unwind, "EXIT"),
            Section("The last exit", "Used by `last_exit_resolved`.", unwind, "LAST_EXIT"),
            Section(
                "Take back",
                "Used wherever orders are taken back. Cancels that can go now go together, before any waiting.",
                unwind,
                "CLEAR",
                EACH,
            ),
            Section("Late", "The trio is LATE.", unwind, "TIDY_LATE"),
        ),
    ),
)


def sections() -> Iterator[Section]:
    for _, part in PARTS:
        yield from part


def page() -> str:
    """Return the page as it should be."""
    text = HEAD
    for heading, part in PARTS:
        text += f"\n## {heading}\n"
        for section in part:
            text += f"\n### {section.heading}\n\n{section.when} {section.how} `{section.list_name}` in `{section.file}`.\n"
            text += "\n| | rule | why |\n|---|---|---|\n" + "".join(_rows(section))
    return text


def _rows(section: Section) -> Iterator[str]:
    """Yield a row for each rule; a list that is part of another stands there as one row."""
    rules, part, number = section.rules, transitions.WITHDRAW, 0
    while rules:
        number += 1
        if section.rules is not part and rules[: len(part)] == part:
            yield f"| {number} | | all of [taken back](#taken-back) |\n"
            rules = rules[len(part) :]
        else:
            yield f"| {number} | `{rules[0].__name__}` | {reason(rules[0])} |\n"
            rules = rules[1:]


def reason(rule: Rule) -> str:
    return " ".join((rule.__doc__ or "").replace("``", "`").split())


if __name__ == "__main__":
    (CHECKOUT / PAGE).write_text(page())

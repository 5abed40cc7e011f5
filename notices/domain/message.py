"""What is sent: a title and a body, of one notice or of several. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LISTED_MAX: Final = 30
BODY_MAX: Final = 3500  # what the narrowest service takes in one message, with room for its own words


@dataclass(frozen=True, slots=True)
class Item:
    """One notice as it is sent. ``link``: its page, nothing when the installation has no address of its own."""

    title: str
    sentence: str
    is_urgent: bool
    link: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    title: str
    body: str


def message_of(items: Sequence[Item]) -> Message:
    """Put notices into one message: one by itself, several as a digest."""
    if len(items) == 1:
        (item,) = items
        lines = [item.sentence]
        if item.is_urgent:
            where = f": {item.link}" if item.link else " on its page, under Notices."
            lines.append(f"Acknowledge it{where}")
        elif item.link:
            lines.append(item.link)
        return Message(_titled(item), _cut("\n\n".join(lines)))
    lines = [f"• {item.title}: {item.sentence}" for item in items[:LISTED_MAX]]
    if len(items) > LISTED_MAX:
        lines.append(f"… and {len(items) - LISTED_MAX} more, under Notices.")
    return Message(f"{len(items)} notices", _cut("\n".join(lines)))


def _titled(item: Item) -> str:
    return f"URGENT: {item.title}" if item.is_urgent else item.title


def _cut(text: str) -> str:
    return text if len(text) <= BODY_MAX else text[: BODY_MAX - 2] + " …"

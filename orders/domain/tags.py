"""Tags that people give to trios: short words, told apart by their letters alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from orders.domain.errors import RuleBroken

TAG: Final = re.compile(r"[^\W_][\w.-]{0,31}")
TAGS_MAX: Final = 20


def tags_read(text: str) -> tuple[str, ...]:
    """Return the tags in a text, in lower case and in order; between them blanks or commas. Raises RuleBroken."""
    words = dict.fromkeys(word.lstrip("#").lower() for word in re.split(r"[\s,]+", text) if word)
    for word in words:
        if not TAG.fullmatch(word):
            raise RuleBroken(
                "tags",
                f"“{word[:40]}” is no tag: a tag is one word of letters, digits, “.”, “-” and “_”, at most 32 long. "
                "Write “breakout, late-entry”.",
            )
    if len(words) > TAGS_MAX:
        raise RuleBroken("tags", f"These are {len(words)} tags; a trio has {TAGS_MAX} at most.")
    return tuple(sorted(words))


def tags_text(tags: Iterable[str]) -> str:
    """Return tags as a person writes them."""
    return ", ".join(tags)

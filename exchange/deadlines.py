"""How long an answer may take where a person waits for it: pure, no network.

Every request has its own time limit, chosen for work that nobody looks at. ``answers_within`` shortens it for
what is asked inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Final

PERSON_MS: Final = 1500  # behind a page or a command: the first answer that is missing ends it

_limit_ms: Final[ContextVar[int | None]] = ContextVar("answers_within", default=None)


@contextlib.contextmanager
def answers_within(ms: int) -> Iterator[None]:
    """Give each answer to what this thread asks inside at most so long."""
    token = _limit_ms.set(ms)
    try:
        yield
    finally:
        _limit_ms.reset(token)


def limited_ms(timeout_ms: int) -> int:
    """Return the time limit of a request that is made now."""
    limit = _limit_ms.get()
    return timeout_ms if limit is None else min(timeout_ms, limit)

"""The chain of hashes that ties each line of a journal to all before it. Pure; its form never changes.

What a line says is written as JSON with sorted keys and no spaces, together with the hash of the line
before; the SHA-256 of that text is the line's own hash. Old lines must verify for ever, so a new
kind of line may be added here and an old one may not be changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

BEGINNING: Final = "0" * 64  # stands before the first line


def digest(says: Mapping[str, Any], *, previous: str) -> str:
    """Return the hash of a line that says ``says`` and follows on the line with the hash ``previous``."""
    text = json.dumps({**says, "previous_hash": previous}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def payload_digest(payload: Mapping[str, str]) -> str:
    """Return the hash of a request's parameters alone, to be compared without the rest."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True).encode()).hexdigest()


def moment(at: datetime) -> str:
    """Return a time as it is hashed: UTC, to the microsecond."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")

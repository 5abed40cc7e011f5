"""One HTTP answer, as it arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (their names in lower case) and body of one answer."""

    status: int
    headers: Mapping[str, str]
    text: str = field(repr=False)

    @property
    def retry_after(self) -> int | None:
        """Seconds to wait, where the exchange said so in seconds."""
        value = self.headers.get("retry-after", "").strip()
        return int(value) if value.isascii() and value.isdigit() else None

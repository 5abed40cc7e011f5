"""When an account's income is read: hourly, soon after a trio has ended, and after funding. Pure.

Times are seconds of the process's own clock, which only runs forward.
"""

from __future__ import annotations

from typing import Final

HOURLY_SECONDS: Final = 3600.0
FIRST_SECONDS: Final = 30.0  # after the account was taken: what protects goes first
SOON_SECONDS: Final = 45.0  # after what makes lines: they may appear late, and are not judged at once
PAUSE_SECONDS: Final = 60.0  # between two readings, however much happens
APART_SECONDS: Final = 7.0  # of one account and the next: 260 of weight a minute, however many there are
SPREAD_SECONDS: Final = 420.0
RETRY_SECONDS: Final = 120.0  # after a failure; doubling, up to an hour


def stagger_of(account_id: int) -> float:
    """Return by how many seconds an account reads later than others, so that funding does not make all read at once."""
    return (account_id * APART_SECONDS) % SPREAD_SECONDS


class IncomeSchedule:
    """The next time an account's income is to be read. ``stagger``: by how many seconds it comes after others."""

    def __init__(self, now: float, *, stagger: float = 0.0) -> None:
        self._stagger = stagger
        self._due_at = now + FIRST_SECONDS + stagger
        self._read_at = float("-inf")
        self._failures = 0

    def is_due(self, now: float) -> bool:
        return now >= self._due_at

    def wanted(self, now: float) -> None:
        """Lines are to be expected: read them soon, once for all that happens until then."""
        if self._failures:  # the pause after a failure is not cut short
            return
        soon = max(now + SOON_SECONDS + self._stagger, self._read_at + PAUSE_SECONDS)
        self._due_at = min(self._due_at, soon)

    def begun(self, now: float) -> None:
        """A reading begins; what happens from now on wants another one."""
        self._read_at = now
        self._due_at = now + HOURLY_SECONDS

    def read(self) -> None:
        self._failures = 0

    def failed(self, now: float, wait: float) -> float:
        """It could not be read, or the limits asked for ``wait`` seconds. Returns after how long it is tried again."""
        pause = max(wait, min(HOURLY_SECONDS, RETRY_SECONDS * 2.0 ** min(self._failures, 10)))
        self._failures += 1
        self._due_at = now + pause
        return pause

"""When a person is told, and when a delivery is tried again. Pure: the time comes in."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from notices.domain.kinds import Mode, Severity

ATTEMPTS_MAX: Final = 8
PAUSE_FIRST: Final = timedelta(seconds=10)
PAUSE_FACTOR: Final = 3
PAUSE_MAX: Final = timedelta(hours=1)
DIGEST_AT: Final = time(8, 0)


def pause_after(attempts: int) -> timedelta | None:
    """Return how long to wait after so many failed attempts; ``None``: give up."""
    if attempts >= ATTEMPTS_MAX:
        return None
    pause: timedelta = PAUSE_FIRST * PAUSE_FACTOR ** max(0, attempts - 1)
    return min(PAUSE_MAX, pause)


@dataclass(frozen=True, slots=True)
class Hours:
    """A person's day: zone, quiet hours (both ends, or none), and when the digest is due."""

    zone: str = "UTC"
    quiet_from: time | None = None
    quiet_until: time | None = None
    digest_at: time = DIGEST_AT

    def quiet_ends(self, now: datetime) -> datetime | None:
        """Return when the quiet hours that are now end; ``None`` when there are none now."""
        if self.quiet_from is None or self.quiet_until is None or self.quiet_from == self.quiet_until:
            return None
        local = now.astimezone(zoneinfo.ZoneInfo(self.zone))
        clock = local.time()
        if self.quiet_from < self.quiet_until:
            inside = self.quiet_from <= clock < self.quiet_until
        else:  # over midnight
            inside = clock >= self.quiet_from or clock < self.quiet_until
        return self._next(now, self.quiet_until) if inside else None

    def next_digest(self, now: datetime) -> datetime:
        """Return when the next digest is due."""
        return self._next(now, self.digest_at)

    def _next(self, now: datetime, clock: time) -> datetime:
        """Return the next moment at which clocks there show this; one that is skipped in spring comes an hour later."""
        zone = zoneinfo.ZoneInfo(self.zone)
        day = now.astimezone(zone).date()
        found = datetime.combine(day, clock, zone).astimezone(UTC)
        if found <= now:
            found = datetime.combine(day + timedelta(days=1), clock, zone).astimezone(UTC)
        return found


def due_at(severity: Severity, mode: Mode, hours: Hours, now: datetime) -> datetime | None:
    """Return when a person is told; ``None``: not at all. What matters waits for nothing."""
    if mode is Mode.OFF:
        return None
    if severity is Severity.URGENT:
        return now
    due = hours.next_digest(now) if mode is Mode.DIGEST else now
    return hours.quiet_ends(due) or due

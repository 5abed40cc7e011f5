"""How long bars are and where they begin: weeks on Monday, months on their first day, all in UTC."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime

from simulator.engine.market import MINUTE

HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK_OFFSET = 4 * DAY  # weeks begin on Monday, the epoch on a Thursday


@dataclass(frozen=True, slots=True)
class Interval:
    """Bars of one length. ``length`` is how long one usually is; only months differ."""

    length: int
    offset: int = 0
    is_month: bool = False

    def start_of(self, moment: int) -> int:
        """When the bar began that holds this moment."""
        if self.is_month:
            then = datetime.fromtimestamp(moment // 1000, UTC)
            return calendar.timegm((then.year, then.month, 1, 0, 0, 0)) * 1000
        return (moment - self.offset) // self.length * self.length + self.offset

    def after(self, start: int) -> int:
        """When the bar after the one that began then begins."""
        return self.start_of(start + 31 * DAY) if self.is_month else start + self.length

    def before(self, start: int) -> int:
        return self.start_of(start - 1)


INTERVALS = {
    "1m": Interval(MINUTE), "3m": Interval(3 * MINUTE), "5m": Interval(5 * MINUTE), "15m": Interval(15 * MINUTE),
    "30m": Interval(30 * MINUTE), "1h": Interval(HOUR), "2h": Interval(2 * HOUR), "4h": Interval(4 * HOUR),
    "6h": Interval(6 * HOUR), "8h": Interval(8 * HOUR), "12h": Interval(12 * HOUR), "1d": Interval(DAY),
    "3d": Interval(3 * DAY), "1w": Interval(7 * DAY, WEEK_OFFSET), "1M": Interval(30 * DAY, is_month=True),
}  # fmt: skip

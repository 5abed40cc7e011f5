"""What one account was worth in one asset day by day, with what was transferred meanwhile taken out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from exchange.types import ZERO


@dataclass(frozen=True, slots=True)
class DayValue:
    """The last value that was read on a day, and when."""

    day: date
    equity: Decimal
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Transfer:
    """What came in (went out: negative), and when."""

    at: datetime
    amount: Decimal


def equity_line(
    kept: Sequence[DayValue], transfers: Sequence[Transfer], *, now: Decimal, today: date, days: int
) -> dict[date, Decimal]:
    """Return a value for each of the last ``days`` days and today, which is ``now``.

    ``kept``: oldest first. What was transferred after a value is added to it, as if it had been there: so only what was won
    and lost moves the line. A day without a value has that of the day before; days before the first have the first.
    """
    moved = [
        (row.day, row.equity + sum((t.amount for t in transfers if t.at > row.read_at), ZERO))
        for row in kept
        if row.day < today
    ]
    value = moved[0][1] if moved else now
    known = dict(moved)
    found = {}
    for back in range(days, 0, -1):
        day = today - timedelta(days=back)
        value = known.get(day, value)
        found[day] = value
    return found | {today: now}

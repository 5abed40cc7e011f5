"""The line of what an account was worth: only what was won and lost moves it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from orders.domain.equity_line import DayValue, Transfer, equity_line

D = Decimal
TODAY = date(2026, 6, 21)


def day(back: int) -> date:
    return TODAY - timedelta(days=back)


def noon(back: int) -> datetime:
    return datetime.combine(day(back), datetime.min.time(), tzinfo=UTC) + timedelta(hours=12)


def value(back: int, equity: str) -> DayValue:
    return DayValue(day(back), D(equity), noon(back))


def test_a_transfer_moves_nothing_and_a_loss_does() -> None:
    # Given 1000, then 500 that come in on the evening of the second day, then a loss of 20
    kept = [value(3, "1000"), value(2, "1000"), value(1, "1500")]
    came = [Transfer(noon(2) + timedelta(hours=8), D(500))]
    line = equity_line(kept, came, now=D(1480), today=TODAY, days=3)
    assert line == {day(3): D(1500), day(2): D(1500), day(1): D(1500), day(0): D(1480)}

    # And one of today, before and after what was kept of a day
    went = [*came, Transfer(noon(0), D(-480))]
    assert equity_line(kept, went, now=D(1000), today=TODAY, days=3) == {
        day(3): D(1020),
        day(2): D(1020),
        day(1): D(1020),
        day(0): D(1000),
    }


def test_days_that_were_not_read_have_the_value_before_and_the_first_ones_the_first() -> None:
    line = equity_line([value(4, "10"), value(2, "12")], [], now=D(13), today=TODAY, days=6)
    assert [line[day(back)] for back in range(6, -1, -1)] == [10, 10, 10, 10, 12, 12, 13]


def test_what_was_kept_today_is_not_what_is_now() -> None:
    line = equity_line([value(0, "10")], [], now=D(13), today=TODAY, days=2)
    assert list(line.values()) == [13, 13, 13]

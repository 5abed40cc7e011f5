"""Which moments a trio may be given. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from orders.domain.moments import AHEAD_MAX, moment_problem

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "says"),
    [
        (NOW, "has passed already"),
        (NOW - timedelta(days=1), "has passed already"),
        (NOW + timedelta(milliseconds=1), ""),
        (NOW + AHEAD_MAX, ""),
        (NOW + AHEAD_MAX + timedelta(seconds=1), "more than a hundred years ahead"),
        # PostgreSQL would keep it as a day of the year 10000, which no process can read
        (
            datetime(9999, 12, 31, 23, 59, tzinfo=timezone(-timedelta(hours=23))),
            "more than a hundred years ahead",
        ),
    ],
)
def test_a_moment_is_later_than_now_and_near_enough_to_reckon_with(moment: datetime, says: str) -> None:
    problem = moment_problem(moment, now=NOW)
    assert (says in problem.says()) if problem else (says == "")
    assert bool(says) is bool(problem)

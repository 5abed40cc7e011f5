"""When a person is told."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from notices.domain.kinds import Mode, Severity
from notices.domain.timing import ATTEMPTS_MAX, Hours, due_at, pause_after

PARIS = Hours("Europe/Paris", time(22, 0), time(7, 0), time(8, 30))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "mode", "due"),
    [
        # Paris is an hour ahead in winter, two in summer
        ("2026-11-28 12:00", Mode.AT_ONCE, "2026-11-28 12:00"),
        ("2026-11-28 20:59", Mode.AT_ONCE, "2026-11-28 20:59"),
        ("2026-11-28 21:00", Mode.AT_ONCE, "2026-11-29 06:00"),
        ("2026-11-29 02:00", Mode.AT_ONCE, "2026-11-29 06:00"),
        ("2026-11-29 06:00", Mode.AT_ONCE, "2026-11-29 06:00"),
        ("2026-06-28 20:00", Mode.AT_ONCE, "2026-06-29 05:00"),
        ("2026-11-28 12:00", Mode.DIGEST, "2026-11-29 07:30"),
        ("2026-11-28 02:00", Mode.DIGEST, "2026-11-28 07:30"),
        # The night in which clocks go back is an hour longer
        ("2026-10-24 21:00", Mode.AT_ONCE, "2026-10-25 06:00"),
    ],
)
def test_the_rest_waits_for_the_end_of_quiet_hours_or_the_digest(now: str, mode: Mode, due: str) -> None:
    assert due_at(Severity.NORMAL, mode, PARIS, utc(now)) == utc(due)


@pytest.mark.parametrize("mode", [Mode.AT_ONCE, Mode.DIGEST])
def test_what_matters_waits_for_nothing(mode: Mode) -> None:
    night = utc("2026-11-29 02:00")
    assert due_at(Severity.URGENT, mode, PARIS, night) == night


@pytest.mark.parametrize("severity", Severity)
def test_what_a_person_does_not_want_is_not_told(severity: Severity) -> None:
    assert due_at(severity, Mode.OFF, PARIS, utc("2026-11-28 12:00")) is None


def test_quiet_hours_within_a_day_and_a_digest_that_falls_into_them() -> None:
    siesta = Hours("UTC", time(13, 0), time(15, 0), time(14, 0))
    assert siesta.quiet_ends(utc("2026-11-28 14:59")) == utc("2026-11-28 15:00")
    assert siesta.quiet_ends(utc("2026-11-28 15:00")) is None
    assert due_at(Severity.NORMAL, Mode.DIGEST, siesta, utc("2026-11-28 12:00")) == utc("2026-11-28 15:00")
    assert Hours("UTC", time(9, 0), time(9, 0)).quiet_ends(utc("2026-11-28 09:00")) is None


def test_pauses_grow_and_end() -> None:
    pauses = [pause_after(attempts) for attempts in range(1, ATTEMPTS_MAX + 1)]
    seconds = [None if pause is None else pause / timedelta(seconds=1) for pause in pauses]
    assert seconds == [10, 30, 90, 270, 810, 2430, 3600, None]

"""When income is read: rarely, soon after what makes it, and never in a hurry after a failure."""

from __future__ import annotations

from worker.income_schedule import (
    FIRST_SECONDS,
    HOURLY_SECONDS,
    PAUSE_SECONDS,
    RETRY_SECONDS,
    SOON_SECONDS,
    IncomeSchedule,
    stagger_of,
)

START = 1000.0


def begun(at: float = START + FIRST_SECONDS) -> IncomeSchedule:
    schedule = IncomeSchedule(START)
    schedule.begun(at)
    return schedule


def test_the_first_reading_leaves_time_for_what_protects() -> None:
    schedule = IncomeSchedule(START)
    assert not schedule.is_due(START + FIRST_SECONDS - 1)
    assert schedule.is_due(START + FIRST_SECONDS)


def test_then_it_is_read_hourly() -> None:
    schedule = begun(START)
    schedule.read()
    assert not schedule.is_due(START + HOURLY_SECONDS - 1)
    assert schedule.is_due(START + HOURLY_SECONDS)


def test_soon_after_a_trio_has_ended_once_for_all_that_end_together() -> None:
    schedule = begun(START)
    schedule.read()
    now = START + 600
    for second in range(40):
        schedule.wanted(now + second)
    assert not schedule.is_due(now + SOON_SECONDS - 1)
    assert schedule.is_due(now + SOON_SECONDS)


def test_two_readings_are_never_closer_than_the_pause() -> None:
    schedule = begun(START)
    schedule.read()
    schedule.wanted(START + 1)
    assert not schedule.is_due(START + PAUSE_SECONDS - 1)
    assert schedule.is_due(START + PAUSE_SECONDS)


def test_what_ends_while_it_is_read_wants_another_reading() -> None:
    schedule = begun(START)
    schedule.wanted(START + 2)  # before the reading is done
    schedule.read()
    assert schedule.is_due(START + PAUSE_SECONDS)


def test_after_a_failure_it_waits_ever_longer_or_as_long_as_it_was_asked() -> None:
    schedule = begun(START)
    assert schedule.failed(START, 0.0) == RETRY_SECONDS
    schedule.wanted(START + 1)  # is no reason to try sooner
    assert not schedule.is_due(START + RETRY_SECONDS - 1)
    assert schedule.failed(START, 0.0) == 2 * RETRY_SECONDS
    assert schedule.failed(START, 5000.0) == 5000.0
    for _ in range(20):
        schedule.failed(START, 0.0)
    assert schedule.failed(START, 0.0) == HOURLY_SECONDS


def test_accounts_that_are_funded_together_read_one_after_the_other() -> None:
    staggers = [stagger_of(account_id) for account_id in range(1, 51)]
    assert len(set(staggers)) == 50
    for minute in range(8):
        within = [s for s in staggers if 60 * minute <= s < 60 * (minute + 1)]
        assert 30 * len(within) <= 300  # of 2400 of weight
    schedule = IncomeSchedule(START, stagger=70.0)
    assert not schedule.is_due(START + FIRST_SECONDS + 69)
    schedule.begun(START)
    schedule.wanted(START + 600)
    assert not schedule.is_due(START + 600 + SOON_SECONDS + 69)
    assert schedule.is_due(START + 600 + SOON_SECONDS + 70)

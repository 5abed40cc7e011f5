"""The exchange's clock, read over a line that may be slow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from orders.exchange_data import clock
from orders.models import Clock
from tests.builders import Desk


@pytest.mark.parametrize(
    ("round_trip", "offset", "kept"),
    [
        pytest.param(3000, 1400, True, id="a slow reading that agrees changes nothing"),
        pytest.param(3000, 1700, False, id="a slow one that contradicts is believed"),
        pytest.param(400, 150, False, id="a quick one is believed"),
    ],
)
def test_a_slow_reading_is_worth_less_than_a_quick_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, round_trip: int, offset: int, kept: bool
) -> None:
    # Given an offset of zero that was read within 20 ms
    known = {"offset_ms": 0, "round_trip_ms": 20, "measured_at": timezone.now()}
    Clock.objects.update_or_create(environment="PAPER", defaults=known)

    # When the exchange is asked again over a line of this speed
    moment = timezone.now()
    readings = iter([0, round_trip] * 3)

    class Exchange:
        def server_time(self) -> int:
            return round_trip // 2 + offset

    monkeypatch.setattr(clock, "public_exchange", lambda environment: Exchange())
    monkeypatch.setattr(clock, "to_ms", lambda _: next(readings))
    monkeypatch.setattr(clock, "db_now", lambda: moment)

    # Then it replaces what we know only when it says more
    clock.clock_measure("PAPER")
    row = Clock.objects.get(environment="PAPER")
    assert (row.offset_ms, row.measured_at) == (0 if kept else offset, moment)


@pytest.mark.parametrize(
    ("age_seconds", "measured"),
    [
        pytest.param(1, False, id="young: all accounts share it"),
        pytest.param(100, False, id="read lately"),
        pytest.param(121, True, id="older than two minutes"),
        pytest.param(-3600, True, id="from the future: the database's clock was set back"),
    ],
)
def test_a_sweep_renews_the_clock_when_it_is_old(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, age_seconds: int, measured: bool
) -> None:
    at = clock.db_now() - timedelta(seconds=age_seconds)
    Clock.objects.filter(environment="PAPER").update(measured_at=at)
    asked: list[str] = []
    monkeypatch.setattr(clock, "clock_measure", asked.append)

    clock.clock_renew("PAPER")

    assert asked == (["PAPER"] if measured else [])


def test_one_process_renews_the_clock_for_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock.objects.update(measured_at=clock.db_now() - timedelta(hours=1))
    asked: list[str] = []

    def measure(environment: str) -> None:
        asked.append(environment)
        if len(asked) < 2:  # another sweep comes while the exchange is being asked
            with ThreadPoolExecutor(1) as other:
                other.submit(renew_elsewhere).result()

    def renew_elsewhere() -> None:
        clock.clock_renew("PAPER")
        connection.close()

    monkeypatch.setattr(clock, "clock_measure", measure)
    clock.clock_renew("PAPER")
    assert asked == ["PAPER"]

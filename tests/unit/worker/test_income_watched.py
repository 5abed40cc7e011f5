"""A watched account's income is read by its watch: after a while, after funding and after a trio has ended."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from exchange.types import PositionEvent
from orders.models import IncomeReading
from tests.builders import Desk, until
from tests.unit.worker import test_account_watch as watching
from tests.unit.worker.test_account_watch import Watched
from worker.income_schedule import SOON_SECONDS, IncomeSchedule
from worker.watch_manager import WatchManager

manager = watching.manager


@pytest.fixture
def watched(desk: Desk, manager: WatchManager) -> Watched:
    return Watched(desk, manager).connected()


def schedule(watched: Watched) -> IncomeSchedule:
    found = watched.watch._income._schedule
    found._stagger = 0.0  # of this account
    return found


def read(watched: Watched) -> int:
    """Let the first reading be due; return up to when income was read (exchange ms)."""
    schedule(watched)._due_at = 0.0

    def there() -> IncomeReading | None:
        watched.manager.poll()
        return IncomeReading.objects.filter(account=watched.desk.account).first()

    reading = until(there)
    assert reading is not None
    future = watched.watch._income._reading
    assert future is not None
    future.result(timeout=10)
    return int(reading.read_ts)


def test_income_is_read_in_a_thread_of_its_own_and_not_at_once(watched: Watched) -> None:
    watched.manager.poll()
    assert not IncomeReading.objects.exists()  # what protects goes first
    assert read(watched) > 0
    asked = [entry for entry in watched.desk.simulator.log if entry.path == "/fapi/v1/income"]
    assert len(asked) == 1
    watched.manager.poll()
    assert len([entry for entry in watched.desk.simulator.log if entry.path == "/fapi/v1/income"]) == 1


def test_funding_wants_a_reading_soon_though_it_names_no_position(watched: Watched) -> None:
    read(watched)
    now = time.monotonic()
    assert not schedule(watched).is_due(now + 2 * SOON_SECONDS)
    watched.watch._submit(PositionEvent(positions=(), reason="ORDER", time=1))
    assert not schedule(watched).is_due(now + 2 * SOON_SECONDS)
    watched.watch._submit(PositionEvent(positions=(), reason="FUNDING_FEE", time=1, is_funding=True))
    assert schedule(watched).is_due(now + 2 * SOON_SECONDS)


def test_the_end_of_a_trio_wants_one_too(watched: Watched) -> None:
    read(watched)
    plan = watched.watch._plan
    watched.watch.follow(replace(plan, symbols=frozenset({"BTCUSDT"})))
    assert not schedule(watched).is_due(time.monotonic() + 2 * SOON_SECONDS)
    watched.watch.follow(replace(plan, symbols=frozenset()))
    assert schedule(watched).is_due(time.monotonic() + 2 * SOON_SECONDS)

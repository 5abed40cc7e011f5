"""Income is read by a thread of its own: what is slow or fails there holds up nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from exchange.errors import ExchangeUnavailable
from exchange.rate_limits import Priority, spending_now
from exchange.refusals import Refusal
from worker import income_reading
from worker.income_reading import IncomeReader

ACCOUNT = SimpleNamespace(pk=7)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(income_reading, "close_old_connections", lambda: None)
    monkeypatch.setattr(income_reading, "equity_store", lambda account: None)


def reader(pool: ThreadPoolExecutor) -> IncomeReader:
    """Return one whose first reading is due."""
    found = IncomeReader(ACCOUNT, pool)  # type: ignore[arg-type]
    found._schedule._due_at = 0.0
    return found


def done(found: IncomeReader) -> None:
    assert found._reading is not None
    found._reading.result(timeout=5)


def test_a_reading_that_hangs_holds_up_nobody(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, readings = threading.Event(), []

    def slow(account: object) -> SimpleNamespace:
        readings.append(spending_now().priority)
        go.wait(5)
        return SimpleNamespace(differences={})

    monkeypatch.setattr(income_reading, "income_read", slow)
    found = reader(pool)
    began = time.monotonic()
    for _ in range(50):
        found.poll()
        found.want()
    assert time.monotonic() - began < 0.5
    go.set()
    done(found)
    assert readings == [Priority.WATCH]  # once, and charged as watching is


@pytest.mark.parametrize(
    "error",
    [ExchangeUnavailable("no", refusal=Refusal.RATE_WEIGHT, words="no", wait_ms=1000), ValueError("odd")],
    ids=["held back", "broken"],
)
def test_what_fails_is_tried_again_later_and_never_raises(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(account: object) -> None:
        raise error

    monkeypatch.setattr(income_reading, "income_read", fails)
    found = reader(pool)
    found.poll()
    done(found)
    assert not found._schedule.is_due(time.monotonic())

"""Who watches an account: one process at a time, and never one that cannot reach it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from django.conf import settings

from accounts import endpoints
from exchange.types import Endpoints
from orders.models import Watch
from tests.builders import Desk, until
from worker import account_watch
from worker.watch_manager import WatchManager


@pytest.fixture
def managers() -> Iterator[list[WatchManager]]:
    made: list[WatchManager] = []
    yield made
    for manager in made:
        manager.stop()
    gc.collect()  # closes the database connections of threads that have ended


def holder(desk: Desk) -> str:
    return Watch.objects.get(account=desk.account).holder


def test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale(
    desk: Desk, managers: list[WatchManager]
) -> None:
    Watch.objects.all().delete()
    first = WatchManager(advance=lambda _: None, holder="first")
    second = WatchManager(advance=lambda _: None, holder="second")
    managers += [first, second]

    first.poll()
    second.poll()
    assert holder(desk) == "first"
    # Nor does one get it that saw it free just before the first took it
    assert not second._take(desk.account.pk)
    assert holder(desk) == "first"

    # When the first falls silent, as a killed or paused process does, the second takes over
    def taken_over() -> bool:
        second.poll()
        return holder(desk) == "second"

    until(taken_over, seconds=5)
    first.poll()
    assert not first._held, "the first must let go: its beat no longer matches the row"


def test_a_released_watch_is_taken_at_once(desk: Desk, managers: list[WatchManager]) -> None:
    Watch.objects.all().delete()
    first = WatchManager(advance=lambda _: None, holder="first")
    second = WatchManager(advance=lambda _: None, holder="second")
    managers.append(second)

    first.poll()
    first.stop()
    second.poll()
    assert holder(desk) == "second"


def test_a_process_that_cannot_reach_an_account_releases_it(
    desk: Desk, managers: list[WatchManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that cannot reach the exchange
    monkeypatch.setattr(account_watch, "STALE_SECONDS", 0.3)
    monkeypatch.setitem(settings.BINANCE_URLS, "PAPER", Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1"))
    endpoints.use_transport("PAPER", None)
    Watch.objects.all().delete()
    cut_off = WatchManager(advance=lambda _: None, holder="cut off")
    managers.append(cut_off)

    # When it has failed for a while
    def released() -> bool:
        cut_off.poll()
        return Watch.objects.get(account=desk.account).beat is None

    until(released, seconds=15)

    # Then it says why, keeps off for a moment, and another may take it
    assert "could not be read" in Watch.objects.get(account=desk.account).note
    cut_off.poll()
    other = WatchManager(advance=lambda _: None, holder="other")
    managers.append(other)
    other.poll()
    assert holder(desk) == "other"

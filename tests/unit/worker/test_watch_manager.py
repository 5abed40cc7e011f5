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
from worker.watch_manager import Watcher


@pytest.fixture
def watchers() -> Iterator[list[Watcher]]:
    made: list[Watcher] = []
    yield made
    for watcher in made:
        watcher.stop()
    gc.collect()  # ended threads drop their database connections


def holder(desk: Desk) -> str:
    return Watch.objects.get(account=desk.account).holder


def test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale(
    desk: Desk, watchers: list[Watcher]
) -> None:
    Watch.objects.all().delete()
    first = Watcher(call=lambda _: None, holder="first")
    second = Watcher(call=lambda _: None, holder="second")
    watchers += [first, second]

    first.beat()
    second.beat()
    assert holder(desk) == "first"
    # nor by one who saw it free a moment before the first took it
    assert not second._take(desk.account.pk)
    assert holder(desk) == "first"

    # the first falls silent, as a killed or paused process does
    def taken_over() -> bool:
        second.beat()
        return holder(desk) == "second"

    until(taken_over, seconds=5)
    first.beat()
    assert not first._held, "whose beat matches no row drops its stream"


def test_a_watch_given_back_is_taken_at_once(desk: Desk, watchers: list[Watcher]) -> None:
    Watch.objects.all().delete()
    first = Watcher(call=lambda _: None, holder="first")
    second = Watcher(call=lambda _: None, holder="second")
    watchers.append(second)

    first.beat()
    first.stop()
    second.beat()
    assert holder(desk) == "second"


def test_who_cannot_reach_an_account_lets_another_try(
    desk: Desk, watchers: list[Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process whose way to the exchange is cut
    monkeypatch.setattr(account_watch, "USELESS_SECONDS", 0.3)
    monkeypatch.setitem(settings.BINANCE_URLS, "PAPER", Endpoints("http://127.0.0.1:1", "ws://127.0.0.1:1"))
    endpoints.use_transport("PAPER", None)
    Watch.objects.all().delete()
    cut_off = Watcher(call=lambda _: None, holder="cut off")
    watchers.append(cut_off)

    # When it has failed for a while
    def given_back() -> bool:
        cut_off.beat()
        return Watch.objects.get(account=desk.account).beat is None

    until(given_back, seconds=15)

    # Then it says why, leaves it alone for a moment, and another may take it
    assert "could not be read" in Watch.objects.get(account=desk.account).note
    cut_off.beat()
    other = Watcher(call=lambda _: None, holder="other")
    watchers.append(other)
    other.beat()
    assert holder(desk) == "other"

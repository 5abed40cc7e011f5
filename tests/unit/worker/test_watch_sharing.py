"""Accounts are shared out among runworkers: one at a time, never one on which a trio lives, never to two at once."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import ExchangeAccount
from accounts.services import account_add
from exchange.types import Connected
from orders.exchange_data.clock import db_now
from orders.models import Heartbeat, Watch
from tests.builders import WATCH, Desk, until
from worker import account_watch, watch_sharing
from worker.watch_manager import WatchManager
from worker.watch_sharing import Sharing, Standing, standing_read

ACCOUNTS = 6


class ConnectedStream:
    """A stream that connects and says nothing more."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def events(self) -> AsyncGenerator[Any, None]:
        yield Connected()
        await asyncio.Event().wait()


class Runworker:
    """What is told apart of one here: its heartbeat and its watches."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.manager = WatchManager(advance=lambda _: None, holder=name, shares=True)

    def poll(self) -> None:
        now = db_now()
        Heartbeat.objects.update_or_create(
            process=self.name,
            defaults={"beat": now},
            create_defaults={"beat": now, "started_at": now, "shares": True},
        )
        self.manager.poll()

    @property
    def held(self) -> set[int]:
        return set(self.manager._held)


@pytest.fixture
def workers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Runworker]]:
    monkeypatch.setattr(account_watch, "user_stream", ConnectedStream)
    monkeypatch.setattr(watch_sharing, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(watch_sharing, "PAUSE_SECONDS_MAX", 0.02)
    Watch.objects.all().delete()
    made: list[Runworker] = []

    def runworker(name: str) -> Runworker:
        made.append(Runworker(name))
        return made[-1]

    yield runworker
    for worker in made:
        worker.manager.stop()
    gc.collect()  # closes the database connections of threads that have ended


@pytest.fixture
def accounts(desk: Desk) -> list[int]:
    """Return six accounts, the desk's own the first."""
    for number in range(1, ACCOUNTS):
        key, secret = f"{number}" * 64, f"{number + 1}" * 64
        desk.simulator.add_account(f"desk-{number}", key, secret, balance="1000", position_mode="ONE_WAY")
        account_add(name=f"desk-{number}", environment="PAPER", api_key=key, api_secret=secret)
    return list(ExchangeAccount.objects.values_list("pk", flat=True))


def unwatched(accounts: list[int]) -> set[int]:
    return set(accounts) - set(Watch.objects.filter(beat__isnull=False).values_list("account_id", flat=True))


def holding_all(worker: Runworker, accounts: list[int]) -> None:
    def ready() -> bool:
        worker.poll()
        return worker.held == set(accounts) and worker.manager.is_ready

    until(ready, every=0.05)


def test_a_newcomer_gets_its_share_one_account_at_a_time(
    accounts: list[int], workers: Callable[[str], Runworker]
) -> None:
    # Given a runworker that watches all there is
    first = workers("first")
    holding_all(first, accounts)

    # When another one starts
    second = workers("second")
    most = passes = 0

    def shared() -> bool:
        nonlocal most, passes
        passes += 1
        for worker in (first, second) if passes % 3 == 1 else (first,):  # it is slow to take them
            worker.poll()
            # Then never do two hold one, and one at most is on its way
            assert not first.held & second.held
            most = max(most, len(unwatched(accounts)))
        return len(first.held) == len(second.held) == ACCOUNTS // 2

    until(shared, every=0.05, why=lambda: f"{len(first.held)} and {len(second.held)}")
    assert most == 1

    # And it stays so
    holding_all(second, list(second.held))
    halves = first.held, second.held
    for _ in range(10):
        first.poll()
        second.poll()
    assert (first.held, second.held) == halves


def test_where_a_trio_lives_nothing_changes_hands(
    desk: Desk, accounts: list[int], workers: Callable[[str], Runworker]
) -> None:
    # Given a trio that waits to be placed, on an account of a runworker that has all
    first = workers("first")
    holding_all(first, accounts)
    desk.queued(desk.a_trio())
    second = workers("second")
    shown = first.manager._held[desk.account.pk]
    first.manager._plans_at = time.monotonic() + 60  # it has not heard yet that one lives there
    assert shown.is_idle

    # Then that account is not given up, and the others are
    assert not first.manager._given_up(desk.account.pk, shown)

    def shared() -> bool:
        first.poll()
        second.poll()
        return len(second.held) == ACCOUNTS // 2

    until(shared, every=0.05)
    assert desk.account.pk in first.held


def test_those_that_start_together_share_from_the_start(
    accounts: list[int], workers: Callable[[str], Runworker]
) -> None:
    first, second = workers("first"), workers("second")

    def all_taken() -> bool:
        first.poll()
        second.poll()
        return not unwatched(accounts)

    until(all_taken, every=0.01)
    assert len(first.held) == len(second.held) == ACCOUNTS // 2


def test_what_another_leaves_lying_is_taken_beyond_the_share(
    accounts: list[int], workers: Callable[[str], Runworker]
) -> None:
    # Given a runworker that lives and takes nothing
    idler = workers("idler")
    first = workers("first")

    # Then its part is left to it for a moment, and no longer
    def all_taken() -> bool:
        now = db_now()
        Heartbeat.objects.update_or_create(
            process=idler.name, defaults={"beat": now, "started_at": now, "shares": True}
        )
        first.poll()
        return first.held == set(accounts)

    began = time.monotonic()
    until(all_taken, every=0.02)
    assert time.monotonic() - began >= watch_sharing.LEFT_SECONDS


def test_the_dead_have_no_share(accounts: list[int], workers: Callable[[str], Runworker]) -> None:
    first, second = workers("first"), workers("second")

    def shared() -> bool:
        first.poll()
        second.poll()
        return len(first.held) == len(second.held) == ACCOUNTS // 2

    until(shared, every=0.02)
    assert standing_read([], stale_ms=1000).share == ACCOUNTS // 2

    # When one has not beaten for a while
    long_ago = db_now() - timedelta(seconds=2)
    Heartbeat.objects.filter(process="second").update(beat=long_ago)
    Watch.objects.filter(holder="second").update(beat=long_ago)

    # Then the other may have all, and takes them at once
    assert standing_read([], stale_ms=1000).share == ACCOUNTS
    first.poll()
    assert first.held == set(accounts)


def test_one_that_will_soon_end_counts_for_nothing(desk: Desk, workers: Callable[[str], Runworker]) -> None:
    desk.beat()  # as ``smoke_order`` and ``runworker --once`` do
    assert not Heartbeat.objects.get(process=WATCH).shares
    Watch.objects.all().delete()
    first = workers("first")
    first.poll()
    assert standing_read([], stale_ms=1000).sharers == 1


def test_what_comes_back_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    sharing = Sharing(clock=lambda: now)
    alone = Standing(free=[], living=[], unwanted=[], accounts=6, sharers=2)
    assert sharing.gives(alone, held=6)
    sharing.gave(7)

    # When nobody took it within a moment, and it is taken again
    now = 1.0
    assert sharing.takes(alone._replace(free=[7]), held=5, well=True) == []
    now = 3.0
    with caplog.at_level(logging.WARNING):
        assert sharing.takes(alone._replace(free=[7]), held=5, well=True) == [7]
    assert "came back" in caplog.text

    # Then nothing is given up for some minutes
    assert not sharing.gives(alone, held=6)
    now = 3.0 + watch_sharing.KEEP_SECONDS
    assert sharing.gives(alone, held=6)


def test_a_living_trio_is_left_to_others_for_a_shorter_moment() -> None:
    now = 0.0
    sharing = Sharing(clock=lambda: now)
    standing = Standing(free=[1, 2], living=[1], unwanted=[], accounts=4, sharers=2)
    assert sharing.takes(standing, held=2, well=True) == []
    now = watch_sharing.LEFT_LIVING_SECONDS
    assert sharing.takes(standing, held=2, well=True) == [1]


def test_who_does_not_reach_its_accounts_leaves_others_theirs() -> None:
    sharing = Sharing(clock=lambda: 0.0)
    standing = Standing(free=[1], living=[1], unwanted=[], accounts=4, sharers=2)
    assert sharing.takes(standing, held=0, well=False) == []
    assert sharing.takes(standing, held=0, well=True) == [1]

"""Who watches an account: one process at a time, and never one that cannot reach it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts import endpoints
from accounts.models import Credential, ExchangeAccount
from accounts.services import account_test
from exchange.types import Endpoints
from orders.exchange_data.clock import db_now
from orders.models import Watch
from orders.selectors import sweep_plans
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


# --- an account whose key is dead ---------------------------------------------------------------


def kill_key(desk: Desk) -> None:
    del desk.simulator.ex.by_key[desk.api_key]


def under_way_is_done(*managers: WatchManager) -> None:
    """Wait until what these processes asked before they gave an account back is answered."""
    for manager in managers:
        pools = manager._pools
        together = threading.Barrier(pools.sweeps._max_workers + 1)
        for _ in range(
            pools.sweeps._max_workers
        ):  # one for each thread: it comes when its last sweep is over
            pools.sweeps.submit(together.wait, 10)
        together.wait(10)
        pools.settings_checks.submit(lambda: None).result(10)


def tried_and_given_back(desk: Desk, *managers: WatchManager) -> int:
    """Have these processes poll until the account is given back; return how long nobody may try it then."""

    def given_back() -> Watch | None:
        for manager in managers:
            manager.poll()
        return Watch.objects.filter(account=desk.account, beat=None, retry_at__isnull=False).first()

    watch: Watch = until(given_back, seconds=10)
    assert watch.retry_at is not None
    assert watch.failed_at is not None
    return round((watch.retry_at - watch.failed_at).total_seconds())


def test_a_dead_key_is_tried_ever_more_rarely_by_all_processes_together(
    desk: Desk, managers: list[WatchManager]
) -> None:
    # Given an account whose key the exchange no longer knows, and two processes
    kill_key(desk)
    Watch.objects.all().delete()
    managers += [WatchManager(advance=lambda _: None, holder=name) for name in ("first", "second")]

    # When ten minutes pass (each pause is noted, then cut short)
    before, pauses = len(desk.simulator.log), list[int]()
    while sum(pauses) < 600:
        Watch.objects.update(retry_at=db_now())
        pauses.append(tried_and_given_back(desk, *managers))
        under_way_is_done(*managers)
        asked = len(desk.simulator.log)
        for manager in managers * 3:
            manager.poll()
        assert len(desk.simulator.log) == asked, "nobody may ask within the pause"

    # Then it was asked for little more than once a minute, and it says why
    assert pauses == [5, 10, 20, 40, 80, 160, 320]
    assert len(desk.simulator.log) - before <= 14
    assert "refuses the account's API key" in Watch.objects.get(account=desk.account).note

    # And it stretches nobody's intervals
    assert sweep_plans() == {}


@pytest.mark.parametrize("mend", ["replaced", "checked"])
def test_a_key_that_a_person_has_mended_is_tried_at_once(
    desk: Desk, managers: list[WatchManager], mend: str
) -> None:
    alive = desk.simulator.ex.by_key[desk.api_key]
    kill_key(desk)
    Watch.objects.all().delete()
    manager = WatchManager(advance=lambda _: None, holder="the only one")
    managers.append(manager)
    tried_and_given_back(desk, manager)
    Watch.objects.update(failures=8, retry_at=db_now() + timedelta(minutes=10))
    manager.poll()
    assert holder(desk) == "the only one"
    assert not manager._held

    desk.simulator.ex.by_key[desk.api_key] = alive
    if mend == "replaced":
        Credential.objects.get(account=desk.account).save()
    else:
        account_test(desk.account)
    manager.poll()

    assert list(manager._held) == [desk.account.pk]
    assert Watch.objects.get(account=desk.account).failures == 0


def test_where_a_trio_lives_a_refused_key_is_tried_each_minute(
    desk: Desk, managers: list[WatchManager]
) -> None:
    desk.placed(desk.a_trio())
    kill_key(desk)
    Watch.objects.update(beat=None, failures=9)
    manager = WatchManager(advance=lambda _: None, holder="the only one")
    managers.append(manager)
    assert tried_and_given_back(desk, manager) == 60


def test_a_hundred_dead_accounts_cost_next_to_nothing(desk: Desk, managers: list[WatchManager]) -> None:
    # Given a hundred accounts that were tried lately and are dead
    for number in range(100):
        dead = ExchangeAccount.objects.create(
            name=f"dead-{number}", environment="PAPER", position_mode="ONE_WAY", key_hash=f"{number}"
        )
        Credential.objects.create(account=dead, api_key=f"key-{number}", api_secret="secret")
        now = db_now()
        Watch.objects.create(account=dead, failures=8, failed_at=now, retry_at=now + timedelta(minutes=10))
    manager = WatchManager(advance=lambda _: None, holder="the only one")
    managers.append(manager)
    manager.poll()
    before = len(desk.simulator.log)

    # When a process polls
    with CaptureQueriesContext(connection) as asked:
        manager.poll()

    # Then none of them costs a request, and all of them two statements
    assert len(asked) <= 4
    assert {entry.account for entry in desk.simulator.log[before:]} <= {"desk", ""}
    assert not [account_id for account_id in manager._held if account_id != desk.account.pk]

"""A worker when things go wrong: slow answers, broken streams, a database that goes away."""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from accounts.gateways import exchange_for
from exchange.binance.mapping.user_events import read_user_event
from exchange.types import Connected, Disconnected
from orders.domain.enums import LegState, Protection, Role
from orders.models import TrioOrder, Watch
from tests.builders import Desk, story, the, until
from tests.unit.worker.streams import FakeStream
from worker import account_watch
from worker.account_watch import AccountWatch
from worker.due_poll import AdvancePool, advance_due
from worker.pools import WatchPools
from worker.sweep import sweep_and_record
from worker.watch_manager import WatchManager


@pytest.fixture
def pool() -> Iterator[AdvancePool]:
    made = AdvancePool()
    yield made
    made.stop()
    gc.collect()  # closes the database connections of threads that have ended


def covered(trio: TrioOrder) -> bool:
    return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()


def test_cover_does_not_wait_for_the_entrys_answer(desk: Desk, pool: AdvancePool) -> None:
    # Given an exchange that fills at once and takes three seconds to answer, and a single worker
    desk.simulator.fault({"path": "/fapi/v1/order", "type": "MARKET"}, {"do": "delay", "ms": 3000})
    trio = desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    began = time.monotonic()
    pool.submit(trio.pk)

    # When the stream reports the fill before the answer is there
    def one_pass() -> bool:
        desk.beat()
        desk.hear()
        advance_due(pool)
        return covered(trio)

    until(one_pass, seconds=2.5, why=lambda: f"no stop: {story(trio)}")

    # Then the stop rests long before, and the late answer does no harm
    assert time.monotonic() - began < 2.0, story(trio)
    until(lambda: pool.is_idle, seconds=8)
    assert the(trio).state == "OPEN", story(trio)
    assert trio.legs.filter(role=Role.ENTRY).count() == 1


def test_a_row_that_a_hanging_process_holds_delays_no_other_symbols_news(desk: Desk) -> None:
    # Given two trios of one account that wait for their entries
    held = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    other = desk.placed(
        desk.a_trio(
            "ETHUSDT",
            entry_type="LIMIT",
            price=D("2000"),
            quantity=D("0.1"),
            stop_loss=D("1800"),
            take_profit=D("2500"),
        )
    )
    pools = WatchPools()
    watch = AccountWatch(desk.account, "test", pools=pools, advance=lambda _: None)
    release, locked = threading.Event(), threading.Event()

    def hang() -> None:
        with transaction.atomic():
            TrioOrder.objects.select_for_update().get(pk=held.pk)
            locked.set()
            release.wait(10)
        connection.close()

    # When both fill while a process that hangs holds the row of the first
    paused = threading.Thread(target=hang)
    paused.start()
    try:
        assert locked.wait(5)
        desk.simulator.set_price("BTCUSDT", D("98999"))
        desk.simulator.set_price("ETHUSDT", D("1999"))
        for body in desk.simulator.drain_events(desk.api_key):
            if (event := read_user_event(body)) is not None:
                watch._submit(event)

        # Then the other's fill is booked all the same
        until(lambda: other.fills.exists(), seconds=5, why="the event of the other symbol waits")
        assert not held.fills.exists()
    finally:
        release.set()
        paused.join()
        pools.shutdown()
        gc.collect()
    assert held.fills.exists(), "the first one's must be, as soon as its row was free"


# --- the watch ----------------------------------------------------------------------------------


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> type[FakeStream]:
    FakeStream.made = queue.Queue()
    monkeypatch.setattr(account_watch, "user_stream", FakeStream)
    return FakeStream


@pytest.fixture
def manager(desk: Desk, stream: type[FakeStream]) -> Iterator[WatchManager]:
    Watch.objects.all().delete()
    made = WatchManager(advance=lambda _: None, holder="the only one")
    yield made
    made.stop()
    gc.collect()


def held(manager: WatchManager, desk: Desk) -> AccountWatch:
    return manager._held[desk.account.pk]


def ready(manager: WatchManager, *, seconds: float = 10) -> None:
    """Poll until every account held has been swept since its stream connected."""

    def one_pass() -> bool:
        manager.poll()
        return manager.is_ready

    until(one_pass, seconds=seconds)


def stream_since(desk: Desk) -> Any:
    return Watch.objects.get(account=desk.account).stream_since


def test_a_stream_that_breaks_off_for_a_moment_keeps_its_watch(
    desk: Desk, manager: WatchManager, stream: type[FakeStream]
) -> None:
    # Given a watch in good order that last reached the account ten seconds ago
    stream.made.put(Connected())
    manager.poll()
    ready(manager)
    watch = held(manager, desk)
    watch._reached_at -= 10

    # When its stream breaks off
    stream.made.put(Disconnected("closed after a day", retry_in=0.2))
    until(lambda: watch.problem)
    manager.poll()

    # Then the watch is kept, and in good order again as soon as the stream is
    assert manager._held.get(desk.account.pk) is watch
    stream.made.put(Connected())
    ready(manager)
    until(lambda: not watch.problem, why=lambda: f"it still has a problem: {watch.problem}")
    assert stream_since(desk) is not None


def test_a_stream_that_connects_during_a_sweep_is_followed_by_another(
    desk: Desk, manager: WatchManager, stream: type[FakeStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a sweep that began before the stream was connected
    begun, go_on = threading.Event(), threading.Event()
    really = sweep_and_record

    def slow(*args: Any, **kwargs: Any) -> Any:
        if not begun.is_set():
            begun.set()
            go_on.wait(timeout=10)
        return really(*args, **kwargs)

    monkeypatch.setattr(account_watch, "CONNECT_SECONDS", 0.0)
    monkeypatch.setattr(account_watch, "sweep_and_record", slow)
    manager.poll()
    assert begun.wait(timeout=5)
    stream.made.put(Connected())
    until(lambda: stream_since(desk))
    go_on.set()

    # Then what happened in between is found at once, not with the next regular sweep
    ready(manager, seconds=5)


def test_a_stream_whose_start_meets_a_lost_database_connects_all_the_same(
    desk: Desk, manager: WatchManager, stream: type[FakeStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that goes away just when the account's key is read
    monkeypatch.setattr(account_watch, "RETRY_SECONDS", 0.05)
    really, failures = exchange_for, iter([OperationalError("server closed the connection")])

    def read(account_id: int) -> Any:
        if threading.current_thread().name.startswith("asyncio"):
            for failure in failures:
                raise failure
        return really(account_id)

    monkeypatch.setattr(account_watch, "exchange_for", read)
    stream.made.put(Connected())
    manager.poll()

    # Then the stream is connected in the end
    until(lambda: stream_since(desk), seconds=5)


def test_the_next_sweep_corrects_what_the_row_says_of_the_stream(
    desk: Desk, manager: WatchManager, stream: type[FakeStream]
) -> None:
    # Given a stream that connected while the database was away, so that it could not be recorded
    stream.made.put(Connected())
    manager.poll()
    ready(manager)
    Watch.objects.update(stream_since=None)

    # When the account is swept
    held(manager, desk)._note_gap()
    manager.poll()

    # Then new trios can be placed on the account again
    until(lambda: stream_since(desk), seconds=5)

"""A worker in bad weather: slow answers, cut streams, a database that goes away."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal as D
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from accounts.gateways import exchange_for
from exchange.binance.events import user_event
from exchange.types import Connected, Disconnected
from orders.domain.enums import LegState, Protection, Role
from orders.models import TrioOrder, Watch
from tests.builders import Desk, story, the, until
from worker import account_watch
from worker.account_watch import AccountWatch
from worker.due_poll import AdvancePool, advance_due
from worker.pools import WatchPools
from worker.sweep import sweep_and_note
from worker.watch_manager import Watcher


@pytest.fixture
def pool() -> Iterator[AdvancePool]:
    made = AdvancePool()
    yield made
    made.stop()
    gc.collect()  # ended threads drop their database connections


def covered(trio: TrioOrder) -> bool:
    return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()


def test_cover_does_not_wait_for_the_entrys_answer(desk: Desk, pool: AdvancePool) -> None:
    # Given an exchange that fills at once and takes three seconds to answer, and a single worker
    desk.simulator.fault({"path": "/fapi/v1/order", "type": "MARKET"}, {"do": "delay", "ms": 3000})
    trio = desk.queued(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    began = time.monotonic()
    pool.submit(trio.pk)

    # When the stream tells the fill before the answer is there
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
    watch = AccountWatch(desk.account, "test", pools=pools, call=lambda _: None)
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
            if (event := user_event(body)) is not None:
                watch._take_in(event)

        # Then the other's fill is booked all the same
        until(lambda: other.fills.exists(), seconds=5, why="the news of the other symbol waits")
        assert not held.fills.exists()
    finally:
        release.set()
        paused.join()
        pools.shutdown()
        gc.collect()
    assert held.fills.exists(), "and the first one's as soon as its row was free"


# --- the watch ----------------------------------------------------------------------------------


class TheStream:
    """A user stream that says what the test says."""

    said: queue.Queue[Any]

    def __init__(self, *_: object, **__: object) -> None:
        pass

    async def events(self) -> AsyncGenerator[Any, None]:
        while True:
            try:
                yield self.said.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.01)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> type[TheStream]:
    TheStream.said = queue.Queue()
    monkeypatch.setattr(account_watch, "user_stream", TheStream)
    return TheStream


@pytest.fixture
def watcher(desk: Desk, stream: type[TheStream]) -> Iterator[Watcher]:
    Watch.objects.all().delete()
    made = Watcher(call=lambda _: None, holder="the only one")
    yield made
    made.stop()
    gc.collect()


def held(watcher: Watcher, desk: Desk) -> AccountWatch:
    return watcher._held[desk.account.pk]


def in_order(watcher: Watcher, *, seconds: float = 10) -> None:
    """Beat until everything held has been swept since its stream connected."""

    def one_pass() -> bool:
        watcher.beat()
        return watcher.ready

    until(one_pass, seconds=seconds)


def stream_since(desk: Desk) -> Any:
    return Watch.objects.get(account=desk.account).stream_since


def test_a_stream_that_breaks_off_for_a_moment_keeps_its_watch(
    desk: Desk, watcher: Watcher, stream: type[TheStream]
) -> None:
    # Given a watch in good order, last swept ten seconds ago
    stream.said.put(Connected())
    watcher.beat()
    in_order(watcher)
    watch = held(watcher, desk)
    watch._reached_at -= 10

    # When its stream breaks off
    stream.said.put(Disconnected("closed after a day", retry_in=0.2))
    until(lambda: watch.trouble)
    watcher.beat()

    # Then it is held on to, and back in order as soon as the stream is
    assert watcher._held.get(desk.account.pk) is watch
    stream.said.put(Connected())
    in_order(watcher)
    until(lambda: not watch.trouble, why=lambda: f"it is still troubled: {watch.trouble}")
    assert stream_since(desk) is not None


def test_a_stream_that_connects_during_a_sweep_is_followed_by_another(
    desk: Desk, watcher: Watcher, stream: type[TheStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a sweep that was begun before the stream was connected
    begun, go_on = threading.Event(), threading.Event()
    really = sweep_and_note

    def slow(*args: Any, **kwargs: Any) -> Any:
        if not begun.is_set():
            begun.set()
            go_on.wait(timeout=10)
        return really(*args, **kwargs)

    monkeypatch.setattr(account_watch, "sweep_and_note", slow)
    watcher.beat()
    assert begun.wait(timeout=5)
    stream.said.put(Connected())
    until(lambda: stream_since(desk))
    go_on.set()

    # Then what happened in between is looked for at once, not with the next round
    in_order(watcher, seconds=5)


def test_a_database_lost_while_a_stream_begins_does_not_leave_the_account_deaf(
    desk: Desk, watcher: Watcher, stream: type[TheStream], monkeypatch: pytest.MonkeyPatch
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
    stream.said.put(Connected())
    watcher.beat()

    # Then the stream is connected all the same
    until(lambda: stream_since(desk), seconds=5)


def test_what_the_row_says_of_the_stream_is_set_right_by_the_next_sweep(
    desk: Desk, watcher: Watcher, stream: type[TheStream]
) -> None:
    # Given a stream that connected while the database was away, so that nobody could be told
    stream.said.put(Connected())
    watcher.beat()
    in_order(watcher)
    Watch.objects.update(stream_since=None)

    # When the account is swept
    held(watcher, desk)._missed()
    watcher.beat()

    # Then the account can be placed on again
    until(lambda: stream_since(desk), seconds=5)

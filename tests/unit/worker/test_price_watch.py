"""When the price reaches an order's level and no event comes, the order is read."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from exchange.types import Connected, PriceKind, PriceTick
from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.exchange_data.clock import db_now
from orders.models import Slot, TrioOrder
from tests.builders import Desk, story, the, until
from worker.price_watch import PriceWatch

D = Decimal


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    gc.collect()


class Prices:
    """A price watch whose clock and prices the test decides."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 0.0
        self.desk = desk
        self.watch = PriceWatch(
            "PAPER", accounts=lambda: [desk.account.pk], loop=loop, clock=lambda: self.now
        )

    def poll(self, *, after: float = 1.0) -> None:
        self.now += after
        self.watch.poll()
        self._finish()

    def _finish(self) -> None:
        self.watch._pool.submit(lambda: None).result(timeout=5)
        assert self.watch._reads.wait_until_idle(timeout=5)
        assert self.watch._follows.wait_until_idle(timeout=5)

    def begin(self, trio: TrioOrder) -> None:
        """Watch a resting entry, its price coming in, until it has had the one read that every entry gets."""
        self.poll()
        self.hear("99900")
        assert trio.legs.get(role=Role.ENTRY).look_at is not None

        def read() -> bool:
            self.desk.carry()
            return trio.legs.get(role=Role.ENTRY).look_at is None

        until(read, why=lambda: story(trio))

    def hear(self, price: str, kind: PriceKind = PriceKind.LAST) -> None:
        self.watch.handle(PriceTick("BTCUSDT", kind, D(price), 2_000_000_000_000))
        self._finish()


@pytest.fixture
def prices(desk: Desk, loop: asyncio.AbstractEventLoop) -> Iterator[Prices]:
    made = Prices(desk, loop)
    yield made
    made.watch.stop()


def test_a_fill_before_the_price_was_ever_heard_is_found(desk: Desk, prices: Prices) -> None:
    # Given an entry that trades as soon as it rests, and a silent user stream
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    # When its price is watched only now, and nothing trades any more
    prices.poll()

    # Then the order is read once, and the position covered
    desk.carry_until(trio, "OPEN", seconds=3)


def test_a_resting_entry_is_read_once(desk: Desk, prices: Prices) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)

    prices.hear("99500")
    prices.poll()

    assert trio.legs.get(role=Role.ENTRY).look_at is None


def test_a_fill_between_that_read_and_the_first_price_is_found(desk: Desk, prices: Prices) -> None:
    # Given a resting entry that was read once, before any price of its symbol came in
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.poll()
    until(lambda: desk.carry() or trio.legs.get(role=Role.ENTRY).look_at is None, why=lambda: story(trio))  # type: ignore[func-returns-value]

    # When it trades in silence, and the first price is far from its level again
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")
    desk.simulator.set_price("BTCUSDT", "99500")
    prices.hear("99500")

    # Then it is read once more, and the position covered
    desk.carry_until(trio, "OPEN", seconds=3)


def test_a_price_that_comes_in_again_after_nothing_was_watched_counts_as_the_first(
    desk: Desk, prices: Prices
) -> None:
    # Given an entry that was watched, and has ended
    first = desk.placed(
        desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL)
    )
    prices.begin(first)
    services.trio_cancel(trio_id=first.pk, by="test")
    desk.carry_until(first, "CANCELLED")
    prices.poll()

    # When another one rests, is read, and its first price comes in
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.poll()
    until(lambda: desk.carry() or trio.legs.get(role=Role.ENTRY).look_at is None, why=lambda: story(trio))  # type: ignore[func-returns-value]
    prices.hear("99500")

    # Then it is read once more
    assert trio.legs.get(role=Role.ENTRY).look_at is not None


def test_a_fill_the_stream_hides_is_found_by_the_price_within_the_bound(desk: Desk, prices: Prices) -> None:
    # Given a resting entry, and a user stream that has gone silent
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    # When a trade at its level is heard
    prices.hear("98990")

    # Then the order is read, and the position covered
    desk.carry_until(trio, "OPEN", seconds=3)

    def covered() -> bool:
        desk.carry()
        return trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED).exists()

    until(covered, why=lambda: story(trio))
    desk.carry()
    assert the(trio).uncovered_longest_ms <= 2000, story(trio)


def test_old_news_does_not_save_the_read(desk: Desk, prices: Prices) -> None:
    # Given a resting entry that is to be read once, before the exchange has told that it rests
    trio = desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL)
    desk.queued(trio)
    desk.advance(trio)
    prices.poll()
    called_for = trio.legs.get(role=Role.ENTRY).look_at
    assert called_for is not None

    # When it is told at last, and nothing after that
    assert desk.hear() > 0
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    # Then the order is read all the same, and the position covered
    assert trio.legs.get(role=Role.ENTRY).look_at == called_for
    desk.carry_until(trio, "OPEN", seconds=3)


def test_a_level_reached_while_the_order_is_being_read_has_it_read_again(
    desk: Desk, prices: Prices, settings: Any
) -> None:
    # Given a resting entry whose one read is answered late
    settings.PROTECT_TIMEOUT_MS = 2000
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.poll()
    prices.hear("99900")
    desk.deaf = True
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v1/order"}, {"do": "delay", "ms": 400}, occurrence=1
    )
    called_for = trio.legs.get(role=Role.ENTRY).look_at
    assert called_for is not None
    until(lambda: called_for <= db_now())
    reading = threading.Thread(target=in_thread, args=(desk, trio))
    reading.start()
    until(lambda: trio.legs.get(role=Role.ENTRY).looking_since is not None, why=lambda: story(trio))
    until(lambda: desk.requests("GET", "/fapi/v1/order"), why="the read has left")

    # When it fills while the answer is on its way, and only its price is heard
    desk.simulator.set_price("BTCUSDT", "98990")
    prices.hear("98990")
    reading.join()
    assert the(trio).state == "WORKING", story(trio)

    # Then it is read once more
    desk.carry_until(trio, "OPEN", seconds=3)


def in_thread(desk: Desk, trio: TrioOrder) -> None:
    desk.advance(trio)
    connection.close()


@pytest.mark.parametrize("kind", [PriceKind.LAST, PriceKind.MARK])
def test_a_target_that_executed_in_silence_leaves_no_stop_alone(
    hedge_desk: Desk, loop: asyncio.AbstractEventLoop, request: pytest.FixtureRequest, kind: PriceKind
) -> None:
    # Given a position in hedge mode, whose armed stop does not expire with it
    desk = hedge_desk
    trio = desk.placed(desk.a_trio(protection=Protection.PRE_ARMED))
    prices = Prices(desk, loop)
    request.addfinalizer(prices.watch.stop)
    prices.poll()

    # When its target executes, and only its price is heard
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "110100")
    prices.hear("110100", kind)

    # Then the target is read, and the stop taken away, long before a sweep
    desk.carry_until(trio, "CLOSED", seconds=4)
    assert (trio.result, desk.resting) == ("TAKE_PROFIT", []), story(trio)


def test_an_event_in_time_saves_the_read(desk: Desk, prices: Prices) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)
    desk.simulator.set_price("BTCUSDT", "98990")
    reads = len(desk.requests("GET", "/fapi/v1/order"))

    prices.hear("98990")
    desk.carry_until(trio, "OPEN")

    assert len(desk.requests("GET", "/fapi/v1/order")) == reads
    assert trio.legs.get(role=Role.ENTRY).look_at is None


def test_a_level_reached_again_and_again_is_read_once(desk: Desk, prices: Prices) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)
    prices.hear("98999")
    leg = trio.legs.get(role=Role.ENTRY)
    first = leg.look_at
    assert first is not None

    prices.hear("98998")
    leg.refresh_from_db()
    assert leg.look_at == first


def test_a_silent_price_stream_has_the_orders_read_each_second(desk: Desk, prices: Prices) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)
    prices.watch.handle(Connected())
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    prices.poll(after=1.9)
    assert trio.legs.get(role=Role.ENTRY).look_at is None
    prices.poll(after=0.2)

    desk.carry_until(trio, "OPEN", seconds=3)


def test_a_silence_is_shown_to_people_once_it_lasts_and_until_it_is_over(desk: Desk, prices: Prices) -> None:
    # Given nothing to watch: silence is what is to be expected
    prices.poll(after=60)
    assert prices.watch.silence == ""

    # Given an entry that rests
    desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.poll()
    prices.poll(after=4)
    assert prices.watch.silence == ""
    prices.poll(after=2)
    assert "The exchange (PAPER) has sent no prices" in prices.watch.silence

    prices.hear("99500")
    assert prices.watch.silence == ""


def test_the_mark_price_is_kept_for_decisions(desk: Desk, prices: Prices) -> None:
    desk.placed(desk.a_trio())
    prices.poll()
    prices.hear("99500", PriceKind.MARK)
    slot = Slot.objects.get(account=desk.account, symbol="BTCUSDT")
    assert (slot.mark_price, slot.mark_as_of) == (D("99500"), 2_000_000_000_000)


def test_what_is_watched_is_read_however_many_prices_wait_to_be_acted_on(
    prices: Prices, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a machine that is busy, and trails that have something to do at every price
    watch, held, acted = prices.watch, threading.Event(), list[None]()
    monkeypatch.setattr(watch._trails, "hear", lambda _: True)
    monkeypatch.setattr(watch._trails, "act", lambda: acted.append(None))
    watch._pool.submit(held.wait, 10)
    for _ in range(500):
        watch.handle(PriceTick("BTCUSDT", PriceKind.MARK, D("100000"), 2_000_000_000_000))
    prices.now += 1
    watch.poll()

    waiting = watch._pool._work_queue.qsize()
    held.set()
    prices._finish()

    assert waiting <= 4
    assert acted

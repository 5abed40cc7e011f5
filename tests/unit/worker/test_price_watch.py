"""When a price reaches an order's level and nobody tells, the order is read."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from exchange.types import Connected, PriceKind, PriceTick
from orders.domain.enums import LegState, Protection, Role
from orders.models import Slot, TrioOrder
from tests.builders import Desk, story, the, until
from worker.price_watch import PriceWatch, interests

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
    """A price watch whose clock and frames the test decides."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 0.0
        self.desk = desk
        self.watch = PriceWatch(
            "PAPER", accounts=lambda: [desk.account.pk], loop=loop, clock=lambda: self.now
        )

    def beat(self, *, after: float = 1.0) -> None:
        self.now += after
        self.watch.poll()
        self._done()

    def _done(self) -> None:
        self.watch._worker.submit(lambda: None).result(timeout=5)
        assert self.watch._rows.wait_until_idle(timeout=5)

    def begin(self, trio: TrioOrder) -> None:
        """Watch a resting entry, past the one reading that every entry gets."""
        self.beat()
        assert trio.legs.get(role=Role.ENTRY).look_at is not None

        def read() -> bool:
            self.desk.carry()
            return trio.legs.get(role=Role.ENTRY).look_at is None

        until(read, why=lambda: story(trio))

    def hear(self, price: str, kind: PriceKind = PriceKind.LAST) -> None:
        self.watch.hear(PriceTick("BTCUSDT", kind, D(price), 2_000_000_000_000))
        self._done()


@pytest.fixture
def prices(desk: Desk, loop: asyncio.AbstractEventLoop) -> Iterator[Prices]:
    made = Prices(desk, loop)
    yield made
    made.watch.stop()


def test_what_is_watched_are_unarmed_entries_and_legs(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    (entry,) = interests([desk.account.pk])
    assert (entry.level, entry.kind, entry.at_or_above) == (D("99000"), PriceKind.LAST, False)

    desk.simulator.set_price("BTCUSDT", "98990")
    desk.carry_until(trio, "OPEN")
    desk.carry()
    stop, target, by_mark = sorted(interests([desk.account.pk]), key=lambda interest: interest.level)
    assert (stop.level, stop.kind, stop.at_or_above) == (D("95000"), PriceKind.MARK, False)
    assert (target.level, target.kind, target.at_or_above) == (D("110000"), PriceKind.LAST, True)
    assert (by_mark.level, by_mark.kind, by_mark.at_or_above) == (D("110000"), PriceKind.MARK, True)


def test_an_armed_entry_is_covered_already_and_not_watched(desk: Desk) -> None:
    desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.PRE_ARMED))
    assert [i for i in interests([desk.account.pk]) if i.is_entry] == []


def test_a_hedge_entry_is_watched_although_armed(hedge_desk: Desk) -> None:
    # A quantity leg larger than a partly filled position may be refused whole: it covers nothing.
    hedge_desk.placed(
        hedge_desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.PRE_ARMED)
    )
    assert [i.level for i in interests([hedge_desk.account.pk]) if i.is_entry] == [D("99000")]


def test_a_fill_before_the_price_was_ever_heard_is_found(desk: Desk, prices: Prices) -> None:
    # Given an entry that trades as soon as it rests, and a user stream that says nothing
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    # When its price is watched from now on, and nothing trades any more
    prices.beat()

    # Then the order is read once, and the position covered
    desk.carry_until(trio, "OPEN", seconds=3)


def test_a_resting_entry_is_asked_for_once(desk: Desk, prices: Prices) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection=Protection.ON_FIRST_FILL))
    prices.begin(trio)

    prices.hear("99500")
    prices.beat()

    assert trio.legs.get(role=Role.ENTRY).look_at is None


def test_a_fill_the_stream_hides_is_found_by_the_price_within_the_bound(desk: Desk, prices: Prices) -> None:
    # Given a resting entry, and a user stream that says nothing any more
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


@pytest.mark.parametrize("kind", [PriceKind.LAST, PriceKind.MARK])
def test_a_target_that_executed_in_silence_leaves_no_stop_alone(
    hedge_desk: Desk, loop: asyncio.AbstractEventLoop, request: pytest.FixtureRequest, kind: PriceKind
) -> None:
    # Given a position in hedge mode, whose armed stop does not expire with it
    desk = hedge_desk
    trio = desk.placed(desk.a_trio(protection=Protection.PRE_ARMED))
    prices = Prices(desk, loop)
    request.addfinalizer(prices.watch.stop)
    prices.beat()

    # When its target executes, and only its price is heard
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "110100")
    prices.hear("110100", kind)

    # Then the target is read, and the stop taken away, long before a sweep
    desk.carry_until(trio, "CLOSED", seconds=4)
    assert (trio.result, desk.resting) == ("TAKE_PROFIT", []), story(trio)


def test_an_event_in_time_saves_the_reading(desk: Desk, prices: Prices) -> None:
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
    prices.watch.hear(Connected())
    desk.deaf = True
    desk.simulator.set_price("BTCUSDT", "98990")

    prices.beat(after=1.9)
    assert trio.legs.get(role=Role.ENTRY).look_at is None
    prices.beat(after=0.2)

    desk.carry_until(trio, "OPEN", seconds=3)


def test_the_mark_price_is_kept_for_decisions(desk: Desk, prices: Prices) -> None:
    desk.placed(desk.a_trio())
    prices.beat()
    prices.hear("99500", PriceKind.MARK)
    slot = Slot.objects.get(account=desk.account, symbol="BTCUSDT")
    assert (slot.mark_price, slot.mark_as_of) == (D("99500"), 2_000_000_000_000)

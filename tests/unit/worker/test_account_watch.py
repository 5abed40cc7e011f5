"""What one account's watch asks for, and when: by the schedule, and for what happens in between."""

from __future__ import annotations

import gc
import queue
import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.gateways import exchange_for
from exchange.binance.client import BinanceExchange
from exchange.binance.mapping.user_events import read_user_event
from exchange.errors import ExchangeUnavailable
from exchange.rate_limits import Priority, spending_now
from exchange.refusals import Refusal
from exchange.types import (
    Connected,
    Disconnected,
    OrderEvent,
    OrderState,
    OrderView,
    PositionSide,
    SettingsEvent,
    Side,
    Stamp,
    TradeView,
    WireRequest,
)
from orders import services
from orders.domain.sweep_schedule import sweep_weight
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import Heartbeat, Slot, Watch
from tests.builders import Desk, the, until
from tests.unit.worker.streams import FakeStream
from worker import account_watch, sweep
from worker.account_watch import AccountWatch
from worker.watch_manager import WatchManager

FULL_LISTING = [("/fapi/v1/openAlgoOrders", ""), ("/fapi/v1/openOrders", "")]


@pytest.fixture
def manager(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchManager]:
    FakeStream.made = queue.Queue()
    monkeypatch.setattr(account_watch, "user_stream", FakeStream)
    Watch.objects.all().delete()
    made = WatchManager(advance=lambda _: None, holder="the only one")
    yield made
    made.stop()
    gc.collect()


class Watched:
    """An account that a manager holds, and what was asked of the exchange since last time."""

    def __init__(self, desk: Desk, manager: WatchManager) -> None:
        self.desk = desk
        self.manager = manager
        self._seen = len(desk.simulator.log)

    @property
    def watch(self) -> AccountWatch:
        return self.manager._held[self.desk.account.pk]

    def asked(self) -> list[tuple[str, str]]:
        """Return what was asked for by sweeps since this was last called: path and symbol."""
        new = self.desk.simulator.log[self._seen :]
        self._seen += len(new)
        sweeps = ("/fapi/v3/positionRisk", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders")
        return [(entry.path, entry.params.get("symbol", "")) for entry in new if entry.path in sweeps]

    def poll(self) -> None:
        """Poll, and wait for the sweep that began."""
        self.manager._plans_at = 0.0
        self.manager.poll()
        if self.watch._sweeping is not None:
            self.watch._sweeping.result(timeout=10)

    def connected(self) -> Watched:
        FakeStream.made.put(Connected())

        def ready() -> bool:
            self.manager.poll()
            return self.manager.is_ready

        until(ready)
        self.poll()
        return self

    def later(self, seconds: float) -> None:
        """Have the watch believe that so much time has passed."""
        for name in ("_swept_from", "_full_from", "_extra_at", "_not_before", "_started_at"):
            setattr(self.watch, name, getattr(self.watch, name) - seconds)
        self.watch._listed_from = {s: at - seconds for s, at in self.watch._listed_from.items()}


def hear(desk: Desk) -> None:
    """Hand the exchange's news to the watch's stream."""
    for body in desk.simulator.drain_events(desk.api_key):
        if (event := read_user_event(body)) is not None:
            FakeStream.made.put(event)


def test_an_idle_account_is_listed_once_after_its_connect_and_then_only_its_positions(
    desk: Desk, manager: WatchManager
) -> None:
    watched = Watched(desk, manager)
    manager.poll()
    assert watched.asked() == [], "nothing lives: the first sweep waits for the stream"

    # Connected, everything is read, once
    watched.connected()
    assert watched.asked() == [("/fapi/v3/positionRisk", ""), *FULL_LISTING]
    row = Watch.objects.get()
    assert row.full_at == row.swept_at
    assert row.interval_ms == 60_000

    # Nothing for most of a minute, then positions alone, and everything again after ten minutes
    watched.later(50)
    watched.poll()
    assert watched.asked() == []
    watched.later(8)
    watched.poll()
    assert watched.asked() == [("/fapi/v3/positionRisk", "")]
    assert Watch.objects.get().full_at == row.full_at
    watched.later(520)
    watched.poll()
    assert watched.asked() == [("/fapi/v3/positionRisk", ""), *FULL_LISTING]


def test_where_trios_live_their_symbols_are_listed_at_each_sweep(desk: Desk, manager: WatchManager) -> None:
    desk.watched().placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    Watch.objects.update(beat=None)
    watched = Watched(desk, manager)

    # Before the stream is connected, what lives is read at once
    watched.poll()
    mine = [
        ("/fapi/v3/positionRisk", ""),
        ("/fapi/v1/openAlgoOrders", "BTCUSDT"),
        ("/fapi/v1/openOrders", "BTCUSDT"),
    ]
    assert watched.asked() == mine
    watched.connected()
    assert watched.asked() == [("/fapi/v3/positionRisk", ""), *FULL_LISTING]
    watched.later(15)
    watched.poll()
    assert watched.asked() == mine
    assert watched.watch._plan.weight == sweep_weight({"BTCUSDT"}) == 7


def test_a_symbol_is_listed_for_a_while_after_its_trio_has_ended(desk: Desk, manager: WatchManager) -> None:
    trio = desk.watched().placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    Watch.objects.update(beat=None)
    watched = Watched(desk, manager).connected()
    services.trio_cancel(trio_id=trio.pk, by="test")
    desk.advance(trio)
    until(lambda: [desk.hear(), desk.advance(trio), the(trio).state == "CANCELLED"][-1])
    watched.poll()
    watched.asked()

    watched.later(15)
    watched.poll()
    assert ("/fapi/v1/openOrders", "BTCUSDT") in watched.asked()
    watched.watch._left = {}
    watched.later(15)
    watched.poll()
    assert watched.asked() == []


def test_a_strangers_order_has_its_symbol_listed_soon_and_rarely_when_it_goes_on(
    desk: Desk, manager: WatchManager
) -> None:
    watched = Watched(desk, manager).connected()
    watched.asked()

    # When a person rests an order
    def by_hand(name: str) -> None:
        order = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
        order |= {"price": "2000", "newClientOrderId": name}
        request = WireRequest("POST", "/fapi/v1/order", order)
        exchange_for(desk.account.pk).send(request, stamp=Stamp(exchange_now_ms("PAPER"), 5000))
        hear(desk)
        until(lambda: watched.watch._wanted)

    by_hand("by-hand-1")
    watched.poll()

    # Then that symbol is listed and the slot knows it, long before the next regular sweep
    assert ("/fapi/v1/openOrders", "ETHUSDT") in watched.asked()
    assert "by-hand-1" in Slot.objects.get(symbol="ETHUSDT").strangers[0]

    # One that goes on resting orders has it listed ever more rarely
    pauses = []
    for number in range(6):
        by_hand(f"by-hand-{number + 2}")
        watched.poll()
        assert watched.asked() == [], "at most one a second"
        pauses.append(watched.watch._extra_pause)
        watched.later(watched.watch._extra_pause)
        watched.poll()
        assert watched.asked()
    assert pauses[0] < pauses[2] < pauses[5]
    assert pauses[5] == pytest.approx(32)


def test_a_trio_queued_on_an_idle_account_begins_at_once_and_has_its_symbol_listed(
    desk: Desk, manager: WatchManager
) -> None:
    # Given an idle account that was last swept forty-five seconds ago, as it should be
    watched = Watched(desk, manager).connected()
    watched.later(45)
    watched.asked()
    Watch.objects.update(swept_ts=Watch.objects.get().swept_ts - 45_000, beat=db_now())
    Heartbeat.objects.update(beat=db_now())

    # When a trio is queued there
    trio = desk.queued(desk.a_trio())
    desk.advance(trio)

    # Then its entry leaves at once
    assert the(trio).state != "QUEUED", the(trio).reason
    # And its symbol is listed with the next poll; from then on the account is swept more often
    watched.poll()
    assert ("/fapi/v1/openOrders", "BTCUSDT") in watched.asked()
    assert Watch.objects.get().interval_ms == 15_000


@pytest.mark.parametrize("all_heard", [True, False])
def test_a_symbol_that_begins_to_be_lived_on_is_listed_early_only_where_something_may_have_been_missed(
    desk: Desk, manager: WatchManager, all_heard: bool
) -> None:
    # Given an account of which everything was listed a while ago, longer than a sweep's interval
    watched = Watched(desk, manager).connected()
    watched.later(12)
    watched.asked()
    Watch.objects.update(beat=db_now())
    Heartbeat.objects.update(beat=db_now())
    if not all_heard:
        watched.watch._connected = False
    watched.watch._full_from -= 10

    # When a trio begins to live there
    desk.queued(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    watched.watch._swept_from = time.monotonic()  # no regular sweep is due
    watched.poll()
    watched.watch._wanted_at -= account_watch.FRESH_SECONDS
    watched.poll()

    # Then its symbol is listed before the next regular sweep only where the stream was not there all along
    assert (("/fapi/v1/openOrders", "BTCUSDT") in watched.asked()) is not all_heard


def test_a_wait_that_was_asked_for_is_kept_and_the_watch_too(
    desk: Desk, manager: WatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(desk, manager).connected()

    # Given an address that is banned for a minute
    def banned(*_: object, **__: object) -> None:
        assert spending_now().priority is Priority.WATCH
        raise ExchangeUnavailable("Banned.", refusal=Refusal.BANNED, wait_ms=60_000)

    monkeypatch.setattr(sweep, "exchange_for", banned)
    watched.later(60)
    watched.poll()
    assert 60.3 <= watched.watch._not_before - time.monotonic() + 0.2 <= 61.6

    # Then nothing is asked before it is over, whatever happens, and nobody else is troubled with it
    watched.asked()
    watched.watch._note_gap()
    watched.watch._problem_since -= 30
    watched.watch._reached_at -= 30
    watched.poll()
    assert watched.asked() == []
    assert not watched.watch.is_stale

    # Then it goes on with everything
    monkeypatch.undo()
    watched.later(62)
    watched.poll()
    assert FULL_LISTING[0] in watched.asked()


def test_after_a_reconnect_everything_is_read_again(desk: Desk, manager: WatchManager) -> None:
    watched = Watched(desk, manager).connected()
    watched.asked()
    for event in (Disconnected("closed after a day", retry_in=0.2), Connected()):
        FakeStream.made.put(event)

    def all_read() -> bool:
        watched.poll()
        return FULL_LISTING[0] in watched.asked()

    until(all_read)

    row = Watch.objects.get()
    assert row.swept_at == row.full_at
    assert row.stream_since is not None
    assert row.full_at is not None
    assert row.full_at >= row.stream_since


def test_a_setting_that_an_event_says_has_changed_is_read_soon(desk: Desk, manager: WatchManager) -> None:
    watched = Watched(desk, manager).connected()
    checks = watched.watch
    until(lambda: checks._settings_at and (checks._settings_check is None or checks._settings_check.done()))
    asked = len(desk.simulator.log)
    desk.simulator.ex.by_key[desk.api_key].account.multi_assets = True

    # When the stream says so
    FakeStream.made.put(SettingsEvent(time=1))

    def known() -> bool:
        manager.poll()
        desk.account.refresh_from_db()
        return desk.account.multi_assets_since is not None

    # Then it is read with the next poll, not minutes later
    until(known)
    paths = [entry.path for entry in desk.simulator.log[asked:]]
    assert paths.count("/fapi/v1/accountConfig") == 1


def test_a_stream_that_flaps_has_everything_read_ever_more_rarely(desk: Desk, manager: WatchManager) -> None:
    watched = Watched(desk, manager).connected()
    watched.watch._note_gap()
    watched.poll()
    watched.asked()

    watched.watch._note_gap()
    watched.poll()
    assert watched.asked() == [], "the third time within a minute waits"
    watched.later(1)
    watched.poll()
    assert FULL_LISTING[0] in watched.asked()


def test_a_longer_interval_is_promised_at_once_and_a_shorter_one_when_it_is_kept(
    desk: Desk, manager: WatchManager
) -> None:
    watched = Watched(desk, manager).connected()
    plan = watched.watch._plan
    watched.watch.follow(replace(plan, interval_ms=90_000))
    assert Watch.objects.get().interval_ms == 90_000
    watched.watch.follow(replace(plan, interval_ms=15_000))
    assert Watch.objects.get().interval_ms == 90_000
    watched.later(16)
    watched.watch.sweep_when_due()
    assert watched.watch._sweeping is not None
    watched.watch._sweeping.result(timeout=10)
    assert Watch.objects.get().interval_ms == 15_000


def test_after_a_wait_what_lives_is_looked_at_first_and_ahead_of_all_watching(
    desk: Desk, manager: WatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.watched().placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    Watch.objects.all().delete()
    watched = Watched(desk, manager).connected()
    watched.asked()
    spent: list[Priority] = []
    positions = BinanceExchange.positions

    def barred(self: BinanceExchange, *args: Any, **said: Any) -> Any:
        raise ExchangeUnavailable("barred", refusal=Refusal.BANNED, wait_ms=5000)

    def noted(self: BinanceExchange, *args: Any, **said: Any) -> Any:
        spent.append(spending_now().priority)
        return positions(self, *args, **said)

    # Given a sweep that met a ban
    monkeypatch.setattr(BinanceExchange, "positions", barred)
    watched.later(600)
    watched.poll()
    monkeypatch.setattr(BinanceExchange, "positions", noted)

    # When it is over, then what lives is looked at as what protects, and the whole account after that
    watched.later(5.03)
    watched.poll()
    assert watched.asked() == [
        ("/fapi/v3/positionRisk", ""),
        ("/fapi/v1/openAlgoOrders", "BTCUSDT"),
        ("/fapi/v1/openOrders", "BTCUSDT"),
    ]
    watched.later(600)
    watched.poll()
    assert watched.asked() == [("/fapi/v3/positionRisk", ""), *FULL_LISTING]
    assert spent == [Priority.PROTECT, Priority.WATCH]


@pytest.mark.parametrize(
    ("state", "is_traded", "waits"),
    [
        (OrderState.NEW, False, True),
        (OrderState.PARTIALLY_FILLED, True, False),
        (OrderState.FILLED, True, False),
        (OrderState.EXPIRED, False, False),
        (OrderState.TRIGGERED, False, False),
    ],
)
def test_only_what_says_that_an_order_rests_waits_for_its_answer(
    state: OrderState, is_traded: bool, waits: bool
) -> None:
    order = OrderView("ab12-1-s1", "BTCUSDT", Side.SELL, None, state, PositionSide.BOTH, D(1), D(0), 5, False)
    trade = TradeView(1, 2, "BTCUSDT", Side.SELL, PositionSide.BOTH, D(1), D(1), D(0), "USDT", D(0), False, 5)
    event = OrderEvent(order, 5, trade if is_traded else None)

    assert account_watch._may_wait(event) is waits


def test_an_event_that_waits_is_recorded_all_the_same(desk: Desk, manager: WatchManager) -> None:
    # Given a resting entry whose answer was lost
    Watched(desk, manager).connected()
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "lose_answer"}, 1)
    trio = desk.queued(desk.a_trio(entry_type="LIMIT", price=D(99000), protection="ON_FIRST_FILL"))
    desk.advance(trio)
    assert the(trio).legs.get().state == "SUBMITTED"

    # When the stream says that it rests
    hear(desk)

    # Then that is known
    until(lambda: the(trio).legs.get().state == "ACCEPTED")

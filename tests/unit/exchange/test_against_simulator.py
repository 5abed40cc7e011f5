"""The port's methods, whole, on the local exchange: mounted in process, signing and reading included, and as a process."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.binance.client import BinanceExchange
from exchange.binance.mapping.user_events import read_user_event
from exchange.binance.public import BinancePublic
from exchange.clock_offset import measure_offset
from exchange.errors import CredentialsRefused, ExchangeUnavailable, OrderRejected, OutcomeUnknown
from exchange.types import (
    Endpoints,
    ExchangeMs,
    MarginType,
    NewOrder,
    OrderEvent,
    OrderRef,
    OrderState,
    OrderType,
    OrderView,
    OurMs,
    PositionMode,
    Side,
    Stamp,
    TimeInForce,
)
from simulator import Simulator
from simulator.transport import InProcessAdapter
from tests.unit.exchange.samples import D, a_closing_stop, a_limit, a_market, a_stop
from tests.unit.simulator import support
from tests.unit.simulator.process import Venue

ENDPOINTS = Endpoints("http://simulator.invalid", "ws://simulator.invalid", "http://simulator.invalid")
KEY, SECRET = "k" * 64, "s" * 64


@pytest.fixture
def simulator() -> Simulator:
    local = Simulator(symbols=["BTCUSDT"], prices="hand")
    local.add_account("one", KEY, SECRET, balance="10000")
    local.set_price("BTCUSDT", "63000")
    return local


@pytest.fixture
def exchange(simulator: Simulator) -> BinanceExchange:
    return BinanceExchange(ENDPOINTS, api_key=KEY, api_secret=SECRET, transport=InProcessAdapter(simulator))


def our_ms() -> OurMs:
    return OurMs(int(time.time() * 1000))


def at(exchange: BinanceExchange) -> ExchangeMs:
    return exchange.server_time()


def place(exchange: BinanceExchange, order: NewOrder) -> OrderView:
    view = exchange.send(exchange.submit_request(order), stamp=Stamp(at(exchange), 5000))
    assert view is not None
    return view


def ref(order: NewOrder) -> OrderRef:
    return OrderRef(order.symbol, order.client_id, conditional=order.type.is_conditional)


def test_public_questions(simulator: Simulator) -> None:
    public = BinancePublic(ENDPOINTS, transport=InProcessAdapter(simulator))
    before = our_ms()
    reading = measure_offset(before_ms=before, server_ms=public.server_time(), after_ms=our_ms())
    assert abs(reading.offset_ms) < 1000
    assert [row["symbol"] for row in public.exchange_info()["symbols"]] == ["BTCUSDT"]
    assert public.mark_prices("BTCUSDT")[0].mark == 63000
    bars = public.klines("BTCUSDT", "1m", limit=3)
    assert [bar.open_time for bar in bars[1:]] == [bar.close_time + 1 for bar in bars[:-1]]
    assert public.klines("BTCUSDT", "1m", since=bars[1].open_time, limit=2) == bars[1:]
    marks = public.mark_klines("BTCUSDT", "1m", limit=2)
    assert [bar.open_time for bar in marks] == [bar.open_time for bar in bars[1:]]
    assert {bar.volume for bar in marks} == {0}
    simulator.set_price("BTCUSDT", "63100.0", mark="63050.123")
    simulator.set_price("BTCUSDT", "63000.0", mark="63010")
    (*_, traded), (*_, marked) = public.klines("BTCUSDT", "1m"), public.mark_klines("BTCUSDT", "1m")
    assert (traded.high, traded.close) == (D("63100"), D("63000"))
    assert (marked.high, marked.close) == (D("63050.123"), D("63010"))


def test_a_limit_order_lives_and_is_cancelled(exchange: BinanceExchange) -> None:
    order = a_limit(price=D("60000.0"))
    placed = place(exchange, order)
    assert (placed.state, placed.client_id) == (OrderState.NEW, order.client_id)
    assert [view.client_id for view in exchange.open_orders("BTCUSDT", at=at(exchange))] == [order.client_id]
    cancelled = exchange.send(exchange.cancel_request(ref(order)), stamp=Stamp(at(exchange), 5000))
    assert cancelled is not None
    assert cancelled.state is OrderState.CANCELED
    found = exchange.find_order(ref(order), at=at(exchange))
    assert found is not None
    assert found.state is OrderState.CANCELED
    with pytest.raises(OrderRejected) as caught:
        exchange.send(exchange.cancel_request(ref(order)), stamp=Stamp(at(exchange), 5000))
    assert caught.value.code == -2011


def test_a_bracket_from_entry_to_stop(exchange: BinanceExchange, simulator: Simulator) -> None:
    since = at(exchange) - 1000
    # Given a filled entry and a closing stop under it
    entry = place(exchange, a_market())
    assert (entry.state, entry.executed) == (OrderState.FILLED, D("0.010"))
    (position,) = exchange.positions("BTCUSDT", at=at(exchange))
    assert position.quantity == D("0.010")
    stop = a_closing_stop()
    resting = place(exchange, stop)
    assert (resting.state, resting.close_position, resting.conditional) == (OrderState.NEW, True, True)
    # When the price falls through it
    simulator.set_price("BTCUSDT", "61500")
    # Then the look-up follows it to the order that filled
    found = exchange.find_order(ref(stop), at=at(exchange))
    assert found is not None
    assert (found.state, found.executed) == (OrderState.FINISHED, D("0.010"))
    assert found.average_price is not None
    assert found.order_id is not None
    assert [row for row in exchange.positions("BTCUSDT", at=at(exchange)) if row.quantity] == []
    trades = exchange.trades("BTCUSDT", since=since, at=at(exchange))
    assert [trade.side for trade in trades] == [Side.BUY, Side.SELL]
    assert exchange.trades("BTCUSDT", since=since, at=at(exchange), order_id=found.order_id) == trades[1:]
    history = exchange.order_history("BTCUSDT", since=since, at=at(exchange))
    assert {(view.client_id, view.conditional, view.executed) for view in history} >= {
        ("ab12-1-e1", False, D("0.010")),
        ("ab12-1-s1", True, D("0.010")),
    }
    # And the stream's own words agree
    events = [read_user_event(body) for body in simulator.drain_events(KEY)]
    states = [
        event.order.state for event in events if isinstance(event, OrderEvent) and event.order.conditional
    ]
    assert states[0] is OrderState.NEW
    assert states[-1] is OrderState.FINISHED
    assert sum(event.trade is not None for event in events if isinstance(event, OrderEvent)) == 2


def test_refusals_come_by_their_codes(exchange: BinanceExchange) -> None:
    for order, code in (
        (a_stop(trigger_price=D("64000")), -2021),
        (a_closing_stop(), -4509),
        (a_limit(quantity=D("0.001"), price=D("60000.05")), -4014),
    ):
        with pytest.raises(OrderRejected) as caught:
            place(exchange, order)
        assert caught.value.code == code
    place(exchange, a_market())
    place(exchange, a_closing_stop())
    with pytest.raises(OrderRejected) as caught:
        place(exchange, a_closing_stop(client_id="ab12-1-s2"))
    assert caught.value.code == -4130


def test_a_stop_is_cancelled_by_our_id(exchange: BinanceExchange) -> None:
    place(exchange, a_market())
    stop = a_stop()
    place(exchange, stop)
    cancelled = exchange.send(exchange.cancel_request(ref(stop)), stamp=Stamp(at(exchange), 5000))
    assert cancelled is not None
    assert (cancelled.state, cancelled.conditional) == (OrderState.CANCELED, True)
    assert exchange.open_orders(at=at(exchange)) == []


def test_a_stop_entry_is_followed_to_its_child_and_cancelled_there(
    simulator: Simulator, exchange: BinanceExchange
) -> None:
    # Given a stop entry whose limit order rests since its trigger
    waits = a_stop(
        client_id="ab12-1-e1", type=OrderType.STOP, side=Side.BUY, trigger_price=Decimal("64000.0"),
        price=Decimal("63900.0"), quantity=Decimal("0.010"), time_in_force=TimeInForce.GTC, reduce_only=False,
    )  # fmt: skip
    place(exchange, waits)
    simulator.set_price("BTCUSDT", "64000")
    seen = exchange.find_order(ref(waits), at=at(exchange))
    assert seen is not None
    assert (seen.state, seen.child_state) == (OrderState.TRIGGERED, OrderState.NEW)

    # When it is cancelled by our id, there is nothing of it to cancel; by its child's number it is
    with pytest.raises(OrderRejected) as caught:
        exchange.send(exchange.cancel_request(ref(waits)), stamp=Stamp(at(exchange), 5000))
    assert caught.value.code == -2011
    by_number = replace(ref(waits), child=seen.order_id)
    cancelled = exchange.send(exchange.cancel_request(by_number), stamp=Stamp(at(exchange), 5000))
    assert cancelled is not None
    assert (cancelled.state, cancelled.order_id) == (OrderState.CANCELED, seen.order_id)
    over = exchange.find_order(ref(waits), at=at(exchange))
    assert over is not None
    assert (over.state, over.child_state, over.executed) == (OrderState.FINISHED, OrderState.CANCELED, D(0))


def test_an_order_is_tried_out_without_a_trace(exchange: BinanceExchange) -> None:
    request = exchange.test_request(a_limit(price=D("60000")))
    assert exchange.send(request, stamp=Stamp(at(exchange), 5000)) is None
    assert exchange.find_order(ref(a_limit()), at=at(exchange)) is None


def test_account_and_settings(exchange: BinanceExchange) -> None:
    now = at(exchange)
    assert next(row.balance for row in exchange.balances(at=now) if row.asset == "USDT") == Decimal(10000)
    assert exchange.account_config(at=now).position_mode is PositionMode.ONE_WAY
    exchange.set_leverage("BTCUSDT", 7, stamp=Stamp(now, 5000))
    for _ in range(2):  # the second time it is already so
        exchange.set_margin_type("BTCUSDT", MarginType.ISOLATED, stamp=Stamp(now, 5000))
    (config,) = exchange.symbol_configs("BTCUSDT", at=now)
    assert (config.leverage, config.margin_type) == (7, MarginType.ISOLATED)
    brackets = exchange.leverage_brackets(at=now)["BTCUSDT"]
    assert 0 < brackets[0].cap < brackets[-1].cap
    permissions = exchange.permissions(at=now)
    assert permissions is not None
    assert (permissions.futures, permissions.withdrawals) == (True, False)
    assert exchange.listen_key()
    exchange.keep_listen_key()


def test_a_late_stamp_is_refused_as_a_matter_of_clocks(exchange: BinanceExchange) -> None:
    for off in (-6000, 5000):
        with pytest.raises(ExchangeUnavailable) as caught:
            exchange.send(
                exchange.submit_request(a_limit()), stamp=Stamp(ExchangeMs(at(exchange) + off), 5000)
            )
        assert caught.value.code == -1021


def test_a_wrong_secret_is_for_a_person(simulator: Simulator) -> None:
    stranger = BinanceExchange(
        ENDPOINTS, api_key=KEY, api_secret="x" * 64, transport=InProcessAdapter(simulator)
    )
    with pytest.raises(CredentialsRefused) as caught:
        stranger.balances(at=at(stranger))
    assert caught.value.code == -1022


def test_over_the_network_what_was_lost_is_unknown_and_found_where_it_arrived() -> None:
    # Given the exchange as a process, which loses one order on its way and the answer to another
    venue = Venue("--prices", "hand", "--account", f"one:{support.KEY}:{support.SECRET}:10000")
    try:
        venue.sim("POST", "price", {"symbol": "BTCUSDT", "price": "63000"})
        for name, loss in (("^ab12-2", "lose_answer"), ("^ab12-3", "lose_before")):
            venue.sim(
                "POST", "faults", {"match": {"method": "POST", "client_id": name}, "then": {"do": loss}}
            )
        exchange = BinanceExchange(
            Endpoints(venue.url, "", venue.url), api_key=support.KEY, api_secret=support.SECRET
        )
        assert place(exchange, a_limit(client_id="ab12-1-e1")).state is OrderState.NEW
        for lost in ("ab12-2-e1", "ab12-3-e1"):
            with pytest.raises(OutcomeUnknown):
                place(exchange, a_limit(client_id=lost))
        # Then each was sent once, and the look-up tells the two apart
        found = {
            name: exchange.find_order(OrderRef("BTCUSDT", name, conditional=False), at=at(exchange))
            for name in ("ab12-1-e1", "ab12-2-e1", "ab12-3-e1")
        }
        assert [name for name, order in found.items() if order] == ["ab12-1-e1", "ab12-2-e1"]
        posted = [entry["client_id"] for entry in venue.sim("GET", "log") if entry["method"] == "POST"]
        assert posted == ["ab12-1-e1", "ab12-2-e1", "ab12-3-e1"]
    finally:
        assert venue.end() == 0

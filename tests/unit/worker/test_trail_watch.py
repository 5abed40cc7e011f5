"""A stop follows the price from one end to the other: on a simulated exchange, by its own records covered all the while."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any

import pytest

from exchange.errors import OrderRejected
from exchange.rate_limits import Priority
from exchange.types import Kline, PriceKind, PriceTick
from orders import risk_gates, services
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken, TrioRefused
from orders.domain.snapshot import MoveEnd
from orders.domain.trailing import FollowEnd
from orders.exchange_data.clock import exchange_now_ms
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.limits import breach_of
from orders.models import Fill, RiskLimit, Slot, Trail, TrioOrder
from orders.placement.perform import SendCall, perform_all
from orders.selectors import net_pnl
from tests.builders import Desk, story, the, until
from worker import trail_watch
from worker.price_watch import PriceWatch
from worker.trail_watch import TrailWatch

MINUTE_MS = 60_000
STOP, TARGET = "STOP_MARKET", "TAKE_PROFIT_MARKET"


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    gc.collect()


class Market:
    """Prices on the simulated exchange, and a watch that hears of them when the test says so."""

    def __init__(self, desk: Desk, loop: asyncio.AbstractEventLoop, symbol: str = "ETHUSDT") -> None:
        self.desk, self.symbol, self.now = desk, symbol, 0.0
        self._loop = loop
        self.environment = desk.account.environment
        self.watch = self._watch()

    def _watch(self) -> PriceWatch:
        accounts = lambda: [self.desk.account.pk]  # noqa: E731
        return PriceWatch(self.environment, accounts=accounts, loop=self._loop, clock=lambda: self.now)

    def is_at(self, price: str) -> None:
        """Move the market, which nobody hears of."""
        self.desk.simulator.set_price(self.symbol, price)

    def hear(self, price: str, kind: PriceKind = PriceKind.MARK) -> None:
        self.now += 3.0
        self.watch.handle(PriceTick(self.symbol, kind, D(price), exchange_now_ms(self.environment)))
        self.work()

    def goes_to(self, price: str, kind: PriceKind = PriceKind.MARK) -> None:
        self.is_at(price)
        self.hear(price, kind)

    def work(self) -> None:
        """Let the watch, and then the trios, do what is to be done."""
        self.now += 1.0
        self.watch.poll()
        for _ in range(3):
            self.watch._pool.submit(lambda: None).result(timeout=5)
            assert self.watch._reads.wait_until_idle(timeout=5)
            assert self.watch._follows.wait_until_idle(timeout=5)
        self.desk.carry()

    def restarts(self) -> None:
        """Another process takes over, which has heard nothing."""
        self.watch.stop()
        self.watch = self._watch()

    def resting(self, kind: str) -> list[dict[str, Any]]:
        return [o for o in self.desk.simulator.open_orders() if kind in (o.get("orderType"), o.get("type"))]

    def stop_at(self, level: str, trio: TrioOrder) -> None:
        """Work on until one whole-position stop rests there, and nothing else of a stop."""

        def rests() -> bool:
            self.work()
            stops = [(D(o["triggerPrice"]), o["closePosition"]) for o in self.resting(STOP)]
            return stops == [(D(level), True)] and the(trio).stop_loss == D(level)

        until(rests, why=lambda: f"{self.resting(STOP)}\n{story(trio)}")

    def close(self) -> None:
        self.watch.stop()


@pytest.fixture
def market(any_desk: Desk, loop: asyncio.AbstractEventLoop) -> Iterator[Market]:
    made = Market(any_desk, loop)
    made.is_at("2000.00")
    yield made
    made.close()


def opened(market: Market, side: str = "BUY", **fields: Any) -> TrioOrder:
    """A position of 0.500 ETH at 2000, its stop 40 away and its target 200."""
    desk, long = market.desk, side == "BUY"
    levels = {"stop_loss": D("1960" if long else "2040"), "take_profit": D("2200" if long else "1800")}
    words: dict[str, Any] = {"symbol": "ETHUSDT", "side": side, "quantity": D("0.500"), **levels}
    trio = desk.placed(desk.a_trio(**(words | {"protection": "ON_FIRST_FILL"} | fields)))

    def rests() -> bool:
        desk.carry()
        return len(market.resting(STOP)) == len(market.resting(TARGET)) == 1

    until(rests, why=lambda: story(trio))
    market.work()  # from now on its symbol is listened to
    market.hear("2000.00")
    return trio


def asked_ago(trail: Trail, *, heard_ago: bool = False) -> None:
    """Have a trail been asked for three minutes ago, when its position was there; ``heard_ago``: and heard of last then."""
    then = exchange_now_ms("PAPER") - 3 * MINUTE_MS
    assert Fill.objects.filter(trio=trail.trio).update(time_ts=then)
    Trail.objects.filter(pk=trail.pk).update(since_ts=then, **({"heard_ts": then} if heard_ago else {}))


def moves_of(trio: TrioOrder) -> list[tuple[D, str]]:
    return [(move.level, move.end) for move in trio.level_moves.all()]


def uncovered_ms(desk: Desk) -> list[int]:
    return [gap["ms"] for gap in desk.simulator.verdict()["uncovered"]]


def test_a_stop_follows_the_mark_price_also_while_nothing_new_may_be_opened(
    market: Market,
) -> None:
    # Given a long at 2000 with its stop at 1960, and a trail of 30 from 2020 on
    market.is_at("1999.99")  # a market order pays the other side of the spread: 2000.00
    desk, trio = market.desk, opened(market)
    before = uncovered_ms(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), activation=D("2020"), step=D("5"))

    # When the mark rises
    market.goes_to("2019.99")
    assert trio.trails.get().best is None
    market.goes_to("2020.00")
    market.stop_at("1990", trio)
    market.goes_to("2031.00")
    market.stop_at("2001", trio)

    # And then new risk is paused, and the daily limit reached
    desk.account.is_active = False
    desk.account.save()
    RiskLimit.objects.create(account=desk.account, daily_loss=D("0.01"))
    assert risk_gates.new_risk_refusal(the(trio))
    market.goes_to("2026.00")
    market.goes_to("2034.99")
    market.goes_to("2050.00")
    market.stop_at("2020", trio)

    # Then it was moved three times, by the trail, and covered all the while
    assert moves_of(trio) == [(D(level), MoveEnd.DONE) for level in ("1990", "2001", "2020")]
    assert {move.wanted_by for move in trio.level_moves.all()} == {"trail"}
    assert uncovered_ms(desk) == before, story(trio)

    # And it is the stop that closes the position, at a gain
    market.goes_to("2021.00")
    assert the(trio).state == "OPEN"
    market.is_at("2020.00")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert net_pnl([trio.pk])[trio.pk][0].realized == D("10.00")
    assert desk.resting == []
    trail = trio.trails.get()
    assert (trail.end, trail.best, trio.is_followed) == (FollowEnd.TRIO_ENDED, D("2050"), False)
    assert "active at 2020" in story(trio)
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


def test_what_lowers_the_risk_is_done_in_a_dry_run_and_with_the_days_loss_reached(
    testnet: Desk, loop: asyncio.AbstractEventLoop, settings: Any
) -> None:
    # Given a position on the testnet, then DRY_RUN_MODE, and the day's loss reached by its entry's fee
    settings.DRY_RUN_MODE = False
    market = Market(testnet, loop)

    def worked() -> bool:
        market.work()
        return True

    try:
        market.is_at("1999.99")
        trio = opened(market)
        before = uncovered_ms(testnet)
        settings.DRY_RUN_MODE = True
        limit = RiskLimit.objects.create(account=testnet.account, daily_loss=D("0.01"))
        assert risk_gates.is_dry_run(the(trio))
        reached = breach_of(
            trio, limited=True, mark=None, now_ts=exchange_now_ms(testnet.account.environment), lock=False
        )
        assert reached is not None

        # When its stop is to lose nothing, then to trail, and a part of it is to be closed
        market.goes_to("2015.00")
        services.trio_break_even(trio_id=trio.pk, by="ann")
        until(lambda: worked() and moves_of(trio)[0][1] == MoveEnd.DONE, why=lambda: story(trio))
        services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), activation=D("2040"))
        market.goes_to("2040.00")
        market.stop_at("2010", trio)
        services.trio_close_part(trio_id=trio.pk, by="ann", quantity=D("0.200"))
        until(lambda: worked() and trio.size_changes.get().end, why=lambda: story(trio))

        # Then each is done, for real, and the position was covered all the while
        assert [(move.wanted_by, move.end) for move in trio.level_moves.order_by("id")] == [
            ("ann", MoveEnd.DONE),
            ("trail", MoveEnd.DONE),
        ]
        assert trio.size_changes.get().end == "DONE", story(trio)
        assert testnet.simulator.position("ETHUSDT").quantity == D("0.300")
        assert uncovered_ms(testnet) == before, story(trio)

        # And nothing new is opened: for the day's loss, and without the limit it is a dry run
        with pytest.raises(TrioRefused, match="daily loss"):
            testnet.queued(testnet.a_trio())
        limit.delete()
        assert testnet.placed(testnet.a_trio()).state == "DRY_RUN"
    finally:
        market.close()


def targets_of(trio: TrioOrder) -> list[tuple[D, str, str]]:
    moves = trio.level_moves.filter(role=Role.TAKE_PROFIT)
    return [(move.level, move.end, move.wanted_by) for move in moves]


def run_to(trio: TrioOrder, times: int) -> str:
    """Return where a target is that has made way so often: each time as far as the first was from the entry."""
    average = trio.legs.get(role=Role.ENTRY).average_price
    assert average is not None
    first = D("2200") if trio.side == "BUY" else D("1800")
    return str(first + times * (first - average))


def target_at(market: Market, level: str, trio: TrioOrder) -> None:
    """Work on until one whole-position target rests there, and nothing else of a target."""

    def rests() -> bool:
        market.work()
        targets = [(D(o["triggerPrice"]), o["closePosition"]) for o in market.resting(TARGET)]
        return targets == [(D(level), True)] and the(trio).take_profit == D(level)

    until(rests, why=lambda: f"{market.resting(TARGET)}\n{story(trio)}")


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_take_profit_trails_it_makes_way_once_the_stop_loses_nothing(market: Market, side: str) -> None:
    # Given a position at 2000 with its target 200 away, which is to be let run from 150 on
    desk, trio, long = market.desk, opened(market, side), side == "BUY"

    def at(away: int) -> str:
        return str(2000 + away if long else 2000 - away)

    before = uncovered_ms(desk)
    services.trio_trail(
        trio_id=trio.pk, by="ann", distance=D("30"), activation=D(at(150)), step=D("5"), let_run=True
    )
    assert "the take-profit makes way" in story(trio)

    # When the price comes near it, then the stop is beyond break-even first, and the target leaves for twice as far
    market.goes_to(at(149))
    assert targets_of(trio) == []
    market.goes_to(at(150))
    target_at(market, run_to(trio, 1), trio)
    market.stop_at(at(120), trio)
    assert targets_of(trio) == [(D(run_to(trio, 1)), MoveEnd.DONE, "trail")]

    # When it passes where the target was, and comes near where it is now, then it makes way again
    market.goes_to(at(260))
    market.stop_at(at(230), trio)
    market.goes_to(at(351))
    target_at(market, run_to(trio, 2), trio)
    market.stop_at(at(321), trio)
    assert uncovered_ms(desk) == before, story(trio)

    # And it is the stop that takes the profit, far beyond the first target
    market.is_at(at(320))
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert net_pnl([trio.pk])[trio.pk][0].realized > D("155")
    assert desk.resting == []
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


def test_a_take_profit_that_the_price_reaches_before_it_could_make_way_takes_the_profit(
    market: Market,
) -> None:
    trio = opened(market)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), activation=D("2150"), let_run=True)

    market.is_at("2201.00")  # nobody has heard of it yet
    market.hear("2201.00")
    market.desk.carry_until(trio, "CLOSED")

    assert (trio.result, market.desk.resting) == ("TAKE_PROFIT", []), story(trio)


def test_the_target_stays_while_the_stop_still_loses(market: Market) -> None:
    # Given a trail so wide that its stop is beyond break-even only at 2180
    trio = opened(market)
    services.trio_trail(
        trio_id=trio.pk, by="ann", distance=D("178"), activation=D("2150"), step=D("5"), let_run=True
    )
    market.goes_to("2160.00")
    market.stop_at("1982", trio)
    market.work()
    assert targets_of(trio) == []
    trail = trio.trails.get()
    assert (
        services.trail_target_step(
            trail_id=trail.pk, trio_id=trio.pk, best=D("2161"), best_ts=exchange_now_ms("PAPER")
        )
        is None
    )

    # When it is, then the target makes way
    market.goes_to("2185.00")
    target_at(market, run_to(trio, 1), trio)


def test_a_target_that_the_exchange_refuses_there_stays_and_the_trio_is_open(market: Market) -> None:
    desk, trio = market.desk, opened(market)
    desk.simulator.fault({"method": "POST", "type": TARGET}, {"do": "refuse", "code": -4210}, [1])
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), activation=D("2150"), let_run=True)

    market.goes_to("2150.00")

    def refused() -> bool:
        market.work()
        return [end for _, end, _ in targets_of(trio)] == [MoveEnd.REFUSED]

    until(refused, why=lambda: story(trio))

    market.work()
    assert (the(trio).state, the(trio).take_profit) == ("OPEN", D("2200")), story(trio)
    assert [D(o["triggerPrice"]) for o in market.resting(TARGET)] == [D("2200")]
    market.stop_at("2120", trio)


def test_a_target_makes_way_also_when_whoever_began_it_died(market: Market) -> None:
    trio = opened(market)
    services.trio_trail(
        trio_id=trio.pk, by="ann", distance=D("30"), activation=D("2150"), step=D("5"), let_run=True
    )
    market.goes_to("2150.00")
    market.stop_at("2120", trio)

    def asked() -> bool:
        market.work()
        return bool(targets_of(trio))

    until(asked, why=lambda: story(trio))
    # Given that the wish is committed, and another process takes over
    market.restarts()
    target_at(market, run_to(trio, 1), trio)
    market.hear("2150.00")
    market.goes_to("2352.00")
    target_at(market, run_to(trio, 2), trio)
    services.trio_trail_off(trio_id=trio.pk, by="ann")
    market.goes_to("2555.00")
    assert [D(o["triggerPrice"]) for o in market.resting(TARGET)] == [D(run_to(trio, 2))]


def test_a_short_is_followed_downward_by_a_percentage_of_the_last_price(market: Market) -> None:
    trio = opened(market, side="SELL")
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D("1"), watches=PriceKind.LAST)
    market.goes_to("1950.01")  # a mark price: it says nothing to this one
    assert trio.level_moves.count() == 0
    market.hear("1950.01", PriceKind.LAST)
    market.stop_at("1969.51", trio)  # 1969.5101, down
    market.goes_to("1960.00", PriceKind.LAST)
    assert moves_of(trio) == [(D("1969.51"), MoveEnd.DONE)]


@pytest.mark.parametrize("silent_ms", [3 * MINUTE_MS, 1500])
def test_another_process_goes_on_from_the_best_price_and_reads_what_it_missed(
    market: Market, silent_ms: int
) -> None:
    # Given a trail that was asked for some minutes ago, whose worker dies
    desk, trio = market.desk, opened(market)
    before = uncovered_ms(desk)
    trail = services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"), step=D("5"))
    market.goes_to("2010.00")
    market.stop_at("1980", trio)
    asked_ago(trail)

    # When the price rises and comes back while nobody listens, be it for a moment only
    market.watch.stop()
    market.is_at("2040.00")
    market.is_at("2025.00")
    Trail.objects.filter(pk=trail.pk).update(heard_ts=exchange_now_ms("PAPER") - silent_ms)
    market.restarts()

    # Then the bars of the mark price show the best one, also while prices come as they should
    def best_is_known() -> bool:
        market.hear("2025.00")
        return trio.trails.get().best == D("2040")

    until(best_is_known, why=lambda: story(trio))
    market.stop_at("2010", trio)
    assert desk.requests("GET", "/fapi/v1/markPriceKlines")
    assert trio.trails.get().best == D("2040")
    assert uncovered_ms(desk) == before, story(trio)


def test_a_stop_whose_own_level_was_passed_meanwhile_goes_as_near_as_it_can(market: Market) -> None:
    trio = opened(market)
    trail = services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    asked_ago(trail, heard_ago=True)
    market.is_at("2040.00")
    market.is_at("2005.00")
    market.hear("2005.00")
    market.stop_at("2004.99", trio)


def test_a_silent_stream_is_made_up_for_by_bars(market: Market) -> None:
    trio = opened(market)
    trail = services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    asked_ago(trail)
    market.goes_to("2001.00")
    market.stop_at("1971", trio)
    market.is_at("2040.00")
    market.now += 12.0  # and nothing is heard
    market.stop_at("2010", trio)


def test_a_day_that_was_missed_is_read_by_a_thousand_bars_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an exchange that takes no more for one request, and a day of silence
    now = 1_790_000_000_000 // MINUTE_MS * MINUTE_MS

    def klines(symbol: str, timeframe: str, *, since: int, limit: int) -> list[Kline]:
        if limit > 1000:
            raise OrderRejected("Data sent for parameter 'limit' is not valid.", code=-1130, status=400)
        price = D(2000)
        return [
            Kline(symbol, timeframe, ts, ts + MINUTE_MS - 1, price, price, price, price, D(1), 1)
            for ts in range(-(-since // MINUTE_MS) * MINUTE_MS, now, MINUTE_MS)[:limit]
        ]

    exchange = SimpleNamespace(klines=klines)
    monkeypatch.setattr(trail_watch, "public_exchange", lambda environment: exchange)
    watch = TrailWatch("PAPER", accounts=list, submit=lambda key, work: None, clock=lambda: 0.0)

    # Then every bar of it is read, once
    bars = watch._bars("ETHUSDT", PriceKind.LAST, now - 1440 * MINUTE_MS, now)
    assert [bar.open_time for bar in bars] == list(range(now - 1440 * MINUTE_MS, now, MINUTE_MS))


def test_one_move_at_a_time_and_the_newest_level_next(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = opened(market)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    carry = market.desk.carry
    monkeypatch.setattr(market.desk, "carry", lambda: None)  # the trio waits
    for price in ("2010.00", "2011.00", "2012.00"):
        market.goes_to(price)
    assert moves_of(trio) == [(D("1980"), "")]
    monkeypatch.setattr(market.desk, "carry", carry)
    market.stop_at("1982", trio)
    assert moves_of(trio) == [(D("1980"), MoveEnd.DONE), (D("1982"), MoveEnd.DONE)]


def test_a_refused_move_leaves_the_stop_and_is_asked_for_again(market: Market) -> None:
    desk, trio = market.desk, opened(market)
    before = uncovered_ms(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    desk.simulator.fault({"method": "POST", "type": STOP}, {"do": "refuse", "code": -2021}, [1])
    market.goes_to("2010.00")

    def refused() -> bool:
        Slot.objects.filter(account=desk.account).update(mark_as_of=exchange_now_ms("PAPER"))
        market.work()
        return (D("1980"), MoveEnd.REFUSED) in moves_of(trio)

    until(refused, why=lambda: story(trio))
    assert the(trio).stop_loss == D("1960")
    market.stop_at("1980", trio)
    assert uncovered_ms(desk) == before, story(trio)


def test_its_orders_wait_for_their_own_share_and_what_covers_anew_does_not(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, trio = market.desk, opened(market)
    sent: list[tuple[str, Priority]] = []

    def noting(calls: Any, exchange: Any, later: Any) -> Any:
        for call in calls:
            if isinstance(call, SendCall) and call.wire.method == "POST":
                sent.append((call.wire.params["type"], call.priority))
        return perform_all(calls, exchange, later)

    monkeypatch.setattr("orders.placement.service.perform_all", noting)
    services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    market.goes_to("2010.00")
    market.stop_at("1980", trio)
    assert sent == [(STOP, Priority.MOVE)] * 2  # the bridge, and the order that follows it

    # When the exchange drops the stop, nothing covers
    sent.clear()
    (stop,) = trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED")
    desk.simulator.expire(stop.client_id)
    market.stop_at("1980", trio)
    assert sent == [(STOP, Priority.PROTECT)]


# --- the verbs --------------------------------------------------------------------------------


def test_terms_that_cannot_be_send_nothing(market: Market) -> None:
    desk, trio = market.desk, opened(market)
    asked = len(desk.simulator.log)

    def refused(sentence: str, **terms: Any) -> None:
        with pytest.raises(RuleBroken, match=sentence):
            services.trio_trail(trio_id=trio.pk, by="ann", **terms)

    refused("one of them")
    refused("one of them", distance=D("30"), percent=D("1"))
    refused("0.01 is the nearest valid distance", distance=D("0.001"))
    refused("1999.99 is the nearest valid distance", distance=D("2000"))
    refused("2000.01 is the nearest valid level", distance=D("30"), activation=D("1999"))
    assert len(desk.simulator.log) == asked
    assert (trio.trails.count(), the(trio).is_followed) == (0, False)
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    with pytest.raises(IllegalTransition, match="has ended"):
        services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))


def test_a_later_trail_replaces_the_first_and_one_that_is_off_moves_nothing(market: Market) -> None:
    trio = opened(market)
    with pytest.raises(IllegalTransition, match="nothing to end"):
        services.trio_trail_off(trio_id=trio.pk, by="ann")
    first = services.trio_trail(trio_id=trio.pk, by="ann", distance=D("30"))
    second = services.trio_trail(trio_id=trio.pk, by="ben", distance=D("20"))
    first.refresh_from_db()
    assert (first.end, first.ended_by) == (FollowEnd.REPLACED, "ben")
    market.goes_to("2010.00")
    market.stop_at("1990", trio)

    services.trio_trail_off(trio_id=trio.pk, by="ann")
    second.refresh_from_db()
    assert (second.end, second.ended_by, the(trio).is_followed) == (FollowEnd.OFF, "ann", False)
    market.goes_to("2050.00")
    assert [level for level, _ in moves_of(trio)] == [D("1990")]
    lines = [event.data for event in trio.events.filter(kind="wish")]
    assert any(data.get("before", "").startswith("30 behind the mark price") for data in lines)


# --- break-even that waits --------------------------------------------------------------------


# It was bought at 2000.01, so that R is 40.01.
@pytest.mark.parametrize("terms", [{"at_r": D("1")}, {"at_price": D("2040.02")}], ids=["R", "price"])
def test_break_even_waits_for_its_price(market: Market, terms: dict[str, Any]) -> None:
    trio = opened(market)
    before = uncovered_ms(market.desk)
    waiting = services.trio_break_even_arm(trio_id=trio.pk, by="ann", **terms)
    market.goes_to("2040.01")
    assert trio.level_moves.count() == 0
    market.goes_to("2040.02")
    market.stop_at("2002.02", trio)  # 2000.01 × 1.0005 / 0.9995 = 2002.011…, up
    waiting.refresh_from_db()
    assert (waiting.end, trio.level_moves.get().wanted_by) == (FollowEnd.DONE, "break_even")
    assert not the(trio).is_followed
    assert uncovered_ms(market.desk) == before, story(trio)


def test_break_even_whose_price_was_reached_while_nobody_listened_is_made_up_for(market: Market) -> None:
    trio = opened(market)
    services.trio_break_even_arm(trio_id=trio.pk, by="ann", at_price=D("2040"))
    ago = exchange_now_ms("PAPER") - 3 * MINUTE_MS
    trio.break_evens.update(since_ts=ago, heard_ts=ago)
    market.is_at("2041.00")
    market.is_at("2001.00")
    market.restarts()
    market.hear("2001.00")
    assert trio.level_moves.count() == 0  # there it would trigger at once
    market.goes_to("2010.00")
    market.stop_at("2002.02", trio)


def test_break_even_that_cannot_wait_is_refused_with_what_can(market: Market) -> None:
    trio = opened(market)

    def refused(sentence: str, **terms: Any) -> None:
        with pytest.raises(RuleBroken, match=sentence):
            services.trio_break_even_arm(trio_id=trio.pk, by="ann", **terms)

    refused("one of them")
    refused("one of them", at_r=D("1"), at_price=D("2040"))
    refused("has reached 1999 already", at_price=D("1999"))
    refused(r"2002\.03 is the nearest valid level", at_price=D("2002.02"))
    services.trio_break_even_arm(trio_id=trio.pk, by="ann", at_price=D("2002.03"))
    services.trio_break_even_off(trio_id=trio.pk, by="ann")
    market.goes_to("2040.00")
    assert trio.level_moves.count() == 0

"""From bars to trios: a strategy decides about each closed bar once, and what it wants is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from signals.models import Signal, SignalResult, Strategy, StrategyBar, StrategyEvent
from signals.strategy_services import strategy_enable, strategy_stop
from tests.builders import Desk, until
from tests.unit.worker.charts import MINUTE, Chart, FakeExchange, FakeKlineStream, minutes_ago
from worker.polls import SignalPoll
from worker.strategy_loop import StrategyLoop
from worker.strategy_runner import Decider, Setup

D = Decimal
NAUGHTY = "tests.unit.signals.strategies.naughty"


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> FakeKlineStream:
    made = FakeKlineStream()
    monkeypatch.setattr("worker.candles.kline_stream", lambda environment: made)
    return made


@pytest.fixture
def chart(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> Chart:
    """ADAUSDT up to the bar that is open since five seconds ago, all closes at 0.4500."""
    made = Chart()
    for n in range(30, -1, -1):
        made.put(made.bar(minutes_ago(n), "0.4500"))
    # the same instants for all: each bar begins where the one before it ended
    first = made.rows[0].open_time
    made.rows = [made.bar(first + n * MINUTE, "0.4500") for n in range(31)]
    monkeypatch.setattr("worker.candles.public_exchange", lambda environment: FakeExchange(made))
    desk.simulator.set_price("ADAUSDT", "0.4522")
    desk.sweep()
    return made


@pytest.fixture
def loops(stream: FakeKlineStream) -> Iterator[list[StrategyLoop]]:
    made: list[StrategyLoop] = []
    yield made
    for loop in made:
        loop.stop()


def a_strategy(desk: Desk, settings: Any, code: str = "Buys", *, name: str = "test", **said: Any) -> Strategy:
    settings.STRATEGIES = {**settings.STRATEGIES, code.lower(): f"{NAUGHTY}:{code}"}
    usual: dict[str, Any] = {
        "symbols": "ADAUSDT", "timeframe": "1m", "size_kind": "QUANTITY", "size_value": D(100),
        "parameters": {"above": "0.4510"} if code == "Buys" else {},
    }  # fmt: skip
    strategy = Strategy.objects.create(name=name, code=code.lower(), **(usual | said))
    strategy.accounts.set([desk.account])
    strategy_enable(strategy.pk, by="test")
    return strategy


def running(loops: list[StrategyLoop], holder: str = "one") -> StrategyLoop:
    loop = StrategyLoop(holder=holder)
    loops.append(loop)
    return loop


def polled(what: Callable[[], object], *loops: StrategyLoop | SignalPoll) -> None:
    """Poll until this is true."""

    def there() -> bool:
        for loop in loops:
            loop.poll()
        return bool(what())

    until(
        there,
        every=0.02,
        why=lambda: f"{SignalResult.objects.values()} {TrioOrder.objects.values('state', 'reason')}",
    )


def stands_at(loop: StrategyLoop, strategy: Strategy, open_time: int) -> None:
    """Wait until a strategy has decided about this bar."""

    def there() -> bool:
        loop.poll()
        row = StrategyBar.objects.filter(strategy=strategy, symbol="ADAUSDT").first()
        return row is not None and row.bar_open_ts == open_time

    until(
        there,
        why=lambda: f"{StrategyEvent.objects.values()} {StrategyBar.objects.values()}",
        every=0.02,
    )


def test_a_strategys_entry_waits_for_its_trigger(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    a_strategy(desk, settings, "Waits", parameters={"limit": True})
    loop = running(loops)
    stands_at(loop, Strategy.objects.get(), chart.rows[-2].open_time)
    stream.say(chart.bar(chart.rows[-1].open_time, "0.4522", closed=True))

    polled(lambda: TrioOrder.objects.filter(state="WORKING").exists(), loop)
    trio = TrioOrder.objects.get()
    assert (trio.entry_type, trio.trigger_price, trio.price) == ("STOP", D("0.4722"), D("0.4822"))
    assert trio.protection == "ON_FIRST_FILL"


def test_from_a_closed_bar_to_a_trio(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings)
    loop = running(loops)
    newest, begun = chart.rows[-1].open_time, chart.rows[-2].open_time
    stands_at(loop, strategy, begun)
    assert not Signal.objects.exists(), "what closed before it began is nobody's to act on"

    stream.say(chart.bar(newest, "0.4522", closed=True))
    stands_at(loop, strategy, newest)

    trio = until(
        lambda: TrioOrder.objects.filter(state="OPEN").first(),
        why=lambda: str(list(SignalResult.objects.values())),
    )
    signal = Signal.objects.get()
    assert (signal.origin, signal.source, signal.bar_open_ts, signal.timeframe) == (
        "STRATEGY",
        "test",
        newest,
        "1m",
    )
    assert (signal.reason, signal.figures["close"], signal.figures["held"]) == ("always", "0.4522", "0")
    assert (trio.source, trio.side, trio.stop_loss, trio.quantity) == (
        "strategy:test",
        "BUY",
        D("0.4"),
        D(100),
    )
    assert trio.place_before == signal.act_before
    assert desk.simulator.position("ADAUSDT").quantity == D(100)
    assert stream.watched == [("ADAUSDT", "1m")]


def test_the_open_bar_is_never_used_though_the_stream_stalls_inside_it(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    # Given a frame in the middle of the newest bar, below what the strategy buys at, and then silence
    strategy = a_strategy(desk, settings)
    loop = running(loops)
    newest = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)
    stream.say(chart.bar(newest, "0.4500", said=newest + 31_000))

    # When the next frame is one of the bar after it, and what is read has another close
    chart.put(chart.bar(newest, "0.4522"))
    after = chart.put(chart.bar(newest + MINUTE, "0.4525", said=newest + MINUTE + 12_000))
    stream.say(after)
    stands_at(loop, strategy, newest)

    # Then the strategy has seen that close, has bought once, and knows nothing of the open one
    signal = Signal.objects.get()
    assert (signal.bar_open_ts, signal.figures["close"]) == (newest, "0.4522")
    until(lambda: TrioOrder.objects.filter(state="OPEN").count() == 1)


def test_bars_missed_come_in_order_and_only_the_newest_may_place(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    # Given a strategy that buys on every bar, and a stream that fell silent nine minutes ago
    strategy = a_strategy(desk, settings, parameters={}, size_kind="QUANTITY", size_value=D(100))
    rows, chart.rows = chart.rows, chart.rows[:-9]
    loop = running(loops)
    stands_at(loop, strategy, rows[-10].open_time)
    chart.rows = rows

    # When a frame comes again
    stream.say(chart.bar(rows[-1].open_time, "0.4500", said=rows[-1].open_time + 20_000))
    stands_at(loop, strategy, rows[-2].open_time)

    # Then all have reached it in order, and of their signals only the newest one's window is open
    signals = list(Signal.objects.order_by("id"))
    assert [signal.bar_open_ts for signal in signals] == [row.open_time for row in rows[-9:-1]]
    until(lambda: not SignalResult.objects.filter(outcome="PENDING").exists())
    outcomes = list(SignalResult.objects.order_by("signal_id").values_list("outcome", flat=True))
    assert outcomes == ["TOO_LATE"] * 7 + ["PLACED"]
    assert TrioOrder.objects.count() == 1
    assert desk.simulator.position("ADAUSDT").quantity == D(100)


def test_a_bar_is_acted_on_once_though_the_worker_is_killed_and_the_frame_comes_again(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    # Given a worker that recorded its decision and died before it could carry it out
    strategy = a_strategy(desk, settings)
    first = running(loops)
    first._execute = lambda signals: None  # type: ignore[method-assign]
    newest = chart.rows[-1].open_time
    stands_at(first, strategy, chart.rows[-2].open_time)
    closing = chart.put(chart.bar(newest, "0.4522", closed=True))
    stream.say(closing)
    stands_at(first, strategy, newest)
    loops.remove(first)
    first.stop()  # nothing was carried out
    assert not TrioOrder.objects.exists()

    # When another one comes up, and reads that bar, and hears of it twice
    chart.put(chart.bar(newest + MINUTE, "0.4500"))
    second = running(loops, "two")
    poll = SignalPoll()

    def is_open() -> bool:
        desk.carry()
        return TrioOrder.objects.filter(state="OPEN").exists()

    polled(is_open, second, poll)
    stream.say(closing)
    stream.say(closing)
    second.poll()

    # Then there is one signal, one trio and one entry in the exchange's log
    stream.say(chart.bar(newest + MINUTE, "0.4500", closed=True))
    stands_at(second, strategy, newest + MINUTE)
    poll.stop()
    assert Signal.objects.count() == TrioOrder.objects.count() == 1
    entries = [e for e in desk.requests(path="/fapi/v1/order") if e.params.get("type") == "MARKET"]
    assert len(entries) == 1


def test_a_signal_that_met_a_taken_slot_does_not_revive_when_the_slot_is_free(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    # Given a trio of somebody else in the slot, and a strategy whose bar wants to buy
    strategy = a_strategy(desk, settings)
    holder = desk.placed(desk.a_trio("ADAUSDT", quantity=D(50), stop_loss=D("0.4"), take_profit=D("0.9")))
    loop = running(loops)
    newest = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)
    stream.say(chart.bar(newest, "0.4522", closed=True))
    stands_at(loop, strategy, newest)
    until(lambda: not SignalResult.objects.filter(outcome="PENDING").exists())
    assert SignalResult.objects.get().outcome == "SLOT_TAKEN"

    # When its stop fills inside the next bar, which closes without a signal
    desk.simulator.set_price("ADAUSDT", "0.3990")
    desk.carry_until(holder, "CLOSED")
    stream.say(chart.bar(newest + MINUTE, "0.4500", closed=True))
    stands_at(loop, strategy, newest + MINUTE)
    poll = SignalPoll()
    poll.poll()
    poll.stop()

    # Then nothing more was placed: the decision was made, once
    assert (Signal.objects.count(), SignalResult.objects.get().outcome) == (1, "SLOT_TAKEN")
    assert list(TrioOrder.objects.all()) == [holder]


def test_one_that_was_disabled_while_it_decided_wants_nothing_any_more(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings)
    loop = running(loops)
    newest = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)
    decider = Decider(Setup.of(strategy), strategy.parameters, loop._feeds["PAPER"])
    assert decider.decide("ADAUSDT") == []
    loop._runners.pop(strategy.pk).stop()
    loop._feeds["PAPER"].handle(chart.bar(newest, "0.4522", closed=True))

    strategy_stop(strategy.pk, by="somebody")
    assert decider.decide("ADAUSDT") == []
    decider.close()
    assert not Signal.objects.exists()


def test_two_workers_run_a_strategy_once_and_one_takes_over_from_one_that_is_silent(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings)
    one, two = running(loops, "one"), running(loops, "two")
    stands_at(one, strategy, chart.rows[-2].open_time)
    for _ in range(3):
        two._refresh()
    assert (len(one._runners), len(two._runners)) == (1, 0)

    # When the first has been silent for longer than it may
    Strategy.objects.update(beat=db_now() - timedelta(seconds=6))
    two._refresh()
    assert len(two._runners) == 1
    one._refresh()
    assert len(one._runners) == 0


def test_a_decision_of_one_that_was_paused_meanwhile_is_not_recorded_twice(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    # Given two that both think that the strategy is theirs, and stand at the same bar
    strategy = a_strategy(desk, settings)
    loop = running(loops)
    newest = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)
    feed = loop._feeds["PAPER"]
    deciders = [Decider(Setup.of(strategy), strategy.parameters, feed) for _ in range(2)]
    for decider in deciders:
        assert decider.decide("ADAUSDT") == []
    loop._runners.pop(strategy.pk).stop()
    feed.handle(chart.bar(newest, "0.4522", closed=True))

    signals = [decider.decide("ADAUSDT") for decider in deciders]
    for decider in deciders:
        decider.close()

    assert [len(found) for found in signals] == [1, 0]
    assert Signal.objects.count() == 1


@pytest.mark.parametrize("code", ["Raises", "Sleeps", "Hoards", "Exits", "Floods", "Odd"])
def test_one_that_fails_is_disabled_and_the_others_miss_no_bar(
    code: str, desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    faults = {"Raises": "RAISED", "Sleeps": "STALLED", "Hoards": "MEMORY", "Exits": "EXITED", "Floods": "FLOODED",
              "Odd": "ANSWER"}  # fmt: skip
    good = a_strategy(desk, settings, parameters={"above": "9"})
    bad = a_strategy(desk, settings, code, name="bad", deadline_seconds=1, memory_mb=300)
    loop = running(loops)
    begun = chart.rows[-2].open_time
    stands_at(loop, good, begun)
    stands_at(loop, bad, begun)

    opened = chart.rows[-1].open_time
    for n in range(5):
        stream.say(chart.bar(opened + n * MINUTE, "0.4522", closed=True))
        stands_at(loop, good, opened + n * MINUTE)

    polled(lambda: not Strategy.objects.get(pk=bad.pk).enabled, loop)
    bad.refresh_from_db()
    assert (bad.fault, bad.fault_sentence != "") == (faults[code], True)
    event = StrategyEvent.objects.get(strategy=bad, kind="DISABLED")
    assert event.fault == faults[code]
    assert StrategyBar.objects.get(strategy=good).bars_count == 5
    assert StrategyBar.objects.get(strategy=good).missed_count == 0
    assert not Signal.objects.exists()
    polled(lambda: len(loop._runners) == 1, loop)


def test_after_a_signal_it_rests_for_its_cool_down(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings, parameters={}, cooldown_bars=2, dry_run=True)
    loop = running(loops)
    opened = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)
    for n in range(5):
        stream.say(chart.bar(opened + n * MINUTE, "0.4522", closed=True))
        stands_at(loop, strategy, opened + n * MINUTE)
    acted = [((signal.bar_open_ts or 0) - opened) // MINUTE for signal in Signal.objects.order_by("id")]
    assert acted == [0, 3]


def test_one_that_is_disabled_decides_no_more_and_begins_anew_when_enabled(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings, parameters={})
    loop = running(loops)
    opened = chart.rows[-1].open_time
    stands_at(loop, strategy, chart.rows[-2].open_time)

    strategy_stop(strategy.pk, by="somebody")
    stream.say(chart.put(chart.bar(opened, "0.4522", closed=True)))
    polled(lambda: not loop._runners, loop)
    assert not Signal.objects.exists()
    chart.put(chart.bar(opened + MINUTE, "0.4522"))

    strategy_enable(strategy.pk, by="somebody")
    stands_at(loop, strategy, opened)
    assert not Signal.objects.exists(), "what closed while it was off is nobody's to act on"
    assert list(StrategyEvent.objects.order_by("id").values_list("kind", "by")) == [
        ("ENABLED", "test"), ("STOPPED", "somebody"), ("ENABLED", "somebody"),
    ]  # fmt: skip


def test_without_worker_symbols_there_are_no_bars_and_with_them_strategies_look_at_those(
    desk: Desk, chart: Chart, stream: FakeKlineStream, loops: list[StrategyLoop], settings: Any
) -> None:
    strategy = a_strategy(desk, settings, symbols="", timeframe="")
    loop = running(loops)
    loop._refresh()
    assert (loop._feeds, loop._runners, chart.reads) == ({}, {}, 0)

    settings.WORKER_SYMBOLS, settings.TIMEFRAME = ["ADAUSDT"], "1m"
    stands_at(loop, strategy, chart.rows[-2].open_time)
    assert stream.watched == [("ADAUSDT", "1m")]

"""The bars that strategies look at: what is read when, and what is taken for closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from accounts.endpoints import use_transport
from exchange.types import Connected, ExchangeMs
from simulator import Simulator
from simulator.transport import InProcessAdapter
from tests.builders import until
from tests.unit.worker.charts import MINUTE, Chart, FakeExchange, FakeKlineStream
from worker.candles import CandleFeed

KEY = ("ADAUSDT", "1m")
TEN = 1_795_773_600_000  # 10:00:00 on 2026-11-27


class World:
    """A feed, the exchange it reads, and both clocks in the test's hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chart = Chart()
        self.stream = FakeKlineStream()
        self.now = 1000.0
        self.exchange_now = TEN
        monkeypatch.setattr("worker.candles.kline_stream", lambda environment: self.stream)
        monkeypatch.setattr("worker.candles.public_exchange", lambda environment: FakeExchange(self.chart))
        self.feed = CandleFeed(
            "PAPER",
            heard=lambda key: None,
            clock=lambda: self.now,
            exchange_now=lambda _: ExchangeMs(self.exchange_now),
        )
        self.feed.watch([KEY])

    def at(self, ms: int) -> None:
        """Let both clocks be so far after ten."""
        self.now += (TEN + ms - self.exchange_now) / 1000
        self.exchange_now = TEN + ms

    def says(self, minute: int, close: str, *, at: int, closed: bool = False) -> None:
        """The stream says something of a bar, so many ms after ten."""
        self.at(at)
        self.feed.handle(self.chart.bar(TEN + minute * MINUTE, close, closed=closed, said=TEN + at))

    def holds(self, *closes: str) -> None:
        """What can be read: bars from ten on, the last one open."""
        self.chart.rows = [self.chart.bar(TEN + n * MINUTE, close) for n, close in enumerate(closes)]

    def is_idle(self) -> bool:
        return not self.feed._watched[KEY].is_reading

    @property
    def closes(self) -> list[str]:
        return [str(bar.close) for bar in self.feed.after(KEY, 0)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    made.feed.stop()


def read(world: World, what: Callable[[], object]) -> None:
    world.feed.poll()
    until(lambda: world.is_idle() and what(), why=lambda: f"{world.closes}, {world.chart.reads} read")


def test_a_bar_whose_closing_frame_never_comes_is_read_once_it_is_over(world: World) -> None:
    # Given 10:00 as closed, and a stream that stays silent from the middle of 10:01 on
    world.holds("0.4500", "0.4511")
    world.at(61_000)
    read(world, lambda: world.closes == ["0.4500"])
    world.says(1, "0.4515", at=90_000)

    # When its end is past, and some seconds more
    world.holds("0.4500", "0.4522", "0.4530")
    world.at(119_999)
    read(world, lambda: True)
    assert world.closes == ["0.4500"], "not while it is open, whatever was said of it"
    world.at(124_000)

    # Then it is read: its close, and not what was said in between
    read(world, lambda: world.closes == ["0.4500", "0.4522"])


def test_the_open_bar_that_comes_last_is_left_out_to_the_millisecond(world: World) -> None:
    world.holds("0.4500", "0.4511")
    world.at(119_999)
    read(world, lambda: world.closes == ["0.4500"])
    world.feed.handle(Connected())
    world.at(120_000)
    read(world, lambda: world.closes == ["0.4500", "0.4511"])


def test_frames_of_a_bar_that_cannot_be_read_yet_do_not_ask_each_time(world: World) -> None:
    # Given an exchange whose REST lags: 10:01 is over, and it still says that it is the open one
    world.holds("0.4500", "0.4511")
    world.at(61_000)
    read(world, lambda: world.closes == ["0.4500"])
    before = world.chart.reads

    # When frames of 10:02 come four times a second for two seconds
    world.chart.rows = world.chart.rows[:1]
    for n in range(8):
        world.says(2, "0.4520", at=120_250 + n * 250)
        until(world.is_idle)

    # Then it was asked about once a second, and the bar is there as soon as it can be read
    assert world.chart.reads - before <= 3
    world.holds("0.4500", "0.4513", "0.4520")
    world.says(2, "0.4521", at=123_500)
    read(world, lambda: world.closes == ["0.4500", "0.4513"])


def test_after_a_reconnect_late_and_doubled_frames_change_nothing(world: World) -> None:
    world.holds("0.4500", "0.4511", "0.4512", "0.4513")
    world.at(185_000)
    read(world, lambda: len(world.closes) == 3)
    world.feed.handle(Connected())
    for minute, close in ((1, "0.9"), (0, "0.8"), (2, "0.7")):
        world.says(minute, close, at=186_000, closed=True)
    world.says(3, "0.4514", at=240_100, closed=True)
    world.says(3, "0.9999", at=240_200, closed=True)
    read(world, lambda: True)
    assert world.closes == ["0.4500", "0.4511", "0.4512", "0.4514"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("timeframe", "key", "closes"),
    [
        ("1w", 1794787200000, 1795392000000),  # Monday 2026-11-16; not 1795046400000, a Thursday
        ("1M", 1793491200000, 1796083200000),  # 2026-11-01 until 2026-12-01; not 2026-11-03
    ],
)
def test_weeks_and_months_are_keyed_by_what_the_exchange_says(
    monkeypatch: pytest.MonkeyPatch, timeframe: str, key: int, closes: int
) -> None:
    # Given the simulated exchange on Sunday 2026-11-22 at 23:59:59, read by the client that trades
    now = 1795391999000
    exchange = Simulator(clock=lambda: now, symbols=["BTCUSDT"])
    use_transport("PAPER", InProcessAdapter(exchange))
    monkeypatch.setattr("worker.candles.kline_stream", lambda environment: FakeKlineStream())
    feed = CandleFeed("PAPER", heard=lambda series: None, exchange_now=lambda _: ExchangeMs(now))
    series = ("BTCUSDT", timeframe)
    feed.watch([series])
    try:
        feed.poll()
        bars = until(lambda: feed.after(series, 0))
    finally:
        feed.stop()
        use_transport("PAPER", None)

    # Then the newest closed bar ends where the running one begins, and that one is not among them
    assert bars[-1].close_time + 1 == key
    assert [bar for bar in bars if bar.open_time >= key] == []
    assert exchange_bar(exchange, timeframe) == (key, closes - 1)


def exchange_bar(exchange: Simulator, timeframe: str) -> tuple[int, int]:
    """Return when the running bar opens and closes, as the exchange says."""
    answer = exchange.handle("GET", f"/fapi/v1/klines?symbol=BTCUSDT&interval={timeframe}&limit=1", {})
    (row,) = json.loads(answer.body)
    return row[0], row[6]

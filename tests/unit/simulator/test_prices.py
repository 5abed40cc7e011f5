"""Where prices come from, and the two clocks."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator
from tests.unit.simulator.support import KEY, SECRET, Clock


def ask(simulator: Simulator, path: str) -> Any:
    return json.loads(simulator.handle("GET", path, {}).body)


def test_every_trading_symbol_has_a_price(clock: Clock) -> None:
    simulator = Simulator(clock=clock, prices="replay")
    info = ask(simulator, "/fapi/v1/exchangeInfo")
    trading = {s["symbol"] for s in info["symbols"] if s["status"] == "TRADING"}
    prices = {row["symbol"]: Decimal(row["price"]) for row in ask(simulator, "/fapi/v2/ticker/price")}
    assert set(prices) == trading
    assert all(price > 0 for price in prices.values())


def test_a_recording_is_walked_inside_each_bar(clock: Clock, tmp_path: Path) -> None:
    # Given bars of one minute: one rising, one falling
    file = tmp_path / "bars.csv"
    file.write_text(
        "open_time,open,high,low,close,volume\n0,100,110,95,105,1\n60000,105,108,90,92,1\n120000,92,93,91,92,1\n"
    )
    simulator = Simulator(clock=clock, prices="replay", klines={"BTCUSDT": file}, symbols=["BTCUSDT"])
    recording = simulator.venue.prices.recordings["BTCUSDT"]
    corners = [[str(price) for _, price in recording.points(n)] for n in (0, 1)]
    assert corners == [["100", "95", "110", "105"], ["105", "108", "90", "92"]]
    # and after the last bar it runs backwards, without a jump
    assert [recording.bar(n).open for n in (2, 3)] == [Decimal(92), Decimal(92)]
    assert recording.bar(3).close == Decimal(92)


def test_the_market_runs_at_the_speed_it_is_given(clock: Clock) -> None:
    simulator = Simulator(clock=clock, prices="replay", speed=20, symbols=["ADAUSDT", "BTCUSDT"])
    begun = simulator.ex.market_ms
    for _ in range(40):
        clock.forward(50)
        simulator.tick()
    assert simulator.ex.market_ms - begun == 2000 * 20
    assert ask(simulator, "/fapi/v1/time")["serverTime"] == clock()


def test_same_seed_same_path(clock: Clock) -> None:
    def path(seed: int) -> list[str]:
        simulator = Simulator(clock=Clock(), prices="walk", seed=seed, symbols=["BTCUSDT"])
        found = []
        for _ in range(50):
            simulator.advance_market(1000)
            found.append(str(simulator.ex.market("BTCUSDT").last))
        return found

    assert path(1) == path(1) != path(2)
    assert len(set(path(1))) > 30


def test_bars_join_history_and_present_and_the_last_is_open(clock: Clock) -> None:
    simulator = Simulator(clock=clock, prices="replay", symbols=["ADAUSDT", "BTCUSDT", "XRPUSDT"])
    simulator.advance_market(5 * 60_000)
    for symbol, interval, length in (("ADAUSDT", "1m", 60_000), ("XRPUSDT", "5m", 300_000), ("BTCUSDT", "1d", 86_400_000),
                                     ("BTCUSDT", "15m", 900_000), ("ADAUSDT", "5m", 300_000)):  # fmt: skip
        rows = ask(simulator, f"/fapi/v1/klines?symbol={symbol}&interval={interval}&limit=200")
        assert len(rows) == 200
        starts = [row[0] for row in rows]
        assert {b - a for a, b in itertools.pairwise(starts)} == {length}
        assert rows[-1][6] >= simulator.ex.market_ms
        for row in rows:
            opened, high, low, close = (Decimal(text) for text in row[1:5])
            assert low <= min(opened, close) <= max(opened, close) <= high


def test_a_market_without_trades_has_flat_bars_and_no_gaps(clock: Clock) -> None:
    simulator = Simulator(clock=clock, symbols=["BTCUSDT"])
    for price in ("63000", "63100", "63050"):
        simulator.set_price("BTCUSDT", price)
        simulator.advance_market(4 * 60_000)
    rows = ask(simulator, "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=12")
    assert {b[0] - a[0] for a, b in itertools.pairwise(rows)} == {60_000}
    assert [row[4] for row in rows][-1] == "63050.0"


@pytest.mark.parametrize(
    ("query", "code"),
    [("interval=1s", -1120), ("interval=1m&limit=2000", -1130), ("interval=1m&limit=x", -1100),
     ("interval=1m&startTime=2&endTime=1", -1023), ("", -1102)],
)  # fmt: skip
def test_bad_queries_of_bars(simulator: Simulator, query: str, code: int) -> None:
    assert ask(simulator, f"/fapi/v1/klines?symbol=BTCUSDT&{query}")["code"] == code


def test_files_that_are_no_recordings_are_explained(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("open_time,open,high,low,close,volume\n0,1,2,3,x,5\n")
    with pytest.raises(ValueError, match="line 2: expected the columns"):
        Simulator(prices="replay", klines={"BTCUSDT": bad})
    with pytest.raises(ValueError, match="Cannot read"):
        Simulator(prices="replay", klines={"BTCUSDT": tmp_path / "absent.csv"})
    with pytest.raises(ValueError, match="has no NOPEUSDT"):
        Simulator(prices="replay", klines={"NOPEUSDT": bad})
    with pytest.raises(ValueError, match="not an exchangeInfo"):
        Simulator(exchange_info=bad)


def test_a_machine_that_slept_catches_up(clock: Clock) -> None:
    simulator = Simulator(clock=clock, prices="walk", symbols=["BTCUSDT"])
    simulator.add_account("desk", KEY, SECRET)
    simulator.tick()
    clock.forward(3_600_000)
    simulator.tick()
    assert simulator.ex.market_ms == clock()


@pytest.mark.parametrize(
    ("interval", "key", "closes"),
    [
        (
            "1w",
            1794787200000,
            1795392000000 - 1,
        ),  # Monday 2026-11-16; dividing the time since 1970 gives a Thursday
        ("1M", 1793491200000, 1796083200000 - 1),  # 2026-11-01 to the end of November
        ("1d", 1795305600000, 1795392000000 - 1),
    ],
)
def test_bars_begin_where_the_calendar_has_them(interval: str, key: int, closes: int) -> None:
    # Given Sunday 2026-11-22 23:59:59
    simulator = Simulator(clock=Clock(1795391999000), symbols=["BTCUSDT"])
    rows = ask(simulator, f"/fapi/v1/klines?symbol=BTCUSDT&interval={interval}&limit=30")
    assert (rows[-1][0], rows[-1][6]) == (key, closes)
    # and each begins where the one before it has ended
    assert [row[0] for row in rows[1:]] == [row[6] + 1 for row in rows[:-1]]


@pytest.mark.parametrize("step", [250, 333, 15_000, 60_000])
def test_the_bars_of_a_recording_are_the_recorded_ones_whatever_the_steps(clock: Clock, step: int) -> None:
    simulator = Simulator(clock=clock, prices="replay", symbols=["ADAUSDT"])
    recording = simulator.venue.prices.recordings["ADAUSDT"]
    simulator.venue.prices.running = False
    number = recording.number_at(simulator.ex.market_ms) + 1
    for _ in range(16 * 60_000 // step):
        simulator.advance_market(step)
    rows = {row[0]: row for row in ask(simulator, "/fapi/v1/klines?symbol=ADAUSDT&interval=1m&limit=20")}
    for n in range(number, number + 14):
        candle, row = recording.bar(n), rows[recording.origin + n * 60_000]
        assert [Decimal(text) for text in row[1:5]] == [candle.open, candle.high, candle.low, candle.close]

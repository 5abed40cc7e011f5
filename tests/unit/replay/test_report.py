"""What a replay's report says: won, lost and even; drawdown from zero; no infinity."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from replay.market import Levels, pauses, way_through
from replay.recordings import NoRecording, recording
from replay.report import Closed, digest, drawdown, statistics, text
from simulator.prices.recorded import Candle

D = Decimal
TRIO = Closed(
    1, "ADAUSDT", "1m", 0, 60_000, "BUY", D(1), D(100), D(101), D(99), D(103), "CLOSED", "TAKE_PROFIT", D(0), D(0),
    D(0), D(2), 0,
)  # fmt: skip


def trios(*nets: str) -> list[Closed]:
    return [replace(TRIO, gross=D(net)) for net in nets]


def test_won_lost_and_even_are_counted_apart() -> None:
    six = trios("-8.00", "0.30", "12.00", "4.50", "0.00", "-6.00")
    six[1] = replace(six[1], fees=D("0.87"))
    unfilled = replace(TRIO, entry=None, state="CANCELLED")
    open_at_the_end = replace(TRIO, closed_bar=None, gross=D(50))

    found = statistics([*six, unfilled, open_at_the_end])

    assert (found["trios"], found["won"], found["lost"], found["even"]) == (6, 2, 3, 1)
    assert (found["win_rate_percent"], found["win_rate_without_even_percent"]) == ("33.33", "40")
    assert (found["profit_factor"], found["expectancy"]) == ("1.1325", "0.3217")
    assert found["largest_drawdown"] == "8.57"


def test_without_losses_there_is_no_profit_factor_and_without_trades_nothing() -> None:
    assert statistics(trios("1", "2"))["profit_factor"] is None
    empty = statistics([])
    assert (empty["trios"], empty["win_rate_percent"], empty["expectancy"]) == (0, None, None)


def test_the_curve_of_the_drawdown_begins_at_zero() -> None:
    assert drawdown([D(-8), D("-0.57"), D(12), D("4.5"), D(0), D(-6)]) == D("8.57")
    assert drawdown([D(5), D(-2), D(3)]) == D(2)


def test_numbers_are_written_plainly() -> None:
    assert [text(D(number)) for number in ("100", "1E+2", "0.50", "0E-8")] == ["100", "100", "0.5", "0"]
    assert text(None) is None


def test_how_long_it_took_is_no_part_of_the_hash() -> None:
    assert digest({"a": 1, "took": {"seconds": 1}}) == digest({"a": 1, "took": {"seconds": 2}, "hash": "x"})
    assert digest({"a": 1}) != digest({"a": 2})


RISING = Candle(0, D(100), D(110), D(90), D(105), D(1))


@pytest.mark.parametrize(
    ("candle", "living", "corners", "is_ambiguous"),
    [
        (RISING, [], (100, 90, 110, 105), False),
        (replace(RISING, close=D(95)), [], (100, 110, 90, 95), False),
        # a long whose target alone lies inside
        (replace(RISING, close=D(95)), [Levels(D(80), D(108))], (100, 110, 90, 95), False),
        # a long with both inside: the stop below comes first, though the bar falls
        (replace(RISING, close=D(95)), [Levels(D(91), D(108))], (100, 90, 110, 95), True),
        # a short with both inside: the stop above comes first, though the bar rises
        (RISING, [Levels(D(108), D(91))], (100, 110, 90, 105), True),
        # an entry that waits for its trigger, and its stop: it enters first, then the stop is reached
        (RISING, [Levels(D(95), D(120), D(104), by_trigger=True)], (100, 104, 90, 110, 105), True),
        (RISING, [Levels(D(106), D(80), D(96), by_trigger=True)], (100, 96, 110, 90, 105), True),
        # … whose stop lies outside; whose trigger was passed at the open; a limit that waits
        (RISING, [Levels(D(89), D(120), D(104), by_trigger=True)], (100, 90, 110, 105), False),
        (RISING, [Levels(D(95), D(120), D(99), by_trigger=True)], (100, 90, 110, 105), False),
        (RISING, [Levels(D(91), D(120), D(96))], (100, 90, 110, 105), False),
    ],
)
def test_a_bar_that_holds_stop_and_target_counts_the_stop_first(
    candle: Candle, living: list[Levels], corners: tuple[int, ...], is_ambiguous: bool
) -> None:
    way = way_through(candle, living)
    assert (way.corners, way.is_ambiguous) == (tuple(map(D, corners)), is_ambiguous)


def test_the_price_pauses_where_entries_wait_between_two_corners() -> None:
    waiting = [Levels(D(80), D(120), D(104)), Levels(D(120), D(80), D(96)), Levels(D(80), D(120))]
    assert pauses(D(90), D(110), waiting) == [96, 104]
    assert pauses(D(110), D(90), waiting) == [104, 96]
    assert pauses(D(96), D(104), waiting) == []


def test_shipped_bars_and_files_are_read_and_cut(tmp_path: Path) -> None:
    shipped = recording("ADAUSDT", None)
    assert (shipped.timeframe, len(shipped.candles)) == ("1m", 1440)
    part = shipped.between(shipped.candles[10].start, shipped.candles[19].start)
    assert (len(part.candles), part.first(3).candles) == (10, shipped.candles[10:13])
    assert part.digest != shipped.digest


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("", "fewer than two bars"),
        ("0,1,1,1,1,1", "fewer than two bars"),
        ("0,1,1,1,1,1\n61000,1,1,1,1,1", "of no timeframe"),
        ("60000,1,1,1,1,1\n0,1,1,1,1,1", "of no timeframe"),
        ("0,1,0.9,1,1,1\n60000,1,1,1,1,1", "cannot be"),
        ("0,1,1,0,1,1\n60000,1,1,1,1,1", "cannot be"),
        ("0,x,1,1,1,1\n60000,1,1,1,1,1", "expected the columns"),
    ],
)
def test_bars_that_no_exchange_has_are_refused(tmp_path: Path, lines: str, words: str) -> None:
    file = tmp_path / "bars.csv"
    file.write_text("open_time,open,high,low,close,volume\n" + lines)
    with pytest.raises(NoRecording, match=words):
        recording("ADAUSDT", file)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoRecording, match="No bars of BTCUSDT are shipped"):
        recording("BTCUSDT", None)
    with pytest.raises(NoRecording, match="Cannot read"):
        recording("BTCUSDT", tmp_path / "none.csv")
    with pytest.raises(NoRecording, match="fewer than two bars"):
        recording("ADAUSDT", None).between(0, 1)

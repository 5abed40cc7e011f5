"""Closed bars: what counts as one, and that late, doubled and missing ones do no harm."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.types import Kline
from signals.domain.bars import Bar, Series, act_before

D = Decimal
TEN = 1_795_773_600_000  # 10:00:00 on 2026-11-27
MINUTE = 60_000


def at(clock: str) -> int:
    """Exchange ms of a time of day, as in 10:01:12.150."""
    hours, minutes, seconds = clock.split(":")
    return TEN + (int(hours) - 10) * 3_600_000 + int(minutes) * MINUTE + int(D(seconds) * 1000)


def frame(opened: str, close: str, *, said: str, closed: bool = False, minutes: int = 1) -> Kline:
    start = at(opened)
    return Kline(
        "ADAUSDT", "1m", start, start + minutes * MINUTE - 1, D("0.4510"), D("0.4530"), D("0.4490"), D(close), D(9), 5,
        closed=closed, time=at(said),
    )  # fmt: skip


def row(opened: str, close: str = "0.4500", minutes: int = 1) -> Kline:
    return replace(frame(opened, close, said="10:00:00", minutes=minutes), time=0)


def series(*rows: Kline, asked: str) -> Series:
    made = Series()
    made.read(rows, asked_at=at(asked))
    return made


def closes(made: Series) -> list[tuple[int, str]]:
    return [((bar.open_time - TEN) // MINUTE, str(bar.close)) for bar in made.after(0)]


def test_the_open_bar_is_never_used_though_the_stream_stalls_inside_it() -> None:
    # Given bars up to 09:59, and a frame in the middle of 10:00 before the socket falls silent
    made = series(row("9:58:00"), row("9:59:00"), row("10:00:00"), asked="10:00:05")
    assert not made.hear(frame("10:00:00", "0.4500", said="10:00:31"))
    assert closes(made) == [(-2, "0.4500"), (-1, "0.4500")]

    # When the next frame is one of 10:01, the bar before it is missing; it is read
    assert made.hear(frame("10:01:00", "0.4525", said="10:01:12"))
    assert made.since == at("10:00:00")
    made.read([row("10:00:00", "0.4522"), row("10:01:00", "0.4525")], asked_at=at("10:01:12"))

    # Then it has the close that was read, never the one in between
    assert closes(made)[2:] == [(0, "0.4522")]


def test_a_bar_that_is_said_to_be_closed_twice_is_there_once() -> None:
    made = series(row("10:04:00"), row("10:05:00"), asked="10:05:30")
    closing = frame("10:05:00", "0.4511", said="10:06:00.150", closed=True)
    assert not made.hear(closing)
    assert not made.hear(closing)
    # nor by being read, nor with another close, nor late
    made.read([row("10:05:00", "0.4000"), row("10:06:00")], asked_at=at("10:06:04"))
    assert not made.hear(replace(closing, close=D("0.4520")))
    assert not made.hear(frame("10:04:00", "0.4490", said="10:06:05", closed=True))
    assert closes(made) == [(4, "0.4500"), (5, "0.4511")]


def test_what_was_missed_comes_in_order_and_only_the_newest_may_still_act() -> None:
    made = series(row("9:59:00"), row("10:00:00"), asked="10:00:05")
    missed = [row(f"10:0{n}:00") for n in range(9)]
    assert made.hear(frame("10:08:00", "0.4500", said="10:08:20"))
    made.read(missed, asked_at=at("10:08:20"))

    fresh = made.after(at("9:59:00"))
    assert [(bar.open_time - TEN) // MINUTE for bar in fresh] == list(range(8))
    now = at("10:08:20")
    in_time = [bar for bar in fresh if now < act_before(bar, max_age_ms=60_000)]
    assert [(bar.open_time - TEN) // MINUTE for bar in in_time] == [7]
    assert act_before(in_time[0], max_age_ms=60_000) == at("10:09:00")


def test_a_closing_frame_after_a_gap_waits_for_what_is_missing() -> None:
    made = series(row("10:00:00"), row("10:01:00"), asked="10:01:05")
    assert made.hear(frame("10:02:00", "0.4500", said="10:03:00", closed=True))
    assert closes(made) == [(0, "0.4500")]


def test_before_anything_was_read_nothing_of_the_stream_is_used() -> None:
    made = Series()
    assert made.hear(frame("10:00:00", "0.4500", said="10:01:00", closed=True))
    assert made.last is None


@pytest.mark.parametrize(("asked", "is_closed"), [("10:00:59.999", False), ("10:01:00", True)])
def test_a_bar_that_was_read_is_closed_once_its_end_is_past_on_the_exchanges_clock(
    asked: str, is_closed: bool
) -> None:
    assert (series(row("10:00:00"), asked=asked).last is not None) is is_closed


def test_a_decision_may_act_until_the_next_close_or_its_age() -> None:
    (minute,) = series(row("10:00:00"), asked="10:02:00").after(0)
    (hour,) = series(row("10:00:00", minutes=60), asked="11:02:00").after(0)
    assert act_before(minute, max_age_ms=60_000) == at("10:02:00")
    assert act_before(minute, max_age_ms=300_000) == at("10:02:00")
    assert act_before(minute, max_age_ms=10_000) == at("10:01:10")
    assert act_before(hour, max_age_ms=60_000) == at("11:01:00")


def test_weeks_and_months_are_keyed_and_followed_as_the_exchange_says() -> None:
    # Given the week of Monday 2026-11-16 and the November of the exchange, on Sunday 2026-11-22 at 23:59:59
    now = 1795391999000
    week = replace(row("10:00:00"), open_time=1794787200000, close_time=1795391999999)
    month = replace(row("10:00:00"), open_time=1793491200000, close_time=1796083199999)
    for bar in (week, month):
        made = Series()
        made.read([replace(bar, open_time=1, close_time=bar.open_time - 1), bar], asked_at=now)
        assert made.since == bar.open_time, "the running one is not closed, and is the next"
        # When it closes, and the next one is shorter or longer
        assert not made.hear(replace(bar, closed=True, time=bar.close_time + 150))
        following = replace(bar, open_time=bar.close_time + 1, close_time=bar.close_time + 31 * 86_400_000)
        assert not made.hear(following)
        assert made.last is not None
        assert made.last.open_time == bar.open_time


def test_where_the_market_runs_ahead_of_the_exchanges_clock_a_bar_counts_from_when_it_was_said() -> None:
    # Given a simulator at a fast market clock: its bars lie in the future
    made = series(row("10:10:00"), row("10:11:00"), asked="10:00:30")
    assert closes(made) == [(10, "0.4500")], "the one that another follows is over"
    made.hear(frame("10:11:00", "0.4510", said="10:00:31", closed=True))
    assert made.last is not None
    assert act_before(made.last, max_age_ms=60_000) == at("10:01:31")


def test_nothing_that_was_read_changes_nothing() -> None:
    made = series(row("10:00:00"), asked="10:01:00")
    made.read([], asked_at=at("10:02:00"))
    assert closes(made) == [(0, "0.4500")]


def test_it_keeps_the_newest() -> None:
    made = Series(keep=3)
    made.read([row(f"10:0{n}:00") for n in range(6)], asked_at=at("10:05:30"))
    assert [n for n, _ in closes(made)] == [2, 3, 4]
    assert [bar.open_time for bar in made.until(at("10:03:00"), 2)] == [at("10:02:00"), at("10:03:00")]
    assert made.until(at("9:00:00"), 2) == []


def test_bars_are_equal_by_what_they_say() -> None:
    bar = Bar(0, 1, D(1), D(1), D(1), D(1), D(1), closed_at=2)
    assert bar == replace(bar, closed_at=9)

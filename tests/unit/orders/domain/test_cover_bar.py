"""The line of how a position was covered: every span in its order, and no gap too short to be seen."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orders.domain.cover_bar import LINE, SAID_MAX, SEEN_MIN, cover_bar
from orders.domain.coverage import Cover, Execution, Span, StopInterval, gaps, spans

ONE = Decimal(1)


def test_the_spans_follow_each_other_and_their_gaps_are_those_that_are_counted() -> None:
    # Given an entry at 1000, a stop at 1040 that goes at 5000, another at 5100, the exit at 9000
    executions = [Execution(1000, ONE), Execution(9000, -ONE)]
    stops = [StopInterval(1040, 5000, None), StopInterval(5100, None, ONE)]
    found = spans(executions, stops, until_ts=10_000)
    assert [(span.cover, span.since, span.until) for span in found] == [
        (Cover.UNCOVERED, 1000, 1040),
        (Cover.COVERED, 1040, 5000),
        (Cover.UNCOVERED, 5000, 5100),
        (Cover.COVERED, 5100, 9000),
        (Cover.FLAT, 9000, 10_000),
    ]
    uncovered = [span.lasted for span in found if span.cover is Cover.UNCOVERED]
    counted = gaps(executions, stops, until_ts=10_000)
    assert (sum(uncovered), max(uncovered)) == (counted.total, counted.longest) == (140, 100)

    bar = cover_bar(found)
    assert bar is not None
    assert (bar.uncovered, bar.covered, bar.gaps_count) == (140, 3960 + 3900, 2)
    assert bar.sentence == (
        "Counted from the first execution: uncovered from 0 ms, covered from 40 ms, uncovered from 4000 ms, "
        "covered from 4100 ms, no position from 8000 ms."
    )


@pytest.mark.parametrize("lasts", [1, 1000, 10_000_000])
def test_a_gap_of_a_millisecond_is_seen_and_the_line_is_full(lasts: int) -> None:
    found = [
        Span(Cover.UNCOVERED, 0, 1),
        Span(Cover.COVERED, 1, 1 + lasts),
        Span(Cover.FLAT, 1 + lasts, 2 + lasts),
    ]
    bar = cover_bar(found)
    assert bar is not None
    assert [part.cover for part in bar.segments] == ["UNCOVERED", "COVERED", "FLAT"]
    assert bar.segments[0].width >= SEEN_MIN - 1
    assert sum(part.width for part in bar.segments) == LINE
    ends = [part.x + part.width for part in bar.segments]
    assert [part.x for part in bar.segments] == [0, *ends[:-1]]


def test_hundreds_of_changes_are_drawn_and_a_part_of_them_told() -> None:
    kinds = (Cover.COVERED, Cover.UNCOVERED)
    bar = cover_bar([Span(kinds[at % 2], at * 10, at * 10 + 10) for at in range(300)])
    assert bar is not None
    assert (len(bar.segments), bar.gaps_count, len(bar.gaps)) == (300, 150, 20)
    assert sum(part.width for part in bar.segments) == LINE
    assert bar.sentence.endswith(f"{300 - SAID_MAX} changes more.")


def test_nothing_is_drawn_of_nothing() -> None:
    assert cover_bar([]) is None
    assert cover_bar([Span(Cover.COVERED, 5, 5)]) is None

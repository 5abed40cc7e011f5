"""What comes next is said by the decision itself, with the rule that made it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orders.domain.chart_span import TIMEFRAMES, span_of
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import Rest, Submit
from orders.domain.enums import LegState, TrioState
from orders.domain.next_step import next_step_of
from orders.domain.snapshot import TrioSnapshot
from tests.unit.orders.domain.snapshots import entry, exit_order, flat, holding, stop, target, trio

EVERY = {
    "queued": trio(TrioState.QUEUED),
    "placing": trio(TrioState.PLACING, entry(LegState.SUBMITTED)),
    "working": trio(TrioState.WORKING, entry(LegState.ACCEPTED)),
    "open, uncovered": trio(TrioState.OPEN, entry(), slot=holding()),
    "open, covered": trio(TrioState.OPEN, entry(), stop(), target(), slot=holding()),
    "open, without its target": trio(TrioState.OPEN, entry(), stop(), slot=holding()),
    "exiting": trio(TrioState.EXITING, entry(), stop(), target(), slot=holding()),
    "exited": trio(TrioState.EXITING, entry(), stop(), target(), exit_order(), slot=flat()),
    "rolling back": trio(TrioState.ROLLING_BACK, entry(), stop(), slot=holding()),
    "withdrawing": trio(TrioState.WITHDRAWING, entry(LegState.ACCEPTED)),
    "draft": trio(TrioState.DRAFT),
    "closed": trio(TrioState.CLOSED, entry(), exit_order()),
}


@pytest.mark.parametrize("name", EVERY)
def test_it_is_the_decisions_own_step_with_words_and_a_reason(name: str) -> None:
    seen: TrioSnapshot = EVERY[name]
    found = next_step_of(seen)
    assert found.step == decide(seen).step
    assert found.words
    if not isinstance(found.step, Rest) and found.rule:
        assert found.why.endswith((".", ":")), found
    assert bool(found.rule) == bool(found.why)


def test_an_uncovered_position_names_the_rule_that_sends_its_stop() -> None:
    found = next_step_of(EVERY["open, uncovered"])
    assert isinstance(found.step, Submit)
    assert "stop-loss" in found.words
    assert found.rule


def test_where_nothing_is_to_be_done_no_rule_is_named() -> None:
    still = replace(EVERY["draft"])
    assert (next_step_of(still).rule, next_step_of(EVERY["closed"]).rule) == ("", "")


@pytest.mark.parametrize(
    ("minutes", "timeframe"), [(0, "1m"), (120, "1m"), (121, "5m"), (3000, "1h"), (100_000, "1d")]
)
def test_a_picture_shows_a_time_with_some_before_it(minutes: int, timeframe: str) -> None:
    begins = 1_780_000_000_123
    span = span_of(begins, begins + minutes * 60_000)
    assert span.timeframe == timeframe
    assert span.since <= begins
    assert span.since % TIMEFRAMES[timeframe] == 0
    assert 60 < span.limit <= 1000

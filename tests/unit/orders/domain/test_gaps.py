"""How long a position was uncovered, and how much of that the exchange itself refused: tables by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from orders.domain.coverage import Execution, Gaps, StopInterval, gaps, gone_ts
from orders.domain.enums import LegState
from orders.domain.enums import TrioState as S
from orders.domain.snapshot import LegView
from tests.unit.orders.domain.snapshots import NOW_TS, entry, exit_order, flat, holding, stop, target, trio

ONE = Decimal(1)
BOUGHT, SOLD = Execution(1000, ONE), Execution(9000, -ONE)


@pytest.mark.parametrize(
    ("stops", "refusals", "found"),
    [
        ([StopInterval(900, None, None)], [950], Gaps(0, 0)),
        ([StopInterval(1400, None, None)], [], Gaps(400, 400)),
        ([StopInterval(1400, None, None)], [1100, 1200], Gaps(400, 400, 400)),
        ([StopInterval(1400, None, None)], [950, 1500], Gaps(400, 400)),
        ([StopInterval(1400, None, None)], [1000], Gaps(400, 400, 400)),
        # Two gaps, and only in the second did the exchange refuse.
        ([StopInterval(1400, 5000, None), StopInterval(5300, None, None)], [5100], Gaps(700, 400, 300)),
        # Half a cover is none; the exit ends it.
        ([StopInterval(1400, None, ONE / 2)], [1200], Gaps(8000, 8000, 8000)),
    ],
)
def test_refused_time_is_the_gaps_in_which_protection_was_refused(
    stops: list[StopInterval], refusals: list[int], found: Gaps
) -> None:
    assert gaps([BOUGHT, SOLD], stops, until_ts=10_000, refusals=refusals) == found


def test_a_gap_that_lasts_counts_until_now() -> None:
    assert gaps([BOUGHT], [], until_ts=1700, refusals=[1650]) == Gaps(700, 700, 700)


# --- a position that others closed -------------------------------------------------------------


def gone(*legs: LegView, seen_ts: int = NOW_TS - 500) -> int | None:
    return gone_ts(trio(S.OPEN, entry(), *legs, slot=flat(as_of=NOW_TS - 400, flat_since=seen_ts)))


def test_a_position_is_gone_since_both_legs_expired_with_it_else_since_it_was_seen_so() -> None:
    at = NOW_TS - 700
    expired = stop(LegState.EXPIRED, acknowledged=True, ended_ts=at)
    with_it = target(LegState.EXPIRED, acknowledged=True, ended_ts=at + 3)

    assert gone(expired, with_it) == at
    # A stop that the venue dropped alone says nothing about the position, nor one that expired long before
    assert gone(expired, target()) == NOW_TS - 500
    assert gone(replace(expired, ended_ts=at - 5000), with_it) == NOW_TS - 500
    # What was refused after that, for there was nothing to protect, changes nothing
    assert gone(expired, with_it, stop(LegState.REJECTED, generation=2, refused_code=-4509)) == at


def test_a_position_that_is_there_or_that_ours_closed_is_not_gone() -> None:
    assert gone_ts(trio(S.OPEN, entry(), stop(), target(), slot=holding())) is None
    assert gone_ts(trio(S.EXITING, entry(), exit_order(), slot=flat())) is None

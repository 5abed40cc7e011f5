"""How long a position was uncovered, and how much of that the exchange itself refused: tables by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orders.domain.coverage import Execution, Gaps, StopInterval, gaps

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

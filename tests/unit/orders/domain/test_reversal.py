"""May the second trio of a reversal go? Every end of the first."""

from __future__ import annotations

import pytest

from orders.domain.enums import Cause, TrioState
from orders.domain.reversal import AS_WISHED, FirstTrio, Follow, follow


@pytest.mark.parametrize("state", list(TrioState))
@pytest.mark.parametrize("result", ["", *Cause])
def test_it_goes_only_after_a_close_as_wished(state: TrioState, result: str) -> None:
    what, why = follow(FirstTrio(state, result), is_overdue=False)
    goes = state is TrioState.CLOSED and result in AS_WISHED
    assert what is (Follow.GO if goes else Follow.DROP if state.is_end else Follow.WAIT)
    assert bool(why) is (what is Follow.DROP)


@pytest.mark.parametrize("state", list(TrioState))
def test_past_its_time_or_taken_back_it_never_goes(state: TrioState) -> None:
    assert follow(FirstTrio(state, "MANUAL"), is_overdue=True)[0] is Follow.DROP
    assert follow(FirstTrio(state, "MANUAL", "a panic"), is_overdue=False) == (Follow.DROP, "a panic")


def test_no_end_that_leaves_a_doubt_is_followed() -> None:
    assert AS_WISHED.isdisjoint(
        {Cause.PANIC, Cause.LIQUIDATED, Cause.ADL, Cause.OUTSIDE, Cause.UNCOVERED, Cause.LATE}
    )

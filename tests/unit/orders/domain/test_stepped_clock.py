"""What a clock dated that was set back since does not outweigh what is newer."""

from __future__ import annotations

from dataclasses import replace

from orders.domain.decision.decide import decide
from orders.domain.decision.steps import Observe
from orders.domain.enums import TrioState as S
from orders.domain.stepped_clock import brought_back
from tests.unit.orders.domain.snapshots import NOW_TS, D, entry, exit_order, flat, stop, target, trio

AHEAD = NOW_TS + 8000


def test_a_fill_dated_ahead_does_not_make_every_position_that_is_read_too_old() -> None:
    # Given a fill dated by the old clock, and an exit and a flat position by the new one
    legs = (
        entry(filled_ts=AHEAD, ended_ts=AHEAD),
        stop(accepted_ts=AHEAD),
        target(accepted_ts=AHEAD),
        exit_order(filled_ts=NOW_TS - 300, ended_ts=NOW_TS - 300, filled=D("0.010")),
    )
    told = trio(S.EXITING, *legs, slot=flat(as_of=NOW_TS - 200), close_wanted=True)

    # Then, taken as it is dated, no position read before the clock has caught up would do
    assert decide(told).step == Observe()
    # And as it was brought back, what was read is newer
    back = brought_back(told, NOW_TS - 1000)
    assert back.executed_ts == NOW_TS - 300
    assert back.slot_is_newer
    assert decide(back).step != Observe()


def test_without_a_step_and_within_a_second_everything_stays_as_it_is() -> None:
    told = trio(S.OPEN, entry(filled_ts=NOW_TS + 900), slot=flat(as_of=NOW_TS + 900))
    assert brought_back(told, NOW_TS - 1000) == told
    later = replace(told, slot=flat(as_of=AHEAD))
    assert brought_back(later, None) == later
    assert brought_back(later, NOW_TS - 1000).slot.as_of == NOW_TS - 1000

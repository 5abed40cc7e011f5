"""Guards of the decision that no other story needs: each fails when its guard is taken away (tests/guards)."""

from __future__ import annotations

from dataclasses import replace

from exchange.types import OrderState, OrderView, PositionMode, PositionSide, Side
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import Cancel, Rest, Submit
from orders.domain.enums import Cause, Form, LegState
from orders.domain.enums import TrioState as S
from orders.domain.leg_updates import LegFacts, merge
from orders.domain.snapshot import LegView, RequestStatus, SlotView
from tests.unit.orders.domain.snapshots import (
    ARMED_LIMIT,
    NOW,
    NOW_TS,
    D,
    entry,
    exit_order,
    holding,
    stop,
    target,
    trio,
)


def seen(state: OrderState, *, executed: str = "0", conditional: bool = False) -> OrderView:
    """Return an order of ours as the exchange shows it."""
    return OrderView(
        client_id="test-1-s1", symbol="BTCUSDT", side=Side.SELL, type=None, state=state,
        position_side=PositionSide.BOTH, quantity=D("0.010"), executed=D(executed), updated_at=NOW_TS,
        conditional=conditional,
    )  # fmt: skip


def test_a_stop_that_a_due_read_did_not_show_covers_nothing() -> None:
    unseen = stop(look_at=NOW + 500, looks=1)
    assert decide(trio(S.OPEN, entry(), unseen, target(), slot=holding())).uncovered
    assert not decide(trio(S.OPEN, entry(), stop(look_at=NOW + 500), target(), slot=holding())).uncovered


def test_a_stop_on_its_way_covers_nothing() -> None:
    sent = stop(LegState.SUBMITTED)
    assert decide(trio(S.OPEN, entry(), sent, target(), slot=holding())).uncovered


def test_a_triggered_stop_covers_only_as_long_as_a_fill_may_take() -> None:
    def triggered(ago: int) -> bool:
        at_work = stop(LegState.TRIGGERED, triggered_ts=NOW_TS - ago)
        return decide(trio(S.OPEN, entry(), at_work, target(), slot=holding())).uncovered

    assert (triggered(1900), triggered(2001)) == (False, True)


def test_an_exit_in_flight_is_not_sent_again_whatever_the_position_says() -> None:
    flying = exit_order(LegState.SUBMITTED)
    step = decide(trio(S.EXITING, entry(), flying, cause=Cause.MANUAL, slot=holding(as_of=NOW_TS))).step
    assert step == Rest(NOW + 500)


def test_a_resting_entry_whose_armed_stop_is_gone_is_withdrawn() -> None:
    gone = stop(LegState.CANCELLED, form=Form.QUANTITY, acknowledged=True, ended_ts=NOW_TS - 100)
    decision = decide(trio(S.WORKING, gone, entry(LegState.ACCEPTED), spec=ARMED_LIMIT))
    assert (decision.trio.cause, decision.step) == (Cause.STOP_GONE, Cancel(("test-1-e1",)))


def test_a_gap_known_for_long_is_still_given_its_one_attempt() -> None:
    filled = entry(filled_ts=NOW_TS - 60_000)
    decision = decide(trio(S.OPEN, filled, slot=holding(as_of=NOW_TS - 100), uncovered_known_at=NOW - 50_000))
    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Submit)


def test_a_level_passed_while_nothing_covers_is_a_reason_to_leave() -> None:
    passed = holding(mark_price=D("94999"), mark_as_of=NOW_TS)
    decision = decide(trio(S.OPEN, entry(), target(), slot=passed))
    assert decision.trio.cause is Cause.LEVEL_PASSED


def test_a_late_event_moves_no_order_back_and_takes_no_fill_away() -> None:
    filled = LegFacts(False, Form.QUANTITY, LegState.FILLED, quantity=D("0.010"), filled=D("0.010"))
    for late in (OrderState.NEW, OrderState.PARTIALLY_FILLED):
        after, _ = merge(filled, seen(late, executed="0.004"), certain=False)
        assert (after.state, after.filled) == (LegState.FILLED, D("0.010"))


def test_a_finished_order_is_neither_filled_nor_failed_until_its_child_is_read() -> None:
    resting = LegFacts(True, Form.CLOSE_POSITION, LegState.ACCEPTED, acknowledged=True)
    finished = seen(OrderState.FINISHED, conditional=True)
    after, look = merge(resting, finished, certain=False)
    assert (after.state, look) == (LegState.TRIGGERED, True)


def test_an_order_written_off_that_turns_up_is_late() -> None:
    gone = LegFacts(False, Form.QUANTITY, LegState.WRITTEN_OFF, ended_ts=NOW_TS - 5)
    after, _ = merge(gone, seen(OrderState.NEW), certain=False)
    assert (after.state, after.late) == (LegState.ACCEPTED, True)


def test_an_exit_that_may_still_land_is_not_repeated_before_the_position_is_read_anew() -> None:
    doubt = exit_order(
        LegState.SUBMITTED, submit=RequestStatus.IN_DOUBT, submitted_at=NOW - 700, submitted_ts=NOW_TS - 700
    )
    decision = decide(trio(S.EXITING, entry(), doubt, cause=Cause.MANUAL, slot=holding(as_of=NOW_TS - 700)))
    assert not hasattr(decision.step, "plan")


def test_a_hedge_target_above_the_position_is_joined_by_one_that_fits() -> None:
    # Given an armed pair in hedge mode whose entry ended partly filled, and its stop joined already
    part = entry(LegState.CANCELLED, acknowledged=True, filled=D("0.004"), filled_ts=NOW_TS - 800)
    above = target(form=Form.QUANTITY, quantity=D("0.010"))
    spec = replace(ARMED_LIMIT, mode=PositionMode.HEDGE, position_side=PositionSide.LONG)
    step = decide(trio(S.OPEN, part, stop(), above, spec=spec, slot=holding("0.004"))).step

    # Then a closePosition target joins it; nothing is taken off before
    assert isinstance(step, Submit)
    assert [(plan.order.client_id, plan.order.close_position) for plan in step.plans] == [("test-1-p2", True)]


def test_a_resting_entry_whose_stop_level_the_market_has_passed_is_withdrawn() -> None:
    passed = SlotView(as_of=NOW_TS - 100, mark_price=D("94999"), mark_as_of=NOW_TS - 100, placeable=True)
    waiting = [stop(form=Form.QUANTITY, quantity=D("0.010")), entry(LegState.ACCEPTED)]
    decision = decide(trio(S.WORKING, *waiting, spec=ARMED_LIMIT, slot=passed))
    assert (decision.trio.cause, decision.step) == (Cause.LEVEL_PASSED, Cancel(("test-1-e1",)))


def test_stops_that_keep_dying_young_are_replaced_with_growing_pauses() -> None:
    def died(generation: int, ago: int) -> LegView:
        times = {"accepted_ts": NOW_TS - ago - 50, "ended_ts": NOW_TS - ago}
        return stop(LegState.CANCELLED, generation=generation, acknowledged=True, **times)

    once = decide(trio(S.OPEN, entry(), died(1, 50), target(), slot=holding())).step
    assert isinstance(once, Submit), "the first is replaced at once"
    twice = decide(trio(S.OPEN, entry(), died(1, 150), died(2, 50), target(), slot=holding())).step
    assert twice == Rest(NOW + 150)

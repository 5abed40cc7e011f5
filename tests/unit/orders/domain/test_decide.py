"""What is decided, row by row: the states of a trio and what may happen to it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange.types import ExchangeMs, OrderType, OurMs, PositionMode, PositionSide, Side
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import AskPerson, Cancel, Confirm, Done, Exit, Observe, Rest, Submit
from orders.domain.enums import Cause, Form, LegState, Role, TargetPolicy
from orders.domain.enums import TrioState as S
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import RequestStatus, SlotView
from tests.unit.orders.domain.snapshots import (
    ARMED,
    ARMED_LIMIT,
    HEDGE,
    LIMIT,
    LONG,
    NOW,
    NOW_TS,
    D,
    entry,
    exit_order,
    flat,
    holding,
    stop,
    target,
    trio,
)

# --- placing ----------------------------------------------------------------------------------


def test_on_first_fill_sends_the_entry_alone() -> None:
    step = decide(trio(S.QUEUED)).step

    assert isinstance(step, Submit)
    (plan,) = step.plans
    assert (plan.role, plan.order.type, plan.order.quantity) == (Role.ENTRY, OrderType.MARKET, D("0.010"))
    assert plan.order.client_id == "test-1-e1"


@pytest.mark.parametrize(("ours", "theirs", "fits"), [(193, 0, True), (0, 193, True), (100, 94, False)])
def test_a_trio_whose_legs_would_not_fit_is_refused(ours: int, theirs: int, fits: bool) -> None:
    decision = decide(trio(S.QUEUED, conditionals=ours, stranger_conditionals=theirs))

    if fits:
        assert isinstance(decision.step, Submit)
        return
    assert decision.step == Done(S.REFUSED)
    assert decision.trio.cause is Cause.LIMIT
    assert "100 belong to other trios or are reserved for their legs, 94 are not ours" in decision.trio.reason


def test_pre_armed_market_sends_both_legs_before_the_entry() -> None:
    step = decide(trio(S.QUEUED, spec=ARMED)).step

    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.STOP_LOSS, Role.TAKE_PROFIT]
    assert all(plan.order.reduce_only and plan.order.quantity == D("0.010") for plan in step.plans)
    assert all(plan.order.side is Side.SELL for plan in step.plans)


def test_pre_armed_limit_arms_only_the_stop() -> None:
    step = decide(trio(S.QUEUED, spec=ARMED_LIMIT)).step

    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.STOP_LOSS]


def test_hedge_legs_are_exits_by_position_side_never_by_reduce_only() -> None:
    step = decide(
        trio(S.QUEUED, spec=replace(ARMED, mode=PositionMode.HEDGE, position_side=PositionSide.LONG))
    ).step

    assert isinstance(step, Submit)
    assert all(plan.order.position_side is PositionSide.LONG for plan in step.plans)
    assert not any(plan.order.reduce_only for plan in step.plans)


def test_the_entry_goes_once_every_armed_leg_is_acknowledged() -> None:
    armed = [stop(form=Form.QUANTITY, quantity=D("0.010")), target(form=Form.QUANTITY, quantity=D("0.010"))]
    step = decide(trio(S.PLACING, *armed, spec=ARMED)).step

    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.ENTRY]


def test_the_entry_waits_for_a_leg_in_flight() -> None:
    armed = [stop(form=Form.QUANTITY), target(LegState.SUBMITTED, form=Form.QUANTITY)]
    assert decide(trio(S.PLACING, *armed, spec=ARMED)).step == Rest(NOW - 100 + 600)


@pytest.mark.parametrize("code", [-2021, -1111, -2019])
def test_a_refused_armed_stop_rolls_back_and_takes_the_other_leg_off(code: int) -> None:
    decision = decide(
        trio(
            S.PLACING,
            stop(LegState.REJECTED, form=Form.QUANTITY, refused_code=code),
            target(form=Form.QUANTITY),
            spec=ARMED,
        )
    )
    assert (decision.trio.state, decision.trio.cause) == (S.ROLLING_BACK, Cause.STOP_REFUSED)
    assert decision.step == Cancel(("test-1-p1",))


@pytest.mark.parametrize("code", [-2021, -4142])
def test_an_armed_target_whose_level_is_passed_goes_on_first_fill_instead(code: int) -> None:
    armed = [
        stop(form=Form.QUANTITY, quantity=D("0.010")),
        target(LegState.REJECTED, form=Form.QUANTITY, refused_code=code),
    ]
    step = decide(trio(S.PLACING, *armed, spec=ARMED)).step

    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.ENTRY]


@pytest.mark.parametrize("code", [-2022, -4118, -4129, -4509])
def test_legs_refused_because_all_is_flat_go_on_first_fill_instead(code: int) -> None:
    armed = [
        stop(LegState.REJECTED, form=Form.QUANTITY, refused_code=code, ended_ts=NOW_TS - 700),
        target(LegState.REJECTED, form=Form.QUANTITY, refused_code=code, ended_ts=NOW_TS - 700),
    ]
    unseen = decide(trio(S.PLACING, *armed, spec=ARMED, slot=flat(as_of=NOW_TS - 800))).step
    assert unseen == Observe(), "that it is flat is seen first"
    step = decide(trio(S.PLACING, *armed, spec=ARMED, slot=flat())).step

    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.ENTRY]


def test_a_refused_entry_leaves_nothing_behind() -> None:
    armed = [stop(form=Form.QUANTITY), target(form=Form.QUANTITY)]
    decision = decide(
        trio(S.PLACING, *armed, entry(LegState.REJECTED, refused_code=-2019), spec=ARMED, slot=flat())
    )
    assert (decision.trio.state, decision.trio.cause) == (S.ROLLING_BACK, Cause.ENTRY_REFUSED)
    assert decision.step == Cancel(("test-1-s1", "test-1-p1"))


def test_rolled_back_only_when_flat_and_nothing_of_ours_rests() -> None:
    gone = [stop(LegState.CANCELLED), target(LegState.CANCELLED)]
    refused = entry(LegState.REJECTED, refused_code=-2019)

    assert isinstance(decide(trio(S.ROLLING_BACK, *gone, refused)).step, Observe), (
        "its position was read before the end"
    )
    assert decide(trio(S.ROLLING_BACK, *gone, refused, slot=flat())).step == Done(S.ROLLED_BACK)


def test_nothing_begins_without_a_live_worker_or_a_recent_position() -> None:
    resting = decide(trio(S.QUEUED, worker_alive=False, place_before=NOW + 5000))
    assert (resting.trio.state, resting.step) == (S.QUEUED, Rest(NOW + 1000))

    resting = decide(trio(S.QUEUED, slot=SlotView(placeable=False), place_before=NOW + 5000))
    assert (resting.trio.state, resting.step) == (S.QUEUED, Rest(NOW + 1000))


def test_armed_legs_wait_for_the_worker_too_and_are_withdrawn_at_the_deadline() -> None:
    armed = [stop(form=Form.QUANTITY), target(form=Form.QUANTITY)]
    waiting = trio(S.PLACING, *armed, spec=ARMED, worker_alive=False, place_before=NOW + 5000)
    assert isinstance(decide(waiting).step, Rest)

    late = decide(replace(waiting, place_before=NOW - 1))
    assert (late.trio.state, late.trio.cause) == (S.WITHDRAWING, Cause.PLACE_BEFORE)
    assert late.step == Cancel(("test-1-s1", "test-1-p1"))


@pytest.mark.parametrize("held_back", [False, True])
def test_armed_legs_do_not_rest_for_long_before_an_entry_that_cannot_be_sent(held_back: bool) -> None:
    rest = [entry(LegState.PLANNED, retry_at=NOW + 40_000)] if held_back else []
    armed = [stop(form=Form.QUANTITY, accepted_ts=NOW_TS - 18_900), target(form=Form.QUANTITY)]
    waiting = trio(S.PLACING, *armed, *rest, spec=ARMED, worker_alive=held_back, place_before=NOW + 60_000)
    assert decide(waiting).step == Rest(NOW + 100)

    over = decide(replace(waiting, now=OurMs(NOW + 100), now_ts=ExchangeMs(NOW_TS + 100)))
    assert (over.trio.state, over.trio.cause) == (S.WITHDRAWING, Cause.PLACE_BEFORE)
    assert over.step == Cancel(("test-1-s1", "test-1-p1"))


def test_an_armed_target_does_not_rest_for_long_before_a_stop_that_cannot_be_sent() -> None:
    held_back = stop(LegState.PLANNED, form=Form.QUANTITY, retry_at=NOW + 40_000)
    rests = target(form=Form.QUANTITY, accepted_ts=NOW_TS - 18_900)
    waiting = trio(S.PLACING, held_back, rests, spec=ARMED, place_before=NOW + 60_000)
    assert decide(waiting).step == Rest(NOW + 100)

    over = decide(replace(waiting, now=OurMs(NOW + 100), now_ts=ExchangeMs(NOW_TS + 100)))
    assert (over.trio.state, over.step) == (S.WITHDRAWING, Cancel(("test-1-p1",)))


def test_an_entry_that_can_be_sent_at_last_is_sent_however_long_its_legs_have_rested() -> None:
    armed = [stop(form=Form.QUANTITY, accepted_ts=NOW_TS - 30_000), target(form=Form.QUANTITY)]
    step = decide(trio(S.PLACING, *armed, spec=ARMED)).step
    assert isinstance(step, Submit)
    assert [plan.role for plan in step.plans] == [Role.ENTRY]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"cancel_wanted": True}, S.CANCELLED),
        ({"place_before": NOW - 1}, S.EXPIRED),
        ({"refusal": "over the limit"}, S.REFUSED),
        ({"slot": SlotView(quantity=D(1), as_of=NOW_TS, placeable=True)}, S.REFUSED),
        ({"slot": SlotView(opposite=D(1), as_of=NOW_TS, placeable=True)}, S.REFUSED),
        ({"slot": SlotView(strangers=("BUY 1",), as_of=NOW_TS, placeable=True)}, S.REFUSED),
        ({"dry_run": True, "dry_run_passed": True}, S.DRY_RUN),
    ],
)
def test_a_queued_trio_may_end_before_anything_was_sent(said: dict[str, Any], state: S) -> None:
    assert decide(trio(S.QUEUED, **said)).step == Done(state)


def test_a_dry_run_only_has_its_entry_checked() -> None:
    step = decide(trio(S.QUEUED, dry_run=True)).step
    assert isinstance(step, Submit)
    assert step.test


# --- cover ------------------------------------------------------------------------------------


def test_both_legs_go_out_together_on_the_first_fill() -> None:
    part = entry(LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 5)
    decision = decide(trio(S.WORKING, part, spec=LIMIT))

    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Submit)
    assert [plan.role for plan in decision.step.plans] == [Role.STOP_LOSS, Role.TAKE_PROFIT]
    assert all(plan.order.close_position and plan.order.quantity is None for plan in decision.step.plans)


def test_cover_never_waits_for_the_entrys_answer() -> None:
    unanswered = entry(LegState.SUBMITTED)
    decision = decide(trio(S.PLACING, unanswered, slot=holding("0.010", as_of=NOW_TS)))

    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Submit)


def test_a_one_way_armed_stop_covers_a_partial_fill() -> None:
    armed = stop(form=Form.QUANTITY, quantity=D("0.010"))
    part = entry(LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 5)
    decision = decide(trio(S.WORKING, armed, part, spec=ARMED_LIMIT))

    assert not decision.uncovered
    assert isinstance(decision.step, Submit), "the target goes out on first fill"
    assert [plan.role for plan in decision.step.plans] == [Role.TAKE_PROFIT]


def test_a_hedge_armed_stop_above_the_position_is_joined_by_a_close_position_one() -> None:
    spec = replace(ARMED_LIMIT, mode=PositionMode.HEDGE, position_side=PositionSide.LONG)
    armed = stop(form=Form.QUANTITY, quantity=D("0.010"))
    part = entry(LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 5)
    decision = decide(trio(S.WORKING, armed, part, spec=spec))

    assert decision.uncovered
    assert isinstance(decision.step, Submit)
    assert decision.step.plans[0].order.client_id == "test-1-s2"
    assert decision.step.plans[0].order.close_position


def test_a_stop_refused_after_the_fill_is_tried_once_in_the_other_form() -> None:
    refused = stop(LegState.REJECTED, refused_code=-4130)
    decision = decide(trio(S.OPEN, entry(), refused, target()))

    assert isinstance(decision.step, Submit)
    (plan,) = decision.step.plans
    assert (plan.form, plan.order.quantity, plan.order.reduce_only) == (Form.QUANTITY, D("0.010"), True)


def test_a_stop_refused_in_both_forms_rolls_the_trio_back_by_exit() -> None:
    refused = [
        stop(LegState.REJECTED, refused_code=-4130),
        stop(LegState.REJECTED, generation=2, form=Form.QUANTITY, refused_code=-1111),
    ]
    decision = decide(trio(S.OPEN, entry(), refused[0], target(), refused[1]))

    assert (decision.trio.state, decision.trio.cause) == (S.ROLLING_BACK, Cause.STOP_REFUSED)
    assert isinstance(decision.step, Exit)
    assert (decision.step.plan.order.type, decision.step.plan.order.reduce_only) == (OrderType.MARKET, True)


@pytest.mark.parametrize("code", [-2021, -4142])
@pytest.mark.parametrize("role", [Role.STOP_LOSS, Role.TAKE_PROFIT])
def test_a_level_passed_after_the_fill_means_exit_now(role: Role, code: int) -> None:
    legs = (
        [stop(LegState.REJECTED, refused_code=code), target()]
        if role is Role.STOP_LOSS
        else [stop(), target(LegState.REJECTED, refused_code=code)]
    )
    decision = decide(trio(S.OPEN, entry(), *legs))

    assert decision.trio.cause is Cause.LEVEL_PASSED
    assert decision.trio.state is S.ROLLING_BACK
    assert isinstance(decision.step, Exit)


def test_a_stop_in_doubt_is_looked_up_once_then_a_second_stop_is_sent() -> None:
    doubt = {"submit": RequestStatus.IN_DOUBT, "submitted_at": NOW - 650, "submitted_ts": NOW_TS - 650}
    filled = entry(filled_ts=NOW_TS - 700)
    first = decide(
        trio(S.OPEN, filled, stop(LegState.SUBMITTED, **doubt), target(), uncovered_known_at=NOW - 650)
    )
    assert first.step == Confirm("test-1-s1")

    looked = stop(LegState.SUBMITTED, **doubt, looks=1, look_at=NOW + 900)
    second = decide(trio(S.OPEN, filled, looked, target(), uncovered_known_at=NOW - 650))
    assert isinstance(second.step, Submit)
    assert [plan.order.client_id for plan in second.step.plans] == ["test-1-s2"]


def test_past_the_bound_the_position_is_closed_at_market() -> None:
    late = {
        "submitted_at": NOW - 1600,
        "submitted_ts": NOW_TS - 1600,
        "submit": RequestStatus.IN_DOUBT,
        "looks": 1,
        "look_at": NOW + 100,
    }
    filled = entry(filled_ts=NOW_TS - 1700)
    decision = decide(
        trio(S.OPEN, filled, stop(LegState.SUBMITTED, **late), target(), uncovered_known_at=NOW - 1600)
    )
    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.UNCOVERED)
    assert isinstance(decision.step, Exit)


@pytest.mark.parametrize(("gap_ms", "exits"), [(1499, False), (1500, True)])
def test_a_stop_that_waits_for_its_window_is_given_up_500_ms_before_the_bound(
    gap_ms: int, exits: bool
) -> None:
    # Given a stop that was refused for the account's window, and may be tried again in a second
    refused = {"submitted_at": NOW - 1400, "submitted_ts": NOW_TS - 1400, "retry_at": NOW + 1000}
    filled = entry(filled_ts=NOW_TS - gap_ms)
    decision = decide(
        trio(
            S.OPEN, filled, stop(LegState.PLANNED, **refused), target(), uncovered_known_at=NOW - gap_ms + 10
        )
    )

    if exits:
        assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.UNCOVERED)
        assert isinstance(decision.step, Exit)
    else:
        assert (decision.trio.state, decision.step) == (S.OPEN, Rest(NOW + 1))


def test_who_finds_the_gap_late_still_makes_one_attempt() -> None:
    filled = entry(filled_ts=NOW_TS - 60_000)
    decision = decide(trio(S.OPEN, filled, slot=holding(as_of=NOW_TS - 100)))

    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Submit)


def test_a_retryable_refusal_backs_off_and_sends_the_same_id() -> None:
    waiting = stop(LegState.PLANNED, retry_at=NOW + 200)
    resting = decide(
        trio(S.OPEN, entry(filled_ts=NOW_TS - 100), waiting, target(), uncovered_known_at=NOW - 50)
    )
    assert resting.step == Rest(NOW + 200)

    due = decide(
        trio(
            S.OPEN,
            entry(filled_ts=NOW_TS - 100),
            stop(LegState.PLANNED, retry_at=NOW),
            target(),
            uncovered_known_at=NOW - 50,
        )
    )
    assert isinstance(due.step, Submit)
    assert [(plan.order.client_id, plan.again) for plan in due.step.plans] == [("test-1-s1", True)]


def test_a_stop_that_fails_at_its_trigger_exits() -> None:
    dead = stop(LegState.REJECTED, acknowledged=True, refused_text="Reduce Only reject")
    decision = decide(trio(S.OPEN, entry(), dead, target(), slot=holding()))

    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.UNCOVERED)


def test_a_stop_that_a_person_cancelled_is_placed_anew() -> None:
    gone = stop(LegState.CANCELLED, acknowledged=True, ended_ts=NOW_TS - 100)
    step = decide(trio(S.OPEN, entry(), gone, target(), slot=holding())).step

    assert isinstance(step, Submit)
    assert [plan.order.client_id for plan in step.plans] == ["test-1-s2"]


def test_an_expired_stop_is_first_explained_by_the_position() -> None:
    expired = stop(LegState.EXPIRED, acknowledged=True, ended_ts=NOW_TS - 100)
    assert isinstance(decide(trio(S.OPEN, entry(), expired, target(), slot=holding())).step, Observe)


def test_a_stop_with_a_cancel_in_flight_covers_nothing() -> None:
    going = stop(cancel=RequestStatus.IN_FLIGHT, cancel_at=NOW)
    assert decide(trio(S.OPEN, entry(), going, target(), slot=holding())).uncovered


# --- the target -------------------------------------------------------------------------------


def test_a_refused_target_rolls_back_by_default_before_all_legs_were_there() -> None:
    decision = decide(trio(S.OPEN, entry(), stop(), target(LegState.REJECTED, refused_code=-2010)))
    assert (decision.trio.state, decision.trio.cause) == (S.ROLLING_BACK, Cause.TARGET_REFUSED)


def test_a_refused_target_keeps_the_stop_and_asks_where_that_is_the_policy() -> None:
    spec = replace(LONG, target_policy=TargetPolicy.KEEP_STOP)
    refused = trio(S.OPEN, entry(), stop(), target(LegState.REJECTED, refused_code=-2010), spec=spec)
    decision = decide(refused)

    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, AskPerson)
    assert decide(replace(refused, question=Question(QuestionKind.OTHER))).step == Rest(None)


# --- the ways out -----------------------------------------------------------------------------


def test_close_wanted_exits_the_whole_slot_and_withdraws_the_rest_of_the_entry() -> None:
    part = entry(LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 900)
    decision = decide(
        trio(S.OPEN, part, stop(), target(), spec=LIMIT, close_wanted=True, slot=holding("0.004"))
    )

    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.MANUAL)
    assert isinstance(decision.step, Exit)
    assert decision.step.plan.order.quantity == D("0.004")
    assert decision.step.cancels == ("test-1-e1",)


def test_cancel_wanted_withdraws_only_the_rest_and_keeps_cover() -> None:
    part = entry(LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 900)
    decision = decide(
        trio(S.OPEN, part, stop(), target(), spec=LIMIT, cancel_wanted=True, slot=holding("0.004"))
    )

    assert decision.trio.state is S.OPEN
    assert decision.step == Cancel(("test-1-e1",))


def test_cancel_wanted_before_a_fill_takes_the_entry_back_before_its_stop() -> None:
    resting = trio(
        S.WORKING, stop(form=Form.QUANTITY), entry(LegState.ACCEPTED), spec=ARMED_LIMIT, cancel_wanted=True
    )
    assert decide(resting).step == Cancel(("test-1-e1",))

    gone = entry(LegState.CANCELLED, acknowledged=True, ended_ts=NOW_TS - 100)
    assert decide(
        replace(resting, state=S.WITHDRAWING, cause=Cause.CANCEL_WANTED, legs=(resting.legs[0], gone))
    ).step == (Cancel(("test-1-s1",)))


def test_a_take_profit_that_filled_closes_the_trio_once_its_stop_is_gone() -> None:
    taken = target(LegState.FILLED, filled=D("0.010"), filled_ts=NOW_TS - 700)
    first = decide(trio(S.OPEN, entry(), stop(form=Form.QUANTITY), taken, slot=flat()))
    assert (first.trio.state, first.trio.cause) == (S.EXITING, Cause.TAKE_PROFIT)
    assert first.step == Cancel(("test-1-s1",))

    last = decide(
        trio(S.EXITING, entry(), stop(LegState.CANCELLED), taken, slot=flat(), cause=Cause.TAKE_PROFIT)
    )
    assert last.step == Done(S.CLOSED)


def test_a_close_position_sibling_is_given_time_to_expire_by_itself() -> None:
    taken = target(LegState.FILLED, filled_ts=NOW_TS - 100)
    step = decide(
        trio(S.OPEN, entry(), stop(), taken, slot=flat(as_of=NOW_TS - 50, flat_since=NOW_TS - 50))
    ).step
    assert step == Rest(NOW + 550)


def test_a_partly_filled_stop_has_patience_to_finish_then_exit_takes_the_rest() -> None:
    part = stop(
        LegState.PARTIALLY_FILLED, filled=D("0.006"), filled_ts=NOW_TS - 100, triggered_ts=NOW_TS - 120
    )
    decision = decide(trio(S.OPEN, entry(), part, target(), slot=holding("0.004", as_of=NOW_TS - 100)))
    assert (decision.trio.state, decision.step) == (S.EXITING, Rest(NOW + 500))

    tired = replace(part, filled_ts=NOW_TS - 601, triggered_ts=NOW_TS - 700)
    later = decide(trio(S.EXITING, entry(), tired, target(), slot=holding("0.004"), cause=Cause.STOP_LOSS))
    assert isinstance(later.step, Exit)
    assert later.step.plan.order.quantity == D("0.004")


def test_a_position_that_a_person_closed_ends_outside_and_is_never_opened_again() -> None:
    decision = decide(trio(S.OPEN, entry(), stop(), target(), slot=flat()))
    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.OUTSIDE)


def test_flat_against_a_known_fill_is_believed_only_at_the_second_look() -> None:
    lagging = SlotView(as_of=NOW_TS - 100, flat_since=NOW_TS - 100, placeable=True)
    first = decide(trio(S.OPEN, entry(), stop(), target(), slot=lagging))
    assert (first.trio.state, first.step) == (S.OPEN, Confirm("test-1-s1")), (
        "its stop would have died with it"
    )
    asked = stop(look_at=NOW + 900)
    assert decide(trio(S.OPEN, entry(), asked, target(), slot=lagging)).step == Rest(NOW + 900)

    twice = replace(lagging, as_of=NOW_TS, flat_since=NOW_TS - 1000)
    filled = entry(filled_ts=NOW_TS - 1100)
    assert decide(trio(S.OPEN, filled, stop(), target(), slot=twice)).trio.state is S.EXITING

    # But a stop for the whole position that was found alive since speaks against it, for as long as absence takes
    alive = stop(looked_ts=NOW_TS - 500)
    assert decide(trio(S.OPEN, filled, alive, target(), slot=twice)).trio.state is S.OPEN
    long_ago = replace(twice, flat_since=NOW_TS - 10_000)
    filled = entry(filled_ts=NOW_TS - 10_001)
    assert decide(trio(S.OPEN, filled, alive, target(), slot=long_ago)).trio.state is S.EXITING


def test_an_exit_in_doubt_is_judged_by_the_position() -> None:
    doubt = exit_order(
        LegState.SUBMITTED, submit=RequestStatus.IN_DOUBT, submitted_at=NOW - 700, submitted_ts=NOW_TS - 700
    )
    closing = trio(S.EXITING, entry(), doubt, cause=Cause.MANUAL, slot=holding(as_of=NOW_TS - 750))
    assert isinstance(decide(closing).step, Observe)

    still_there = decide(replace(closing, slot=holding(as_of=NOW_TS - 10)))
    assert isinstance(still_there.step, Exit)
    assert still_there.step.plan.order.client_id == "test-1-x2"


def test_no_end_while_a_request_that_places_is_in_doubt() -> None:
    doubt = exit_order(
        LegState.SUBMITTED, submit=RequestStatus.IN_DOUBT, submitted_at=NOW - 700, submitted_ts=NOW_TS - 700
    )
    done = exit_order(LegState.FILLED, generation=2)
    step = decide(trio(S.EXITING, entry(), doubt, done, cause=Cause.MANUAL, slot=flat())).step
    assert step == Confirm("test-1-x1")


def test_an_exit_refused_again_and_again_asks_a_person_and_goes_on() -> None:
    refused = [exit_order(LegState.REJECTED, generation=n, refused_code=-4131) for n in (1, 2, 3)]
    closing = trio(S.EXITING, entry(), *refused, cause=Cause.MANUAL, slot=holding())
    assert isinstance(decide(closing).step, AskPerson)
    assert isinstance(decide(replace(closing, question=Question(QuestionKind.OTHER))).step, Exit)


def test_an_entry_found_absent_is_never_sent_again() -> None:
    armed = [stop(form=Form.QUANTITY), target(form=Form.QUANTITY)]
    decision = decide(trio(S.PLACING, *armed, entry(LegState.WRITTEN_OFF, ended_ts=NOW_TS - 10), spec=ARMED))
    assert (decision.trio.state, decision.trio.cause) == (S.ROLLING_BACK, Cause.ENTRY_ABSENT)
    assert not isinstance(decision.step, Submit)


def test_an_entry_in_doubt_is_looked_up_after_patience_then_each_second() -> None:
    doubt = {"submit": RequestStatus.IN_DOUBT, "submitted_ts": NOW_TS - 700}
    young = decide(trio(S.PLACING, entry(LegState.SUBMITTED, **doubt, submitted_at=NOW - 100)))
    assert young.step == Rest(NOW + 500)
    due = decide(trio(S.PLACING, entry(LegState.SUBMITTED, **doubt, submitted_at=NOW - 600)))
    assert due.step == Confirm("test-1-e1")
    again = decide(
        trio(
            S.PLACING, entry(LegState.SUBMITTED, **doubt, submitted_at=NOW - 700, looks=1, look_at=NOW + 300)
        )
    )
    assert again.step == Rest(NOW + 300)


def test_a_written_off_entry_that_filled_after_all_is_taken_off_once() -> None:
    late = entry(LegState.FILLED, late=True)
    decision = decide(trio(S.ROLLED_BACK, late, slot=holding()))
    assert decision.trio.state is S.LATE
    assert isinstance(decision.step, Exit)
    assert decision.step.plan.order.quantity == D("0.010")

    doubt = exit_order(
        LegState.SUBMITTED, submit=RequestStatus.IN_DOUBT, submitted_at=NOW - 700, submitted_ts=NOW_TS - 700
    )
    assert decide(trio(S.LATE, late, doubt, slot=holding())).step == Confirm("test-1-x1")
    assert decide(trio(S.LATE, late, exit_order(), slot=flat())).step == Done(S.CLOSED)


def test_an_entry_only_order_is_closed_the_moment_it_fills() -> None:
    spec = replace(LONG, stop_loss=None, take_profit=None)
    decision = decide(trio(S.PLACING, entry(), spec=spec, slot=holding()))
    assert decision.trio.state is S.EXITING
    assert isinstance(decision.step, Exit)


def test_hedge_position_is_exited_without_reduce_only() -> None:
    step = decide(trio(S.OPEN, entry(), stop(), target(), spec=HEDGE, slot=holding(), close_wanted=True)).step
    assert isinstance(step, Exit)
    assert (step.plan.order.position_side, step.plan.order.reduce_only) == (PositionSide.LONG, False)


@pytest.mark.parametrize("state", list(S))
def test_every_state_has_a_decision_even_with_no_facts_at_all(state: S) -> None:
    """No snapshot may raise: a trio whose decision raises is a bug in front of somebody's money."""
    decide(trio(state, cause=Cause.MANUAL))


def test_quantities_stay_decimal() -> None:
    step = decide(trio(S.QUEUED)).step
    assert isinstance(step, Submit)
    assert isinstance(step.plans[0].order.quantity, Decimal)


def test_a_triggered_stop_explains_a_position_that_is_flat_before_its_fill_is_told() -> None:
    at_work = stop(LegState.TRIGGERED, triggered_ts=NOW_TS - 40)
    decision = decide(trio(S.OPEN, entry(), at_work, target(LegState.EXPIRED), slot=flat(as_of=NOW_TS - 30)))
    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, Rest)


def test_an_exit_is_named_after_the_first_order_of_ours_that_executed() -> None:
    told_late = stop(LegState.FILLED, filled_ts=NOW_TS - 600)
    closing = trio(S.EXITING, entry(), told_late, target(LegState.EXPIRED), cause=Cause.OUTSIDE, slot=flat())
    assert decide(closing).trio.cause is Cause.STOP_LOSS

    ours_first = exit_order(filled_ts=NOW_TS - 700)
    closing = trio(S.EXITING, entry(), told_late, ours_first, cause=Cause.MANUAL, slot=flat())
    assert decide(closing).trio.cause is Cause.MANUAL


# --- flat by a moment -----------------------------------------------------------------------------


def test_a_trio_that_is_to_be_flat_by_a_moment_is_closed_then_and_rests_until_then() -> None:
    held = (entry(LegState.FILLED), stop(), target())
    early = trio(S.OPEN, *held, slot=holding(), flat_ts=NOW_TS + 5000, hold_until_ts=NOW_TS + 9000)
    assert decide(early).step == Rest(NOW + 5000)
    due = decide(replace(early, flat_ts=NOW_TS))
    assert (due.trio.state, due.trio.cause) == (S.EXITING, Cause.TIME)


def test_nothing_fills_or_opens_past_the_moment_by_which_it_is_to_be_flat() -> None:
    working = trio(S.WORKING, entry(LegState.ACCEPTED), spec=LIMIT, flat_ts=NOW_TS + 5000)
    assert decide(working).step == Rest(NOW + 5000)
    due = decide(replace(working, flat_ts=NOW_TS))
    assert (due.trio.state, due.trio.cause) == (S.WITHDRAWING, Cause.GOOD_TILL)
    queued = decide(trio(S.QUEUED, flat_ts=NOW_TS))
    assert queued.step == Done(S.EXPIRED)

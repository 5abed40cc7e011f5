"""The exchange's own trailing order beside the stop-loss: when it is sent, for how much, and that it is never cover."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from exchange.types import OrderType, Side, WorkingType
from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import decide
from orders.domain.decision.steps import Cancel, Exit, Rest, Submit
from orders.domain.enums import Cause, Form, LegState, Role, TrioState
from orders.domain.snapshot import ExchangeTrail, LegView, SlotView, Spec, TrioSnapshot
from tests.unit.orders.domain.snapshots import (
    HEDGE,
    LONG,
    NOW_TS,
    entry,
    holding,
    leg,
    stop,
    target,
    trio,
)

D = Decimal
WISH = ExchangeTrail(7, D("1.5"), None, WorkingType.MARK_PRICE)
LATER = replace(WISH, activation=D("105000"))
LEVELS = (
    entry(filled_ts=NOW_TS - 9000),
    stop(trigger_price=D("95000")),
    target(trigger_price=D("110000")),
)


def trail(state: LegState = LegState.ACCEPTED, quantity: str = "0.010", **said: Any) -> LegView:
    usual = {"form": Form.QUANTITY, "quantity": D(quantity), "number": 7}
    return leg(Role.TRAIL, state, **(usual | said))


def opened(
    *legs: LegView,
    wish: ExchangeTrail | None = WISH,
    spec: Spec = LONG,
    slot: SlotView | None = None,
    **said: Any,
) -> TrioSnapshot:
    return trio(
        TrioState.OPEN, *LEVELS, *legs, spec=spec, slot=slot or holding(), exchange_trail=wish, **said
    )


@pytest.mark.parametrize("spec", [LONG, HEDGE])
def test_it_is_sent_for_the_position_beside_the_stop_which_stays(spec: Spec) -> None:
    step = decide(opened(spec=spec)).step
    assert isinstance(step, Submit)
    (plan,) = step.plans
    order = plan.order
    assert (plan.role, order.type, order.side) == (Role.TRAIL, OrderType.TRAILING_STOP_MARKET, Side.SELL)
    assert (order.quantity, order.callback_rate, order.activation_price) == (D("0.010"), D("1.5"), None)
    assert (order.trigger_price, order.close_position) == (None, False)
    assert order.reduce_only is (spec is LONG)
    assert order.working_type is WorkingType.MARK_PRICE
    assert (plan.number, order.client_id) == (7, "test-1-l1")


def test_it_waits_until_the_entry_has_ended_and_needs_a_position() -> None:
    fills = (replace(LEVELS[0], state=LegState.PARTIALLY_FILLED, quantity=D("0.020")), *LEVELS[1:])
    waiting = trio(TrioState.OPEN, *fills, slot=holding(), exchange_trail=WISH)
    assert not isinstance(decide(waiting).step, Submit)


def test_one_that_rests_needs_nothing_more() -> None:
    assert isinstance(decide(opened(trail())).step, Rest)


@pytest.mark.parametrize("active", [False, True])
def test_it_covers_nothing_active_or_not(active: bool) -> None:
    alone = trio(TrioState.OPEN, LEVELS[0], LEVELS[2], trail(active=active), slot=holding())
    assert is_uncovered(alone)


def test_what_was_added_gets_an_order_of_its_own() -> None:
    added = leg(Role.ADD, LegState.FILLED, filled=D("0.005"), quantity=D("0.005"), number=1)
    step = decide(opened(trail(), added, slot=holding("0.015"))).step
    assert isinstance(step, Submit)
    assert step.plans[0].order.quantity == D("0.005")


def test_one_for_more_than_is_left_stays_in_one_way_mode_and_is_replaced_in_hedge_mode() -> None:
    closed = leg(Role.PART_CLOSE, LegState.FILLED, filled=D("0.004"), quantity=D("0.004"), number=1)
    assert isinstance(decide(opened(trail(), closed, slot=holding("0.006"))).step, Rest)
    smaller = trail(quantity="0.005")
    missing = decide(opened(smaller, closed, slot=holding("0.006"))).step
    assert isinstance(missing, Submit)
    assert missing.plans[0].order.quantity == D("0.001")
    hedged = decide(opened(trail(), closed, slot=holding("0.006"), spec=HEDGE)).step
    assert hedged == Cancel(("test-1-l1",))
    gone = trail(LegState.CANCELLED, acknowledged=True, ended_ts=NOW_TS - 100, accepted_ts=NOW_TS - 20_000)
    anew = decide(opened(gone, closed, slot=holding("0.006"), spec=HEDGE)).step
    assert isinstance(anew, Submit)
    assert (anew.plans[0].order.quantity, anew.plans[0].order.client_id) == (D("0.006"), "test-1-l2")


@pytest.mark.parametrize("wish", [None, replace(WISH, number=8)])
def test_one_that_is_not_wished_for_any_more_is_taken_back_by_its_id(wish: ExchangeTrail | None) -> None:
    step = decide(opened(trail(), wish=wish)).step
    cancelled = step.client_ids if isinstance(step, Cancel) else ()
    assert cancelled == ("test-1-l1",)


def test_in_doubt_it_is_looked_up_and_no_other_is_sent() -> None:
    step = decide(opened(trail(LegState.SUBMITTED))).step
    assert not isinstance(step, Submit)


@pytest.mark.parametrize("code", [-2021, -4135, -4045, -1111])
@pytest.mark.parametrize("spec", [LONG, HEDGE])
def test_a_refusal_ends_the_wish_and_never_the_trio(code: int, spec: Spec) -> None:
    refused = trail(LegState.REJECTED, refused_code=code, refused_text="no")
    decided = decide(opened(refused, spec=spec))
    assert decided.trio.state is TrioState.OPEN
    assert (decided.trio.exchange_trail, decided.trio.ended_trail) == (None, refused)
    assert isinstance(decided.step, Rest)


def test_refused_at_its_trigger_it_ends_the_wish_and_the_stop_still_stands() -> None:
    refused = trail(LegState.REJECTED, acknowledged=True, refused_text="Reduce Only reject")
    decided = decide(opened(refused))
    assert (decided.trio.state, decided.trio.exchange_trail) == (TrioState.OPEN, None)
    assert not isinstance(decided.step, (Exit, Submit))


@pytest.mark.parametrize("code", [-2021, -4135])
def test_an_activation_that_was_reached_meanwhile_is_left_out_once(code: int) -> None:
    passed = trail(LegState.REJECTED, refused_code=code)
    first = decide(opened(passed, wish=LATER))
    assert isinstance(first.step, Submit)
    assert first.step.plans[0].order.activation_price is None
    again = replace(passed, client_id="test-1-l2", generation=2)
    second = decide(opened(passed, again, wish=LATER))
    assert (second.trio.exchange_trail, second.trio.ended_trail) == (None, again)


def test_with_its_activation_ahead_it_is_sent_along() -> None:
    step = decide(opened(wish=LATER)).step
    assert isinstance(step, Submit)
    assert step.plans[0].order.activation_price == D("105000")


def test_when_it_executes_the_trio_leaves_by_its_stop() -> None:
    done = trail(LegState.FILLED, filled=D("0.010"))
    decided = decide(opened(done, slot=SlotView(as_of=NOW_TS - 100, flat_event_ts=NOW_TS - 100)))
    assert (decided.trio.state, decided.trio.cause) == (TrioState.EXITING, Cause.STOP_LOSS)


def test_on_the_way_out_it_is_cancelled_by_its_id() -> None:
    leaving = replace(
        opened(trail(), slot=SlotView(as_of=NOW_TS - 100, flat_event_ts=NOW_TS - 100)),
        state=TrioState.EXITING,
        cause=Cause.MANUAL,
    )
    step = decide(leaving).step
    assert isinstance(step, Cancel)
    assert "test-1-l1" in step.client_ids

"""Moving a level, decided from facts alone: what goes out, what leaves, and what never leaves too soon."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import OurMs, Side
from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import Cancel, Observe, Rest, Submit
from orders.domain.enums import Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.level_moves import break_even_level
from orders.domain.snapshot import LegView, Move, MoveEnd, Spec
from tests.unit.orders.domain.snapshots import (
    ARMED_LIMIT,
    HEDGE,
    LIMIT,
    LONG,
    NOW,
    NOW_TS,
    entry,
    holding,
    stop,
    target,
    trio,
)

HEDGE_ARMED = replace(ARMED_LIMIT, mode=HEDGE.mode, position_side=HEDGE.position_side)
OLD, NEW = D("95000"), D("96000")
WISH = Move(number=1, role=Role.STOP_LOSS, level=NEW, since=NOW - 5000)
BOUGHT = entry(LegState.FILLED, filled=D("0.010"), filled_ts=NOW_TS - 9000)
WHOLE = stop(trigger_price=OLD)


def bridge(state: LegState = LegState.ACCEPTED, **said: object) -> LegView:
    words = {
        "generation": 2,
        "form": Form.QUANTITY,
        "quantity": D("0.010"),
        "trigger_price": NEW,
        "for_move": True,
    }
    return stop(state, **(words | said))


def decided(
    *legs: LegView, moves: tuple[Move, ...] = (WISH,), agreed: D = OLD, moved: bool = False
) -> Decision:
    spec = replace(LONG, stop_loss=agreed)
    roles = frozenset({Role.STOP_LOSS}) if moved else frozenset()
    return decide(trio(S.OPEN, BOUGHT, *legs, target(), spec=spec, slot=holding(), moves=moves, moved=roles))


def test_the_bridge_goes_out_while_the_old_stop_stays() -> None:
    step = decided(WHOLE).step
    assert isinstance(step, Submit)
    (plan,) = step.plans
    assert (plan.for_move, plan.form, plan.generation) == (True, Form.QUANTITY, 2)
    assert (plan.order.trigger_price, plan.order.quantity, plan.order.reduce_only) == (NEW, D("0.010"), True)


def test_nothing_leaves_while_the_bridge_is_in_doubt() -> None:
    decision = decided(WHOLE, bridge(LegState.SUBMITTED, submitted_at=NOW - 100, acknowledged=False))
    assert isinstance(decision.step, Rest)
    assert decision.trio.moves == (WISH,)


def test_an_acknowledged_bridge_agrees_the_level_and_the_old_stop_leaves() -> None:
    decision = decided(WHOLE, bridge())
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.DONE]
    assert decision.trio.spec.stop_loss == NEW
    assert decision.step == Cancel(("test-1-s1",))


def test_an_old_stop_stays_while_nothing_at_the_agreed_level_covers_all() -> None:
    short = bridge(quantity=D("0.004"))
    decision = decided(WHOLE, short, moves=(), agreed=NEW, moved=True)
    assert not is_uncovered(decision.trio)
    assert not isinstance(decision.step, Cancel)


def test_a_whole_position_stop_follows_the_bridge_which_then_leaves() -> None:
    gone = stop(LegState.CANCELLED, trigger_price=OLD, acknowledged=True, ended_ts=NOW_TS - 100)
    step = decided(gone, bridge(), moves=(), agreed=NEW, moved=True).step
    assert isinstance(step, Submit)
    assert [(plan.form, plan.for_move, plan.order.trigger_price) for plan in step.plans] == [
        (Form.CLOSE_POSITION, False, NEW)
    ]
    after = stop(generation=3, trigger_price=NEW)
    assert decided(gone, bridge(), after, moves=(), agreed=NEW, moved=True).step == Cancel(("test-1-s2",))


@pytest.mark.parametrize("code", [-2010, -2021, -4045])
def test_a_refused_bridge_ends_the_wish_and_nothing_else(code: int) -> None:
    refused = bridge(LegState.REJECTED, refused_code=code, acknowledged=False, ended_ts=NOW_TS - 3000)
    decision = decided(WHOLE, refused)
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.REFUSED]
    assert (decision.trio.state, decision.trio.spec.stop_loss) == (S.OPEN, OLD)
    assert decision.step == Rest(None)


def test_what_says_that_the_position_is_gone_has_it_read_before_anything_is_sent_again() -> None:
    # The whole-position order after the bridge is refused as "not while flat"; the slot was read before that
    gone = stop(LegState.CANCELLED, trigger_price=OLD, acknowledged=True, ended_ts=NOW_TS - 900)
    flatly = stop(
        LegState.REJECTED,
        generation=3,
        trigger_price=NEW,
        acknowledged=False,
        refused_code=-4509,
        ended_ts=NOW_TS - 5,
    )
    agreed: Any = {"agreed": NEW, "moves": (), "moved": True}
    assert decided(gone, bridge(), flatly, **agreed).step == Observe()

    # The old one had expired, as it does with its position
    expired = stop(LegState.EXPIRED, trigger_price=OLD, acknowledged=True, ended_ts=NOW_TS - 5)
    assert decided(expired, bridge(), **agreed).step == Observe()

    # An order at the wished level is refused so: it is neither sent in the other form nor given up before that
    first = stop(
        LegState.REJECTED, generation=2, trigger_price=NEW, for_move=True, acknowledged=False, refused_code=-4509,
        ended_ts=NOW_TS - 5,
    )  # fmt: skip
    decision = decided(stop(form=Form.QUANTITY, quantity=D("0.010"), trigger_price=OLD), first)
    assert (decision.step, decision.trio.moves) == (Observe(), (WISH,))


@pytest.mark.parametrize("code", [-2021, -2010])
def test_a_target_that_is_refused_at_a_wished_level_neither_exits_nor_asks(code: int) -> None:
    wish = Move(number=2, role=Role.TAKE_PROFIT, level=D("101000"), since=OurMs(NOW - 5000))
    refused = target(
        LegState.REJECTED, generation=2, for_move=True, trigger_price=wish.level, form=Form.QUANTITY,
        acknowledged=False, refused_code=code, ended_ts=NOW_TS - 3000,
    )  # fmt: skip
    decision = decide(trio(S.OPEN, BOUGHT, WHOLE, target(), refused, slot=holding(), moves=(wish,)))
    assert (decision.trio.state, decision.step) == (S.OPEN, Rest(None))


def test_an_order_for_a_wish_that_is_over_is_taken_back() -> None:
    assert decided(WHOLE, bridge(), moves=()).step == Cancel(("test-1-s2",))


def test_in_hedge_mode_the_bridge_is_as_large_as_the_position_and_carries_no_flag() -> None:
    step = decide(trio(S.OPEN, BOUGHT, WHOLE, target(), spec=HEDGE, slot=holding(), moves=(WISH,))).step
    assert isinstance(step, Submit)
    assert (step.plans[0].order.quantity, step.plans[0].order.reduce_only) == (D("0.010"), False)


def test_a_wish_is_dropped_on_the_way_out() -> None:
    decision = decide(trio(S.OPEN, BOUGHT, WHOLE, target(), slot=holding(), moves=(WISH,), close_wanted=True))
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.DROPPED]


# --- before the entry has ended -----------------------------------------------------------------

PART = entry(
    LegState.PARTIALLY_FILLED, filled=D("0.004"), filled_ts=NOW_TS - 900, price=D("99000")
)  # of 0.010
RESTS = entry(LegState.ACCEPTED, price=D("99000"))
ARMED_STOP = stop(form=Form.QUANTITY, quantity=D("0.010"), trigger_price=OLD)


def test_while_the_entry_fills_a_stop_for_the_whole_position_follows_one_for_a_quantity() -> None:
    legs = ARMED_STOP, PART, target()
    step = decide(trio(S.OPEN, *legs, spec=ARMED_LIMIT, slot=holding("0.004"), moves=(WISH,))).step
    assert isinstance(step, Submit)
    assert [(plan.form, plan.for_move) for plan in step.plans] == [(Form.CLOSE_POSITION, True)]
    there = stop(generation=2, trigger_price=NEW, for_move=True)
    decision = decide(trio(S.OPEN, *legs, there, spec=ARMED_LIMIT, slot=holding("0.004"), moves=(WISH,)))
    assert (decision.step, decision.trio.spec.stop_loss) == (Cancel(("test-1-s1",)), NEW)


@pytest.mark.parametrize("spec", [LIMIT, HEDGE], ids=["one-way", "hedge"])
def test_while_the_entry_fills_a_stop_for_the_whole_position_is_not_bridged(spec: Spec) -> None:
    decision = decide(trio(S.OPEN, PART, WHOLE, target(), spec=spec, slot=holding("0.004"), moves=(WISH,)))
    assert (decision.step, decision.trio.moves) == (Rest(None), (WISH,))
    # It goes on once the entry has ended
    over = replace(PART, state=LegState.CANCELLED, ended_ts=NOW_TS - 700)
    step = decide(trio(S.OPEN, over, WHOLE, target(), spec=spec, slot=holding("0.004"), moves=(WISH,))).step
    assert isinstance(step, Submit)
    assert [(plan.form, plan.order.quantity) for plan in step.plans] == [(Form.QUANTITY, D("0.004"))]


def test_an_old_stop_stays_until_all_that_may_still_fill_is_covered_and_what_is_missing_joins() -> None:
    agreed = replace(LIMIT, stop_loss=NEW)
    cut = bridge(quantity=D("0.004"))  # to the position, when it was taken

    def step(entry_leg: LegView, position: str, there: LegView = cut) -> object:
        return decide(
            trio(S.OPEN, entry_leg, WHOLE, there, target(), spec=agreed, slot=holding(position))
        ).step

    assert not isinstance(step(PART, "0.004"), Cancel | Submit)
    more = step(BOUGHT, "0.010")
    assert isinstance(more, Submit)
    assert [(plan.form, plan.order.quantity) for plan in more.plans] == [(Form.QUANTITY, D("0.006"))]
    assert step(BOUGHT, "0.010", bridge()) == Cancel(("test-1-s1",))


@pytest.mark.parametrize("spec", [ARMED_LIMIT, HEDGE_ARMED], ids=["one-way", "hedge"])
def test_a_stop_that_waits_for_the_entry_is_followed_in_its_own_form(spec: Spec) -> None:
    step = decide(trio(S.WORKING, ARMED_STOP, RESTS, spec=spec, moves=(WISH,))).step
    assert isinstance(step, Submit)
    (plan,) = step.plans
    assert (plan.form, plan.order.quantity, plan.order.trigger_price) == (Form.QUANTITY, D("0.010"), NEW)
    pending = bridge(LegState.SUBMITTED, submitted_at=NOW - 100, acknowledged=False)
    assert isinstance(
        decide(trio(S.WORKING, ARMED_STOP, RESTS, pending, spec=spec, moves=(WISH,))).step, Rest
    )
    decision = decide(trio(S.WORKING, ARMED_STOP, RESTS, bridge(), spec=spec, moves=(WISH,)))
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.DONE]
    assert (decision.step, decision.trio.spec.stop_loss) == (Cancel(("test-1-s1",)), NEW)


@pytest.mark.parametrize("code", [-2010, -2022, -4509])
def test_a_stop_refused_before_any_fill_leaves_the_one_that_waits(code: int) -> None:
    refused = bridge(LegState.REJECTED, refused_code=code, acknowledged=False, ended_ts=NOW_TS - 3000)
    decision = decide(trio(S.WORKING, ARMED_STOP, RESTS, refused, spec=ARMED_LIMIT, moves=(WISH,)))
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.REFUSED]
    assert (decision.trio.state, decision.step) == (S.WORKING, Rest(None))


def test_what_is_not_on_the_exchange_yet_is_agreed_at_once() -> None:
    wish = Move(number=2, role=Role.TAKE_PROFIT, level=D("111000"), since=OurMs(NOW - 5000))
    decision = decide(trio(S.WORKING, RESTS, spec=LIMIT, moves=(WISH, wish)))
    assert [ended.end for ended in decision.trio.ended_moves] == [MoveEnd.DONE, MoveEnd.DONE]
    assert (decision.trio.spec.stop_loss, decision.trio.spec.take_profit) == (NEW, D("111000"))
    assert decision.step == Rest(None)


@pytest.mark.parametrize(
    ("side", "average", "fee_each", "offset", "level"),
    [
        (Side.BUY, "60000", "30", 0, "60060.1"),  # 60000 × 1.0005 / 0.9995 = 60060.03…, up
        (Side.BUY, "60000", "30", 2, "60060.3"),
        (Side.BUY, "60000", "12", 0, "60042.1"),  # as a maker
        (Side.SELL, "60000", "30", 0, "59940.0"),  # 60000 × 0.9995 / 1.0005 = 59940.02…, down
        (Side.SELL, "60000", "30", 3, "59939.7"),
    ],
)
def test_break_even_is_the_first_tick_that_loses_nothing(
    side: Side, average: str, fee_each: str, offset: int, level: str
) -> None:
    found = break_even_level(side, D(average), fee_each=D(fee_each), tick=D("0.1"), offset_ticks=offset)
    assert found == D(level)

    def net(at: D) -> D:
        gross = at - D(average) if side is Side.BUY else D(average) - at
        return gross - D(fee_each) - at * D("0.0005")

    worse = D("-0.1") if side is Side.BUY else D("0.1")
    assert net(found) >= 0
    if not offset:
        assert net(found + worse) < 0

"""Moving a level, decided from facts alone: what goes out, what leaves, and what never leaves too soon."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import OurMs, Side
from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import Cancel, Confirm, Observe, Rest, Submit
from orders.domain.enums import Follow, Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.errors import RuleBroken
from orders.domain.level_moves import break_even_level, level_check
from orders.domain.snapshot import (
    LegView,
    Move,
    MoveEnd,
    PartTarget,
    RequestStatus,
    Rules,
    SizeWish,
    Spec,
)
from tests.unit.orders.domain.snapshots import (
    ARMED_LIMIT,
    HEDGE,
    LIMIT,
    LONG,
    NOW,
    NOW_TS,
    entry,
    holding,
    leg,
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


# --- a level and a size at once -----------------------------------------------------------------

ADDS = SizeWish(number=3, role=Role.ADD, quantity=D("0.010"), since=NOW - 1000)
LEAVING = stop(trigger_price=OLD, cancel=RequestStatus.IN_FLIGHT, cancel_at=NOW - 10)


def sized(*legs: LegView, wish: SizeWish = ADDS, spec: Spec = LONG, moves: tuple[Move, ...] = ()) -> object:
    """Return what is done while something is to be added or taken off, the new level being agreed unless one moves."""
    agreed = replace(spec, stop_loss=OLD if moves else NEW)
    moved = frozenset() if moves else frozenset({Role.STOP_LOSS})
    seen = trio(
        S.OPEN, BOUGHT, *legs, target(), spec=agreed, slot=holding(), moves=moves, moved=moved, sizes=(wish,)
    )
    return decide(seen).step


def sends(step: object) -> list[Role]:
    return [plan.role for plan in step.plans] if isinstance(step, Submit) else []


def test_what_is_added_waits_until_the_stop_has_arrived() -> None:
    in_the_air = bridge(LegState.SUBMITTED, submitted_at=NOW - 100, acknowledged=False)
    assert sends(sized(WHOLE, moves=(WISH,))) == [Role.STOP_LOSS]
    assert isinstance(sized(WHOLE, in_the_air, moves=(WISH,)), Rest)
    assert isinstance(
        sized(LEAVING, bridge()), Rest
    )  # no second order for the whole position beside the old one
    assert sends(sized(stop(trigger_price=NEW, generation=3))) == [Role.ADD]


def test_what_is_added_waits_for_the_look_up_of_a_doubted_stop_and_sends_no_second_one() -> None:
    assert sized(stop(trigger_price=NEW, generation=3, look_at=NOW)) == Confirm("test-1-s3")


def test_a_stop_waits_until_what_is_added_has_filled() -> None:
    added = leg(Role.ADD, LegState.SUBMITTED, number=3)
    assert sends(sized(WHOLE, added, moves=(WISH,))) == []
    filled = leg(Role.ADD, LegState.FILLED, number=3)
    both = decide(
        trio(S.OPEN, BOUGHT, WHOLE, filled, target(), spec=LONG, slot=holding("0.020"), moves=(WISH,))
    ).step
    assert isinstance(both, Submit)
    assert both.plans[0].order.quantity == D("0.020")


def test_a_hedge_part_goes_under_the_old_stop_or_waits_for_the_one_that_follows_the_bridge() -> None:
    part = SizeWish(number=3, role=Role.PART_CLOSE, quantity=D("0.004"), since=NOW - 1000)
    in_the_air = bridge(LegState.SUBMITTED, submitted_at=NOW - 100, acknowledged=False)
    assert sends(sized(WHOLE, in_the_air, wish=part, spec=HEDGE, moves=(WISH,))) == [Role.PART_CLOSE]
    assert isinstance(sized(LEAVING, bridge(), wish=part, spec=HEDGE), Rest)
    assert sends(sized(stop(trigger_price=NEW, generation=3), wish=part, spec=HEDGE)) == [Role.PART_CLOSE]


def test_the_take_profit_stays_beyond_the_part_targets_that_wait() -> None:
    parts = (PartTarget(1, D("102000"), D(50)), PartTarget(2, D("104000"), D(30)))
    first = leg(Role.PART_TARGET, LegState.FILLED, number=1, filled=D("0.005"), trigger_price=D("102000"))
    second = leg(Role.PART_TARGET, LegState.FILLED, number=2, filled=D("0.003"), trigger_price=D("104000"))
    rules = Rules(tick_size=D("0.1"))

    def asked(level: str, *legs: LegView) -> None:
        seen = trio(
            S.OPEN, BOUGHT, WHOLE, target(), *legs, spec=replace(LONG, part_targets=parts), slot=holding(), rules=rules
        )  # fmt: skip
        level_check(seen, Role.TAKE_PROFIT, D(level))

    for legs in ((), (first,)):
        with pytest.raises(RuleBroken, match=r"above the part target at 104000.*104000\.1 is the nearest"):
            asked("104000", *legs)
    asked("104000.1")
    asked("101000", first, second)


# --- the stop follows the targets ---------------------------------------------------------------

FOLLOWS = replace(LONG, part_targets=(PartTarget(1, D("102000"), D(50)),), follow=Follow.BREAK_EVEN)


def followed(*legs: LegView, mark: str = "101000", moves: tuple[Move, ...] = ()) -> Decision:
    """Decide once the first target has taken half of 0.010 bought at 100000: break-even is 100100.1."""
    bought = replace(BOUGHT, average_price=D("100000"))
    hit = leg(
        Role.PART_TARGET, LegState.FILLED, number=1, filled=D("0.005"), filled_ts=NOW_TS - 800, average_price=D("102000")
    )  # fmt: skip
    slot = holding("0.005", mark_price=D(mark), mark_as_of=NOW_TS - 100)
    rules = Rules(tick_size=D("0.1"))
    return decide(
        trio(S.OPEN, bought, WHOLE, target(), hit, *legs, spec=FOLLOWS, slot=slot, moves=moves, rules=rules)
    )


def test_a_stop_that_follows_waits_while_it_would_trigger_at_once() -> None:
    decision = followed(mark="100100.1")
    assert (decision.trio.moves, decision.trio.followed, decision.step) == ((), 0, Rest(NOW + 1000))
    (move,) = followed(mark="100100.2").trio.moves
    assert move.level == D("100100.1")


def test_a_stop_that_follows_was_refused_as_passed_and_is_asked_for_again_later() -> None:
    level = D("100100.1")
    words: dict[str, Any] = {
        "generation": 2, "form": Form.QUANTITY, "trigger_price": level, "for_move": True, "acknowledged": False,
    }  # fmt: skip
    lately = stop(LegState.REJECTED, refused_code=-2021, ended_ts=NOW_TS - 1000, **words)
    assert (followed(lately).trio.moves, followed(lately).trio.followed) == ((), 0)
    (move,) = followed(replace(lately, ended_ts=NOW_TS - 6000)).trio.moves
    assert move.level == level
    # Refused for another reason it is given up
    for_good = followed(stop(LegState.REJECTED, refused_code=-2010, ended_ts=NOW_TS - 6000, **words))
    assert (for_good.trio.moves, for_good.trio.followed) == ((), 1)


def test_a_nearer_stop_that_is_on_its_way_is_waited_for() -> None:
    nearer = replace(WISH, level=D("100500"))
    decision = followed(moves=(nearer,))
    assert (decision.trio.moves, decision.trio.followed) == ((nearer,), 0)
    farther = replace(WISH, level=D("99000"))
    (move,) = followed(moves=(farther,)).trio.moves
    assert move.level == D("100100.1")

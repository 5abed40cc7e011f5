"""Adopting a position, decided from facts alone: its levels, the form of its legs, and whose orders are touched."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import OurMs, PositionSide, Side
from orders.domain.adoption import Level, adoption_check, level_read, result_at
from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import AskPerson, CancelForeign, ConfirmForeign, Rest, Step, Submit
from orders.domain.enums import Cause, Form, LegState, Role, TargetPolicy
from orders.domain.enums import TrioState as S
from orders.domain.errors import RuleBroken
from orders.domain.leg_replay import Replay
from orders.domain.leg_updates import adopted
from orders.domain.snapshot import Foreign, LegView, RequestStatus, Rules
from tests.unit.orders.domain.snapshots import HEDGE, LONG, NOW, NOW_TS, entry, holding, stop, target, trio

XRP = Rules(
    symbol="XRPUSDT", tick_size=D("0.0001"), step_size=D("0.1"), quantity_min=D("0.1"), notional_min=D(5),
    price_min=D("0.0001"), price_max=D(1000),
)  # fmt: skip
THEIRS = Foreign("web_1")
BOUGHT = entry(LegState.FILLED, filled=D("0.010"), filled_ts=NOW_TS - 300, ended_ts=NOW_TS - 300)


def decided(*legs: LegView, now: int = NOW, **said: Any) -> Decision:
    spec = said.pop("spec", replace(LONG, target_policy=TargetPolicy.KEEP_STOP))
    return decide(
        replace(
            trio(S.OPEN, BOUGHT, *legs, spec=spec, slot=holding(as_of=NOW_TS - 300), adopted=True, **said),
            now=OurMs(now),
        )
    )


def forms(step: Step) -> dict[Role, Form]:
    """Return what goes out."""
    assert isinstance(step, Submit), step
    return {plan.role: plan.form for plan in step.plans}


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "role", "percent", "price"),
    [
        (Side.BUY, Role.STOP_LOSS, "2", "0.5018"),  # 0.50176, up
        (Side.BUY, Role.TAKE_PROFIT, "5", "0.5376"),
        (Side.BUY, Role.TAKE_PROFIT, "5.01", "0.5376"),  # 0.5376512, down
        (Side.SELL, Role.STOP_LOSS, "2", "0.5222"),  # 0.52224, down
        (Side.SELL, Role.TAKE_PROFIT, "5.01", "0.4864"),  # 0.4863488, up
    ],
)
def test_a_percentage_comes_to_a_tick_on_the_safe_side(
    side: Side, role: Role, percent: str, price: str
) -> None:
    level = Level(D(percent), is_percent=True)
    assert level.price(role, side, D("0.5120"), D("0.0001")) == D(price)


def test_levels_are_read_as_percentage_or_price() -> None:
    assert level_read(" 2% ", Role.STOP_LOSS) == Level(D(2), is_percent=True)
    assert level_read("0.5018", Role.STOP_LOSS) == Level(D("0.5018"))
    for text in ("", "two", "0", "0%", "-2%", "2%%", "1e3", "2,5%", "٢%"):
        with pytest.raises(RuleBroken, match="write a percentage") as caught:
            level_read(text, Role.TAKE_PROFIT)
        assert caught.value.field == "take_profit"


def test_what_a_level_brings_is_from_the_entry_price() -> None:
    long = replace(LONG, quantity=D(500))
    assert result_at(long, D("0.5120"), D("0.5018")) == D("-5.10")
    assert result_at(long, D("0.5120"), D("0.5376")) == D("12.80")
    assert result_at(replace(long, side=Side.SELL), D("0.5120"), D("0.5222")) == D("-5.10")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"stop_loss": D("0.5121")}, "0.5119 is the nearest"),
        ({"stop_loss": D("0.51205")}, "0.5121 would be"),
        ({"take_profit": D("0.5119")}, "0.5121 is the nearest"),
        ({"take_profit": D("2000")}, "takes no take-profit at 2000"),
        ({"stop_loss": D("0.4000")}, "0.4501 is the nearest"),  # beyond the liquidation price
        ({"quantity": D("0.05")}, "smaller than the smallest order"),
    ],
)
def test_what_could_not_be_protected_is_refused_with_what_could(said: dict[str, Any], sentence: str) -> None:
    spec = replace(LONG, quantity=D(500), stop_loss=D("0.5018"), take_profit=D("0.5376"))
    words: dict[str, Any] = {"mark": D("0.5120"), "liquidation": D("0.45"), "occupied": frozenset()}
    adoption_check(spec, XRP, **words)
    with pytest.raises(RuleBroken, match=sentence.replace(".", r"\.")):
        adoption_check(replace(spec, **said), XRP, **words)


def test_a_short_is_checked_the_other_way_round() -> None:
    short = replace(LONG, side=Side.SELL, quantity=D(500), stop_loss=D("0.5222"), take_profit=D("0.4864"))
    words: dict[str, Any] = {"mark": D("0.5120"), "occupied": frozenset()}
    adoption_check(short, XRP, liquidation=D("0.6"), **words)
    with pytest.raises(RuleBroken, match=r"0\.5199 is the nearest"):
        adoption_check(short, XRP, liquidation=D("0.52"), **words)


def test_a_small_hedged_position_beside_a_strangers_stop_is_refused() -> None:
    spec = replace(
        HEDGE, position_side=PositionSide.LONG, quantity=D(5), stop_loss=D("0.5"), take_profit=D("0.55")
    )
    words: dict[str, Any] = {"mark": D("0.5120"), "liquidation": None}
    adoption_check(spec, XRP, occupied=frozenset(), **words)
    with pytest.raises(RuleBroken, match="in hedge mode"):
        adoption_check(spec, XRP, occupied=frozenset({Role.STOP_LOSS}), **words)


# --- protecting it --------------------------------------------------------------------------------


STOP, TARGET = Role.STOP_LOSS, Role.TAKE_PROFIT
WHOLE, PART = Form.CLOSE_POSITION, Form.QUANTITY


def test_an_adopted_position_is_uncovered_and_gets_its_legs_at_once() -> None:
    decision = decided()
    assert is_uncovered(decision.trio)
    assert forms(decision.step) == {STOP: WHOLE, TARGET: WHOLE}


def test_beside_strangers_ours_are_for_the_quantity() -> None:
    assert forms(decided(occupied=frozenset({STOP})).step) == {STOP: PART, TARGET: WHOLE}
    assert forms(decided(occupied=frozenset({TARGET})).step) == {STOP: WHOLE, TARGET: PART}
    assert forms(decided(occupied=frozenset({STOP, TARGET})).step) == {STOP: PART, TARGET: PART}


def test_a_target_that_meets_a_stranger_nobody_saw_goes_out_for_the_quantity() -> None:
    refused = target(LegState.REJECTED, refused_code=-4130)
    assert forms(decided(stop(), refused).step) == {TARGET: PART}
    # … and an ordinary trio does as it did
    ordinary = decide(trio(S.OPEN, BOUGHT, stop(), refused, slot=holding(as_of=NOW_TS - 300)))
    assert ordinary.trio.cause is Cause.TARGET_REFUSED


def test_a_target_that_is_refused_in_both_forms_is_asked_about() -> None:
    first = target(LegState.REJECTED, refused_code=-4130)
    second = target(
        LegState.REJECTED, refused_code=-4045, generation=2, form=Form.QUANTITY, quantity=D("0.010")
    )
    decision = decided(stop(), first, second)
    assert decision.trio.state is S.OPEN
    assert isinstance(decision.step, AskPerson)


def test_what_was_there_before_us_is_closed_and_never_rolled_back() -> None:
    passed = stop(LegState.REJECTED, refused_code=-2021)
    decision = decided(passed)
    assert (decision.trio.state, decision.trio.cause) == (S.EXITING, Cause.LEVEL_PASSED)


# --- somebody else's orders -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "legs", [(), (stop(),), (stop(), target(LegState.SUBMITTED)), (stop(LegState.SUBMITTED), target())]
)
def test_nothing_of_a_strangers_is_touched_before_ours_stand(legs: tuple[LegView, ...]) -> None:
    assert not isinstance(decided(*legs, foreign=(THEIRS,)).step, CancelForeign)


def test_what_was_named_is_cancelled_once_ours_stand_and_then_looked_up() -> None:
    legs = (stop(), target())
    assert decided(*legs, foreign=(THEIRS,)).step == CancelForeign("web_1")
    assert isinstance(decided(*legs).step, Rest)  # nothing was named
    asked = replace(THEIRS, cancel=RequestStatus.IN_FLIGHT, cancel_at=NOW - 100)
    assert decided(*legs, foreign=(asked,)).step == Rest(NOW + 500)
    for status in (RequestStatus.ACCEPTED, RequestStatus.REFUSED, RequestStatus.IN_DOUBT):
        answered = replace(asked, cancel=status)
        assert decided(*legs, foreign=(answered,)).step == ConfirmForeign("web_1")
    looking = replace(asked, cancel=RequestStatus.ACCEPTED, looking_since=NOW - 100)
    assert decided(*legs, foreign=(looking,)).step == Rest(NOW + 500)
    again = replace(THEIRS, again_at=NOW + 700)
    assert decided(*legs, foreign=(again,)).step == Rest(NOW + 700)
    assert decided(*legs, foreign=(again,), now=NOW + 700).step == CancelForeign("web_1")


def test_a_strangers_order_is_left_alone_on_the_way_out() -> None:
    decision = decided(stop(), target(), foreign=(THEIRS,), close_wanted=True)
    assert decision.trio.state is S.EXITING
    assert not isinstance(decision.step, CancelForeign)


# --- the journal ------------------------------------------------------------------------------------


def test_the_journal_makes_the_same_entry_as_the_books() -> None:
    replay = Replay()
    facts = {"side": "BUY", "position_side": "BOTH", "quantity": "500", "entry_price": "0.5120", "at": NOW_TS}
    replay.adopted("abcd-1-e1", facts)
    made = replay.legs["abcd-1-e1"]
    assert (made.role, made.generation, made.type, made.side) == (Role.ENTRY, 1, "MARKET", "BUY")
    assert made.facts == adopted(quantity=D(500), average=D("0.5120"), at=NOW_TS)

"""Where a trailing stop goes, and what may not be asked of one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

import pytest

from exchange.types import PriceKind, Side
from orders.domain.enums import Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.domain.level_moves import standing_check, stands_alone
from orders.domain.snapshot import LegView, Move, RequestStatus
from orders.domain.trailing import (
    PriceSpan,
    TrailTerms,
    TrailUnit,
    best_in,
    best_of,
    level_behind,
    next_stop,
    next_target,
    r_level,
    trail_check,
)
from tests.unit.orders.domain.snapshots import LONG, NOW, NOW_TS, entry, holding, stop, target, trio

TICK = D("0.01")
LONG_TRAIL = TrailTerms(Side.BUY, distance=D("30.00"), tick=TICK, step=TICK)
SHORT_TRAIL = replace(LONG_TRAIL, side=Side.SELL)


def stops(trail: TrailTerms, first: str, prices: list[str]) -> list[D]:
    """Return where the stop was, and each place it went to."""
    best, found = None, [D(first)]
    for price in map(D, prices):
        best = best_of(trail, best, price)
        level = next_stop(trail, best=best, stop=found[-1], price=price)
        if level is not None:
            found.append(level)
    return found


def test_a_trail_from_an_activation_level_in_moves_of_five() -> None:
    trail = replace(LONG_TRAIL, activation=D("2020.00"), step=D("5.00"))
    marks = [
        "2000.00", "2019.99", "2020.00", "2031.00", "2026.00", "2034.99", "2050.00", "2021.00", "2020.00",
    ]  # fmt: skip
    found = stops(trail, "1960.00", marks)
    assert found == [D("1960.00"), D("1990.00"), D("2001.00"), D("2020.00")]
    assert (found[-1] - D("2000.00")) * D("0.500") == D("10.00")


def test_a_short_is_followed_downward() -> None:
    trail = replace(SHORT_TRAIL, activation=D("1980.00"), step=D("5.00"))
    marks = ["2000.00", "1980.01", "1980.00", "1969.00", "1974.00", "1965.01", "1950.00", "1979.00"]
    assert stops(trail, "2040.00", marks) == [D("2040.00"), D("2010.00"), D("1999.00"), D("1980.00")]


def test_without_an_activation_it_follows_at_once_and_never_gets_looser() -> None:
    assert stops(LONG_TRAIL, "1990.00", ["2000.00", "2019.99", "2020.01", "2000.00"]) == [
        D("1990.00"),
        D("1990.01"),
    ]


@pytest.mark.parametrize(
    ("side", "best", "percent", "level"),
    [
        (Side.BUY, "2031.37", "1.5", "2000.90"),  # 2000.899…, up
        (Side.SELL, "2031.37", "1.5", "2061.84"),  # 2061.84055, down
        (Side.BUY, "2000.00", "0.0005", "1999.99"),
    ],
)
def test_a_percentage_is_of_the_best_price_and_rounded_toward_safety(
    side: Side, best: str, percent: str, level: str
) -> None:
    trail = TrailTerms(side, distance=D(percent), tick=TICK, step=TICK, unit=TrailUnit.PERCENT)
    assert level_behind(trail, D(best)) == D(level)


def test_a_level_that_was_passed_becomes_the_nearest_that_does_not_trigger() -> None:
    assert next_stop(LONG_TRAIL, best=D("2050.00"), stop=D("1960"), price=D("2015.005")) == D("2015.00")
    assert next_stop(SHORT_TRAIL, best=D("1950.00"), stop=D("2040"), price=D("1985.005")) == D("1985.01")
    # And where that is no better than the present stop, nothing
    assert next_stop(LONG_TRAIL, best=D("2050.00"), stop=D("2014.99"), price=D("2015.00")) is None
    # Where the price is not known, the exchange judges
    assert next_stop(LONG_TRAIL, best=D("2050.00"), stop=D("1960")) == D("2020.00")


def test_the_same_prices_in_whatever_pieces_give_the_same_best() -> None:
    spans = [
        PriceSpan(60_000, D("2050"), D("1990")),  # began before it was asked for
        PriceSpan(120_000, D("2040"), D("1995")),
        PriceSpan(180_000, D("2030"), D("1985")),
    ]
    assert best_in(Side.BUY, spans, since_ts=60_001) == D("2040")
    assert best_in(Side.SELL, spans, since_ts=60_001) == D("1985")
    assert best_in(Side.BUY, spans, since_ts=180_001) is None


# --- the take-profit makes way ------------------------------------------------------------------

RUN = replace(LONG_TRAIL, activation=D("2150.00"), run_from=D("2200.00"))
SHORT_RUN = replace(SHORT_TRAIL, activation=D("1850.00"), run_from=D("1800.00"))


@pytest.mark.parametrize(
    ("best", "target", "goes_to"),
    [
        ("2149.99", "2200.00", None),
        ("2150.00", "2200.00", "2400.00"),  # as far as the first was from the entry at 2000
        ("2199.99", "2200.00", "2400.00"),
        ("2349.99", "2400.00", None),
        ("2350.00", "2400.00", "2600.00"),
        ("2200.00", "2600.00", None),
        ("2700.00", "2400.00", "2800.00"),  # a leap: as often as it takes
        ("2150.00", "2190.00", "2390.00"),  # a person has moved it meanwhile
    ],
)
def test_the_target_makes_way_each_time_the_price_is_near_it(
    best: str, target: str, goes_to: str | None
) -> None:
    found = next_target(RUN, best=D(best), target=D(target), average=D("2000.00"))
    assert found == (None if goes_to is None else D(goes_to))


def test_a_shorts_target_makes_way_downward_and_never_below_a_tick() -> None:
    def goes_to(best: str, target: str) -> D | None:
        return next_target(SHORT_RUN, best=D(best), target=D(target), average=D("2000.00"))

    assert goes_to("1850.01", "1800.00") is None
    assert goes_to("1850.00", "1800.00") == D("1600.00")
    assert goes_to("200.00", "150.00") == TICK
    assert goes_to("30.00", "0.01") is None


def test_a_target_stays_where_it_is_not_to_make_way_or_nothing_is_active_yet() -> None:
    target, average = D("2200.00"), D("2000.00")
    assert next_target(LONG_TRAIL, best=D("2199.99"), target=target, average=average) is None
    assert next_target(RUN, best=None, target=target, average=average) is None


@pytest.mark.parametrize(
    ("trail", "field", "said"),
    [
        (replace(RUN, activation=None), "activation", "an activation before it"),
        (replace(RUN, activation=D("2200.00")), "activation", "2199.99 is the nearest valid level"),
        (replace(RUN, distance=D("198.00")), "distance", "197.99 is the nearest valid distance"),
        (
            replace(RUN, distance=D("9.1"), unit=TrailUnit.PERCENT),
            "percent",
            "8.9995 % is the nearest valid distance",
        ),
    ],
)
def test_a_run_in_which_the_target_would_execute_first_is_refused(
    trail: TrailTerms, field: str, said: str
) -> None:
    slot = replace(holding(), mark_price=D("2000"), mark_as_of=NOW_TS)
    seen = trio(S.OPEN, BOUGHT, stop(), target(), spec=SPEC, slot=slot)
    with pytest.raises(RuleBroken) as refused:
        trail_check(seen, trail, break_even=D("2002.00"))
    assert (refused.value.field, said in str(refused.value)) == (field, True), str(refused.value)
    trail_check(seen, replace(RUN, distance=D("197.99")), break_even=D("2002.00"))
    with pytest.raises(RuleBroken, match="move the target first"):
        trail_check(seen, RUN, break_even=D("2200.00"))


# --- refused ----------------------------------------------------------------------------------

BOUGHT = entry(LegState.FILLED, filled=D("0.010"), filled_ts=NOW_TS - 9000)
SPEC = replace(LONG, stop_loss=D("1960.00"), take_profit=D("2200.00"), tick=TICK)
SHORT_SPEC = replace(SPEC, side=Side.SELL, stop_loss=D("2040.00"), take_profit=D("1800.00"))


def refusal(trail: TrailTerms, spec: object = SPEC, mark: str | None = "2000.00") -> tuple[str, str]:
    slot = holding()
    slot = replace(slot, mark_price=None if mark is None else D(mark), mark_as_of=NOW_TS if mark else 0)
    seen = trio(S.OPEN, BOUGHT, stop(), target(), spec=spec, slot=slot)  # type: ignore[arg-type]
    with pytest.raises(RuleBroken) as refused:
        trail_check(seen, trail)
    return refused.value.field, str(refused.value)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"distance": D("0.009")}, "distance", "0.01 is the nearest valid distance"),
        ({"distance": D("0")}, "distance", "0.01 is the nearest valid distance"),
        ({"distance": D("2000")}, "distance", "1999.99 is the nearest valid distance"),
        (
            {"distance": D("0.0004"), "unit": TrailUnit.PERCENT},
            "percent",
            "0.0005 % is the nearest valid distance",
        ),
        (
            {"distance": D("100"), "unit": TrailUnit.PERCENT},
            "percent",
            "99.9999 % is the nearest valid distance",
        ),
        ({"step": D("0.001")}, "step", "0.01 is the nearest valid one"),
        ({"step": D("5.005")}, "step", "5.01 is the nearest valid one"),
        ({"activation": D("2000.00")}, "activation", "above the mark price 2000: 2000.01 is the nearest"),
        ({"activation": D("1990.00")}, "activation", "above the mark price 2000: 2000.01 is the nearest"),
        ({"activation": D("2020.005")}, "activation", "in ticks of 0.01: 2020.01 would be"),
        ({"activation": D("2200.00")}, "activation", "2199.99 is the nearest valid level"),
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused_with_the_nearest_that_can(
    changes: dict[str, object], field: str, said: str
) -> None:
    found, sentence = refusal(replace(LONG_TRAIL, **changes))  # type: ignore[arg-type]
    assert found == field
    assert said in sentence


def test_the_side_of_an_activation_is_mirrored_for_a_short() -> None:
    def said(activation: str) -> str:
        return refusal(replace(SHORT_TRAIL, activation=D(activation)), SHORT_SPEC)[1]

    assert "below the mark price 2000: 1999.99 is the nearest valid level" in said("2000.00")
    assert "1800.01 is the nearest valid level" in said("1790.00")


def test_an_activation_is_judged_by_the_stop_where_no_price_is_known() -> None:
    assert "above the stop-loss 1960" in refusal(replace(LONG_TRAIL, activation=D("1950")), mark=None)[1]


def test_what_can_be_passes() -> None:
    slot = replace(holding(), mark_price=D("2000"), mark_as_of=NOW_TS)
    seen = trio(S.OPEN, BOUGHT, stop(), target(), spec=SPEC, slot=slot)
    trail_check(seen, replace(LONG_TRAIL, activation=D("2000.01"), step=D("5"), watches=PriceKind.LAST))
    trail_check(seen, replace(LONG_TRAIL, distance=D("0.01")))
    trail_check(seen, replace(LONG_TRAIL, distance=D("99"), unit=TrailUnit.PERCENT))


def test_a_trio_that_has_ended_has_no_stop_to_follow_with() -> None:
    with pytest.raises(IllegalTransition, match="has ended"):
        standing_check(trio(S.CLOSED, BOUGHT, spec=SPEC), Role.STOP_LOSS)


# --- one move at a time -----------------------------------------------------------------------


def test_a_stop_stands_alone_only_when_nothing_of_a_move_is_left() -> None:
    whole = stop(trigger_price=D("1960.00"))
    bridge = stop(
        generation=2, form=Form.QUANTITY, quantity=D("0.010"), trigger_price=D("1990"), for_move=True
    )

    def alone(*legs: LegView, **said: Any) -> bool:
        seen = trio(S.OPEN, BOUGHT, *legs, target(), spec=SPEC, slot=holding(), **said)
        return stands_alone(seen, Role.STOP_LOSS)

    assert alone(whole)
    assert not alone(whole, bridge)
    assert not alone(whole, moves=(Move(1, Role.STOP_LOSS, D("1990"), NOW),))
    assert not alone(replace(whole, cancel=RequestStatus.IN_FLIGHT))
    assert not alone(replace(whole, state=LegState.TRIGGERED, triggered_ts=NOW_TS))
    assert not alone(replace(whole, state=LegState.SUBMITTED, acknowledged=False))
    assert not alone(replace(bridge, trigger_price=D("1990")))
    assert alone(replace(whole, state=LegState.CANCELLED), stop(generation=3, trigger_price=D("1960.00")))
    # What never went out for a wish that is over is nobody's any more; what is still to go is under way
    unsent = replace(bridge, state=LegState.PLANNED, acknowledged=False)
    assert alone(whole, unsent)
    assert not alone(whole, unsent, moves=(Move(1, Role.STOP_LOSS, D("1990"), NOW),))
    assert not alone(replace(unsent, for_move=False, trigger_price=D("1960.00")))


# --- R ----------------------------------------------------------------------------------------


def test_r_counts_from_the_average_by_the_first_stop() -> None:
    args: dict[str, Any] = {"average": D("2000"), "tick": TICK}
    assert r_level(Side.BUY, first_stop=D("1960"), multiple=D("1.5"), **args) == D("2060.00")
    assert r_level(Side.SELL, first_stop=D("2040"), multiple=D("1"), **args) == D("1960.00")
    with pytest.raises(RuleBroken, match="no R"):
        r_level(Side.BUY, first_stop=D("2000"), multiple=D("1"), **args)

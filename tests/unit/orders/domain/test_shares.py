"""How a position is divided among its targets, and what its average is."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from exchange.types import OrderType, PositionMode, PositionSide, Side
from orders.domain.average import running_average
from orders.domain.enums import Protection
from orders.domain.fitting import Lot
from orders.domain.shares import last_share, part_quantities, part_targets_problems
from orders.domain.snapshot import PartTarget, Rules, Spec

LOT = Lot(D("0.001"), D("0.001"), D("100"))


def parts(*shares: str, level: str = "2000") -> list[PartTarget]:
    return [
        PartTarget(number, D(level) + 10 * number, D(share)) for number, share in enumerate(shares, start=1)
    ]


def divided(left: str, targets: list[PartTarget], **words: object) -> list[D]:
    settings: dict[str, object] = {"last": last_share(targets), "lot": LOT, "notional_min": None}
    return list(part_quantities(D(left), targets, **(settings | words)).values())  # type: ignore[arg-type]


def test_each_part_is_rounded_down_and_the_last_target_takes_what_is_left() -> None:
    assert divided("0.421", parts("50")) == [D("0.210")]  # 0.211 is for the take-profit


def test_what_remains_is_divided_among_the_targets_that_are_not_spent() -> None:
    # 1.000 with 50/30/20: the first has filled, then 0.200 were added
    _, second = parts("50", "30")
    assert divided("0.700", [second], last=D("20")) == [D("0.420")]
    assert divided("0.500", [second], last=D("20")) == [D("0.300")]


def test_a_part_too_small_gives_its_share_to_the_next() -> None:
    assert divided("0.010", parts("5", "45", "50"), last=D("0.0001")) == [D(0), D("0.004"), D("0.004")]
    assert divided("0.010", parts("5"), last=D("95")) == [D(0)]  # the take-profit takes it all
    # In hedge mode an order must be worth something as well
    assert divided("0.010", parts("30", "40"), notional_min=D("10")) == [D(0), D("0.007")]


def test_a_sale_moves_no_average_and_an_add_does() -> None:
    story = [("0.300", "2000.00"), ("0.200", "1950.00"), ("-0.250", "2010.00"), ("0.250", "2020.00")]
    executions = [(D(change), D(price)) for change, price in story]
    averages = [running_average(executions[:count]) for count in range(1, 5)]
    assert averages == [D("2000"), D("1980"), D("1980"), D("2000")]
    assert running_average([]) is None


def spec(*targets: PartTarget, side: Side = Side.BUY, mode: PositionMode = PositionMode.ONE_WAY) -> Spec:
    long = side is Side.BUY
    return Spec(
        side=side,
        position_side=PositionSide.BOTH,
        mode=mode,
        quantity=D("1.000"),
        entry_type=OrderType.LIMIT,
        protection=Protection.PRE_ARMED,
        price=D("2000"),
        stop_loss=D("1900") if long else D("2100"),
        take_profit=D("2200") if long else D("1800"),
        part_targets=targets,
    )


RULES = Rules(tick_size=D("0.01"), step_size=D("0.001"), quantity_min=D("0.001"), notional_min=D("20"))


@pytest.mark.parametrize(
    ("targets", "says"),
    [
        ([("2050", "60"), ("2100", "40")], "leaves nothing for the take-profit"),
        ([("2050", "60"), ("2100", "50")], "the shares come to 110 %"),
        ([("2050", "0")], "must be greater than zero"),
        ([("1990", "50")], "must lie above the entry price 2000"),
        ([("2100", "20"), ("2050", "20")], "name the nearest first"),
        ([("2200", "50")], "must lie before the take-profit 2200"),
        ([("2050.005", "50")], "not a whole number of ticks of 0.01: use 2050"),
        ([("2050", "0.05")], "at least 0.1 %"),
        ([(str(2010 + n), "10") for n in range(5)], "At most 4 part targets"),
    ],
)
def test_targets_that_cannot_stand_are_refused_with_what_would(
    targets: list[tuple[str, str]], says: str
) -> None:
    made = [PartTarget(n, D(level), D(share)) for n, (level, share) in enumerate(targets, start=1)]
    (problem,) = part_targets_problems(spec(*made), RULES, None)
    assert problem.field == "part_targets"
    assert says.lower() in str(problem).lower()


def test_good_targets_pass_on_either_side_and_a_part_must_be_worth_something_in_hedge_mode() -> None:
    long = [PartTarget(1, D("2050"), D("50")), PartTarget(2, D("2100"), D("25"))]
    short = [PartTarget(1, D("1950"), D("50")), PartTarget(2, D("1900"), D("25"))]
    assert not list(part_targets_problems(spec(*long), RULES, None))
    assert not list(part_targets_problems(spec(*short, side=Side.SELL), RULES, None))
    small = PartTarget(1, D("2050"), D("0.5"))
    assert not list(part_targets_problems(spec(small), RULES, None))
    (problem,) = part_targets_problems(spec(small, mode=PositionMode.HEDGE), RULES, None)
    assert "(0.01)" in str(problem)

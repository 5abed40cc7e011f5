"""When a wait is over, and what a script is told: the rules alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.types import ExchangeMs, OrderType, OurMs, PositionMode, PositionSide, Side
from orders.cli.commands import number
from orders.cli.document import decimals
from orders.cli.wait import at_rest, exit_code
from orders.domain.enums import Form, LegState, Protection, Role, TrioState
from orders.domain.errors import TrioRefused
from orders.domain.snapshot import LegView, RequestStatus, SlotView, Spec, TrioSnapshot

ONE = Decimal(1)
SPEC = Spec(
    side=Side.BUY,
    position_side=PositionSide.BOTH,
    mode=PositionMode.ONE_WAY,
    quantity=ONE,
    entry_type=OrderType.LIMIT,
    protection=Protection.ON_FIRST_FILL,
    price=Decimal(100),
    stop_loss=Decimal(90),
    take_profit=Decimal(120),
)


def leg(role: Role, state: LegState, **facts: object) -> LegView:
    live = state is not LegState.SUBMITTED
    usual: dict[str, object] = {
        "generation": 1,
        "form": Form.QUANTITY if role is Role.ENTRY else Form.CLOSE_POSITION,
        "quantity": ONE,
        "acknowledged": live,
        "submit": RequestStatus.ACCEPTED if live else RequestStatus.IN_FLIGHT,
        "submitted_at": 1000,
        "submitted_ts": 1000,
        "accepted_ts": 1000 if live else None,
    }
    return LegView(f"test-1-{role.letter}1", role, state=state, **(usual | facts))  # type: ignore[arg-type]


WORKING = TrioSnapshot(
    spec=SPEC,
    state=TrioState.WORKING,
    now=OurMs(2000),
    now_ts=ExchangeMs(2000),
    legs=(leg(Role.ENTRY, LegState.ACCEPTED),),
)
FILLED = leg(Role.ENTRY, LegState.FILLED, filled=ONE, filled_ts=1100, ended_ts=1100)
STOP, TARGET = leg(Role.STOP_LOSS, LegState.ACCEPTED), leg(Role.TAKE_PROFIT, LegState.ACCEPTED)
OPEN = replace(
    WORKING,
    state=TrioState.OPEN,
    legs=(FILLED, STOP, TARGET),
    slot=SlotView(quantity=ONE, as_of=1200, from_event=True),
)
PARTLY = leg(Role.ENTRY, LegState.PARTIALLY_FILLED, filled=Decimal("0.5"), filled_ts=1100)


def test_a_resting_entry_and_a_covered_position_are_at_rest() -> None:
    assert at_rest(WORKING)
    assert at_rest(OPEN)
    assert at_rest(replace(OPEN, legs=(PARTLY, STOP, TARGET)))


def test_an_order_that_never_went_out_for_a_move_that_is_over_is_not_waited_for() -> None:
    unsent = leg(Role.STOP_LOSS, LegState.PLANNED, for_move=True, trigger_price=Decimal(96), generation=2)
    unsent = replace(unsent, client_id="test-1-s2", acknowledged=False)
    assert at_rest(replace(OPEN, legs=(FILLED, STOP, TARGET, unsent)))


@pytest.mark.parametrize(
    "unrest",
    [
        pytest.param(replace(WORKING, cancel_wanted=True), id="the entry is to be withdrawn"),
        pytest.param(
            replace(WORKING, legs=(leg(Role.ENTRY, LegState.SUBMITTED),)), id="the entry is in flight"
        ),
        pytest.param(replace(WORKING, state=TrioState.PLACING), id="it is still being placed"),
        pytest.param(replace(WORKING, legs=(PARTLY,)), id="it has filled and nobody has decided yet"),
        pytest.param(
            replace(OPEN, legs=(FILLED, leg(Role.STOP_LOSS, LegState.SUBMITTED), TARGET)),
            id="stop in flight",
        ),
        pytest.param(replace(OPEN, legs=(FILLED, TARGET)), id="no stop"),
        pytest.param(replace(OPEN, legs=(FILLED, STOP)), id="no target"),
        pytest.param(
            replace(OPEN, legs=(FILLED, replace(STOP, look_at=1500), TARGET)), id="the stop is doubted"
        ),
        pytest.param(
            replace(OPEN, legs=(FILLED, replace(STOP, state=LegState.TRIGGERED, triggered_ts=1900), TARGET)),
            id="the stop is at the market",
        ),
        pytest.param(
            replace(
                OPEN,
                legs=(
                    FILLED,
                    STOP,
                    replace(TARGET, state=LegState.PLANNED, retry_at=2200, acknowledged=False),
                ),
            ),
            id="the target is refused for now",
        ),
        pytest.param(replace(OPEN, close_wanted=True), id="to be closed"),
        pytest.param(replace(OPEN, panic_wanted=True), id="panic"),
        pytest.param(
            replace(OPEN, legs=(PARTLY, STOP, TARGET), cancel_wanted=True), id="its rest is to be withdrawn"
        ),
        pytest.param(
            replace(OPEN, slot=SlotView(quantity=Decimal(0), as_of=1200, flat_since=1200)),
            id="flat, says the slot",
        ),
        pytest.param(replace(OPEN, state=TrioState.EXITING), id="on its way out"),
    ],
)
def test_whatever_is_under_way_is_waited_for(unrest: TrioSnapshot) -> None:
    assert not at_rest(unrest)


def test_a_cancelled_remainder_that_is_gone_leaves_the_position_at_rest() -> None:
    gone = leg(Role.ENTRY, LegState.CANCELLED, filled=Decimal("0.5"), filled_ts=1100, ended_ts=1150)
    slot = SlotView(quantity=Decimal("0.5"), as_of=1200, from_event=True)
    assert at_rest(replace(OPEN, legs=(gone, STOP, TARGET), cancel_wanted=True, slot=slot))


# fmt: off
OUTCOMES = [  # state, result, cause, asks, rested: exit code
    ("WORKING",     "",            "",                False, True,  0),
    ("OPEN",        "",            "",                False, True,  0),
    ("OPEN",        "",            "",                True,  True,  5),
    ("OPEN",        "",            "",                False, False, 4),
    ("QUEUED",      "",            "",                False, False, 4),
    ("DRAFT",       "",            "",                False, False, 4),
    ("EXITING",     "",            "MANUAL",          True,  False, 5),
    ("LATE",        "",            "LATE",            False, False, 4),
    ("DRY_RUN",     "",            "",                False, True,  0),
    ("CLOSED",      "TAKE_PROFIT", "TAKE_PROFIT",     False, True,  0),
    ("CLOSED",      "STOP_LOSS",   "STOP_LOSS",       False, True,  0),
    ("CLOSED",      "TIME",        "TIME",            False, True,  0),
    ("CLOSED",      "MANUAL",      "MANUAL",          False, True,  0),
    ("CLOSED",      "PANIC",       "PANIC",           False, True,  0),
    ("CLOSED",      "PANIC",       "PANIC",           True,  True,  5),
    ("CLOSED",      "UNCOVERED",   "UNCOVERED",       False, True,  3),
    ("CLOSED",      "LIQUIDATED",  "LIQUIDATED",      False, True,  3),
    ("CLOSED",      "SETTLEMENT",  "SETTLEMENT",      False, True,  3),
    ("CLOSED",      "OUTSIDE",     "OUTSIDE",         False, True,  3),
    ("CLOSED",      "LATE",        "LATE",            False, True,  3),
    ("CANCELLED",   "",            "CANCEL_WANTED",   False, True,  0),
    ("CANCELLED",   "",            "MANUAL",          False, True,  0),
    ("CANCELLED",   "",            "",                False, True,  0),
    ("CANCELLED",   "",            "ENTRY_CANCELLED", False, True,  3),
    ("REFUSED",     "",            "LIMIT",           False, True,  2),
    ("EXPIRED",     "",            "PLACE_BEFORE",    False, True,  3),
    ("ROLLED_BACK", "",            "STOP_REFUSED",    False, True,  3),
]
# fmt: on


@pytest.mark.parametrize(("state", "result", "cause", "asks", "rested", "code"), OUTCOMES)
def test_each_outcome_has_its_exit_code(
    state: str, result: str, cause: str, asks: bool, rested: bool, code: int
) -> None:
    found = exit_code(TrioState(state), result=result, cause=cause, asks=asks, rested=rested)
    assert found == code


@pytest.mark.parametrize(
    ("value", "grid", "text"),
    [
        ("0.01", "0.001", "0.010"),
        ("0.0100000000000000", "0.0010000000000000", "0.010"),
        ("0E-16", "0.001", "0.000"),
        ("17.0000000000000000", "1", "17"),
        ("60000", "0.10", "60000.0"),
        ("1000000", "10", "1000000"),
        ("0.0105", "0.001", "0.0105"),
        ("1E-8", None, "0.00000001"),
    ],
)
def test_numbers_are_plain_text_in_the_symbols_own_decimals(value: str, grid: str | None, text: str) -> None:
    assert decimals(Decimal(value), None if grid is None else Decimal(grid)) == text


@pytest.mark.parametrize("text", ["abc", "", "NaN", "Infinity", "1_000", "1,5", "0x10", "٣", "1e9999", "--1"])
def test_what_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(TrioRefused, match="write a plain number such as"):
        number(text, "quantity")


@pytest.mark.parametrize("text", ["0", "-1", "0.000", "-0"])
def test_a_number_is_greater_than_zero(text: str) -> None:
    with pytest.raises(TrioRefused, match="greater than zero"):
        number(text, "price")


@pytest.mark.parametrize("text", ["1e30", "1e-20", "0.00000000000000001"])
def test_a_number_no_table_could_hold_is_refused(text: str) -> None:
    with pytest.raises(TrioRefused, match="is out of range"):
        number(text, "price")


def test_numbers_are_read_exactly() -> None:
    assert number(" 0.010 ", "quantity") == Decimal("0.010")
    assert number("1e-5", "quantity") == Decimal("0.00001")
    assert number(None, "price") is None

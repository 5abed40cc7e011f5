"""Whose a line of income is that names neither order nor side. Pure."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from orders.domain.income_shares import Share, divided, shares_of

LONG, SHORT = 7, 8


def test_funding_belongs_to_the_trio_that_held_the_position() -> None:
    assert shares_of([D("-0.063")], {LONG: D("0.010")}) == [Share(0, LONG, D("-0.063"))]
    assert shares_of([D("0.063")], {SHORT: D("-0.010")}) == [Share(0, SHORT, D("0.063"))]


def test_what_nobody_of_ours_held_stays_with_the_account() -> None:
    assert shares_of([D("-0.063")], {}) == []
    assert shares_of([D("-0.063")], {LONG: D(0)}) == []


@pytest.mark.parametrize("longs_paid", [None, True])
def test_in_hedge_mode_the_larger_position_has_the_larger_line(longs_paid: bool | None) -> None:
    held = {LONG: D("0.020"), SHORT: D("-0.010")}
    assert shares_of([D("0.063"), D("-0.126")], held, longs_paid=longs_paid) == [
        Share(0, SHORT, D("0.063")),
        Share(1, LONG, D("-0.126")),
    ]
    held = {LONG: D("0.010"), SHORT: D("-0.020")}
    assert shares_of([D("-0.063"), D("0.126")], held, longs_paid=longs_paid) == [
        Share(0, LONG, D("-0.063")),
        Share(1, SHORT, D("0.126")),
    ]


def test_equal_sizes_do_not_tell_so_the_rate_must() -> None:
    lines, held = [D("-0.063"), D("0.063")], {LONG: D("0.010"), SHORT: D("-0.010")}
    assert shares_of(lines, held) is None
    assert shares_of(lines, held, longs_paid=True) == [
        Share(0, LONG, D("-0.063")),
        Share(1, SHORT, D("0.063")),
    ]
    assert shares_of(lines, held, longs_paid=False) == [
        Share(0, SHORT, D("-0.063")),
        Share(1, LONG, D("0.063")),
    ]


def test_the_line_of_a_side_that_is_somebody_elses_stays_with_the_account() -> None:
    lines, held = [D("-0.063"), D("0.020")], {LONG: D("0.010")}
    assert shares_of(lines, held) is None  # which of the two is not said
    assert shares_of(lines, held, longs_paid=True) == [Share(0, LONG, D("-0.063"))]
    assert shares_of(lines, held, longs_paid=False) == [Share(1, LONG, D("0.020"))]


def test_one_line_for_both_sides_is_allotted_by_position() -> None:
    # 0.020 long and 0.010 short at a rate of 0.0001 and a mark of 63000: -0.126 and +0.063 came as one
    assert divided(D("-0.063"), {LONG: D("0.020"), SHORT: D("-0.010")}) == {
        LONG: D("-0.126"),
        SHORT: D("0.063"),
    }


def test_shares_add_up_to_the_line_exactly() -> None:
    parts = divided(D("-0.00000010"), {1: D("0.001"), 2: D("0.001"), 3: D("0.001")})
    assert sum(parts.values()) == D("-0.00000010")
    assert parts == {1: D("-0.00000004"), 2: D("-0.00000003"), 3: D("-0.00000003")}


def test_a_long_and_a_short_of_one_size_leave_nothing_to_divide_by() -> None:
    assert divided(D("0.00000001"), {LONG: D("0.010"), SHORT: D("-0.010")}) == {}

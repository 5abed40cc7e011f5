"""The average true range, by hand."""

from __future__ import annotations

from decimal import Decimal as D
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.types import Kline
from orders.domain.true_range import average_true_range


def bar(high: str, low: str, close: str) -> Kline:
    return Kline("ETHUSDT", "1h", 0, 1, D(low), D(high), D(low), D(close), D(0), 0)


BARS = [
    bar("102", "98", "100"),
    bar("104", "101", "103"),  # 4: from the close before it, 100, to 104
    bar("103", "95", "96"),  # 8: a range of its own
    bar("98", "97", "98"),  # 2
    bar("110", "108", "109"),  # 12: it opened with a gap above 98
]


def test_the_first_is_the_mean_and_each_bar_then_moves_it_by_its_share() -> None:
    assert average_true_range(BARS[:3], length=2) == D(6)
    assert average_true_range(BARS[:4], length=2) == D(4)  # (6 + 2) / 2
    assert average_true_range(BARS, length=2) == D(8)  # (4 + 12) / 2


def test_too_few_bars_have_none() -> None:
    with pytest.raises(ValueError, match="takes 15 closed bars"):
        average_true_range(BARS)


@given(
    st.lists(st.tuples(st.integers(1, 900), st.integers(0, 90), st.integers(0, 90)), min_size=16, max_size=60)
)
def test_it_lies_between_the_least_and_the_greatest_range(rows: list[tuple[int, int, int]]) -> None:
    bars = [bar(str(low + a + b), str(low), str(low + a)) for low, a, b in rows]
    ranges = [
        max(one.high - one.low, abs(one.high - before.close), abs(one.low - before.close))
        for before, one in pairwise(bars)
    ]

    found = average_true_range(bars)
    assert min(ranges) - D("1E-20") <= found <= max(ranges) + D("1E-20")

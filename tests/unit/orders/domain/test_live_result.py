"""Where an open trio stands: what is realised counts, and the open part is what is left. Pure."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from exchange.types import Side
from orders.domain.live_result import Standing

TICK = D("0.01")
# ETHUSDT, long 0.500 @ 2000.00, part close 0.200 @ 2030.00: fees 0.5000 + 0.2030
LONG = Standing(Side.BUY, D("0.300"), D("2000.00"), realized=D("6.00"), fees=D("0.703"), funding=D(0))


def test_the_realised_part_counts_and_only_the_rest_is_open() -> None:
    mark = D("1990.00")
    assert LONG.unrealized(mark) == D("-3.00")  # not -5.00
    assert LONG.net(mark) == D("2.297")
    assert LONG.net_if_closed(mark) == D("1.9985")


def test_even_is_another_price_for_the_trio_than_for_the_rest() -> None:
    assert LONG.even_of_trio(tick=TICK) == D("1983.34")
    assert LONG.even_of_rest(tick=TICK) == D("2002.01")


@pytest.mark.parametrize(
    "standing", [LONG, Standing(Side.SELL, D("0.300"), D("2000.00"), D("6"), D("0.703"), D("-0.1"))]
)
def test_at_its_even_price_a_trio_loses_nothing_and_one_tick_worse_it_does(standing: Standing) -> None:
    even = standing.even_of_trio(tick=TICK)
    assert even is not None
    worse = -TICK if standing.side is Side.BUY else TICK
    assert standing.net_if_closed(even) >= 0 > standing.net_if_closed(even + worse)


def test_a_short_is_even_below_its_average() -> None:
    short = Standing(Side.SELL, D("0.300"), D("2000.00"), realized=D(0), fees=D("0.3"), funding=D(0))
    assert short.even_of_rest(tick=TICK) == D("1998.00")
    assert short.unrealized(D("1990.00")) == D("3.00")


def test_where_more_was_made_than_the_rest_is_worth_no_price_is_even() -> None:
    rich = Standing(Side.BUY, D("0.001"), D(2000), realized=D(100), fees=D(1), funding=D(0))
    assert rich.even_of_trio(tick=TICK) is None

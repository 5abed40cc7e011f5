"""What trades come to: each figure by an example worked out by hand. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from zoneinfo import ZoneInfo

import pytest

from exchange.types import Side
from orders.domain.statistics import (
    Trade,
    by_day,
    day_of,
    drawdown,
    planned_risk,
    statistics_of,
    stop_slippage,
)

START = datetime(2026, 6, 21, 12, tzinfo=UTC)


def trades(*results: str | tuple[str, str]) -> list[Trade]:
    """Return trades that closed one after the other: a net figure each, or realised and fees."""
    return [
        Trade(n, START + timedelta(hours=n), D(r[0]), D(r[1]))
        if isinstance(r, tuple)
        else Trade(n, START + timedelta(hours=n), D(r))
        for n, r in enumerate(results)
    ]


SIX = trades("-8.00", ("0.30", "0.87"), "12.00", "4.50", "0.00", "-6.00")


def test_six_trades_as_counted_by_hand() -> None:
    found = statistics_of(SIX)
    assert (found.trades, found.won, found.lost, found.even) == (6, 2, 3, 1)
    assert (found.win_rate, found.win_rate_without_even) == (D("33.33"), D("40.00"))
    assert (found.gains, found.losses) == (D("16.50"), D("14.57"))
    assert found.profit_factor == D("1.1325")
    assert found.expectancy == D("0.3217")
    assert found.largest_drawdown == D("8.57")  # from zero; 6.00 would be from the first trade on
    assert found.net == D("1.93") == found.realized - found.fees + found.funding
    assert not found.no_losses


def test_the_order_they_are_given_in_does_not_matter() -> None:
    assert statistics_of(reversed(SIX)) == statistics_of(SIX)


def test_without_a_loss_there_is_no_profit_factor_and_it_says_so() -> None:
    found = statistics_of(trades("3", "4"))
    assert found.profit_factor is None
    assert found.no_losses
    assert (found.win_rate, found.largest_drawdown) == (D(100), D(0))


def test_nothing_has_no_figures_and_divides_by_nothing() -> None:
    found = statistics_of([])
    assert (found.trades, found.win_rate, found.expectancy, found.profit_factor) == (0, None, None, None)
    assert not found.no_losses
    assert statistics_of(trades("0")).win_rate_without_even is None


def test_a_gain_that_fees_eat_up_is_a_loss_and_funding_counts() -> None:
    eaten = Trade(1, START, realized=D("0.30"), fees=D("0.20"), funding=D("-0.15"))
    assert statistics_of([eaten]).lost == 1
    assert statistics_of([eaten]).funding == D("-0.15")


def test_only_losers_have_a_profit_factor_of_nothing_and_fall_from_zero() -> None:
    found = statistics_of(trades("-3", "-1.50", "-0.01"))
    assert (found.won, found.lost, found.win_rate) == (0, 3, D(0))
    assert (found.profit_factor, found.no_losses) == (D(0), False)
    assert found.largest_drawdown == D("4.51") == -found.net
    assert found.expectancy == D("-1.5033")


def test_only_even_trades_are_neither_won_nor_lost() -> None:
    found = statistics_of(trades("0", ("0.50", "0.50")))
    assert (found.even, found.win_rate, found.win_rate_without_even, found.expectancy) == (
        2,
        D(0),
        None,
        D(0),
    )
    assert (found.profit_factor, found.no_losses, found.largest_drawdown) == (None, True, D(0))


def test_how_long_trades_were_held_on_average() -> None:
    # One for an hour, one for ten seconds and a half, one of which it is not known
    hour = Trade(1, START, D(1), opened_at=START - timedelta(hours=1))
    short = Trade(2, START, D(1), opened_at=START - timedelta(seconds=10, milliseconds=500))
    assert statistics_of([hour, short, Trade(3, START, D(1))]).average_held_seconds == 1805
    assert statistics_of([Trade(3, START, D(1))]).average_held_seconds is None


def test_a_drawdown_is_from_the_highest_sum_to_the_lowest_after_it() -> None:
    assert drawdown([]) == 0
    assert drawdown([D(5), D(-2), D(-1), D(4), D(-6), D(1)]) == D(6)
    assert drawdown([D(-3), D(10), D(-4)]) == D(4)


def test_a_stop_that_was_gapped_over() -> None:
    # BTCUSDT long 0.100 @ 60000.0, stop 59000.0, filled @ 57800.0
    quantity = D("0.100")
    planned = planned_risk(Side.BUY, entry=D(60000), first_stop=D(59000), quantity=quantity)
    slippage = stop_slippage(Side.BUY, level=D(59000), price=D(57800), quantity=quantity)
    trade = Trade(1, START, D("-220.00"), D("5.89"), planned=planned, slippage=slippage)
    assert planned == D("105.95")
    assert trade.net == D("-225.89")
    assert trade.slippage == D("120.00")
    assert trade.r == D("-2.13")
    found = statistics_of([trade])
    assert (found.average_r, found.trades_with_r, found.slippage) == (D("-2.13"), 1, D("120.00"))


def test_a_short_is_the_mirror() -> None:
    planned = planned_risk(Side.SELL, entry=D(60000), first_stop=D(61000), quantity=D("0.100"))
    assert planned == D("106.05")
    assert stop_slippage(Side.SELL, level=D(61000), price=D(60900), quantity=D("0.100")) == D("-10.0")


def test_a_stop_that_loses_nothing_plans_no_risk() -> None:
    assert planned_risk(Side.BUY, entry=D(60000), first_stop=D(61000), quantity=D("0.1")) is None


def test_a_trade_without_a_plan_has_no_r_and_spoils_no_average() -> None:
    planned = Trade(1, START, D(10), planned=D(5))
    found = statistics_of([planned, Trade(2, START, D(-4))])
    assert (found.average_r, found.trades_with_r) == (D("2.00"), 1)


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        (ZoneInfo("Europe/Paris"), {date(2026, 6, 21): D(-20), date(2026, 6, 22): D(-40)}),
        (UTC, {date(2026, 6, 21): D(-60)}),
    ],
    ids=["the viewer's", "of limits"],
)
def test_a_trade_is_on_the_viewers_day(zone: ZoneInfo, days: dict[date, D]) -> None:
    found = [
        Trade(1, datetime(2026, 6, 21, 20, tzinfo=UTC), D(-20)),
        Trade(2, datetime(2026, 6, 21, 22, 30, tzinfo=UTC), D(-40)),
    ]
    assert {day: part.net for day, part in by_day(found, zone).items()} == days
    assert [day_of(trade.closed_at, zone) for trade in found] == sorted(days) * (2 // len(days))

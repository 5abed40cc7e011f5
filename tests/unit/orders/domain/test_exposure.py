"""What positions are worth, how far levels are, and the margin that keeps them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.types import LeverageBracket
from orders.domain.exposure import (
    Holding,
    distance_percent,
    exposure_by_account,
    exposure_by_symbol,
    maintenance_margin,
    ratio_percent,
    running,
)
from orders.domain.rounding import money

D = Decimal
BRACKETS = (LeverageBracket(D(50000), D("0.004"), D(0)), LeverageBracket(D(250000), D("0.005"), D(50)))


def held(
    symbol: str,
    quantity: str,
    mark: str,
    *,
    account: str = "main",
    environment: str = "LIVE",
    asset: str = "USDT",
) -> Holding:
    return Holding(environment, account, symbol, asset, D(quantity), D(mark))


def test_long_and_short_are_told_apart_and_the_largest_comes_first() -> None:
    holdings = [
        held("ETHUSDT", "2", "2000"),
        held("BTCUSDT", "0.1", "60000"),
        held("ETHUSDT", "-1", "2000", account="other"),
    ]

    by_symbol = exposure_by_symbol(holdings)

    assert [(row.name, row.long, row.short, row.net) for row in by_symbol] == [
        ("BTCUSDT", D(6000), 0, D(6000)),
        ("ETHUSDT", D(4000), D(2000), D(2000)),
    ]
    assert [(row.name, row.gross) for row in exposure_by_account(holdings)] == [
        ("main", D(10000)),
        ("other", D(2000)),
    ]


def test_neither_assets_nor_real_and_paper_money_are_added_up() -> None:
    holdings = [
        held("BTCUSDT", "1", "60000"),
        held("BTCUSDT", "1", "60000", environment="PAPER"),
        held("BTCUSDC", "1", "60000", asset="USDC"),
    ]
    rows = exposure_by_account(holdings)
    assert [(row.environment, row.asset, row.long) for row in rows] == [
        ("LIVE", "USDT", D(60000)),
        ("LIVE", "USDC", D(60000)),
        ("PAPER", "USDT", D(60000)),
    ]


@pytest.mark.parametrize(
    ("notional", "margin"),
    [("10000", "40"), ("-10000", "40"), ("100000", "450"), ("900000", "4450"), ("0", "0")],
)
def test_the_maintenance_margin_follows_the_brackets(notional: str, margin: str) -> None:
    assert maintenance_margin(D(notional), BRACKETS) == D(margin)


def test_what_is_not_known_is_none() -> None:
    assert maintenance_margin(D(1), ()) is None
    assert ratio_percent(D(1), D(0)) is None
    assert ratio_percent(D(1), D(-5)) is None
    assert distance_percent(D(0), D(1)) is None


def test_distances_and_sums() -> None:
    assert distance_percent(D(2000), D(1940)) == D("3.00")
    assert distance_percent(D(2000), D(2060)) == D("3.00")
    assert running([D(-8), D("-0.57"), D(12)]) == [D(-8), D("-8.57"), D("3.43")]
    assert running([]) == []


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0"),
        ("1234.567", "1234.57"),
        ("-51.4800", "-51.48"),
        ("0.00150225", "0.001502"),
        ("1E+3", "1000.00"),
        ("-0.5", "-0.5"),
    ],
)
def test_money_at_a_glance(amount: str, shown: str) -> None:
    assert money(D(amount)) == shown

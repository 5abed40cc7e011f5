"""Each limit: allowed at its value, refused beyond it, with rule, value and limit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.types import OrderType, Side
from orders.domain.limits import Entry, LimitRule, Limits, Usage, breach, is_automatic

D = Decimal


def an_entry(**said: Any) -> Entry:
    usual: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": Side.BUY, "quantity": D("0.1"), "entry_type": OrderType.MARKET,
        "price": None, "mark": D(60_000),
    }  # fmt: skip
    return Entry(**(usual | said))


def limit(price: str, **said: Any) -> Entry:
    return an_entry(entry_type=OrderType.LIMIT, price=D(price), **said)


@pytest.mark.parametrize(
    ("allowed", "used", "entry", "broken"),
    [
        ({"notional_order": D(6000)}, {}, an_entry(), None),
        ({"notional_order": D("5999.99")}, {}, an_entry(), ("ORDER_NOTIONAL", "6000.00", "5999.99")),
        # a buy can cost no more than its limit; a sale's fills at the market when that is higher
        ({"notional_order": D(5900)}, {}, limit("59000"), None),
        ({"notional_order": D(5900)}, {}, limit("59000", side=Side.SELL), ("ORDER_NOTIONAL", "6000.00", "5900.00")),
        ({"notional_open": D(10_000)}, {"notional_open": D(4000)}, an_entry(), None),
        ({"notional_open": D(10_000)}, {"notional_open": D("4000.01")}, an_entry(), ("OPEN_NOTIONAL", "10000.01", "10000.00")),
        ({"trios_open": 3}, {"trios_open": 2}, an_entry(), None),
        ({"trios_open": 3}, {"trios_open": 3}, an_entry(), ("OPEN_TRIOS", "4", "3")),
        ({"trios_open": 0}, {}, an_entry(), ("OPEN_TRIOS", "1", "0")),
        ({"orders_minute": 2}, {"begun_minute": 1}, an_entry(), None),
        ({"orders_minute": 2}, {"begun_minute": 2}, an_entry(), ("ORDERS_A_MINUTE", "3", "2")),
        # cases 34 and 35
        ({"daily_loss": D(200)}, {"day_result": D("-225.89")}, an_entry(), ("DAILY_LOSS", "225.89", "200.00")),
        ({"daily_loss": D(50)}, {"day_result": D("-60")}, an_entry(), ("DAILY_LOSS", "60.00", "50.00")),
        ({"daily_loss": D(50)}, {"day_result": D("-50")}, an_entry(), ("DAILY_LOSS", "50.00", "50.00")),
        ({"daily_loss": D(50)}, {"day_result": D("-49.99")}, an_entry(), None),
        ({"daily_loss": D(50)}, {"day_result": D(300)}, an_entry(), None),
        ({"collar_percent": D(1)}, {}, limit("59400"), None),
        ({"collar_percent": D(1)}, {}, limit("59399"), ("COLLAR", "1", "1")),
        ({"collar_percent": D(1)}, {}, limit("60700"), ("COLLAR", "1.17", "1")),
        ({"collar_percent": D(1)}, {}, an_entry(), None),
        ({"symbols": frozenset({"BTCUSDT"})}, {}, an_entry(), None),
        ({"symbols": frozenset({"ETHUSDT", "ADAUSDT"})}, {}, an_entry(), ("SYMBOL", "BTCUSDT", "ADAUSDT, ETHUSDT")),
        ({"duplicate_seconds": 30}, {}, an_entry(), None),
        ({"duplicate_seconds": 30}, {"duplicate_of": 7}, an_entry(), ("DUPLICATE", "7", "30")),
        # what cannot be checked is not allowed
        ({"notional_order": D(1)}, {}, an_entry(mark=None), ("MARK_UNKNOWN", "BTCUSDT", "")),
        ({"collar_percent": D(1)}, {}, limit("60000", mark=None), ("MARK_UNKNOWN", "BTCUSDT", "")),
        ({"trios_open": 1}, {}, an_entry(mark=None), None),
        ({}, {"notional_open": D(10**9), "trios_open": 99}, an_entry(), None),
    ],
)  # fmt: skip
def test_each_rule_at_and_beyond_its_limit(
    allowed: dict[str, Any], used: dict[str, Any], entry: Entry, broken: tuple[str, str, str] | None
) -> None:
    found = breach(entry, [(Limits("desk", **allowed), Usage(**used))])

    assert (found and (found.rule.value, found.value, found.limit)) == broken
    if found is not None:
        assert "desk" in found.sentence
        assert found.facts["rule"] == found.rule.value


def test_the_limit_of_a_source_holds_beside_that_of_the_account() -> None:
    wide, narrow = Limits("desk", trios_open=9), Limits("desk", "hook:view", trios_open=1)

    found = breach(an_entry(), [(wide, Usage(trios_open=1)), (narrow, Usage(trios_open=1))])

    assert found is not None
    assert (found.rule, found.source) == (LimitRule.OPEN_TRIOS, "hook:view")
    assert "hook:view on desk" in found.sentence


@pytest.mark.parametrize(
    ("source", "automatic"),
    [
        ("hook:view", True), ("strategy:x", True), ("file:a.csv", True),
        ("ticket:anna", False), ("admin", False), ("smoke_order", False), ("hook", False), ("", False),
    ],
)  # fmt: skip
def test_what_a_person_decides_about_is_not_automatic(source: str, *, automatic: bool) -> None:
    assert is_automatic(source) is automatic

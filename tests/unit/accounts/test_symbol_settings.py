"""Leverage and margin type: read, wanted, set only while nothing is open."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accounts.errors import ExchangeUnreachable, SettingsRefused
from accounts.models import ExchangeAccount, SymbolSetting
from accounts.symbol_settings import (
    symbol_setting_problem,
    symbol_setting_want,
    symbol_settings_apply,
    symbol_settings_apply_all,
    symbol_settings_read,
)
from tests.unit.accounts.conftest import KEY
from tests.unit.accounts.venue import Venue

pytestmark = pytest.mark.django_db
Add = Callable[..., ExchangeAccount]


def test_a_wish_is_a_reason_to_refuse_a_trio_until_it_is_applied(add: Add, venue: Venue) -> None:
    # Given nothing wanted, then a wish
    account = add()
    assert symbol_setting_problem(account, "BTCUSDT") is None
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type="ISOLATED")
    problem = symbol_setting_problem(account, "BTCUSDT")
    assert problem is not None
    assert "leverage is 20, wanted is 5; margin type is CROSSED, wanted is ISOLATED" in problem

    # When it is applied
    row = symbol_settings_apply(account, "BTCUSDT")

    # Then the exchange has it (margin type first), we read it back, and nothing is in the way
    assert venue.customers[KEY].settings["BTCUSDT"] == {"leverage": 5, "marginType": "ISOLATED"}
    changes = [path for method, path in venue.requests if method == "POST" and path.startswith("/fapi")]
    assert changes == ["/fapi/v1/marginType", "/fapi/v1/leverage"]
    assert (row.leverage, row.margin_type) == (5, "ISOLATED")
    assert symbol_setting_problem(account, "BTCUSDT") is None

    # And the check itself asks nobody
    asked = len(venue.requests)
    symbol_setting_problem(account, "ETHUSDT")
    assert len(venue.requests) == asked


@pytest.mark.parametrize("what", ["position", "order"])
def test_nothing_is_touched_while_something_is_open(add: Add, venue: Venue, what: str) -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    if what == "position":
        venue.customers[KEY].positions["BTCUSDT"] = "-0.010"
    else:
        venue.customers[KEY].resting.append("BTCUSDT")
    with pytest.raises(SettingsRefused, match="not changed while"):
        symbol_settings_apply(account, "BTCUSDT")
    assert venue.customers[KEY].settings["BTCUSDT"]["leverage"] == 20
    assert symbol_setting_problem(account, "BTCUSDT") is not None


def test_what_the_exchange_shows_afterwards_counts_not_what_it_answered(add: Add, venue: Venue) -> None:
    account = add()
    venue.deaf_to_settings = True
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    with pytest.raises(SettingsRefused, match="leverage is 20, wanted is 5"):
        symbol_settings_apply(account, "BTCUSDT")


def test_what_is_set_already_is_not_sent_again(add: Add, venue: Venue) -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=20, margin_type="CROSSED")
    symbol_settings_apply(account, "BTCUSDT")
    assert not [path for method, path in venue.requests if method == "POST" and path.startswith("/fapi")]


def test_nothing_wanted_and_unknown_symbols_are_sentences(add: Add) -> None:
    account = add()
    with pytest.raises(SettingsRefused, match="No leverage or margin type is wanted for BTCUSDT"):
        symbol_settings_apply(account, "BTCUSDT")
    symbol_setting_want(account, "NOSUCHUSDT", leverage=3, margin_type=None)
    with pytest.raises(SettingsRefused, match="no settings for NOSUCHUSDT"):
        symbol_settings_apply(account, "NOSUCHUSDT")


def test_reading_keeps_wishes_and_says_when_nobody_answers(add: Add, venue: Venue) -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    venue.customers[KEY].settings["BTCUSDT"]["leverage"] = 7
    assert symbol_settings_read(account) == 3
    row = SymbolSetting.objects.get(account=account, symbol="BTCUSDT")
    assert (row.leverage, row.wanted_leverage) == (7, 5)
    venue.silent = True
    with pytest.raises(ExchangeUnreachable):
        symbol_settings_read(account)


def test_applying_all_sets_what_it_may_and_names_the_rest(add: Add, venue: Venue) -> None:
    account = add()
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type=None)
    symbol_setting_want(account, "ETHUSDT", leverage=5, margin_type=None)
    venue.customers[KEY].positions["ETHUSDT"] = "1"
    done, refused = symbol_settings_apply_all(account)
    assert [row.symbol for row in done] == ["BTCUSDT"]
    assert len(refused) == 1
    assert "ETHUSDT" in refused[0]


def test_what_was_set_at_our_own_wish_is_no_change_that_a_trio_asks_about(add: Add, venue: Venue) -> None:
    account = add()
    symbol_settings_read(account)
    symbol_setting_want(account, "BTCUSDT", leverage=5, margin_type="ISOLATED")
    symbol_settings_apply(account, "BTCUSDT")
    row = SymbolSetting.objects.get(account=account, symbol="BTCUSDT")
    assert (row.leverage, row.leverage_was, row.margin_type_was) == (5, None, "")

"""Leverage and margin type: set before the first trio, never while something is open."""

from __future__ import annotations

import pytest

from accounts.models import SymbolSetting
from accounts.symbol_settings import symbol_setting_want
from orders import services
from orders.domain.errors import TrioRefused
from tests.builders import Desk, story


def test_what_is_wanted_is_set_before_the_first_trio(desk: Desk) -> None:
    symbol_setting_want(desk.account, "BTCUSDT", leverage=7, margin_type="ISOLATED")
    trio = desk.a_trio()
    services.trio_check(trio)  # would be accepted: placing sets it first

    desk.placed(trio)

    assert trio.state == "OPEN", story(trio)
    row = SymbolSetting.objects.get(account=desk.account, symbol="BTCUSDT")
    assert (row.leverage, row.margin_type) == (7, "ISOLATED")


def test_a_mismatch_refuses_the_trio_while_something_is_open(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    symbol_setting_want(desk.account, "BTCUSDT", leverage=7, margin_type=None)

    with pytest.raises(TrioRefused, match="leverage is"):
        desk.queued(desk.a_trio())


def test_a_leverage_the_exchange_refuses_places_nothing(desk: Desk) -> None:
    symbol_setting_want(desk.account, "BTCUSDT", leverage=200, margin_type=None)
    trio = desk.a_trio()

    with pytest.raises(TrioRefused, match="Nothing was placed"):
        desk.queued(trio)
    trio.refresh_from_db()
    assert (trio.state, desk.resting) == ("DRAFT", [])

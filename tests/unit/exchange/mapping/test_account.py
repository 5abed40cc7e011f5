"""What the account holds, traded and may do."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.account import (
    read_account_config,
    read_balance,
    read_permissions,
    read_position,
    read_trade,
)
from exchange.binance.mapping.body import ForeignShape, parse
from exchange.binance.mapping.symbol_settings import read_symbol_config
from exchange.types import MarginType, PositionMode, Side
from tests.unit.exchange.samples import D, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


def test_a_trade() -> None:
    (trade,) = (read_trade(row) for row in read("account_trade_list"))
    assert (trade.trade_id, trade.order_id, trade.price) == (698759, 25851813, D("7819.01"))
    assert (trade.quantity, trade.commission, trade.commission_asset) == (D("0.002"), D("0.07819010"), "USDT")
    assert (trade.realized_pnl, trade.maker, trade.side) == (D("-0.91539999"), False, Side.SELL)


def test_positions_of_both_versions() -> None:
    (position,) = (read_position(row) for row in read("position_information_v3"))
    assert (position.symbol, position.quantity, position.entry_price) == ("ADAUSDT", D(30), D("0.385"))
    assert (position.mark_price, position.liquidation_price) == (D("0.41047590"), None)
    (flat,) = (read_position(row) for row in read("position_one_way_v2"))
    assert flat.quantity == 0


def test_account_settings() -> None:
    config = read_account_config(read("futures_account_configuration"))
    assert (config.can_trade, config.position_mode, config.multi_assets) == (True, PositionMode.HEDGE, False)
    (symbol,) = (read_symbol_config(row) for row in read("symbol_configuration"))
    assert (symbol.leverage, symbol.margin_type) == (21, MarginType.CROSSED)
    (balance,) = (read_balance(row) for row in read("futures_account_balance_v3"))
    assert (balance.balance, balance.available) == (D("122607.35137903"), D("23.72469206"))


def test_permissions() -> None:
    told = read_permissions(
        {"ipRestrict": True, "enableReading": True, "enableFutures": True, "enableWithdrawals": False}
    )
    assert (told.reading, told.futures, told.withdrawals, told.ip_restricted) == (True, True, False, True)
    with pytest.raises(ForeignShape):  # what is not told is not assumed
        read_permissions({"ipRestrict": True, "enableReading": True, "enableFutures": True})

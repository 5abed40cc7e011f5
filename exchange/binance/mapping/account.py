"""The account: what it holds, what it traded, and what it and its key may do."""

from __future__ import annotations

from exchange.binance.mapping.body import as_object
from exchange.binance.mapping.fields import (
    boolean,
    decimal,
    enum_member,
    integer,
    position_side,
    positive_or_none,
    text,
    text_or_empty,
)
from exchange.types import (
    ZERO,
    AccountConfig,
    AccountTotals,
    BalanceView,
    Permissions,
    PositionMode,
    PositionView,
    Side,
    TradeView,
)


def read_trade(body: object) -> TradeView:
    trade = as_object(body)
    return TradeView(
        trade_id=integer(trade, "id"),
        order_id=integer(trade, "orderId"),
        symbol=text(trade, "symbol"),
        side=enum_member(Side, trade.get("side")),
        position_side=position_side(trade, "positionSide"),
        price=decimal(trade, "price"),
        quantity=decimal(trade, "qty"),
        commission=decimal(trade, "commission", fallback=ZERO),
        commission_asset=text_or_empty(trade, "commissionAsset"),
        realized_pnl=decimal(trade, "realizedPnl", fallback=ZERO),
        maker=boolean(trade, "maker"),
        time=integer(trade, "time"),
    )


def read_position(body: object) -> PositionView:
    position = as_object(body)
    return PositionView(
        symbol=text(position, "symbol"),
        position_side=position_side(position, "positionSide"),
        quantity=decimal(position, "positionAmt"),
        entry_price=decimal(position, "entryPrice", fallback=ZERO),
        mark_price=positive_or_none(position, "markPrice"),
        liquidation_price=positive_or_none(position, "liquidationPrice"),
        updated_at=integer(position, "updateTime", fallback=0),
    )


def read_balance(body: object) -> BalanceView:
    balance = as_object(body)
    return BalanceView(
        account_alias=text_or_empty(balance, "accountAlias"),
        asset=text(balance, "asset"),
        balance=decimal(balance, "balance"),
        available=decimal(balance, "availableBalance"),
        unrealized=decimal(balance, "crossUnPnl", fallback=ZERO),
    )


def read_account_totals(body: object) -> AccountTotals:
    account = as_object(body)
    return AccountTotals(
        available=decimal(account, "availableBalance"), margin_balance=decimal(account, "totalMarginBalance")
    )


def read_account_config(body: object) -> AccountConfig:
    config = as_object(body)
    hedge = boolean(config, "dualSidePosition", required=True)
    return AccountConfig(
        can_trade=boolean(config, "canTrade", required=True),
        position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
        multi_assets=boolean(config, "multiAssetsMargin"),
    )


def read_permissions(body: object) -> Permissions:
    restrictions = as_object(body)
    return Permissions(
        reading=boolean(restrictions, "enableReading", required=True),
        futures=boolean(restrictions, "enableFutures", required=True),
        withdrawals=boolean(restrictions, "enableWithdrawals", required=True),
        ip_restricted=boolean(restrictions, "ipRestrict"),
        raw=restrictions,
    )

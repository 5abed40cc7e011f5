"""Balances, positions and income as REST shows them: the keys and value kinds of the recorded answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import ZERO, eight, plain
from simulator.engine.exchange import Exchange
from simulator.engine.margin import (
    Margin,
    available_of,
    break_even_price,
    liquidation_price,
    maintenance_margin,
    margin_of,
    order_margin,
    portfolio_of,
)
from simulator.engine.records import Income, Position


def income_row(line: Income) -> dict[str, Any]:
    return {
        "symbol": line.symbol,
        "incomeType": line.type,
        "income": eight(line.amount),
        "asset": line.asset,
        "time": line.time,
        "info": line.info,
        "tranId": line.id,
        "tradeId": line.trade,
    }


def assets_of(book: AccountBook) -> list[str]:
    return sorted(set(book.account.wallets) | {"USDT"}, key=lambda asset: (asset != "USDT", asset))


def balance_rows(ex: Exchange, book: AccountBook, now: int) -> list[dict[str, Any]]:
    rows = []
    for asset in assets_of(book):
        margin = margin_of(ex, book, asset)
        rows.append(
            {
                "accountAlias": book.account.alias,
                "asset": asset,
                "balance": eight(margin.wallet),
                "crossWalletBalance": eight(margin.cross_wallet),
                "crossUnPnl": eight(margin.cross_profit),
                "availableBalance": eight(available_of(ex, book, asset)),
                "maxWithdrawAmount": eight(_withdrawable(margin)),
                "marginAvailable": True,
                "updateTime": now,
            }
        )
    return rows


def _withdrawable(margin: Margin) -> Decimal:
    return min(margin.available, max(ZERO, margin.cross_wallet))


# -- positions ------------------------------------------------------------------------------------------------


def _position_margin(ex: Exchange, book: AccountBook, position: Position) -> Decimal:
    if position.symbol in book.account.isolated:
        return position.isolated
    mark = ex.market(position.symbol).mark
    return abs(position.amount) * mark / ex.leverage(book.account, position.symbol)


def position_risk_v3(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    market = ex.market(position.symbol)
    rules = market.rules
    isolated = position.symbol in book.account.isolated
    profit = position.profit(market.mark)
    own = _position_margin(ex, book, position)
    orders = order_margin(ex, book, position.symbol, position.side)
    resting = book.resting_in(position.symbol, position.side)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": rules.quantity(position.amount),
        "entryPrice": plain(position.entry.quantize(rules.average_unit)) if position.amount else "0.0",
        "breakEvenPrice": plain(break_even_price(book, position).quantize(rules.average_unit))
        if position.amount
        else "0.0",
        "markPrice": eight(market.mark),
        "unRealizedProfit": eight(profit),
        "liquidationPrice": _liquidation_text(ex, book, position),
        "isolatedMargin": eight(position.isolated + profit) if isolated else "0",
        "notional": eight(position.amount * market.mark),
        "marginAsset": rules.margin_asset,
        "isolatedWallet": eight(position.isolated) if isolated else "0",
        "initialMargin": eight(own + orders),
        "maintMargin": eight(maintenance_margin(ex, position)) if position.amount else "0",
        "positionInitialMargin": eight(own),
        "openOrderInitialMargin": eight(orders) if orders else "0",
        "adl": 2 if position.amount else 0,
        "bidNotional": plain(resting.buy_notional),
        "askNotional": plain(resting.sell_notional),
        "updateTime": position.updated,
    }


def _liquidation_text(ex: Exchange, book: AccountBook, position: Position) -> str:
    price = liquidation_price(ex, book, position) if position.amount else ZERO
    return plain(price.quantize(ex.rules(position.symbol).average_unit)) if price else "0"


def position_risk_v2(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    market = ex.market(position.symbol)
    rules = market.rules
    isolated = position.symbol in book.account.isolated
    leverage = ex.leverage(book.account, position.symbol)
    profit = position.profit(market.mark)
    return {
        "symbol": position.symbol,
        "positionAmt": rules.quantity(position.amount),
        "entryPrice": rules.average(position.entry),
        "breakEvenPrice": rules.average(break_even_price(book, position)) if position.amount else "0.0",
        "markPrice": eight(market.mark),
        "unRealizedProfit": eight(profit),
        "liquidationPrice": _liquidation_text(ex, book, position),
        "leverage": str(leverage),
        "maxNotionalValue": plain(rules.cap_at(leverage)),
        "marginType": "isolated" if isolated else "cross",
        "isolatedMargin": eight(position.isolated + profit) if isolated else eight(ZERO),
        "isAutoAddMargin": "false",
        "positionSide": position.side,
        "notional": eight(position.amount * market.mark) if position.amount else "0",
        "isolatedWallet": eight(position.isolated) if isolated else "0",
        "updateTime": position.updated,
    }


# -- the whole account ----------------------------------------------------------------------------------------


def account_v2(ex: Exchange, book: AccountBook, now: int) -> dict[str, Any]:
    """Version 2 of ``/account``: every symbol, and the account's flags."""
    account = book.account
    flags = {
        "feeTier": 0, "feeBurn": account.fee_burn, "canTrade": account.can_trade, "canDeposit": True,
        "canWithdraw": account.withdrawals, "updateTime": 0, "multiAssetsMargin": account.multi_assets,
        "tradeGroupId": -1,
    }  # fmt: skip
    assets = [_asset_row(ex, book, asset, now) | {"marginAvailable": True} for asset in assets_of(book)]
    positions = [_account_position_v2(ex, book, position) for position in every_position(ex, book)]
    return flags | _totals(ex, book) | {"assets": assets, "positions": positions}


def account_v3(ex: Exchange, book: AccountBook, now: int) -> dict[str, Any]:
    """Version 3 of ``/account``: only the positions that are held or have orders resting."""
    assets = [_asset_row(ex, book, asset, now) for asset in assets_of(book)]
    positions = [_account_position_v3(ex, book, position) for position in live_positions(ex, book)]
    return _totals(ex, book) | {"assets": assets, "positions": positions}


def _totals(ex: Exchange, book: AccountBook) -> dict[str, Any]:
    """What both versions say of the whole account, in USDT."""
    margin = margin_of(ex, book, "USDT")
    portfolio = portfolio_of(ex, book) if book.account.multi_assets else None
    return {
        "totalInitialMargin": eight(margin.position_margin + margin.order_margin),
        "totalMaintMargin": eight(margin.maintenance if portfolio is None else portfolio.maintenance),
        "totalWalletBalance": eight(margin.wallet),
        "totalUnrealizedProfit": eight(margin.profit),
        "totalMarginBalance": eight(margin.equity if portfolio is None else portfolio.equity),
        "totalPositionInitialMargin": eight(margin.position_margin),
        "totalOpenOrderInitialMargin": eight(margin.order_margin),
        "totalCrossWalletBalance": eight(margin.cross_wallet),
        "totalCrossUnPnl": eight(margin.cross_profit),
        "availableBalance": eight(available_of(ex, book, "USDT")),
        "maxWithdrawAmount": eight(_withdrawable(margin)),
    }


def _asset_row(ex: Exchange, book: AccountBook, asset: str, now: int) -> dict[str, Any]:
    margin = margin_of(ex, book, asset)
    return {
        "asset": asset,
        "walletBalance": eight(margin.wallet),
        "unrealizedProfit": eight(margin.profit),
        "marginBalance": eight(margin.equity),
        "maintMargin": eight(margin.maintenance),
        "initialMargin": eight(margin.position_margin + margin.order_margin),
        "positionInitialMargin": eight(margin.position_margin),
        "openOrderInitialMargin": eight(margin.order_margin),
        "crossWalletBalance": eight(margin.cross_wallet),
        "crossUnPnl": eight(margin.cross_profit),
        "availableBalance": eight(available_of(ex, book, asset)),
        "maxWithdrawAmount": eight(_withdrawable(margin)),
        "updateTime": now,
    }


def _account_position(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    """What both versions of ``/account`` say of a position."""
    market = ex.market(position.symbol)
    own = _position_margin(ex, book, position)
    orders = order_margin(ex, book, position.symbol, position.side)
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": market.rules.quantity(position.amount),
        "unrealizedProfit": eight(position.profit(market.mark)),
        "initialMargin": eight(own + orders),
        "maintMargin": eight(maintenance_margin(ex, position)) if position.amount else "0",
        "updateTime": position.updated,
    }


def _account_position_v2(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    rules = ex.rules(position.symbol)
    leverage = ex.leverage(book.account, position.symbol)
    resting = book.resting_in(position.symbol, position.side)
    return _account_position(ex, book, position) | {
        "positionInitialMargin": eight(_position_margin(ex, book, position)),
        "openOrderInitialMargin": eight(order_margin(ex, book, position.symbol, position.side)),
        "leverage": str(leverage),
        "isolated": position.symbol in book.account.isolated,
        "entryPrice": rules.average(position.entry),
        "breakEvenPrice": rules.average(break_even_price(book, position)) if position.amount else "0.0",
        "maxNotional": plain(rules.cap_at(leverage)),
        "bidNotional": plain(resting.buy_notional),
        "askNotional": plain(resting.sell_notional),
    }


def _account_position_v3(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    mark = ex.market(position.symbol).mark
    isolated = position.symbol in book.account.isolated
    return _account_position(ex, book, position) | {
        "isolatedMargin": eight(position.isolated + position.profit(mark)) if isolated else eight(ZERO),
        "notional": eight(position.amount * mark) if position.amount else "0",
        "isolatedWallet": eight(position.isolated) if isolated else "0",
    }


# -- which positions ------------------------------------------------------------------------------------------


def every_position(ex: Exchange, book: AccountBook, symbol: str | None = None) -> list[Position]:
    """The positions of every symbol and position side, flat ones too."""
    names = [symbol] if symbol else ex.catalogue.names
    sides = ("LONG", "SHORT") if book.account.dual else ("BOTH",)
    return [
        book.positions.get((name, side)) or Position(book.account.name, name, side)
        for name in names
        for side in sides
    ]


def live_positions(ex: Exchange, book: AccountBook, symbol: str | None = None) -> list[Position]:
    """The positions that are not flat or have orders resting."""
    spots = set(book.held) | {(o.symbol, o.position_side) for o in book.open_orders.values()}
    return [
        book.positions.get(spot) or Position(book.account.name, *spot)
        for spot in sorted(spots)
        if symbol is None or spot[0] == symbol
    ]

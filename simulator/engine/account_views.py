"""Balances, positions and income as REST shows them: the keys and value kinds of the recorded answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator.engine.account_book import Book
from simulator.engine.decimals import ZERO, eight, plain
from simulator.engine.exchange import Exchange
from simulator.engine.margin import break_even, liquidation_price, maintenance, margin_of, order_margin
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


def assets_of(book: Book) -> list[str]:
    return sorted(set(book.account.wallets) | {"USDT"}, key=lambda asset: (asset != "USDT", asset))


def balance_rows(ex: Exchange, book: Book, now: int) -> list[dict[str, Any]]:
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
                "availableBalance": eight(margin.available),
                "maxWithdrawAmount": eight(min(margin.available, max(ZERO, margin.cross_wallet))),
                "marginAvailable": True,
                "updateTime": now,
            }
        )
    return rows


def _position_margin(ex: Exchange, book: Book, position: Position) -> Decimal:
    if position.symbol in book.account.isolated:
        return position.isolated
    mark = ex.market(position.symbol).mark
    return abs(position.amount) * mark / ex.leverage(book.account, position.symbol)


def position_risk_v3(ex: Exchange, book: Book, position: Position) -> dict[str, Any]:
    market = ex.market(position.symbol)
    rules = market.rules
    isolated = position.symbol in book.account.isolated
    profit = position.profit(market.mark)
    own = _position_margin(ex, book, position)
    orders = order_margin(ex, book, position.symbol, position.side)
    resting = book.resting.get((position.symbol, position.side)) or [ZERO, ZERO, ZERO, ZERO]
    return {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": rules.quantity(position.amount),
        "entryPrice": plain(position.entry.quantize(rules.average_unit)) if position.amount else "0.0",
        "breakEvenPrice": plain(break_even(book, position).quantize(rules.average_unit))
        if position.amount
        else "0.0",
        "markPrice": eight(market.mark),
        "unRealizedProfit": eight(profit),
        "liquidationPrice": _liquidation(ex, book, position),
        "isolatedMargin": eight(position.isolated + profit) if isolated else "0",
        "notional": eight(position.amount * market.mark),
        "marginAsset": rules.margin_asset,
        "isolatedWallet": eight(position.isolated) if isolated else "0",
        "initialMargin": eight(own + orders),
        "maintMargin": eight(maintenance(ex, position)) if position.amount else "0",
        "positionInitialMargin": eight(own),
        "openOrderInitialMargin": eight(orders) if orders else "0",
        "adl": 2 if position.amount else 0,
        "bidNotional": plain(resting[2]),
        "askNotional": plain(resting[3]),
        "updateTime": position.updated,
    }


def _liquidation(ex: Exchange, book: Book, position: Position) -> str:
    price = liquidation_price(ex, book, position) if position.amount else ZERO
    return plain(price.quantize(ex.rules(position.symbol).average_unit)) if price else "0"


def position_risk_v2(ex: Exchange, book: Book, position: Position) -> dict[str, Any]:
    market = ex.market(position.symbol)
    rules = market.rules
    isolated = position.symbol in book.account.isolated
    leverage = ex.leverage(book.account, position.symbol)
    profit = position.profit(market.mark)
    return {
        "symbol": position.symbol,
        "positionAmt": rules.quantity(position.amount),
        "entryPrice": rules.average(position.entry),
        "breakEvenPrice": rules.average(break_even(book, position)) if position.amount else "0.0",
        "markPrice": eight(market.mark),
        "unRealizedProfit": eight(profit),
        "liquidationPrice": _liquidation(ex, book, position),
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


def account_view(ex: Exchange, book: Book, now: int, *, everything: bool) -> dict[str, Any]:
    """``/account``: version 3 shows only what is held or resting, version 2 every symbol and the flags."""
    assets = [asset_row(ex, book, asset, now, flags=everything) for asset in assets_of(book)]
    dollars = margin_of(ex, book, "USDT")
    totals = {
        "totalInitialMargin": eight(dollars.position_margin + dollars.order_margin),
        "totalMaintMargin": eight(dollars.maintenance),
        "totalWalletBalance": eight(dollars.wallet),
        "totalUnrealizedProfit": eight(dollars.profit),
        "totalMarginBalance": eight(dollars.equity),
        "totalPositionInitialMargin": eight(dollars.position_margin),
        "totalOpenOrderInitialMargin": eight(dollars.order_margin),
        "totalCrossWalletBalance": eight(dollars.cross_wallet),
        "totalCrossUnPnl": eight(dollars.cross_profit),
        "availableBalance": eight(dollars.available),
        "maxWithdrawAmount": eight(min(dollars.available, max(ZERO, dollars.cross_wallet))),
    }
    account = book.account
    head: dict[str, Any] = {}
    if everything:
        head = {
            "feeTier": 0, "feeBurn": False, "canTrade": account.can_trade, "canDeposit": True,
            "canWithdraw": account.withdrawals, "updateTime": 0, "multiAssetsMargin": account.multi_assets,
            "tradeGroupId": -1,
        }  # fmt: skip
        positions = [account_position(ex, book, p, full=True) for p in every_position(ex, book)]
    else:
        positions = [account_position(ex, book, p, full=False) for p in live_positions(ex, book)]
    return head | totals | {"assets": assets, "positions": positions}


def asset_row(ex: Exchange, book: Book, asset: str, now: int, *, flags: bool) -> dict[str, Any]:
    margin = margin_of(ex, book, asset)
    row: dict[str, Any] = {
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
        "availableBalance": eight(margin.available),
        "maxWithdrawAmount": eight(min(margin.available, max(ZERO, margin.cross_wallet))),
        "updateTime": now,
    }
    if flags:
        row["marginAvailable"] = True
    return row


def account_position(ex: Exchange, book: Book, position: Position, *, full: bool) -> dict[str, Any]:
    market = ex.market(position.symbol)
    rules = market.rules
    isolated = position.symbol in book.account.isolated
    profit = position.profit(market.mark)
    own = _position_margin(ex, book, position)
    orders = order_margin(ex, book, position.symbol, position.side)
    row: dict[str, Any] = {
        "symbol": position.symbol,
        "positionSide": position.side,
        "positionAmt": rules.quantity(position.amount),
        "unrealizedProfit": eight(profit),
        "initialMargin": eight(own + orders),
        "maintMargin": eight(maintenance(ex, position)) if position.amount else "0",
        "updateTime": position.updated,
    }
    if not full:
        return row | {
            "isolatedMargin": eight(position.isolated + profit) if isolated else eight(ZERO),
            "notional": eight(position.amount * market.mark) if position.amount else "0",
            "isolatedWallet": eight(position.isolated) if isolated else "0",
        }
    leverage = ex.leverage(book.account, position.symbol)
    resting = book.resting.get((position.symbol, position.side)) or [ZERO, ZERO, ZERO, ZERO]
    return row | {
        "positionInitialMargin": eight(own),
        "openOrderInitialMargin": eight(orders),
        "leverage": str(leverage),
        "isolated": isolated,
        "entryPrice": rules.average(position.entry),
        "breakEvenPrice": rules.average(break_even(book, position)) if position.amount else "0.0",
        "maxNotional": plain(rules.cap_at(leverage)),
        "bidNotional": plain(resting[2]),
        "askNotional": plain(resting[3]),
    }


def sides_of(book: Book) -> tuple[str, ...]:
    return ("LONG", "SHORT") if book.account.dual else ("BOTH",)


def every_position(ex: Exchange, book: Book, symbol: str | None = None) -> list[Position]:
    """One row for each symbol and side, flat ones too."""
    names = [symbol] if symbol else ex.catalogue.names
    return [
        book.positions.get((name, side)) or Position(book.account.name, name, side)
        for name in names
        for side in sides_of(book)
    ]


def live_positions(ex: Exchange, book: Book, symbol: str | None = None) -> list[Position]:
    """Only where something is held or rests."""
    spots = set(book.held) | {(o.symbol, o.position_side) for o in book.open_orders.values()}
    return [
        book.positions.get(spot) or Position(book.account.name, *spot)
        for spot in sorted(spots)
        if symbol is None or spot[0] == symbol
    ]

"""The events of the user stream, with the keys of the real ones."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import ZERO, eight, plain
from simulator.engine.exchange import Exchange
from simulator.engine.margin import break_even_price, maintenance_margin, margin_of
from simulator.engine.records import Algo, Fill, Order, Position


def order_update(
    ex: Exchange, order: Order, what: str, now: int, *, fill: Fill | None = None, reason: int = 0
) -> None:
    """Emit ORDER_TRADE_UPDATE; ``what`` is its execution type: NEW, TRADE, CANCELED, EXPIRED, AMENDMENT, CALCULATED."""
    rules = ex.rules(order.symbol)
    resting = ex.book(order.account).resting_in(order.symbol, order.position_side)
    body: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side,
        "o": order.type,
        "f": order.tif,
        "q": rules.quantity(order.quantity),
        "p": rules.price(order.price) if order.price else "0",
        "ap": rules.average(order.average_price) if order.executed else "0",
        "sp": "0",
        "x": what,
        "X": order.status,
        "i": order.id,
        "l": rules.quantity(fill.quantity) if fill else "0",
        "z": rules.quantity(order.executed),
        "L": rules.price(fill.price) if fill else "0",
    }
    if fill:
        body["n"] = plain(fill.commission)
        body["N"] = fill.fee_asset
    body |= {
        "T": now,
        "t": fill.id if fill else 0,
        "b": plain(resting.buy_notional),
        "a": plain(resting.sell_notional),
        "m": fill.maker if fill else False,
        "R": order.reduce_only,
        "wt": order.working,
        "ot": order.orig_type or order.type,
        "ps": order.position_side,
        "cp": order.close_position,
        "rp": eight(fill.realized) if fill else "0",
        "pP": order.price_protect,
        "si": 0,
        "ss": 0,
        "V": order.stp,
        "pm": order.price_match,
        "gtd": order.good_till,
        "er": str(reason),
    }
    if order.modify_id:
        body["M"] = order.modify_id
    ex.emit(order.account, {"e": "ORDER_TRADE_UPDATE", "T": now, "E": now, "o": body})


def trade_lite(ex: Exchange, order: Order, fill: Fill, now: int) -> None:
    """Emit TRADE_LITE: the fill without fee or profit."""
    rules = ex.rules(order.symbol)
    ex.emit(
        order.account,
        {
            "e": "TRADE_LITE",
            "E": now,
            "T": now,
            "s": order.symbol,
            "q": rules.quantity(order.quantity),
            "p": rules.price(order.price) if order.price else "0.00",
            "m": fill.maker,
            "c": order.client_id,
            "S": order.side,
            "L": rules.price(fill.price),
            "l": rules.quantity(fill.quantity),
            "t": fill.id,
            "i": order.id,
        },
    )


def position_row(ex: Exchange, book: AccountBook, position: Position) -> dict[str, Any]:
    market = ex.market(position.symbol)
    entry = position.entry
    isolated = position.symbol in book.account.isolated
    return {
        "s": position.symbol,
        "pa": market.rules.quantity(position.amount),
        "ep": market.rules.average(entry) if position.amount else "0.00000",
        "bep": market.rules.average(break_even_price(book, position)) if position.amount else "0",
        "cr": eight(position.realized),
        "up": eight(position.profit(market.mark)),
        "mt": "isolated" if isolated else "cross",
        "iw": eight(position.isolated) if isolated else "0",
        "ps": position.side,
    }


def wallet_row(book: AccountBook, asset: str, change: Decimal = ZERO) -> dict[str, Any]:
    wallet = book.account.wallets.get(asset, ZERO)
    isolated = sum((p.isolated for p in book.held.values() if p.symbol in book.account.isolated), ZERO)
    return {
        "a": asset,
        "wb": eight(wallet),
        "cw": eight(wallet - isolated),
        "bc": eight(change) if change else "0",
    }


def account_update(
    ex: Exchange,
    book: AccountBook,
    reason: str,
    now: int,
    *,
    assets: tuple[str, ...] = (),
    positions: tuple[Position, ...] = (),
    change: Decimal = ZERO,
) -> None:
    """Emit ACCOUNT_UPDATE: the wallets and positions that changed."""
    body = {
        "m": reason,
        "B": [wallet_row(book, asset, change) for asset in assets],
        "P": [position_row(ex, book, position) for position in positions],
    }
    ex.emit(book.account.name, {"e": "ACCOUNT_UPDATE", "T": now, "E": now, "a": body})


def leverage_update(ex: Exchange, book: AccountBook, symbol: str, leverage: int, now: int) -> None:
    """Emit ACCOUNT_CONFIG_UPDATE for a changed leverage."""
    event = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, "ac": {"s": symbol, "l": leverage}}
    ex.emit(book.account.name, event)


def algo_update(ex: Exchange, algo: Algo, now: int) -> None:
    """Emit ALGO_UPDATE with the present status of a conditional order."""
    rules = ex.rules(algo.symbol)
    body: dict[str, Any] = {
        "caid": algo.client_id,
        "aid": algo.id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": algo.side,
        "ps": algo.position_side,
        "f": algo.tif,
        "q": rules.quantity(algo.quantity) if algo.quantity else "0",
        "X": algo.status,
        "ai": str(algo.child) if algo.child else "",
    }
    if algo.child:
        child = ex.orders.get(algo.child)
        done = child is not None and child.executed
        body["ap"] = rules.average(child.average_price) if child is not None and done else "0"
        body["aq"] = rules.quantity(child.executed) if child is not None and done else "0"
        body["act"] = "LIMIT" if algo.type in ("STOP", "TAKE_PROFIT") else "MARKET"
    body |= {
        "tp": rules.price(algo.trigger) if algo.trigger else "0",
        "p": rules.price(algo.price) if algo.price else "0",
        "V": algo.stp,
        "wt": algo.working,
        "pm": algo.price_match,
        "cp": algo.close_position,
        "pP": algo.price_protect,
        "R": algo.reduce_only,
        "tt": algo.trigger_time,
        "gtd": algo.good_till,
    }
    if algo.type == "TRAILING_STOP_MARKET":
        body |= {"AP": rules.price(algo.activate), "cr": plain(algo.callback), "ia": algo.active}
    if algo.reason:
        body["rm"] = algo.reason
    ex.emit(algo.account, {"e": "ALGO_UPDATE", "T": now, "E": now, "o": body})


def margin_call(ex: Exchange, book: AccountBook, positions: list[Position], now: int) -> None:
    """Emit MARGIN_CALL for the positions that are about to be liquidated."""
    rows = []
    for position in positions:
        market = ex.market(position.symbol)
        isolated = position.symbol in book.account.isolated
        rows.append(
            {
                "s": position.symbol,
                "ps": position.side,
                "pa": market.rules.quantity(position.amount),
                "mt": "ISOLATED" if isolated else "CROSS",
                "iw": eight(position.isolated),
                "mp": eight(market.mark),
                "up": eight(position.profit(market.mark)),
                "mm": eight(maintenance_margin(ex, position)),
            }
        )
    margin = margin_of(ex, book, ex.market(positions[0].symbol).rules.margin_asset)
    ex.emit(book.account.name, {"e": "MARGIN_CALL", "E": now, "cw": eight(margin.cross_wallet), "p": rows})

"""Market data, for which no key is needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator.engine.decimals import ZERO, eight, plain
from simulator.engine.errors import refusal
from simulator.engine.funding import FUNDING_MS
from simulator.engine.market import Bar, Market
from simulator.prices.intervals import INTERVALS, Interval
from simulator.protocol.context import EncodedBody, RequestContext, Route, with_symbol

DEPTHS = (5, 10, 20, 50, 100, 500, 1000)


def ping(_: RequestContext) -> dict[str, Any]:
    return {}


def server_time(ctx: RequestContext) -> dict[str, Any]:
    return {"serverTime": ctx.now}


def exchange_info(ctx: RequestContext) -> EncodedBody:
    return EncodedBody(ctx.ex.catalogue.document(ctx.now))


def kline_row(market: Market, bar: Bar, length: Interval) -> list[Any]:
    rules = market.rules
    middle = (bar.open + bar.close) / 2
    half = (bar.volume / 2).quantize(rules.quantity_unit)
    return [
        bar.start,
        rules.price(bar.open),
        rules.price(bar.high),
        rules.price(bar.low),
        rules.price(bar.close),
        rules.quantity(bar.volume),
        length.after(bar.start) - 1,
        eight(bar.volume * middle),
        bar.trades,
        rules.quantity(half),
        eight(half * middle),
        "0",
    ]


def klines(ctx: RequestContext) -> list[list[Any]]:
    return _klines(ctx, ctx.market(), volumes=True)


def mark_klines(ctx: RequestContext) -> list[list[Any]]:
    return _klines(ctx, ctx.market(), volumes=False, mark=True)


def index_klines(ctx: RequestContext) -> list[list[Any]]:
    return _klines(ctx, ctx.market("pair"), volumes=False)


def _klines(ctx: RequestContext, market: Market, *, volumes: bool, mark: bool = False) -> list[list[Any]]:
    interval = ctx.params.need("interval")
    if interval not in INTERVALS:
        raise refusal(-1120)
    limit = ctx.params.limit(500, 1500)
    start, stop = ctx.params.span()
    length = INTERVALS[interval]
    bars = ctx.history.bars(ctx.ex, market, interval, mark=mark)
    if start is not None:
        bars = [bar for bar in bars if bar.start >= start]
    if stop is not None:
        bars = [bar for bar in bars if bar.start <= stop]
    bars = bars[:limit] if start is not None else bars[-limit:]
    rows = [kline_row(market, bar, length) for bar in bars]
    if not volumes:
        for row in rows:
            row[5], row[7], row[9], row[10] = "0", "0", "0", "0"
    if mark:
        for row, bar in zip(rows, bars, strict=True):  # a mark price has more decimals than the tick
            row[1:5] = map(eight, (bar.open, bar.high, bar.low, bar.close))
    return rows


def kline_weight(values: dict[str, str]) -> int:
    text = values.get("limit", "500")
    limit = int(text) if text.isdigit() and len(text) < 6 else 500
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _each(ctx: RequestContext, row: Any) -> Any:
    """One row with a symbol, a list of all trading symbols without."""
    symbol = ctx.symbol()
    if symbol is not None:
        return row(ctx, ctx.ex.market(symbol))
    return [
        row(ctx, ctx.ex.market(name)) for name in ctx.ex.catalogue.names if ctx.ex.catalogue.is_trading(name)
    ]


def premium_row(ctx: RequestContext, market: Market) -> dict[str, Any]:
    return {
        "symbol": market.rules.symbol,
        "markPrice": eight(market.mark),
        "indexPrice": eight(market.mark),
        "estimatedSettlePrice": eight(market.mark),
        "lastFundingRate": eight(market.funding),
        "interestRate": "0.00010000",
        "nextFundingTime": (ctx.ex.market_ms // FUNDING_MS + 1) * FUNDING_MS,
        "time": ctx.now,
    }


def premium_index(ctx: RequestContext) -> Any:
    return _each(ctx, premium_row)


def price_row(ctx: RequestContext, market: Market) -> dict[str, Any]:
    return {"symbol": market.rules.symbol, "price": market.rules.price(market.last), "time": ctx.now}


def ticker_price(ctx: RequestContext) -> Any:
    return _each(ctx, price_row)


def book_row(ctx: RequestContext, market: Market) -> dict[str, Any]:
    rules = market.rules
    bid, bid_quantity = market.level("SELL", 0)
    ask, ask_quantity = market.level("BUY", 0)
    return {
        "symbol": rules.symbol,
        "bidPrice": rules.price(bid),
        "bidQty": rules.quantity(bid_quantity),
        "askPrice": rules.price(ask),
        "askQty": rules.quantity(ask_quantity),
        "time": ctx.now,
        "lastUpdateId": market.update_id,
    }


def book_ticker(ctx: RequestContext) -> Any:
    return _each(ctx, book_row)


def depth_rows(market: Market, side: str, limit: int) -> list[list[str]]:
    rows = []
    for number in range(min(limit, market.depth.levels)):
        price, quantity = market.level(side, number)
        if price <= 0:
            break
        if quantity:
            rows.append([market.rules.price(price), market.rules.quantity(quantity)])
    return rows


def depth(ctx: RequestContext) -> dict[str, Any]:
    market = ctx.market()
    limit = ctx.params.integer("limit")
    limit = 500 if limit is None else limit
    if limit not in DEPTHS:
        raise refusal(-4021, limit=limit)
    return {
        "lastUpdateId": market.update_id,
        "E": ctx.now,
        "T": ctx.now,
        "bids": depth_rows(market, "SELL", limit),
        "asks": depth_rows(market, "BUY", limit),
    }


def depth_weight(values: dict[str, str]) -> int:
    return {"5": 2, "10": 2, "20": 2, "50": 2, "100": 5, "1000": 20}.get(values.get("limit", "500"), 10)


def day_row(ctx: RequestContext, market: Market) -> dict[str, Any]:
    rules = market.rules
    day = ctx.history.day(ctx.ex, market)
    opened, volume = day.open, day.volume
    change = market.last - opened
    average = (opened + market.last) / 2
    percent = (change / opened * 100).quantize(Decimal("0.001")) if opened else ZERO
    return {
        "symbol": rules.symbol,
        "priceChange": rules.price(change),
        "priceChangePercent": plain(percent),
        "weightedAvgPrice": rules.average(average),
        "lastPrice": rules.price(market.last),
        "lastQty": rules.quantity(rules.lot_min),
        "openPrice": rules.price(opened),
        "highPrice": rules.price(day.high),
        "lowPrice": rules.price(day.low),
        "volume": rules.quantity(volume),
        "quoteVolume": plain((volume * average).quantize(Decimal("0.01"))),
        "openTime": day.start,
        "closeTime": ctx.ex.market_ms,
        "firstId": 1,
        "lastId": market.trades + 1,
        "count": day.trades,
    }


def day_ticker(ctx: RequestContext) -> Any:
    return _each(ctx, day_row)


def funding_rate(ctx: RequestContext) -> list[dict[str, Any]]:
    symbol = ctx.symbol() or "BTCUSDT"
    limit = ctx.params.limit(100, 1000)
    ctx.params.span()
    market = ctx.ex.market(symbol)
    latest = ctx.ex.market_ms // FUNDING_MS * FUNDING_MS
    return [
        {
            "symbol": symbol,
            "fundingTime": latest - n * FUNDING_MS,
            "fundingRate": eight(market.funding),
            "markPrice": eight(market.mark),
            "rateType": "Regular",
        }
        for n in reversed(range(min(limit, 100)))
    ]


def trades(ctx: RequestContext) -> list[dict[str, Any]]:
    market = ctx.market()
    rules = market.rules
    rows = list(market.recent_trades)[-ctx.params.limit(500, 1000) :]
    return [
        {
            "id": row["t"],
            "price": rules.price(row["p"]),
            "qty": rules.quantity(row["q"]),
            "quoteQty": plain(row["p"] * row["q"]),
            "time": row["T"],
            "isBuyerMaker": row["m"],
            "isRPITrade": False,
        }
        for row in rows
    ]


def aggregated_trades(ctx: RequestContext) -> list[dict[str, Any]]:
    market = ctx.market()
    rules = market.rules
    ctx.params.integer("fromId")
    ctx.params.span()
    rows = list(market.recent_trades)[-ctx.params.limit(500, 1000) :]
    return [
        {
            "a": row["t"],
            "p": rules.price(row["p"]),
            "q": rules.quantity(row["q"]),
            "nq": rules.quantity(row["q"]),
            "f": row["t"],
            "l": row["t"],
            "T": row["T"],
            "m": row["m"],
        }
        for row in rows
    ]


def open_interest(ctx: RequestContext) -> dict[str, Any]:
    market = ctx.market()
    held = sum((abs(position.amount) for position in market.held.values()), ZERO)
    return {"openInterest": market.rules.quantity(held), "symbol": market.rules.symbol, "time": ctx.now}


def funding_info(_: RequestContext) -> list[dict[str, Any]]:
    return []


ROUTES = {
    ("GET", "/fapi/v1/ping"): Route(ping),
    ("GET", "/fapi/v1/time"): Route(server_time),
    ("GET", "/fapi/v1/exchangeInfo"): Route(exchange_info),
    ("GET", "/fapi/v1/klines"): Route(klines, weight=kline_weight),
    ("GET", "/fapi/v1/markPriceKlines"): Route(mark_klines, weight=kline_weight),
    ("GET", "/fapi/v1/indexPriceKlines"): Route(index_klines, weight=kline_weight),
    ("GET", "/fapi/v1/premiumIndex"): Route(premium_index, weight=with_symbol(1, 10)),
    ("GET", "/fapi/v1/ticker/price"): Route(ticker_price, weight=with_symbol(1, 2)),
    ("GET", "/fapi/v2/ticker/price"): Route(ticker_price, weight=with_symbol(1, 2)),
    ("GET", "/fapi/v1/ticker/bookTicker"): Route(book_ticker, weight=with_symbol(2, 5)),
    ("GET", "/fapi/v1/ticker/24hr"): Route(day_ticker, weight=with_symbol(1, 40)),
    ("GET", "/fapi/v1/depth"): Route(depth, weight=depth_weight),
    ("GET", "/fapi/v1/fundingRate"): Route(funding_rate, weight=0, own_pool=True),
    ("GET", "/fapi/v1/trades"): Route(trades, weight=5),
    ("GET", "/fapi/v1/historicalTrades"): Route(trades, "KEY", 20),
    ("GET", "/fapi/v1/aggTrades"): Route(aggregated_trades, weight=20),
    ("GET", "/fapi/v1/openInterest"): Route(open_interest),
    ("GET", "/fapi/v1/fundingInfo"): Route(funding_info, weight=0, own_pool=True),
}

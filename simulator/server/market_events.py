"""The events of the market streams: trades, marks, books, depth, bars, day tickers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator.engine.decimals import eight
from simulator.engine.funding import FUNDING_MS
from simulator.engine.market import Bar, Market
from simulator.prices.intervals import INTERVALS
from simulator.protocol.context import RequestContext
from simulator.protocol.market_api import day_row, depth_rows
from simulator.protocol.params import Params
from simulator.simulator import Simulator


@dataclass(frozen=True, slots=True)
class Happened:
    """What has happened on all markets since the last time."""

    now: int
    moved: set[str]  # symbols
    trades: list[tuple[str, dict[str, Any]]]  # (symbol, trade)
    new_second: bool  # what is sent once a second is due


class MarketEvents:
    """Builds the events of each stream."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._second = 0
        self._open_bars: dict[
            tuple[str, str], int
        ] = {}  # (symbol, interval): start of the bar last sent as open

    def collect(self) -> Happened:
        """Take what has happened since the last time."""
        ex, now = self.simulator.ex, self.simulator.clock()
        moved, ex.moved_symbols = ex.moved_symbols, set()
        trades, ex.public_trades = ex.public_trades, []
        second = now // 1000
        new_second = second != self._second
        self._second = second
        return Happened(now, moved, trades, new_second)

    def of(self, stream: str, happened: Happened) -> list[Any]:
        """The events that are due on a stream; an unknown one is silent."""
        if stream.startswith("!"):
            return self._all_market(stream, happened)
        name, _, kind = stream.partition("@")
        symbol, now = name.upper(), happened.now
        if name != name.lower() or self.simulator.ex.catalogue.find(symbol) is None:
            return []  # stream names are lower case
        if kind in ("aggTrade", "trade"):
            return [
                self._trade(symbol, kind, trade, now) for each, trade in happened.trades if each == symbol
            ]
        if kind.startswith("markPrice"):
            every = 1 if kind.endswith("@1s") else 3
            return [self._mark(symbol, now)] if happened.new_second and self._second % every == 0 else []
        if kind in ("ticker", "miniTicker"):
            return [self._day(symbol, kind, now)] if happened.new_second else []
        if kind == "bookTicker":
            return [self._book_ticker(symbol, now)] if symbol in happened.moved else []
        if symbol not in happened.moved and not happened.new_second:
            return []
        if kind.startswith("kline_") and kind[6:] in INTERVALS:
            return self._bars(symbol, kind[6:], now)
        if kind.startswith("depth"):
            return [self._depth(symbol, kind, now)]
        return []

    def _all_market(self, stream: str, happened: Happened) -> list[Any]:
        catalogue, now = self.simulator.ex.catalogue, happened.now
        names = [symbol for symbol in self.simulator.ex.markets if catalogue.is_trading(symbol)]
        if stream == "!bookTicker":
            return [self._book_ticker(symbol, now) for symbol in names if symbol in happened.moved]
        if not happened.new_second:
            return []
        if stream.startswith("!markPrice@arr"):
            return [[self._mark(symbol, now) for symbol in names]]
        if stream in ("!ticker@arr", "!miniTicker@arr"):
            kind = stream[1:].partition("@")[0]
            return [[self._day(symbol, kind, now) for symbol in names if symbol in happened.moved]]
        return []

    # -- one event ------------------------------------------------------------------------------------------------

    def _trade(self, symbol: str, kind: str, trade: dict[str, Any], now: int) -> dict[str, Any]:
        rules = self.simulator.ex.rules(symbol)
        row = {"e": kind, "E": now, "s": symbol, "p": rules.price(trade["p"]), "q": rules.quantity(trade["q"]),
               "T": trade["T"], "m": trade["m"], "st": 1}  # fmt: skip
        if kind == "aggTrade":
            return row | {"a": trade["t"], "f": trade["t"], "l": trade["t"]}
        return row | {"t": trade["t"], "X": "MARKET"}

    def _mark(self, symbol: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        mark = eight(market.mark)
        next_funding = (self.simulator.ex.market_ms // FUNDING_MS + 1) * FUNDING_MS
        return {"e": "markPriceUpdate", "E": now, "s": symbol, "p": mark, "ap": mark, "P": mark, "i": mark,
                "r": eight(market.funding), "T": next_funding, "st": 1}  # fmt: skip

    def _book_ticker(self, symbol: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        rules = market.rules
        bid, bid_quantity = market.level("SELL", 0)
        ask, ask_quantity = market.level("BUY", 0)
        return {"e": "bookTicker", "u": market.update_id, "E": now, "T": now, "s": symbol, "ps": symbol,
                "b": rules.price(bid), "B": rules.quantity(bid_quantity), "a": rules.price(ask),
                "A": rules.quantity(ask_quantity), "st": 1}  # fmt: skip

    def _depth(self, symbol: str, kind: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        digits = kind.removeprefix("depth").partition("@")[0]
        limit = int(digits) if digits.isdigit() else 20
        update = market.update_id
        return {"e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "U": update, "u": update,
                "pu": update - 1, "b": depth_rows(market, "SELL", limit), "a": depth_rows(market, "BUY", limit),
                "st": 1}  # fmt: skip

    def _bars(self, symbol: str, interval: str, now: int) -> list[dict[str, Any]]:
        """The open bar, and before it the one that has just closed."""
        ex = self.simulator.ex
        market, length = ex.market(symbol), INTERVALS[interval]
        last_sent = self._open_bars.get((symbol, interval))
        since = last_sent or ex.market_ms - length.length
        bars = self.simulator.venue.history.bars(ex, market, interval, since=since)
        open_start = bars[-1].start
        self._open_bars[symbol, interval] = open_start
        if last_sent in (None, open_start):
            bars = bars[-1:]
        return [_bar_event(market, bar, interval, now, closed=bar.start < open_start) for bar in bars]

    def _day(self, symbol: str, kind: str, now: int) -> dict[str, Any]:
        """The rolling 24 hours: the mini ticker, and with more keys the ticker."""
        simulator = self.simulator
        market = simulator.ex.market(symbol)
        row = day_row(RequestContext(simulator.ex, Params({}), now, simulator.venue.history), market)
        mini = {"e": "24hrMiniTicker" if kind == "miniTicker" else "24hrTicker", "E": now, "s": symbol,
                "c": row["lastPrice"], "o": row["openPrice"], "h": row["highPrice"], "l": row["lowPrice"],
                "v": row["volume"], "q": row["quoteVolume"], "st": 1}  # fmt: skip
        if kind == "miniTicker":
            return mini
        return mini | {"p": row["priceChange"], "P": row["priceChangePercent"], "w": row["weightedAvgPrice"],
                       "Q": row["lastQty"], "O": row["openTime"], "C": row["closeTime"], "F": row["firstId"],
                       "L": row["lastId"], "n": row["count"]}  # fmt: skip


def _bar_event(market: Market, bar: Bar, interval: str, now: int, *, closed: bool) -> dict[str, Any]:
    rules = market.rules
    half = (bar.volume / 2).quantize(rules.quantity_unit)
    middle = (bar.open + bar.close) / 2
    return {
        "e": "kline", "E": now, "s": rules.symbol, "ps": rules.symbol, "st": 1,
        "k": {"t": bar.start, "T": INTERVALS[interval].after(bar.start) - 1, "s": rules.symbol, "i": interval, "f": 1,
              "L": max(1, market.trades), "o": rules.price(bar.open), "c": rules.price(bar.close),
              "h": rules.price(bar.high), "l": rules.price(bar.low), "v": rules.quantity(bar.volume),
              "n": bar.trades, "x": closed, "q": eight(bar.volume * middle), "V": rules.quantity(half),
              "Q": eight(half * middle), "B": "0"},
    }  # fmt: skip

"""What the market shows to everybody: the exchange's time and rules, and prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from exchange.binance.mapping.body import Body, ForeignShape, as_list, as_object
from exchange.binance.mapping.fields import boolean, decimal, integer, text
from exchange.types import ExchangeMs, Kline, MarkPrice, PriceKind, PriceTick

_PRICE_EVENTS: Final[Mapping[str, PriceKind]] = {
    "aggTrade": PriceKind.LAST,
    "markPriceUpdate": PriceKind.MARK,
}
# Where a row of the klines endpoint has what an event names.
_KLINE_ROW: Final = {"t": 0, "o": 1, "h": 2, "l": 3, "c": 4, "v": 5, "T": 6, "n": 8}


def read_server_time(body: object) -> ExchangeMs:
    return ExchangeMs(integer(as_object(body), "serverTime"))


def read_exchange_info(body: object) -> Mapping[str, Any]:
    info = as_object(body)
    as_list(info.get("symbols"))
    return info


def read_mark_price(body: object) -> MarkPrice:
    row = as_object(body)
    return MarkPrice(symbol=text(row, "symbol"), mark=decimal(row, "markPrice"), time=integer(row, "time"))


def read_price_tick(body: Body) -> PriceTick | None:
    """Read the price of one market event; ``None`` for an event that has none. Raises ForeignShape."""
    kind = _PRICE_EVENTS.get(str(body.get("e")))
    if kind is None:
        return None
    price = decimal(body, "p")
    if price <= 0:
        raise ForeignShape("a price of zero or less")
    # A trade has a time of its own; a mark price's `T` is the next funding.
    return PriceTick(text(body, "s"), kind, price, integer(body, "T" if kind is PriceKind.LAST else "E"))


def read_klines(symbol: str, timeframe: str) -> Callable[[object], list[Kline]]:
    """Return the reader of the bars of one symbol and timeframe, oldest first."""

    def read(body: object) -> list[Kline]:
        found = [_kline(symbol, timeframe, _named(as_list(row))) for row in as_list(body)]
        return sorted(found, key=lambda bar: bar.open_time)

    return read


def read_kline_event(body: Body) -> Kline | None:
    """Read the bar of one market event; ``None`` for an event that has none. Raises ForeignShape."""
    if body.get("e") != "kline":
        return None
    bar = as_object(body.get("k"))
    return _kline(
        text(bar, "s"),
        text(bar, "i"),
        bar,
        closed=boolean(bar, "x", required=True),
        time=integer(body, "E"),
    )


def _named(row: list[Any]) -> Body:
    if len(row) <= max(_KLINE_ROW.values()):
        raise ForeignShape(f"a bar of {len(row)} places")
    return {name: row[place] for name, place in _KLINE_ROW.items()}


def _kline(symbol: str, timeframe: str, bar: Body, *, closed: bool = False, time: int = 0) -> Kline:
    """Raises ForeignShape for a bar that cannot be: a strategy must never reckon with one."""
    found = Kline(
        symbol=symbol,
        timeframe=timeframe,
        open_time=integer(bar, "t"),
        close_time=integer(bar, "T"),
        open=decimal(bar, "o"),
        high=decimal(bar, "h"),
        low=decimal(bar, "l"),
        close=decimal(bar, "c"),
        volume=decimal(bar, "v"),
        trades=integer(bar, "n"),
        closed=closed,
        time=time,
    )
    inside = found.low <= min(found.open, found.close) and max(found.open, found.close) <= found.high
    if not inside or found.low <= 0 or found.volume < 0 or found.close_time <= found.open_time:
        raise ForeignShape(f"a bar that cannot be (opened at {found.open_time})")
    return found

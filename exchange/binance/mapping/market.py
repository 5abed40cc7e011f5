"""What the market shows to everybody: the exchange's time and rules, and prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from exchange.binance.mapping.body import Body, ForeignShape, as_list, as_object
from exchange.binance.mapping.fields import decimal, integer, text
from exchange.types import ExchangeMs, MarkPrice, PriceKind, PriceTick

_PRICE_EVENTS: Final[Mapping[str, PriceKind]] = {
    "aggTrade": PriceKind.LAST,
    "markPriceUpdate": PriceKind.MARK,
}


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

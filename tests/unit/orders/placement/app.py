"""What a person does by hand in the exchange's app."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderType, PositionSide, Side, Stamp
from orders.exchange_data.clock import exchange_now_ms
from tests.builders import Desk

NUMBERS = count(1)


def bought_in_the_app(desk: Desk, quantity: str) -> None:
    """Have a person add to the long BTCUSDT position at market."""
    _traded_in_the_app(desk, Side.BUY, quantity)


def sold_in_the_app(desk: Desk, quantity: str) -> None:
    """Have a person make the long BTCUSDT position smaller at market."""
    _traded_in_the_app(desk, Side.SELL, quantity)


def _traded_in_the_app(desk: Desk, order_side: Side, quantity: str) -> None:
    side = PositionSide.BOTH if desk.account.position_mode == "ONE_WAY" else PositionSide.LONG
    order = NewOrder(
        f"app-{next(NUMBERS)}", "BTCUSDT", order_side, OrderType.MARKET, side, quantity=Decimal(quantity)
    )
    exchange = exchange_for(desk.account.pk)
    stamp = Stamp(exchange_now_ms("PAPER"), 5000)
    exchange.send(exchange.submit_request(order), stamp=stamp, timeout_ms=2000)

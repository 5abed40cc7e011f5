"""What a person does by hand in the exchange's app."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderRef, OrderType, PositionSide, Side, Stamp, TimeInForce
from orders.exchange_data.clock import exchange_now_ms
from tests.builders import Desk

NUMBERS = count(1)


def bought_in_the_app(desk: Desk, quantity: str) -> None:
    """Have a person add to the long BTCUSDT position at market."""
    _traded_in_the_app(desk, Side.BUY, quantity)


def sold_in_the_app(desk: Desk, quantity: str) -> None:
    """Have a person make the long BTCUSDT position smaller at market."""
    _traded_in_the_app(desk, Side.SELL, quantity)


def cancelled_in_the_app(desk: Desk, client_id: str, *, conditional: bool = True) -> None:
    """Have a person cancel an order of ours."""
    exchange = exchange_for(desk.account.pk)
    ref = OrderRef("BTCUSDT", client_id, conditional)
    exchange.send(exchange.cancel_request(ref), stamp=_stamp(), timeout_ms=2000)


def ordered_in_the_app(desk: Desk, price: str, quantity: str = "0.003") -> str:
    """Have a person place a LIMIT order of their own beside the long BTCUSDT position; return its id."""
    side = PositionSide.BOTH if desk.account.position_mode == "ONE_WAY" else PositionSide.LONG
    order = NewOrder(
        f"app-{next(NUMBERS)}", "BTCUSDT", Side.BUY, OrderType.LIMIT, side,
        quantity=Decimal(quantity), price=Decimal(price), time_in_force=TimeInForce.GTC,
    )  # fmt: skip
    exchange = exchange_for(desk.account.pk)
    exchange.send(exchange.submit_request(order), stamp=_stamp(), timeout_ms=2000)
    return order.client_id


def _stamp() -> Stamp:
    return Stamp(exchange_now_ms("PAPER"), 5000)


def _traded_in_the_app(desk: Desk, order_side: Side, quantity: str) -> None:
    side = PositionSide.BOTH if desk.account.position_mode == "ONE_WAY" else PositionSide.LONG
    order = NewOrder(
        f"app-{next(NUMBERS)}", "BTCUSDT", order_side, OrderType.MARKET, side, quantity=Decimal(quantity)
    )
    exchange = exchange_for(desk.account.pk)
    exchange.send(exchange.submit_request(order), stamp=_stamp(), timeout_ms=2000)


def arrives_late(desk: Desk, client_id: str, quantity: str) -> None:
    """Have an order of ours that was given up as never arrived reach the exchange after all, and fill at market."""
    order = NewOrder(
        client_id, "BTCUSDT", Side.BUY, OrderType.MARKET, PositionSide.BOTH, quantity=Decimal(quantity)
    )
    exchange = exchange_for(desk.account.pk)
    exchange.send(exchange.submit_request(order), stamp=_stamp(), timeout_ms=2000)

"""What the user stream reports about one account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.binance.mapping.body import Body, as_list, as_object
from exchange.binance.mapping.fields import (
    boolean,
    decimal,
    enum_member,
    enum_or_none,
    integer,
    position_side,
    positive_or_none,
    text,
    text_or_empty,
)
from exchange.binance.mapping.orders import order_state, trigger_price
from exchange.binance.reserved_ids import closed_by
from exchange.types import (
    ZERO,
    AtLiquidation,
    ConfigEvent,
    MarginCallEvent,
    OrderEvent,
    OrderState,
    OrderType,
    OrderView,
    OtherEvent,
    PositionEvent,
    PositionView,
    SettingsEvent,
    Side,
    StreamEvent,
    StreamExpired,
    TradeView,
)

FUNDING: Final = "FUNDING_FEE"
EXPIRY_REASONS: Final[Mapping[str, str]] = {
    "1": "self-trade prevention",
    "2": "the unfilled part of an IOC order",
    "3": "the unfilled part of an IOC order, and self-trade prevention",
    "4": "displaced by a reduce-only or reverse order",
    "5": "liquidation",
    "6": "no position for a GTE order",
    "7": "the symbol is being delisted",
    "8": "the order born at a trigger expired",
    "9": "the unfilled part of a MARKET order",
}


def read_user_event(body: Body) -> StreamEvent:
    """Read one message of the user stream. Raises ForeignShape when one that we know is malformed."""
    name = text(body, "e")
    time = integer(body, "E", fallback=integer(body, "T", fallback=0))
    match name:
        case "ORDER_TRADE_UPDATE":
            return _order_event(body, time)
        case "ALGO_UPDATE":
            return OrderEvent(order=_algo_order(as_object(body.get("o")), body), time=time)
        case "ACCOUNT_UPDATE":
            return _position_event(body, time)
        case "ACCOUNT_CONFIG_UPDATE" if isinstance(body.get("ac"), dict):
            changed = as_object(body["ac"])
            return ConfigEvent(symbol=text(changed, "s"), leverage=integer(changed, "l"), time=time)
        case "ACCOUNT_CONFIG_UPDATE":
            return SettingsEvent(time=time)
        case "MARGIN_CALL":
            called = tuple(_at_liquidation(as_object(row)) for row in as_list(body.get("p") or []))
            return MarginCallEvent(positions=called, time=time)
        case "listenKeyExpired":
            return StreamExpired(time=time)
        case _:
            return OtherEvent(name=name, time=time, raw=body)


def _order_event(body: Body, time: int) -> OrderEvent:
    fields = as_object(body.get("o"))
    client_id, kind = text_or_empty(fields, "c"), enum_or_none(OrderType, fields.get("o"))
    order = OrderView(
        client_id=client_id,
        symbol=text(fields, "s"),
        side=enum_member(Side, fields.get("S")),
        type=kind,
        state=order_state(text(fields, "X")),
        position_side=position_side(fields, "ps"),
        quantity=decimal(fields, "q", fallback=ZERO),
        executed=decimal(fields, "z", fallback=ZERO),
        updated_at=integer(fields, "T", fallback=integer(body, "T", fallback=time)),
        conditional=False,
        order_id=integer(fields, "i"),
        price=positive_or_none(fields, "p"),
        trigger_price=trigger_price(fields, "sp", kind),
        average_price=positive_or_none(fields, "ap"),
        close_position=boolean(fields, "cp"),
        reduce_only=boolean(fields, "R"),
        reason=_expiry_reason(fields),
        closed_by=closed_by(client_id),
        raw=body,
    )
    return OrderEvent(order=order, time=time, trade=_trade(fields, order))


def _expiry_reason(fields: Body) -> str:
    code = str(fields.get("er", "0"))
    return "" if code in ("0", "None", "") else EXPIRY_REASONS.get(code, f"reason {code}")


def _trade(fields: Body, order: OrderView) -> TradeView | None:
    quantity = decimal(fields, "l", fallback=ZERO)
    trade_id = integer(fields, "t", fallback=0)
    # Without a trade id a fill could be counted twice; the order's own `executed` still counts it.
    if quantity <= 0 or trade_id <= 0 or fields.get("x") not in ("TRADE", "CALCULATED"):
        return None
    return TradeView(
        trade_id=trade_id,
        order_id=order.order_id or 0,
        symbol=order.symbol,
        side=order.side,
        position_side=order.position_side,
        price=decimal(fields, "L"),
        quantity=quantity,
        commission=decimal(fields, "n", fallback=ZERO),
        commission_asset=text_or_empty(fields, "N"),
        realized_pnl=decimal(fields, "rp", fallback=ZERO),
        maker=boolean(fields, "m"),
        time=order.updated_at,
        client_id=order.client_id,
    )


def _algo_order(fields: Body, body: Body) -> OrderView:
    state, kind = order_state(text(fields, "X")), enum_or_none(OrderType, fields.get("o"))
    average = positive_or_none(fields, "ap")
    # Only a triggered order has a child whose figures `aq` and `ap` can be.
    has_child = average is not None or state in (OrderState.TRIGGERED, OrderState.FINISHED)
    return OrderView(
        client_id=text(fields, "caid"),
        symbol=text(fields, "s"),
        side=enum_member(Side, fields.get("S")),
        type=kind,
        state=state,
        position_side=position_side(fields, "ps"),
        quantity=decimal(fields, "q", fallback=ZERO),
        executed=decimal(fields, "aq", fallback=ZERO) if has_child else ZERO,
        updated_at=integer(body, "T", fallback=integer(body, "E", fallback=0)),
        conditional=True,
        order_id=integer(fields, "ai", fallback=0) or None,
        algo_id=integer(fields, "aid"),
        price=positive_or_none(fields, "p"),
        trigger_price=trigger_price(fields, "tp", kind),
        average_price=average,
        close_position=boolean(fields, "cp"),
        reduce_only=boolean(fields, "R"),
        reason=text_or_empty(fields, "rm") if state.is_final else "",
        active=boolean(fields, "ia"),
        raw=body,
    )


def _position_event(body: Body, time: int) -> PositionEvent:
    account = as_object(body.get("a"))
    at = integer(body, "T", fallback=time)
    positions = tuple(_position(as_object(row), at) for row in as_list(account.get("P", [])))
    reason = text_or_empty(account, "m")
    return PositionEvent(positions=positions, reason=reason, time=time, is_funding=reason == FUNDING)


def _position(fields: Body, at: int) -> PositionView:
    return PositionView(
        symbol=text(fields, "s"),
        position_side=position_side(fields, "ps"),
        quantity=decimal(fields, "pa"),
        entry_price=decimal(fields, "ep", fallback=ZERO),
        updated_at=at,
    )


def _at_liquidation(fields: Body) -> AtLiquidation:
    return AtLiquidation(
        symbol=text(fields, "s"),
        position_side=position_side(fields, "ps"),
        mark_price=positive_or_none(fields, "mp"),
        maintenance=positive_or_none(fields, "mm"),
    )

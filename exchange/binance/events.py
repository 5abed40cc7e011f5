"""What Binance's streams tell, as our events; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.binance.mapping import (
    Body,
    ForeignShape,
    a_list,
    an_object,
    decimal,
    integer,
    optional_text,
    order_state,
    parse,
    positive,
    required_word,
    text,
    truth,
    word,
)
from exchange.types import (
    ZERO,
    ConfigEvent,
    OrderEvent,
    OrderState,
    OrderType,
    OrderView,
    OtherEvent,
    PositionEvent,
    PositionSide,
    PositionView,
    PriceKind,
    PriceTick,
    Side,
    StreamEvent,
    StreamExpired,
    TradeView,
)

REASONS: Final[Mapping[str, str]] = {
    "1": "self-trade prevention",
    "2": "the rest of an IOC order",
    "3": "the rest of an IOC order, and self-trade prevention",
    "4": "displaced by a reduce-only or reverse order",
    "5": "liquidation",
    "6": "no position for a GTE order",
    "7": "the symbol is being delisted",
    "8": "the order born at a trigger expired",
    "9": "the rest of a MARKET order",
}


def unwrap(frame: str) -> Body:
    """Read one frame; of a combined one, its ``data``. Raises ForeignShape."""
    body = an_object(parse(frame))
    return an_object(body["data"]) if "stream" in body and "data" in body else body


def user_event(body: Body) -> StreamEvent:
    """Make the event of one user-stream message. Raises ForeignShape when a known one is malformed."""
    name = text(body, "e")
    time = integer(body, "E", fallback=integer(body, "T", fallback=0))
    if name == "ORDER_TRADE_UPDATE":
        return _order_event(body, time)
    if name == "ALGO_UPDATE":
        return OrderEvent(order=_algo_order(an_object(body.get("o")), body), time=time)
    if name == "ACCOUNT_UPDATE":
        return _position_event(body, time)
    if name == "ACCOUNT_CONFIG_UPDATE" and isinstance(body.get("ac"), dict):
        changed = an_object(body["ac"])
        return ConfigEvent(symbol=text(changed, "s"), leverage=integer(changed, "l"), time=time)
    if name == "listenKeyExpired":
        return StreamExpired(time=time)
    return OtherEvent(name=name, time=time, raw=body)


def _order_event(body: Body, time: int) -> OrderEvent:
    told = an_object(body.get("o"))
    why = str(told.get("er", "0"))
    at = integer(told, "T", fallback=integer(body, "T", fallback=time))
    order = OrderView(
        client_id=optional_text(told, "c"),
        symbol=text(told, "s"),
        side=required_word(Side, told, "S"),
        type=word(OrderType, told.get("o")),
        state=order_state(text(told, "X")),
        position_side=word(PositionSide, told.get("ps")) or PositionSide.BOTH,
        quantity=decimal(told, "q", fallback=ZERO),
        executed=decimal(told, "z", fallback=ZERO),
        updated_at=at,
        conditional=False,
        order_id=integer(told, "i"),
        price=positive(told, "p"),
        trigger_price=positive(told, "sp"),
        average_price=positive(told, "ap"),
        close_position=truth(told, "cp"),
        reduce_only=truth(told, "R"),
        reason="" if why in ("0", "None", "") else REASONS.get(why, f"reason {why}"),
        raw=body,
    )
    return OrderEvent(order=order, time=time, trade=_trade(told, order))


def _trade(told: Body, order: OrderView) -> TradeView | None:
    quantity = decimal(told, "l", fallback=ZERO)
    trade_id = integer(told, "t", fallback=0)
    # Without a trade id a fill could be counted twice; the order's own `executed` still tells it.
    if quantity <= 0 or trade_id <= 0 or told.get("x") not in ("TRADE", "CALCULATED"):
        return None
    return TradeView(
        trade_id=trade_id,
        order_id=order.order_id or 0,
        symbol=order.symbol,
        side=order.side,
        position_side=order.position_side,
        price=decimal(told, "L"),
        quantity=quantity,
        commission=decimal(told, "n", fallback=ZERO),
        commission_asset=optional_text(told, "N"),
        realized_pnl=decimal(told, "rp", fallback=ZERO),
        maker=truth(told, "m"),
        time=order.updated_at,
        client_id=order.client_id,
    )


def _algo_order(told: Body, body: Body) -> OrderView:
    state = order_state(text(told, "X"))
    average = positive(told, "ap")
    # Only a triggered order has a child whose figures `aq` and `ap` can be.
    born = average is not None or state in (OrderState.TRIGGERED, OrderState.FINISHED)
    return OrderView(
        client_id=text(told, "caid"),
        symbol=text(told, "s"),
        side=required_word(Side, told, "S"),
        type=word(OrderType, told.get("o")),
        state=state,
        position_side=word(PositionSide, told.get("ps")) or PositionSide.BOTH,
        quantity=decimal(told, "q", fallback=ZERO),
        executed=decimal(told, "aq", fallback=ZERO) if born else ZERO,
        updated_at=integer(body, "T", fallback=integer(body, "E", fallback=0)),
        conditional=True,
        order_id=integer(told, "ai", fallback=0) or None,
        algo_id=integer(told, "aid"),
        price=positive(told, "p"),
        trigger_price=positive(told, "tp"),
        average_price=average,
        close_position=truth(told, "cp"),
        reduce_only=truth(told, "R"),
        reason=optional_text(told, "rm") if state.is_final else "",
        raw=body,
    )


def _position_event(body: Body, time: int) -> PositionEvent:
    account = an_object(body.get("a"))
    at = integer(body, "T", fallback=time)
    positions = tuple(_position(an_object(row), at) for row in a_list(account.get("P", [])))
    return PositionEvent(positions=positions, reason=optional_text(account, "m"), time=time)


def _position(told: Body, at: int) -> PositionView:
    return PositionView(
        symbol=text(told, "s"),
        position_side=word(PositionSide, told.get("ps")) or PositionSide.BOTH,
        quantity=decimal(told, "pa"),
        entry_price=decimal(told, "ep", fallback=ZERO),
        updated_at=at,
    )


def price_tick(body: Body) -> PriceTick | None:
    """Make the tick of one market message; ``None`` for a message that is none. Raises ForeignShape."""
    kind = {"aggTrade": PriceKind.LAST, "markPriceUpdate": PriceKind.MARK}.get(str(body.get("e")))
    if kind is None:
        return None
    price = decimal(body, "p")
    if price <= 0:
        raise ForeignShape("a price of zero or less")
    # A trade is dated by itself; a mark price's `T` is the next funding.
    return PriceTick(text(body, "s"), kind, price, integer(body, "T" if kind is PriceKind.LAST else "E"))

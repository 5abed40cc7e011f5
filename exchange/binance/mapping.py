"""Binance's REST answers as our values; pure.

Numbers come as text and become ``Decimal``; a float never exists. A word we do not know becomes
``UNKNOWN`` with ``raw`` kept; a body that is something else altogether raises ``ForeignShape``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, TypeVar

from exchange.types import (
    ZERO,
    AccountConfig,
    BalanceView,
    LeverageBracket,
    MarginType,
    MarkPrice,
    OrderState,
    OrderType,
    OrderView,
    Permissions,
    PositionMode,
    PositionSide,
    PositionView,
    Side,
    SymbolConfig,
    TradeView,
)

Body = Mapping[str, Any]
_Word = TypeVar("_Word", bound=StrEnum)


class ForeignShape(ValueError):
    """The body is not what this request is answered with. The text says what is missing or odd."""


def parse(text: str) -> Any:
    """Read JSON; numbers with a fraction or exponent stay text, exactly as written."""

    def refuse(word: str) -> None:
        raise ForeignShape(f"{word} is not a number")

    try:
        return json.loads(text, parse_float=str, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ForeignShape("the body is not JSON" if text.strip() else "the body is empty") from error


# --- orders ---------------------------------------------------------------------------------

STATES: Final[Mapping[str, OrderState]] = {
    **{state.value: state for state in OrderState if state is not OrderState.UNKNOWN},
    "EXPIRED_IN_MATCH": OrderState.EXPIRED,
}


def order_state(word: object) -> OrderState:
    """Return the state for Binance's word; ``UNKNOWN`` for one we have not met."""
    return STATES.get(word, OrderState.UNKNOWN) if isinstance(word, str) else OrderState.UNKNOWN


def order_view(body: object) -> OrderView:
    """Read an ordinary order, from an answer or a list."""
    order = an_object(body)
    executed = decimal(order, "executedQty", fallback=decimal(order, "cumQty", fallback=ZERO))
    return OrderView(
        client_id=text(order, "clientOrderId"),
        symbol=text(order, "symbol"),
        side=required_word(Side, order, "side"),
        type=word(OrderType, order.get("type")),
        state=order_state(text(order, "status")),
        position_side=word(PositionSide, order.get("positionSide")) or PositionSide.BOTH,
        quantity=decimal(order, "origQty", fallback=ZERO),
        executed=executed,
        updated_at=integer(order, "updateTime", fallback=integer(order, "time", fallback=0)),
        conditional=False,
        order_id=integer(order, "orderId"),
        price=positive(order, "price"),
        trigger_price=positive(order, "stopPrice"),
        average_price=positive(order, "avgPrice"),
        close_position=truth(order, "closePosition"),
        reduce_only=truth(order, "reduceOnly"),
        raw=order,
    )


def algo_view(body: object) -> OrderView:
    """Read a conditional order. What its child executed is not told here reliably: see ``with_child``."""
    order = an_object(body)
    # `actualQty` shows the wanted quantity even on orders that never triggered, so it is not believed.
    return OrderView(
        client_id=text(order, "clientAlgoId"),
        symbol=text(order, "symbol"),
        side=required_word(Side, order, "side"),
        type=word(OrderType, order.get("orderType", order.get("type"))),
        state=order_state(text(order, "algoStatus")),
        position_side=word(PositionSide, order.get("positionSide")) or PositionSide.BOTH,
        quantity=decimal(order, "quantity", fallback=ZERO),
        executed=ZERO,
        updated_at=integer(order, "updateTime", fallback=integer(order, "createTime", fallback=0)),
        conditional=True,
        order_id=integer(order, "actualOrderId", fallback=0) or None,
        algo_id=integer(order, "algoId"),
        price=positive(order, "price"),
        trigger_price=positive(order, "triggerPrice"),
        close_position=truth(order, "closePosition"),
        reduce_only=truth(order, "reduceOnly"),
        raw=order,
    )


_TRIGGERED: Final = (OrderState.TRIGGERING, OrderState.TRIGGERED, OrderState.FINISHED)
CHILD_NOT_VISIBLE: Final = "its child order is not visible yet"


def with_child(order: OrderView, child: OrderView | None) -> OrderView:
    """Join a conditional order with the ordinary one born at its trigger.

    Once the child shows, the child decides: FINISHED exactly when it ended. A FINISHED whose child
    cannot be seen (look-ups lag) is told as TRIGGERED unless its price proves a fill, for FINISHED
    with nothing executed would send the caller out of the market.
    """
    if child is not None:
        state = order.state
        if state in _TRIGGERED:
            state = OrderState.FINISHED if child.state.is_final else OrderState.TRIGGERED
        return replace(
            order,
            state=state,
            order_id=child.order_id,
            executed=child.executed,
            average_price=child.average_price,
            updated_at=max(order.updated_at, child.updated_at),
            raw={**order.raw, "child": dict(child.raw)},
        )
    if order.state is not OrderState.FINISHED:
        return order
    price, quantity = positive(order.raw, "actualPrice"), positive(order.raw, "actualQty")
    if price is not None and quantity is not None:
        return replace(order, executed=quantity, average_price=price)
    return replace(order, state=OrderState.TRIGGERED, reason=CHILD_NOT_VISIBLE)


def with_children(conditional: Iterable[OrderView], ordinary: Iterable[OrderView]) -> list[OrderView]:
    """Join each conditional order with its child, where the list holds it."""
    by_id = {order.order_id: order for order in ordinary}
    return [
        with_child(order, by_id.get(order.order_id)) if order.order_id else with_child(order, None)
        for order in conditional
    ]


def cancelled_algo(body: object, *, client_id: str) -> OrderView:
    """Read the answer to a conditional order's cancel: only the ids are told."""
    answer = an_object(body)
    if str(answer.get("code")) != "200":
        raise ForeignShape(f"a cancel answered with code {answer.get('code')!r}")
    if text(answer, "clientAlgoId") != client_id:
        raise ForeignShape("the cancel of another order was answered")
    return OrderView(
        client_id=client_id,
        symbol="",
        side=Side.BUY,  # not told; only the ids and the state mean something here
        type=None,
        state=OrderState.CANCELED,
        position_side=PositionSide.BOTH,
        quantity=ZERO,
        executed=ZERO,
        updated_at=0,
        conditional=True,
        algo_id=integer(answer, "algoId"),
        raw=answer,
    )


# --- account --------------------------------------------------------------------------------


def trade_view(body: object) -> TradeView:
    trade = an_object(body)
    return TradeView(
        trade_id=integer(trade, "id"),
        order_id=integer(trade, "orderId"),
        symbol=text(trade, "symbol"),
        side=required_word(Side, trade, "side"),
        position_side=word(PositionSide, trade.get("positionSide")) or PositionSide.BOTH,
        price=decimal(trade, "price"),
        quantity=decimal(trade, "qty"),
        commission=decimal(trade, "commission", fallback=ZERO),
        commission_asset=optional_text(trade, "commissionAsset"),
        realized_pnl=decimal(trade, "realizedPnl", fallback=ZERO),
        maker=truth(trade, "maker"),
        time=integer(trade, "time"),
    )


def position_view(body: object) -> PositionView:
    position = an_object(body)
    return PositionView(
        symbol=text(position, "symbol"),
        position_side=word(PositionSide, position.get("positionSide")) or PositionSide.BOTH,
        quantity=decimal(position, "positionAmt"),
        entry_price=decimal(position, "entryPrice", fallback=ZERO),
        mark_price=positive(position, "markPrice"),
        liquidation_price=positive(position, "liquidationPrice"),
        updated_at=integer(position, "updateTime", fallback=0),
    )


def balance_view(body: object) -> BalanceView:
    balance = an_object(body)
    return BalanceView(
        account_alias=optional_text(balance, "accountAlias"),
        asset=text(balance, "asset"),
        balance=decimal(balance, "balance"),
        available=decimal(balance, "availableBalance"),
    )


def account_config(body: object) -> AccountConfig:
    config = an_object(body)
    hedge = truth(config, "dualSidePosition", required=True)
    return AccountConfig(
        can_trade=truth(config, "canTrade", required=True),
        position_mode=PositionMode.HEDGE if hedge else PositionMode.ONE_WAY,
        multi_assets=truth(config, "multiAssetsMargin"),
    )


def symbol_config(body: object) -> SymbolConfig:
    config = an_object(body)
    # The same thing is spelled CROSSED, CROSS and cross in different places.
    margin = text(config, "marginType").upper()
    return SymbolConfig(
        symbol=text(config, "symbol"),
        leverage=integer(config, "leverage"),
        margin_type=MarginType.CROSSED if margin in ("CROSS", "CROSSED") else a_word(MarginType, margin),
    )


def permissions(body: object) -> Permissions:
    told = an_object(body)
    return Permissions(
        reading=truth(told, "enableReading", required=True),
        futures=truth(told, "enableFutures", required=True),
        withdrawals=truth(told, "enableWithdrawals", required=True),
        ip_restricted=truth(told, "ipRestrict"),
        raw=told,
    )


def leverage_brackets(body: object, *, symbol: str) -> Sequence[LeverageBracket]:
    """Read the notional table of one symbol; Binance answers with a list or with an object."""
    rows = body if isinstance(body, list) else [body]
    for row in rows:
        table = an_object(row)
        if table.get("symbol") == symbol:
            return tuple(_bracket(step) for step in a_list(table.get("brackets")))
    raise ForeignShape(f"no leverage brackets of {symbol}")


def _bracket(body: object) -> LeverageBracket:
    step = an_object(body)
    return LeverageBracket(
        cap=decimal(step, "notionalCap"),
        maintenance_rate=decimal(step, "maintMarginRatio"),
        maintenance_amount=decimal(step, "cum", fallback=ZERO),
    )


def mark_price(body: object) -> MarkPrice:
    told = an_object(body)
    return MarkPrice(symbol=text(told, "symbol"), mark=decimal(told, "markPrice"), time=integer(told, "time"))


# --- reading single fields ------------------------------------------------------------------

_NOTHING: Final = (None, "", "None")


def an_object(body: object) -> Body:
    if not isinstance(body, dict):
        raise ForeignShape(f"an object was expected, not {type(body).__name__}")
    return body


def a_list(body: object) -> list[Any]:
    if not isinstance(body, list):
        raise ForeignShape(f"a list was expected, not {type(body).__name__}")
    return body


def text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ForeignShape(f"{name} is missing")
    return value


def optional_text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


def decimal(body: Body, name: str, *, fallback: Decimal | None = None) -> Decimal:
    value = body.get(name)
    if value in _NOTHING and fallback is not None:
        return fallback
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            read = Decimal(value)
        except InvalidOperation:
            read = Decimal("NaN")
        if read.is_finite():
            return read
    raise ForeignShape(f"{name} is not a number: {str(value)[:40]!r}")


def positive(body: Body, name: str) -> Decimal | None:
    """Read a price; Binance writes 0 where there is none."""
    value = decimal(body, name, fallback=ZERO)
    return value if value > 0 else None


def integer(body: Body, name: str, *, fallback: int | None = None) -> int:
    value = body.get(name)
    if value in _NOTHING and fallback is not None:
        return fallback
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and value.isdigit():
        return int(value)
    raise ForeignShape(f"{name} is not a whole number: {str(value)[:40]!r}")


def truth(body: Body, name: str, *, required: bool = False) -> bool:
    value = body.get(name)
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    if value in _NOTHING and not required:
        return False
    raise ForeignShape(f"{name} is neither true nor false: {str(value)[:40]!r}")


def word(kind: type[_Word], value: object) -> _Word | None:
    """Return the known word, or ``None``."""
    try:
        return kind(str(value))
    except ValueError:
        return None


def a_word(kind: type[_Word], value: object) -> _Word:
    found = word(kind, value)
    if found is None:
        raise ForeignShape(f"{str(value)[:40]!r} is no {kind.__name__}")
    return found


def required_word(kind: type[_Word], body: Body, name: str) -> _Word:
    return a_word(kind, body.get(name))

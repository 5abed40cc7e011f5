"""Leverage, margin type and notional brackets of a symbol, as the account has them."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.binance.mapping.body import ForeignShape, as_list, as_object
from exchange.binance.mapping.fields import decimal, enum_member, integer, text
from exchange.types import ZERO, LeverageBracket, MarginType, SymbolConfig


def read_symbol_config(body: object) -> SymbolConfig:
    config = as_object(body)
    # The same thing is spelled CROSSED, CROSS and cross in different places.
    margin = text(config, "marginType").upper()
    return SymbolConfig(
        symbol=text(config, "symbol"),
        leverage=integer(config, "leverage"),
        margin_type=MarginType.CROSSED if margin == "CROSS" else enum_member(MarginType, margin),
    )


def read_leverage_brackets(body: object, *, symbol: str) -> Sequence[LeverageBracket]:
    """Read the notional brackets of one symbol; Binance answers with a list or with an object."""
    rows = body if isinstance(body, list) else [body]
    for row in rows:
        table = as_object(row)
        if table.get("symbol") == symbol:
            return tuple(_bracket(step) for step in as_list(table.get("brackets")))
    raise ForeignShape(f"no leverage brackets of {symbol}")


def _bracket(body: object) -> LeverageBracket:
    step = as_object(body)
    return LeverageBracket(
        cap=decimal(step, "notionalCap"),
        maintenance_rate=decimal(step, "maintMarginRatio"),
        maintenance_amount=decimal(step, "cum", fallback=ZERO),
    )

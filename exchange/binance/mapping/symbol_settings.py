"""Leverage, margin type and notional brackets of a symbol, as the account has them."""

from __future__ import annotations

from exchange.binance.mapping.body import as_list, as_object
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


def read_leverage_brackets(body: object) -> dict[str, tuple[LeverageBracket, ...]]:
    """Read the notional brackets by symbol; Binance answers with a list or with an object."""
    tables = [as_object(row) for row in (body if isinstance(body, list) else [body])]
    return {
        text(table, "symbol"): tuple(_bracket(step) for step in as_list(table.get("brackets")))
        for table in tables
    }


def _bracket(body: object) -> LeverageBracket:
    step = as_object(body)
    return LeverageBracket(
        cap=decimal(step, "notionalCap"),
        maintenance_rate=decimal(step, "maintMarginRatio"),
        maintenance_amount=decimal(step, "cum", fallback=ZERO),
    )

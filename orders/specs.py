"""The trio as a person meant it, in the symbol's own decimals, and the symbol's rules."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from exchange.types import OrderType, PositionMode, PositionSide, Side, TimeInForce
from orders.domain.enums import (
    Protection,
    TargetPolicy,
)
from orders.domain.rounding import plain, shown
from orders.domain.snapshot import Rules, Spec
from orders.models import Symbol, TrioOrder

FILTERS = (
    "tick_size",
    "price_min",
    "price_max",
    "step_size",
    "quantity_min",
    "quantity_max",
    "market_step_size",
    "market_quantity_min",
    "market_quantity_max",
    "notional_min",
    "multiplier_up",
    "multiplier_down",
)


def spec_of(trio: TrioOrder) -> Spec:
    """Return what a person meant, with each number in the symbol's own decimals."""
    symbol = trio.symbol

    def price(value: Decimal | None) -> Decimal | None:
        return None if value is None else shown(value, symbol.tick_size)

    return Spec(
        side=Side(trio.side),
        position_side=PositionSide(trio.position_side),
        mode=PositionMode(trio.account.position_mode),
        quantity=shown(trio.quantity, symbol.step_size),
        entry_type=OrderType(trio.entry_type),
        protection=Protection(trio.protection),
        price=price(trio.price),
        time_in_force=TimeInForce(trio.time_in_force),
        stop_loss=price(trio.stop_loss),
        take_profit=price(trio.take_profit),
        target_policy=TargetPolicy(trio.target_policy),
        tick=symbol.tick_size,
        multiplier_up=symbol.multiplier_up,
        multiplier_down=symbol.multiplier_down,
    )


def rules_of(symbol: Symbol) -> Rules:
    """Return the symbol's rules as they were last read."""
    return Rules(
        symbol=symbol.symbol,
        trading=symbol.is_trading,
        status=symbol.status,
        **{name: getattr(symbol, name) for name in FILTERS},
    )


def spec_shown(trio: TrioOrder) -> dict[str, str]:
    """Return a draft as a page shows it, one text for each field a person may set."""
    found = {}
    for name in TrioOrder.SPEC_FIELDS:
        value = getattr(trio, name)
        found[name] = plain(value) if isinstance(value, Decimal) else "" if value is None else str(value)
    return found


def spec_changes(trio: TrioOrder, seen: Mapping[str, str]) -> list[str]:
    """Return what of a draft is not as somebody saw it, as “quantity 0.01 → 5”."""
    now = spec_shown(trio)
    return [
        f"{name.replace('_', ' ')} {seen[name] or 'none'} → {text or 'none'}"
        for name, text in now.items()
        if name in seen and seen[name] != text
    ]

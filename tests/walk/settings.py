"""The kinds of trio that are walked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from exchange.types import OrderType, PositionMode, PositionSide, Side
from orders.domain.snapshot import Spec
from orders.domain.words import Protection
from tests.walk.world import WHOLE, Bound, Setting

LONG: Final = Spec(
    side=Side.BUY,
    position_side=PositionSide.BOTH,
    mode=PositionMode.ONE_WAY,
    quantity=Decimal(WHOLE),
    entry_type=OrderType.MARKET,
    protection=Protection.ON_FIRST_FILL,
    stop_loss=Decimal(90),
    take_profit=Decimal(110),
)


def kinds() -> dict[str, Spec]:
    """Return every combination of entry type, protection and position mode; hedge ones are short."""
    found = {}
    for entry_type in (OrderType.MARKET, OrderType.LIMIT):
        for protection in (Protection.ON_FIRST_FILL, Protection.PRE_ARMED):
            for mode in (PositionMode.ONE_WAY, PositionMode.HEDGE):
                spec = replace(LONG, entry_type=entry_type, protection=protection, mode=mode)
                if entry_type is OrderType.LIMIT:
                    spec = replace(spec, price=Decimal(100))
                if mode is PositionMode.HEDGE:
                    spec = replace(
                        spec,
                        side=Side.SELL,
                        position_side=PositionSide.SHORT,
                        stop_loss=Decimal(110),
                        take_profit=Decimal(90),
                    )
                name = f"{entry_type} {protection} {mode}"
                found[name] = spec
    return found


def settings(bound: Bound) -> list[Setting]:
    return [Setting(name, spec, bound) for name, spec in kinds().items()]

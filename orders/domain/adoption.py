"""A position opened elsewhere that is to become a trio: its levels, and what they come to. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.types import ZERO, ExchangeMs, OrderType, OurMs, PositionMode, Side
from orders.domain.enums import Role
from orders.domain.enums import TrioState as S
from orders.domain.errors import RuleBroken
from orders.domain.fitting import lot_of, split
from orders.domain.level_moves import FIELDS, level_check
from orders.domain.rounding import plain, to_grid
from orders.domain.snapshot import Rules, SlotView, Spec, TrioSnapshot

LEVEL: Final = re.compile(r"(?P<number>[0-9]{1,20}(?:\.[0-9]{1,16})?)\s*(?P<percent>%?)")
HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Level:
    """Where a stop or a target is to be: so many percent from the entry price, or a price in the quote asset."""

    amount: Decimal
    is_percent: bool = False

    def price(self, role: Role, side: Side, entry: Decimal, tick: Decimal | None) -> Decimal:
        """Return the price. A percentage comes to a whole tick, on the safe side: never more risk, nor more hope."""
        if not self.is_percent:
            return self.amount
        long, stop = side is Side.BUY, role is Role.STOP_LOSS
        away = -self.amount if long == stop else self.amount
        price = entry * (1 + away / HUNDRED)
        return to_grid(price, tick or ZERO, ROUND_CEILING if long == stop else ROUND_FLOOR)


def level_read(text: str, role: Role) -> Level:
    """Read ``2%`` or a price. Raises RuleBroken for anything else."""
    found = LEVEL.fullmatch(text.strip())
    if found is None or not (amount := Decimal(found["number"])):
        raise RuleBroken(
            FIELDS[role],
            f"“{text}” is no {role.words}: write a percentage of the entry price, such as 2%, or a price.",
        )
    return Level(amount, bool(found["percent"]))


def adoption_check(
    spec: Spec, rules: Rules, *, mark: Decimal, liquidation: Decimal | None, occupied: frozenset[Role]
) -> None:
    """Raise RuleBroken where a position could not be protected as wished, with the nearest level that could be.

    ``mark``: as read with the position; ``liquidation``: as the exchange says. ``occupied``: roles of which somebody
    else's closePosition order rests, beside which ours is for the quantity.
    """
    assert spec.stop_loss is not None
    assert spec.take_profit is not None
    seen = TrioSnapshot(
        spec=replace(spec, stop_loss=None, take_profit=None),  # neither is agreed yet
        state=S.OPEN,
        now=OurMs(0),
        now_ts=ExchangeMs(0),
        rules=rules,
        slot=SlotView(quantity=spec.quantity, mark_price=mark),
    )
    level_check(seen, Role.STOP_LOSS, spec.stop_loss)
    level_check(seen, Role.TAKE_PROFIT, spec.take_profit)
    _liquidation_check(spec, rules, liquidation)
    if not split(spec.quantity, lot_of(rules, OrderType.MARKET)):
        smallest = lot_of(rules, OrderType.MARKET).smallest
        raise RuleBroken(
            "quantity",
            f"The position of {plain(spec.quantity)} is smaller than the smallest order ({plain(smallest)}), so it could "
            "not be closed from here. Close it in the exchange's app.",
        )
    small = rules.notional_min is not None and spec.quantity * spec.stop_loss < rules.notional_min
    if small and spec.mode is PositionMode.HEDGE and Role.STOP_LOSS in occupied:
        raise RuleBroken(
            "quantity",
            f"Beside the stop that rests already ours must be for the quantity, and in hedge mode the exchange takes "
            f"none whose notional is below {plain(rules.notional_min)}. Cancel that stop in the exchange's app, then "
            "adopt the position at once.",
        )


def _liquidation_check(spec: Spec, rules: Rules, liquidation: Decimal | None) -> None:
    stop, long, tick = spec.stop_loss, spec.side is Side.BUY, rules.tick_size or ZERO
    if not liquidation or stop is None or (stop > liquidation if long else stop < liquidation):
        return
    near = (
        to_grid(liquidation, tick, ROUND_FLOOR) + tick
        if long
        else to_grid(liquidation, tick, ROUND_CEILING) - tick
    )
    raise RuleBroken(
        "stop_loss",
        f"The stop-loss {plain(stop)} lies beyond the liquidation price {plain(liquidation)}: the position would be "
        f"liquidated first. {plain(near)} is the nearest valid level.",
    )


def result_at(spec: Spec, entry: Decimal, level: Decimal) -> Decimal:
    """Return what the position brings when it is closed at a level, before fees, in the quote asset."""
    return (level - entry if spec.side is Side.BUY else entry - level) * spec.quantity

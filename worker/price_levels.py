"""Which resting orders wait for which price: reaching it means that an event about the order is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from exchange.types import PriceKind, Side
from infrastructure.rows import fetch_all
from orders.domain.enums import LegState, Role

LevelKey: TypeAlias = tuple[int, PriceKind, Decimal]


@dataclass(frozen=True, slots=True)
class PriceLevel:
    """One resting order, and the price at which something must happen to it."""

    leg_id: int
    trio_id: int
    symbol: str
    price: Decimal
    kind: PriceKind
    at_or_above: bool
    role: Role = Role.ENTRY

    @property
    def key(self) -> LevelKey:
        """An order that is moved on the exchange waits at another level."""
        return self.leg_id, self.kind, self.price

    @property
    def is_entry(self) -> bool:
        return self.role.opens

    @property
    def is_target(self) -> bool:
        return self.role in (Role.TAKE_PROFIT, Role.PART_TARGET)

    def reached_by(self, price: Decimal) -> bool:
        return price >= self.price if self.at_or_above else price <= self.price


class Resting(NamedTuple):
    """What must be known of a resting order to know its level."""

    leg_id: int
    trio_id: int
    symbol: str
    side: str
    role: str
    price: Decimal | None
    trigger_price: Decimal | None
    state: str = LegState.ACCEPTED


RESTING = """
    SELECT leg.id, leg.trio_id, symbol.symbol, leg.side, leg.role, leg.price, leg.trigger_price, leg.state
    FROM orders_leg leg
    JOIN orders_trioorder trio ON trio.id = leg.trio_id
    JOIN accounts_exchangeaccount account ON account.id = trio.account_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    WHERE trio.account_id = ANY (%s) AND trio.holds_slot AND trio.state IN ('PLACING', 'WORKING', 'OPEN')
      AND (leg.state IN ('ACCEPTED', 'PARTIALLY_FILLED') OR leg.state = 'TRIGGERED' AND leg.role = 'ENTRY')
      AND leg.role IN ('ENTRY', 'RUNG', 'STOP_LOSS', 'TAKE_PROFIT', 'PART_TARGET')
      AND NOT (leg.role IN ('ENTRY', 'RUNG') AND trio.protection = 'PRE_ARMED' AND account.position_mode = 'ONE_WAY')
    ORDER BY leg.id
"""


def price_levels(account_ids: Iterable[int]) -> list[PriceLevel]:
    """Return the levels of resting legs, and of resting entries that no armed stop covers.

    In hedge mode an armed stop covers no partial fill, so its entry counts as well. Targets count because one
    that executed unnoticed leaves its stop alone on a flat side.
    """
    return [level for row in fetch_all(RESTING, list(account_ids)) for level in _levels_of(Resting(*row))]


@lru_cache(maxsize=20_000)
def _levels_of(order: Resting) -> tuple[PriceLevel, ...]:
    """Return the levels of one order. It rests for long, and is asked about four times a second."""
    level = price_level(order)
    if level is None:
        return ()
    # A trade is reported once, the mark price each second: the mark price reveals a target that executed
    # before we watched.
    return (level, replace(level, kind=PriceKind.MARK)) if level.is_target else (level,)


def price_level(order: Resting) -> PriceLevel | None:
    """Return the level of one resting order, if it waits for a price."""
    buys = order.side == Side.BUY
    if order.role == Role.STOP_LOSS:
        price, kind, at_or_above = order.trigger_price, PriceKind.MARK, buys
    elif order.role in (Role.TAKE_PROFIT, Role.PART_TARGET):
        price, kind, at_or_above = order.trigger_price, PriceKind.LAST, not buys
    elif order.trigger_price is not None and order.state == LegState.ACCEPTED:  # a stop entry that waits
        price, kind, at_or_above = order.trigger_price, PriceKind.MARK, buys
    else:  # a resting BUY fills when the price falls to it
        price, kind, at_or_above = order.price, PriceKind.LAST, not buys
    if price is None:
        return None
    return PriceLevel(order.leg_id, order.trio_id, order.symbol, price, kind, at_or_above, Role(order.role))

"""The average entry price of a position that is added to and reduced, as the exchange keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from exchange.types import ZERO
from orders.domain.enums import Role


class Executed(Protocol):
    """What is known of an order that may have executed: how much, at which average, and when (exchange ms)."""

    @property
    def role(self) -> str: ...
    @property
    def filled(self) -> Decimal: ...
    @property
    def average_price(self) -> Decimal | None: ...
    @property
    def filled_ts(self) -> int | None: ...


def average_of(orders: Iterable[Executed]) -> Decimal | None:
    """Return the average price of what these orders of one trio have left open; ``None`` while that is not known.

    Each order counts as of its last execution.
    """
    executed = sorted((order for order in orders if order.filled), key=lambda order: order.filled_ts or 0)
    opens = [Role(order.role).opens for order in executed]
    if any(of and not order.average_price for of, order in zip(opens, executed, strict=True)):
        return None
    return running_average(
        (order.filled if of else -order.filled, order.average_price or ZERO)
        for of, order in zip(opens, executed, strict=True)
    )


def entered(orders: Iterable[Executed]) -> tuple[Decimal, Decimal] | None:
    """Return how much the entry of a trio has filled, all rungs of a ladder together, and its average price; ``None``: nothing yet.

    What was added later is not in it.
    """
    filled = [
        (order.filled, order.average_price)
        for order in orders
        if order.role in (Role.ENTRY, Role.RUNG) and order.filled and order.average_price
    ]
    if not filled:
        return None
    quantity = sum((of for of, _ in filled), ZERO)
    return quantity, sum((of * price for of, price in filled), ZERO) / quantity


def running_average(executions: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """Return the average price of what is held after these executions, oldest first; ``None`` while nothing was bought.

    Each: by how much the position grew (shrank: negative), in the base asset, and the price. What reduces a position does
    not move its average; a position that was closed begins anew.
    """
    held, average = ZERO, ZERO
    known = False
    for change, price in executions:
        if change > 0:
            average = (held * average + change * price) / (held + change)
            held, known = held + change, True
        else:
            held = max(ZERO, held + change)
    return average if known else None

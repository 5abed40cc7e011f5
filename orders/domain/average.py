"""The average entry price of a position that is added to and reduced, as the exchange keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from exchange.types import ZERO


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

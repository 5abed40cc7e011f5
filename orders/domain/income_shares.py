"""Whose is income that is about no execution: funding, a liquidation's fee. Pure.

Such a line names a symbol and an asset, neither order nor side. It belongs to who held the position then. In hedge mode two
trios may have: there, longs pay what shorts receive, or the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

from exchange.types import ZERO

UNIT: Final = Decimal("1E-8")  # the exchange books no smaller part of an asset


@dataclass(frozen=True, slots=True)
class Share:
    """What of a line belongs to a trio. ``line``: its place among the lines that were given."""

    line: int
    trio: int
    amount: Decimal


def shares_of(
    lines: Sequence[Decimal], held: Mapping[int, Decimal], *, longs_paid: bool | None = None
) -> list[Share] | None:
    """Allot the lines of one symbol, asset and moment to the trios that held a position in it.

    ``held``: signed quantity (short: negative) by trio. ``longs_paid``: whether the funding rate was above zero; ``None``:
    not known. Returns ``None`` where that must be known first. What is allotted to no trio is the account's.
    """
    held = {trio: quantity for trio, quantity in held.items() if quantity}
    lines_opposed = any(line > 0 for line in lines) and any(line < 0 for line in lines)
    if not held:
        return []
    if lines_opposed:
        return _by_side(lines, held, longs_paid)
    return [
        Share(place, trio, part)
        for place, line in enumerate(lines)
        for trio, part in divided(line, held).items()
    ]


def _by_side(
    lines: Sequence[Decimal], held: Mapping[int, Decimal], longs_paid: bool | None
) -> list[Share] | None:
    """Allot lines of both signs: one sign is the longs', the other the shorts'."""
    if longs_paid is None:
        longs_paid = _paid_by_size(lines, held)
    if longs_paid is None:
        return None
    found = []
    for place, line in enumerate(lines):
        is_longs = (line < 0) == longs_paid
        side = {trio: quantity for trio, quantity in held.items() if (quantity > 0) == is_longs}
        found += [Share(place, trio, part) for trio, part in divided(line, side).items()]
    return found


def _paid_by_size(lines: Sequence[Decimal], held: Mapping[int, Decimal]) -> bool | None:
    """Tell from the sizes whether the longs paid: the larger position has the larger line. ``None``: they do not tell."""
    longs = sum((quantity for quantity in held.values() if quantity > 0), ZERO)
    shorts = -sum((quantity for quantity in held.values() if quantity < 0), ZERO)
    total = sum(lines, ZERO)
    if not longs or not shorts or longs == shorts or not total:
        return None  # with one side ours, the other is somebody else's, of a size that is not known
    return (total < 0) == (longs > shorts)


def divided(line: Decimal, held: Mapping[int, Decimal]) -> dict[int, Decimal]:
    """Divide an amount in proportion to signed quantities; the shares add up to it exactly. Nothing held: nobody's.

    One line for a long and a short is what remains of both, so that one may have received more than the whole and the
    other paid. A long and a short of one size leave nothing to divide by: what is left then is the account's.
    """
    total = sum(held.values(), ZERO)
    if not total:
        return {}
    parts = {
        trio: (line * quantity / total).quantize(UNIT, rounding=ROUND_DOWN) for trio, quantity in held.items()
    }
    largest = max(held, key=lambda trio: (abs(held[trio]), -trio))
    parts[largest] += line - sum(parts.values(), ZERO)
    return {trio: part for trio, part in parts.items() if part}

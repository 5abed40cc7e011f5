"""Exact decimal numbers: the context they are computed in, and how they are written."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Final

ZERO: Final = Decimal(0)
# Wide enough that sums and products of prices, quantities and rates are exact.
MONEY: Final = Context(prec=60)
EIGHT: Final = Decimal("0.00000001")


def plain(value: Decimal) -> str:
    """Format a number as plain decimal text, never with an exponent."""
    return format(value, "f")


def eight(value: Decimal) -> str:
    """Format an amount of money with eight decimals."""
    return format(value.quantize(EIGHT, context=MONEY), "f")


def decimal_places(value: Decimal) -> int:
    """How many decimal places a number needs."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0

"""Whole ticks and steps. One rule per role, all in ``Decimal``."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from exchange.types import Side


def to_grid(value: Decimal, grid: Decimal, rounding: str) -> Decimal:
    """Return ``value`` on a whole multiple of ``grid``, shown with the grid's own decimals."""
    if grid <= 0:
        return value
    return scaled((value / grid).to_integral_value(rounding) * grid, grid)


def scaled(value: Decimal, grid: Decimal) -> Decimal:
    """Return ``value`` with as many decimals as ``grid`` has; never in exponent form."""
    exponent = grid.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return value.quantize(Decimal(1).scaleb(min(exponent, 0)))


def shown(value: Decimal, grid: Decimal | None) -> Decimal:
    """Return ``value`` with the grid's own decimals; what is off the grid stays as it is, to be seen."""
    return scaled(value, grid) if grid and grid > 0 and on_grid(value, grid) else value


def on_grid(value: Decimal, grid: Decimal | None) -> bool:
    return grid is None or grid <= 0 or value % grid == 0


def quantity_down(quantity: Decimal, *, step: Decimal) -> Decimal:
    return to_grid(quantity, step, ROUND_FLOOR)


def quantity_up(quantity: Decimal, *, step: Decimal) -> Decimal:
    return to_grid(quantity, step, ROUND_CEILING)


def entry_to_tick(price: Decimal, *, tick: Decimal, side: Side) -> Decimal:
    """Round to the passive side: never pay more than was asked for."""
    return to_grid(price, tick, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)


def entry_trigger_to_tick(trigger: Decimal, *, tick: Decimal, side: Side) -> Decimal:
    """Round the trigger of a stop entry away from the market: it never enters before the price that was named."""
    return to_grid(trigger, tick, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)


def trigger_to_tick(price: Decimal, *, tick: Decimal, entry_price: Decimal) -> Decimal:
    """Round towards the entry: never risk, nor hope for, more than was asked for."""
    return to_grid(price, tick, ROUND_CEILING if price < entry_price else ROUND_FLOOR)


def plain(value: Decimal | None) -> str:
    """Return a number as people write it: no exponent, no trailing zeros."""
    if value is None:
        return ""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


GLANCE: Final = Context(prec=4, rounding=ROUND_HALF_EVEN)
CENT: Final = Decimal("0.01")
TINY: Final = Decimal("1E-16")  # the tick or step of a symbol that states none: what tables keep


def money(value: Decimal) -> str:
    """Return an amount as it is shown at a glance: to the cent; what is smaller than one, to four digits."""
    if value == 0:
        return "0"
    return format(value.quantize(CENT), "f") if abs(value) >= 1 else plain(GLANCE.plus(value))


def signed(value: Decimal) -> str:
    """Return a result with its sign, as people write it."""
    return f"+{plain(value)}" if value > 0 else plain(value)

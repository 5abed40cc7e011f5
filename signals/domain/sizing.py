"""From terms to figures: levels as prices of the symbol, and the quantity, rounded towards less risk.

The arithmetic is that of every size and level, whoever says it (``orders.domain.sizing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from exchange.types import OrderType, Side
from orders.domain.rounding import entry_to_tick, entry_trigger_to_tick
from orders.domain.sizing import (
    Grid,
    Means,
    SizingRefused,
    level_placed,
    loss_per_unit,
    margin_of,
    quantity_of,
)
from orders.domain.validation import TAKER_FEE
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import Terms

__all__ = ["TAKER_FEE", "Figures", "Grid", "Means", "figures", "loss_per_unit"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Terms as figures of one account: what is to be placed."""

    quantity: Decimal
    stop: Decimal
    target: Decimal
    price: Decimal | None
    trigger: Decimal | None
    margin: Decimal  # that its entry needs, fee included
    at_stop: Decimal  # what is lost there, fees and slippage included


def figures(
    terms: Terms, *, side: Side, mark: Decimal | None, atr: Decimal | None, grid: Grid, means: Means
) -> Figures:
    """Return what these terms come to. Raises SignalRefused."""
    try:
        return _figures(terms, side=side, mark=mark, atr=atr, grid=grid, means=means)
    except SizingRefused as error:
        raise SignalRefused(RefusalKind(error.kind.value), **error.facts) from error


def _figures(
    terms: Terms, *, side: Side, mark: Decimal | None, atr: Decimal | None, grid: Grid, means: Means
) -> Figures:
    price, trigger = _entry_prices(terms, side=side, tick=grid.tick)
    entry = mark if terms.entry_type is OrderType.MARKET else price if terms.entry_type.has_price else trigger
    if entry is None:
        raise SignalRefused(RefusalKind.LEVEL_UNKNOWN, level="entry", missing="the mark price")
    stop = level_placed(
        "stop", terms.stop, side=side, entry=entry, atr=atr, risk=None, grid=grid, adverse=True
    )
    target = level_placed(
        "target",
        terms.target,
        side=side,
        entry=entry,
        atr=atr,
        risk=abs(entry - stop),
        grid=grid,
        adverse=False,
    )
    if terms.size is None:
        raise SignalRefused(RefusalKind.SIZE_UNKNOWN, missing="a size")
    quantity = quantity_of(terms.size, side=side, entry=entry, stop=stop, grid=grid, means=means)
    loss = loss_per_unit(entry, stop, side=side, fee=means.fee, slippage=terms.size.slippage)
    return Figures(quantity, stop, target, price, trigger, margin_of(quantity, entry, means), quantity * loss)


def _entry_prices(terms: Terms, *, side: Side, tick: Decimal) -> tuple[Decimal | None, Decimal | None]:
    """Return the entry's price and trigger on the tick: never a price worse than was named, never a trigger before it.

    Of a stop entry whose limit was within reach of its trigger it stays so: one tick apart it might never fill.
    """
    price, trigger = terms.price, terms.trigger
    if terms.entry_type.is_conditional and trigger is not None:
        trigger = entry_trigger_to_tick(trigger, tick=tick, side=side)
    if terms.entry_type.has_price and price is not None:
        price = entry_to_tick(price, tick=tick, side=side)
        if trigger is not None and terms.trigger is not None and terms.price is not None:
            if side is Side.BUY and terms.price >= terms.trigger:
                price = max(price, trigger)
            elif side is Side.SELL and terms.price <= terms.trigger:
                price = min(price, trigger)
    return price, trigger

"""The valid value nearest to one that a rule refuses: what a button beside the error takes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.types import ZERO, OrderType, Side
from orders.domain.fitting import fitted, lot_of
from orders.domain.rounding import entry_to_tick, quantity_down, scaled, to_grid
from orders.domain.snapshot import Rules, Spec
from orders.domain.validation import (
    Market,
    liquidation_price,
    margin_needed,
    problems,
    smallest_quantity,
    trigger_next_to,
)


def nearest_value(spec: Spec, rules: Rules, market: Market, field: str) -> Decimal | None:
    """Return the nearest value of a field that no rule refuses with the others as they are; ``None``: there is none, or
    it is valid as it is.

    ``field``: quantity, price, trigger_price, stop_loss or take_profit. The value is on the grid, with the symbol's own decimals.
    """
    candidates = {
        "quantity": _quantities,
        "price": _prices,
        "trigger_price": _triggers,
        "stop_loss": _stops,
        "take_profit": _targets,
    }.get(field)
    if candidates is None:
        return None
    now = getattr(spec, field)
    if now is not None and _is_valid(spec, rules, market, field, now):
        return None
    found = [value for value in candidates(spec, rules, market) if value > 0 and value != now]
    valid = [value for value in found if _is_valid(spec, rules, market, field, value)]
    return min(valid, key=lambda value: abs(value - (now or value)), default=None)


def _is_valid(spec: Spec, rules: Rules, market: Market, field: str, value: Decimal) -> bool:
    tried = replace(spec, **{field: value})  # type: ignore[arg-type]
    return not any(problem.field == field for problem in problems(tried, rules, market))


def _quantities(spec: Spec, rules: Rules, market: Market) -> Iterable[Decimal]:
    lot, ordinary = lot_of(rules, OrderType.MARKET), lot_of(rules, OrderType.LIMIT)
    step = max(lot.step or ZERO, ordinary.step or ZERO)
    if not step:
        return
    yield quantity_down(spec.quantity, step=step)
    least = smallest_quantity(spec, rules, market.mark_price)
    if least is not None:
        yield to_grid(least, step, ROUND_CEILING)
    most = min(lot.largest, ordinary.largest)
    if most.is_finite():
        yield quantity_down(most, step=step)
    each = margin_needed(replace(spec, quantity=Decimal(1)), market)
    if each and market.available is not None:
        yield quantity_down(max(ZERO, market.available - market.promised) / each, step=step)


def _prices(spec: Spec, rules: Rules, market: Market) -> Iterable[Decimal]:
    tick, mark = rules.tick_size, market.mark_price
    if not tick or not spec.entry_type.has_price:
        return
    if spec.trigger_price is not None and spec.entry_type.is_conditional:
        mark = spec.trigger_price  # the band in which it may be priced is around that
    if spec.price is None:
        if mark is not None:
            yield entry_to_tick(mark, tick=tick, side=spec.side)
        return
    yield entry_to_tick(spec.price, tick=tick, side=spec.side)
    if mark is not None and rules.multiplier_up:
        yield to_grid(mark * rules.multiplier_up, tick, ROUND_FLOOR)
    if mark is not None and rules.multiplier_down:
        yield to_grid(mark * rules.multiplier_down, tick, ROUND_CEILING)
    yield from _bounds(rules, tick)


def _triggers(spec: Spec, rules: Rules, market: Market) -> Iterable[Decimal]:
    tick, mark = rules.tick_size, market.mark_price
    if not tick or not spec.entry_type.is_conditional:
        return
    if (trigger := fitted(spec, rules).trigger_price) is not None:
        yield scaled(trigger, tick)
    if mark is not None:
        yield trigger_next_to(mark, tick, side=spec.side)
    yield from _bounds(rules, tick)


def _stops(spec: Spec, rules: Rules, market: Market) -> Iterable[Decimal]:
    yield from _levels(spec, rules, market, below=spec.side is Side.BUY, level=fitted(spec, rules).stop_loss)
    price = spec.entry_price if spec.rests else market.mark_price
    liquidation, tick = liquidation_price(spec, market, price), rules.tick_size
    if liquidation is not None and tick:
        long = spec.side is Side.BUY
        yield (
            to_grid(liquidation, tick, ROUND_FLOOR) + tick
            if long
            else to_grid(liquidation, tick, ROUND_CEILING) - tick
        )


def _targets(spec: Spec, rules: Rules, market: Market) -> Iterable[Decimal]:
    yield from _levels(
        spec, rules, market, below=spec.side is not Side.BUY, level=fitted(spec, rules).take_profit
    )


def _levels(
    spec: Spec, rules: Rules, market: Market, *, below: bool, level: Decimal | None
) -> Iterable[Decimal]:
    """Yield the level on the tick, and those next to the entry and the mark price on the right side."""
    tick = rules.tick_size
    if not tick:
        return
    if level is not None:
        yield scaled(level, tick)
    for reference in (*(price for _, price in spec.entry_prices), market.mark_price):
        if reference is not None:
            yield (
                to_grid(reference, tick, ROUND_CEILING) - tick
                if below
                else to_grid(reference, tick, ROUND_FLOOR) + tick
            )
    yield from _bounds(rules, tick)


def _bounds(rules: Rules, tick: Decimal) -> Iterable[Decimal]:
    if rules.price_min:
        yield to_grid(rules.price_min, tick, ROUND_CEILING)
    if rules.price_max:
        yield to_grid(rules.price_max, tick, ROUND_FLOOR)

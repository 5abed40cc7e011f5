"""A symbol's rules as they are today, and every order fitted to them. The one place; pure.

Rules change while a trio lives: a tick, a step, a minimum, a maximum. Levels go to today's tick towards safety, and a
quantity is cut to the lot of the order's own type, into as many orders as it takes. What is below the smallest order
is dust.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.types import ZERO, OrderType, Side
from orders.domain.ladder import ladder_misfit
from orders.domain.rounding import entry_to_tick, on_grid, plain, quantity_down, quantity_up, to_grid
from orders.domain.snapshot import Rules, Spec


@dataclass(frozen=True, slots=True)
class Lot:
    """Which quantities one order may have: whole steps between the least and the most. ``None``: no such rule."""

    step: Decimal | None = None
    least: Decimal | None = None
    most: Decimal | None = None

    @property
    def smallest(self) -> Decimal:
        """The least quantity in whole steps."""
        least = self.least or ZERO
        return max(quantity_up(least, step=self.step), self.step) if self.step else least

    @property
    def largest(self) -> Decimal:
        if not self.most:
            return Decimal("Infinity")
        return quantity_down(self.most, step=self.step) if self.step else self.most


def lot_of(rules: Rules, kind: OrderType) -> Lot:
    """Return the lot of an order type. All without a price of their own execute at market, legs at their trigger as well."""
    ordinary = Lot(rules.step_size, rules.quantity_min, rules.quantity_max)
    if kind.has_price:
        return ordinary
    return Lot(
        rules.market_step_size or ordinary.step,
        ordinary.least if rules.market_quantity_min is None else rules.market_quantity_min,
        rules.market_quantity_max or ordinary.most,
    )


def split(quantity: Decimal, lot: Lot) -> tuple[Decimal, ...]:
    """Return the orders that close ``quantity``, the largest first; what they leave could not be closed by any.

    Where a rest would be below the minimum, the orders before it leave it enough: 100.5 under a maximum of 100 and
    a minimum of 1 are 99.5 and 1.
    """
    whole = quantity_down(quantity, step=lot.step) if lot.step else quantity
    smallest, largest = lot.smallest, lot.largest
    if whole <= 0 or whole < smallest or largest < smallest or largest <= 0:
        return ()
    if whole <= largest:
        return (whole,)
    full, rest = divmod(whole, largest)
    orders = [largest] * int(full)
    if rest and (len(orders) + 1) * smallest <= whole:
        missing = max(ZERO, smallest - rest)
        orders.append(rest + missing)
        for place in reversed(range(len(orders) - 1)):
            given = min(missing, orders[place] - smallest)
            orders[place] -= given
            missing -= given
    return tuple(orders)


def first_of(quantity: Decimal, lot: Lot) -> Decimal:
    """Return the first of the orders that close ``quantity``; all of it where no order could.

    It is never sent then as an exit; a stop of that size is for the exchange to judge.
    """
    orders = split(quantity, lot)
    return orders[0] if orders else quantity


def fitted(spec: Spec, rules: Rules) -> Spec:
    """Return the trio with its prices on today's tick.

    Towards safety: a long's stop goes up and its target down, a short's the other way; its entry never pays more, and one
    that waits for a trigger waits for no less.
    """
    tick = rules.tick_size
    if not tick or all(
        on_grid(price, tick)
        for price in (
            spec.stop_loss,
            spec.take_profit,
            spec.price,
            spec.trigger_price,
            *(part.level for part in spec.part_targets),
            *(rung.price for rung in spec.rungs),
        )
        if price
    ):
        return spec
    long = spec.side is Side.BUY
    nearer, safer = (ROUND_CEILING, ROUND_FLOOR) if long else (ROUND_FLOOR, ROUND_CEILING)
    return replace(
        spec,
        stop_loss=None if spec.stop_loss is None else to_grid(spec.stop_loss, tick, nearer),
        take_profit=None if spec.take_profit is None else to_grid(spec.take_profit, tick, safer),
        price=None if spec.price is None else entry_to_tick(spec.price, tick=tick, side=spec.side),
        trigger_price=None if spec.trigger_price is None else to_grid(spec.trigger_price, tick, nearer),
        part_targets=tuple(
            replace(part, level=to_grid(part.level, tick, safer)) for part in spec.part_targets
        ),
        rungs=tuple(
            replace(rung, price=entry_to_tick(rung.price, tick=tick, side=spec.side)) for rung in spec.rungs
        ),
    )


def misfit(spec: Spec, rules: Rules) -> str:
    """Say why a trio that has not filled could not be protected and closed by today's rules, or nothing.

    ``spec``: as fitted.
    """
    return _quantity_misfit(spec, rules) or _level_misfit(spec, rules)


def orders_needed(spec: Spec) -> int:
    """Return for how many open orders a symbol must have room: one at market for a moment, and an exit beside an entry that
    rests, each rung of a ladder counted."""
    return 1 + (len(spec.rungs) or spec.rests)


def entry_misfit(spec: Spec, rules: Rules) -> str:
    """Say why the entry, still to be sent, does not fit today's rules, or nothing."""
    if rules.orders_max is not None and rules.orders_max < orders_needed(spec):
        return (
            f"The exchange's rules have changed: {rules.symbol} takes {rules.orders_max} open orders of an account at most, and "
            f"a trio like this needs room for {orders_needed(spec)}."
        )
    lot = lot_of(rules, spec.entry_type)
    quantity = spec.quantity
    if not on_grid(quantity, lot.step) or not lot.smallest <= quantity <= lot.largest:
        return (
            f"The exchange's rules have changed: quantity {plain(quantity)} must be whole steps of "
            f"{plain(lot.step or ZERO)}, at least {plain(lot.smallest)}{_at_most(lot)}."
        )
    if small := ladder_misfit(spec, rules):
        return f"The exchange's rules have changed. {small}"
    return misfit(spec, rules)


def _at_most(lot: Lot) -> str:
    return f", at most {plain(lot.largest)}" if lot.most else ""


def _quantity_misfit(spec: Spec, rules: Rules) -> str:
    lot = lot_of(rules, OrderType.MARKET)
    left = spec.quantity - sum(split(spec.quantity, lot), ZERO)
    if left == 0:
        return ""
    return (
        f"The exchange's rules have changed: {plain(left)} of a position of {plain(spec.quantity)} could not be closed "
        f"at market (whole steps of {plain(lot.step or ZERO)}, at least {plain(lot.smallest)})."
    )


def _level_misfit(spec: Spec, rules: Rules) -> str:
    long = spec.side is Side.BUY
    tick = plain(rules.tick_size or ZERO)
    for name, level in (("stop-loss", spec.stop_loss), ("take-profit", spec.take_profit)):
        if level is None:
            continue
        low, high = rules.price_min or ZERO, rules.price_max
        if level <= 0 or level < low or (high and level > high):
            return f"The exchange's rules have changed: it takes no {name} at {plain(level)} (tick {tick})."
        for what, beyond in spec.entry_prices:
            is_above, wanted_above = level > beyond, (name == "take-profit") == long
            if level == beyond or is_above is not wanted_above:
                return (
                    f"The exchange's rules have changed: with ticks of {tick} the {name} would be {plain(level)}, "
                    f"which is not on its side of the entry's {what.removeprefix('entry ')} {plain(beyond)}."
                )
    return ""

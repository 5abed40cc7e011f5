"""An entry ladder: how its quantity is divided among its rungs, and what makes it no sound one. Pure.

Each share is rounded down to the step; the last rung takes what the others leave.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import ZERO, OrderType, Side, TimeInForce
from orders.domain.errors import RuleBroken
from orders.domain.rounding import entry_to_tick, on_grid, plain, quantity_down, quantity_up
from orders.domain.snapshot import Rules, Rung, Spec

WHOLE: Final = Decimal(100)
RUNGS_MAX: Final = 5
TRIES_MAX: Final = 1000


def rung_quantities(spec: Spec, rules: Rules) -> tuple[Decimal, ...]:
    """Return the quantity of each rung, in their order; of an entry that is no ladder its own."""
    if not spec.rungs:
        return (spec.quantity,)
    return _divided(spec.quantity, spec.rungs, rules.step_size)


def smallest_rung(rung: Rung, rules: Rules) -> Decimal:
    """Return the least quantity that the exchange takes of an order at this rung's price."""
    step, least = rules.step_size, rules.quantity_min or ZERO
    if rules.notional_min and rung.price > 0:
        least = max(least, rules.notional_min / rung.price)
    return max(quantity_up(least, step=step), step) if step else least


def ladder_misfit(spec: Spec, rules: Rules) -> str:
    """Say which rung the exchange would not take by today's rules, and what it would take; nothing when it takes all."""
    for rung, quantity in zip(spec.rungs, rung_quantities(spec, rules), strict=False):
        if quantity < (smallest := smallest_rung(rung, rules)):
            return (
                f"Rung {rung.number}, {plain(rung.share)} % of {plain(spec.quantity)} at {plain(rung.price)}, would be "
                f"{plain(quantity)}, less than the exchange takes in one order ({plain(smallest)}): with these shares the "
                f"quantity must be at least {plain(smallest_ladder(spec, rules))}, or name fewer rungs."
            )
    return ""


def smallest_ladder(spec: Spec, rules: Rules) -> Decimal:
    """Return the least quantity with which every rung is large enough."""
    step = rules.step_size
    wanted = [smallest_rung(rung, rules) * WHOLE / rung.share for rung in spec.rungs]
    if not step:
        return max(wanted)
    least = quantity_up(max(wanted), step=step)
    for _ in range(TRIES_MAX):  # the last rung takes what the others leave, so a little less may do
        fewer = _divided(least - step, spec.rungs, step)
        if any(
            quantity < smallest_rung(rung, rules) for rung, quantity in zip(spec.rungs, fewer, strict=True)
        ):
            break
        least -= step
    return least


def ladder_problems(spec: Spec, rules: Rules) -> Iterable[RuleBroken]:
    """Yield what is wrong with the ladder of a trio that is to be placed."""
    rungs = spec.rungs
    if not rungs:
        return
    if spec.entry_type is not OrderType.LIMIT:
        yield _broken(
            f"The rungs of a ladder are limit orders: choose LIMIT instead of {spec.entry_type}, or no rungs."
        )
    elif spec.time_in_force not in (TimeInForce.GTC, TimeInForce.GTX):
        yield _broken(
            f"The rungs of a ladder rest until they fill, so {spec.time_in_force} makes no sense: use GTC or GTX."
        )
    elif spec.price != rungs[0].price:
        yield _broken(
            f"The entry price is that of the first rung, {plain(rungs[0].price)}: leave it empty.", "price"
        )
    elif not 2 <= len(rungs) <= RUNGS_MAX:
        few = "for one order give a price instead" if len(rungs) < 2 else f"name {RUNGS_MAX} at most"
        yield _broken(f"A ladder has 2 to {RUNGS_MAX} rungs, not {len(rungs)}: {few}.")
    else:
        yield from _share_problems(rungs)
        yield from _price_problems(spec, rules)
        if (
            spec.quantity > 0
            and all(rung.share > 0 for rung in rungs)
            and (text := ladder_misfit(spec, rules))
        ):
            yield RuleBroken("rungs", text, Refusal.TOO_SMALL)


def _share_problems(rungs: tuple[Rung, ...]) -> Iterable[RuleBroken]:
    if any(rung.share <= 0 for rung in rungs):
        yield _broken("The share of a rung must be greater than zero.")
        return
    total = sum((rung.share for rung in rungs), ZERO)
    if total != WHOLE:
        last = rungs[-1].share + WHOLE - total
        nearest = f": with the last at {plain(last)} % they would" if last > 0 else ""
        yield _broken(f"The shares of the rungs must come to 100 %, not {plain(total)} %{nearest}.")


def _price_problems(spec: Spec, rules: Rules) -> Iterable[RuleBroken]:
    """Each rung lies further from the market than the one before it, on the tick."""
    long, before = spec.side is Side.BUY, None
    for rung in spec.rungs:
        price, tick = rung.price, rules.tick_size
        if not on_grid(price, tick):
            assert tick is not None
            near = entry_to_tick(price, tick=tick, side=spec.side)
            yield _broken(
                f"The price of rung {rung.number}, {plain(price)}, is not a whole number of ticks of {plain(tick)}: use "
                f"{plain(near)}.",
                refusal=Refusal.BAD_STEP,
            )
            return
        if price <= 0 or price < (rules.price_min or ZERO) or (rules.price_max and price > rules.price_max):
            most = f" and at most {plain(rules.price_max)}" if rules.price_max else ""
            yield _broken(
                f"The exchange takes no order at {plain(price)} (rung {rung.number}): at least "
                f"{plain(rules.price_min or tick or ZERO)}{most}.",
                refusal=Refusal.PRICE_OUT_OF_RANGE,
            )
            return
        if before is not None and (price >= before if long else price <= before):
            near = before - (tick or ZERO) if long else before + (tick or ZERO)
            yield _broken(
                f"Rung {rung.number} at {plain(price)} must lie {'below' if long else 'above'} the one before it, "
                f"{plain(before)}: name the nearest to the market first; {plain(near)} is the nearest valid price."
            )
            return
        before = price


def _divided(quantity: Decimal, rungs: tuple[Rung, ...], step: Decimal | None) -> tuple[Decimal, ...]:
    parts = [quantity * rung.share / WHOLE for rung in rungs[:-1]]
    if step:
        parts = [quantity_down(part, step=step) for part in parts]
    return (*parts, quantity - sum(parts, ZERO))


def _broken(sentence: str, field: str = "rungs", refusal: Refusal | None = None) -> RuleBroken:
    return RuleBroken(field, sentence, refusal)

"""May this trio be placed? The exchange's own rules, each with a sentence an operator can act on.

Each broken rule says what the exchange would have answered; asking here first keeps the market untouched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.refusals import Refusal
from exchange.types import ZERO, LeverageBracket, OrderType, PositionMode, PositionSide, Side
from orders.domain.enums import Protection
from orders.domain.errors import RuleBroken
from orders.domain.fitting import orders_needed
from orders.domain.ladder import ladder_problems
from orders.domain.rounding import entry_to_tick, on_grid, plain, quantity_down, quantity_up, to_grid
from orders.domain.shares import part_targets_problems
from orders.domain.snapshot import Rules, Spec

TAKER_FEE = Decimal("0.0005")  # of the notional: what accounts without a discount pay
MARKET_MARGIN = Decimal("1.02")  # a MARKET order's notional is judged at about the mark price


@dataclass(frozen=True, slots=True)
class Market:
    """What the market and the account look like while planning. ``None``: not known."""

    mark_price: Decimal | None = None
    leverage: int | None = None
    isolated: bool = False
    wallet: Decimal | None = None
    brackets: Sequence[LeverageBracket] = ()
    available: Decimal | None = None  # margin that is free, as the exchange shows it
    promised: Decimal = ZERO  # of that, to trios whose entries the exchange does not know yet
    margin_asset: str = ""
    portfolio: bool = False  # all assets carry all positions: multi-assets mode


def check(spec: Spec, rules: Rules, market: Market) -> None:
    """Raise RuleBroken with the first rule that ``spec`` breaks."""
    for problem in problems(spec, rules, market):
        raise problem


def problems(spec: Spec, rules: Rules, market: Market) -> Iterable[RuleBroken]:
    """Yield every broken rule, in the order in which a person would correct them."""
    if not rules.trading:
        yield RuleBroken(
            "symbol",
            f"{rules.symbol} is not trading now (status {rules.status}). Choose another symbol.",
            Refusal.SYMBOL_CLOSED,
        )
        return
    if rules.orders_max is not None and rules.orders_max < orders_needed(spec):
        yield RuleBroken(
            "symbol",
            f"{rules.symbol} takes {rules.orders_max} open orders of an account at most, and a trio like this needs room for "
            f"{orders_needed(spec)}{' (an entry that rests, and an exit beside it)' if spec.rests else ''}. Choose another symbol.",
            Refusal.TOO_MANY_OPEN,
        )
        return
    yield from _sides(spec)
    yield from _quantity(spec, rules)
    yield from _prices(spec, rules)
    yield from ladder_problems(spec, rules)
    yield from _levels(spec, market)
    yield from part_targets_problems(spec, rules, market.mark_price)
    yield from _market(spec, rules, market)
    yield from _margin(spec, market)


def _sides(spec: Spec) -> Iterable[RuleBroken]:
    if spec.mode is PositionMode.HEDGE:
        wanted = PositionSide.LONG if spec.side is Side.BUY else PositionSide.SHORT
        if spec.position_side is not wanted:
            yield RuleBroken(
                "position_side",
                f"The account is in hedge mode: a {spec.side} entry opens {wanted}, "
                f"so position side must be {wanted}, not {spec.position_side}.",
                Refusal.POSITION_MODE,
            )
    elif spec.position_side is not PositionSide.BOTH:
        yield RuleBroken(
            "position_side",
            f"The account is in one-way mode: position side must be BOTH, not {spec.position_side}.",
            Refusal.POSITION_MODE,
        )
    if (spec.stop_loss is None) != (spec.take_profit is None):
        missing = "stop_loss" if spec.stop_loss is None else "take_profit"
        yield RuleBroken(missing, "A trio needs both a stop-loss and a take-profit.")


def _quantity(spec: Spec, rules: Rules) -> Iterable[RuleBroken]:
    quantity, step = spec.quantity, max(rules.step_size or ZERO, rules.market_step_size or ZERO)
    least = max(
        rules.quantity_min or ZERO, rules.market_quantity_min or ZERO
    )  # it must be able to exit in one market order
    most = min(rules.market_quantity_max or Decimal("Infinity"), rules.quantity_max or Decimal("Infinity"))
    if quantity <= 0:
        yield RuleBroken("quantity", "The quantity must be greater than zero.", Refusal.TOO_SMALL)
    elif not on_grid(quantity, step) or not on_grid(quantity, rules.market_step_size):
        lower, upper = quantity_down(quantity, step=step), quantity_up(quantity, step=step)
        yield RuleBroken(
            "quantity",
            f"Quantity {plain(quantity)} is not a whole number of steps of {plain(step)}: "
            f"use {plain(lower) if lower > 0 else plain(upper)} or {plain(upper if lower > 0 else upper + step)}.",
            Refusal.BAD_STEP,
        )
    elif quantity < least:
        yield RuleBroken(
            "quantity",
            f"Quantity {plain(quantity)} is below the minimum of {plain(least)} for {rules.symbol}.",
            Refusal.TOO_SMALL,
        )
    elif quantity > most:
        yield RuleBroken(
            "quantity",
            f"Quantity {plain(quantity)} is above {plain(most)}, the most that {rules.symbol} allows "
            "in one market order; a trio must be able to exit in one.",
            Refusal.TOO_LARGE,
        )


def _prices(spec: Spec, rules: Rules) -> Iterable[RuleBroken]:
    kind = spec.entry_type
    yield from _entry_terms(spec)
    priced = [("price", "entry price", spec.price)] if kind.has_price else []
    priced += [("trigger_price", "trigger price", spec.trigger_price)] if kind.is_conditional else []
    priced += [("stop_loss", "stop-loss", spec.stop_loss), ("take_profit", "take-profit", spec.take_profit)]
    for field, name, price in priced:
        if price is None:
            continue
        if price <= 0:
            yield RuleBroken(field, f"The {name} must be greater than zero.", Refusal.PRICE_OUT_OF_RANGE)
        elif not on_grid(price, rules.tick_size):
            assert rules.tick_size is not None
            lower = entry_to_tick(price, tick=rules.tick_size, side=Side.BUY)
            yield RuleBroken(
                field,
                f"The {name} {plain(price)} is not a whole number of ticks of {plain(rules.tick_size)}: "
                f"use {plain(lower)} or {plain(lower + rules.tick_size)}.",
                Refusal.BAD_STEP,
            )
        elif rules.price_min is not None and price < rules.price_min:
            yield RuleBroken(
                field,
                f"The {name} {plain(price)} is below the lowest price {plain(rules.price_min)}.",
                Refusal.PRICE_OUT_OF_RANGE,
            )
        elif rules.price_max is not None and price > rules.price_max:
            yield RuleBroken(
                field,
                f"The {name} {plain(price)} is above the highest price {plain(rules.price_max)}.",
                Refusal.PRICE_OUT_OF_RANGE,
            )


def _entry_terms(spec: Spec) -> Iterable[RuleBroken]:
    """What each kind of entry must have, and what it must not."""
    kind = spec.entry_type
    if kind.has_price and spec.price is None:
        yield RuleBroken("price", f"A {kind} entry needs a price.")
    if not kind.has_price and spec.price is not None:
        other = "STOP" if kind.is_conditional else "LIMIT"
        yield RuleBroken("price", f"A {kind} entry takes no price: leave it empty, or choose {other}.")
    if kind.is_conditional and spec.trigger_price is None:
        yield RuleBroken("trigger_price", f"A {kind} entry needs a trigger price.")
    if not kind.is_conditional and spec.trigger_price is not None:
        other = "STOP" if kind.has_price else "STOP_MARKET"
        yield RuleBroken(
            "trigger_price", f"A {kind} entry takes no trigger price: leave it empty, or choose {other}."
        )


def _levels(spec: Spec, market: Market) -> Iterable[RuleBroken]:
    stop, target = spec.stop_loss, spec.take_profit
    if stop is None or target is None:
        return
    long = spec.side is Side.BUY
    below, above = ("below", "above") if long else ("above", "below")
    references = [(name, price, False) for name, price in spec.entry_prices]
    if market.mark_price is not None and _stop_meets_mark(spec):
        references.append(("mark price", market.mark_price, True))
    armed = spec.entry_type.is_conditional
    until = (
        " while it waits beside the entry (PRE_ARMED). With ON_FIRST_FILL it goes out when the entry fills"
    )
    for name, reference, is_mark in references:
        if stop == reference:
            yield RuleBroken("stop_loss", f"The stop-loss lies exactly on the {name} {plain(reference)}.")
        elif (stop > reference) == long:
            yield RuleBroken(
                "stop_loss",
                f"The stop-loss {plain(stop)} is on the wrong side: for a {spec.side} entry it must lie "
                f"{below} the {name} {plain(reference)}{until if is_mark and armed else ''}.",
                Refusal.LEVEL_PASSED,
            )
        if is_mark and spec.rests:
            continue  # a target between the market and a resting entry is sound: it goes on first fill
        if target == reference:
            yield RuleBroken("take_profit", f"The take-profit lies exactly on the {name} {plain(reference)}.")
        elif (target < reference) == long:
            yield RuleBroken(
                "take_profit",
                f"The take-profit {plain(target)} is on the wrong side: for a {spec.side} entry it must lie "
                f"{above} the {name} {plain(reference)}.",
            )
    price = spec.entry_price if spec.rests else market.mark_price
    liquidation = liquidation_price(spec, market, price)
    if liquidation is not None and (stop <= liquidation if long else stop >= liquidation):
        over = ", estimated over the whole portfolio (multi-assets mode)" if market.portfolio else ""
        yield RuleBroken(
            "stop_loss",
            f"The stop-loss {plain(stop)} lies beyond the estimated liquidation price "
            f"{plain(liquidation.quantize(Decimal('1E-8')))} at {market.leverage}x{over}: the position would be "
            "liquidated first. Move the stop closer, or lower the leverage.",
        )


def _stop_meets_mark(spec: Spec) -> bool:
    """Is the stop judged by today's mark price? One that goes out with a triggered entry is judged by the price then."""
    return not spec.entry_type.is_conditional or spec.protection is Protection.PRE_ARMED


def _trigger(spec: Spec, rules: Rules, mark: Decimal | None) -> Iterable[RuleBroken]:
    """A stop entry waits above the market to buy, below it to sell; its limit lies within the band around its trigger."""
    trigger, tick = spec.trigger_price, rules.tick_size
    if not spec.entry_type.is_conditional or trigger is None:
        return
    buys = spec.side is Side.BUY
    if mark is not None and (trigger <= mark if buys else trigger >= mark):
        side = "above" if buys else "below"
        near = trigger_next_to(mark, tick, side=spec.side) if tick else None
        nearest = "" if near is None else f": {plain(near)} is the nearest valid trigger price"
        yield RuleBroken(
            "trigger_price",
            f"The trigger price {plain(trigger)} has been reached already. A stop entry to {spec.side} waits {side} the mark "
            f"price {plain(mark)}{nearest}.",
            Refusal.LEVEL_PASSED,
        )
    price = spec.price if spec.entry_type.has_price else None
    if price is None or not tick:
        return
    if buys and rules.multiplier_up and price > trigger * rules.multiplier_up:
        edge = entry_to_tick(trigger * rules.multiplier_up, tick=tick, side=Side.BUY)
        word, most = "above", "at most"
    elif not buys and rules.multiplier_down and price < trigger * rules.multiplier_down:
        edge = entry_to_tick(trigger * rules.multiplier_down, tick=tick, side=Side.SELL)
        word, most = "below", "at least"
    else:
        return
    yield RuleBroken(
        "price",
        f"Price {plain(price)} is too far {word} the trigger price {plain(trigger)}: the exchange accepts {most} "
        f"{plain(edge)}.",
        Refusal.PRICE_OUT_OF_RANGE,
    )


def trigger_next_to(mark: Decimal, tick: Decimal, *, side: Side) -> Decimal:
    """Return the first trigger price of a stop entry that this mark price has not reached."""
    if side is Side.BUY:
        return to_grid(mark, tick, ROUND_FLOOR) + tick
    return to_grid(mark, tick, ROUND_CEILING) - tick


def _market(spec: Spec, rules: Rules, market: Market) -> Iterable[RuleBroken]:
    mark = market.mark_price
    yield from _trigger(spec, rules, mark)
    limit = spec.entry_type is OrderType.LIMIT
    if limit and spec.price is not None and mark is not None:
        if spec.side is Side.BUY and rules.multiplier_up and spec.price > mark * rules.multiplier_up:
            highest = entry_to_tick(mark * rules.multiplier_up, tick=rules.tick_size or ZERO, side=Side.BUY)
            yield RuleBroken(
                "price",
                f"Price {plain(spec.price)} is too far above the mark price {plain(mark)}: "
                f"the exchange accepts at most {plain(highest)}.",
                Refusal.PRICE_OUT_OF_RANGE,
            )
        if spec.side is Side.SELL and rules.multiplier_down and spec.price < mark * rules.multiplier_down:
            lowest = entry_to_tick(mark * rules.multiplier_down, tick=rules.tick_size or ZERO, side=Side.SELL)
            yield RuleBroken(
                "price",
                f"Price {plain(spec.price)} is too far below the mark price {plain(mark)}: "
                f"the exchange accepts at least {plain(lowest)}.",
                Refusal.PRICE_OUT_OF_RANGE,
            )
    least = smallest_quantity(spec, rules, mark)
    if least is not None and spec.quantity > 0 and spec.quantity < least:
        notional = rules.notional_min or ZERO
        yield RuleBroken(
            "quantity",
            f"The order is too small: {rules.symbol} wants a notional of at least {plain(notional)}, "
            f"so the quantity must be at least {plain(least)}.",
            Refusal.TOO_SMALL,
        )


def _margin(spec: Spec, market: Market) -> Iterable[RuleBroken]:
    needed = margin_needed(spec, market)
    if needed is None or market.available is None:
        return
    free = market.available - market.promised
    if needed > free:
        promised = (
            f" ({_money(market.promised)} more are promised to trios on their way)" if market.promised else ""
        )
        yield RuleBroken(
            "quantity",
            f"It would need {_money(needed)} {market.margin_asset} of margin and fees, but only "
            f"{_money(max(ZERO, free))} {market.margin_asset} are free{promised}. Lower the quantity, or add funds.",
            Refusal.MARGIN,
        )


def margin_needed(spec: Spec, market: Market) -> Decimal | None:
    """Return what the entry takes of the free margin: its initial margin, and its fee as a taker; None: not known."""
    margin, price = initial_margin(spec, market), spec.worst_price(market.mark_price)
    return None if margin is None or price is None else margin + price * spec.quantity * TAKER_FEE


def initial_margin(spec: Spec, market: Market) -> Decimal | None:
    """Return what the exchange binds of the margin for the position; None: not known.

    The exchange takes a limit price as it is, but a sale never below the mark price, and a market order at about
    that; of a stop entry it asks for nothing before the trigger. Without a known leverage the whole notional counts.
    """
    price = spec.worst_price(market.mark_price)
    return None if price is None else price * spec.quantity / (market.leverage or 1)


def _money(value: Decimal) -> str:
    """Return an amount of money as people read it: to the cent where it is more than that."""
    return plain(value.quantize(Decimal("0.01"))) if value >= 1 else plain(value.quantize(Decimal("1E-8")))


def smallest_quantity(spec: Spec, rules: Rules, mark_price: Decimal | None) -> Decimal | None:
    """Return the least quantity that satisfies minimum, step and notional; ``None`` when not knowable."""
    price = spec.entry_price if spec.rests else mark_price
    least = max(rules.quantity_min or ZERO, rules.market_quantity_min or ZERO)
    step = rules.step_size or least
    if rules.notional_min and price:
        margin = Decimal(1) if spec.entry_type.has_price else MARKET_MARGIN
        least = max(least, rules.notional_min * margin / price)
    elif rules.notional_min:
        return None
    return quantity_up(least, step=step) if step > 0 else least


def liquidation_price(spec: Spec, market: Market, price: Decimal | None) -> Decimal | None:
    """Estimate where the position would be liquidated; ``None`` when too little is known.

    Isolated: the initial margin carries it alone. Crossed: the whole wallet does. Fees are left out.
    """
    if price is None or not market.leverage or not market.brackets or price <= 0 or spec.quantity <= 0:
        return None
    notional = price * spec.quantity
    bracket = next((b for b in market.brackets if notional <= b.cap), market.brackets[-1])
    margin = notional / market.leverage
    if not market.isolated:
        if market.wallet is None:
            return None
        margin = max(margin, market.wallet)
    rate, amount, quantity = bracket.maintenance_rate, bracket.maintenance_amount, spec.quantity
    if spec.side is Side.BUY:
        level = (notional - margin - amount) / (quantity * (1 - rate))
        return max(level, ZERO)
    return (notional + margin + amount) / (quantity * (1 + rate))

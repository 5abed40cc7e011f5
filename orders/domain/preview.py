"""What a ticket comes to before it is placed: legs on the grid, money at each level, room left, what will be sent. Pure.

Money is in the margin asset, prices and quantities have the symbol's own decimals. ``None`` means not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.rate_limits import CONDITIONALS_MAX
from exchange.types import ZERO, OrderType, PositionMode, Side
from orders.domain.decision.transitions import CONDITIONALS_KEPT_FREE
from orders.domain.enums import Protection
from orders.domain.fitting import fitted, lot_of
from orders.domain.ladder import rung_quantities
from orders.domain.level_moves import break_even_level
from orders.domain.limits import Entry, Limits, Usage
from orders.domain.rounding import plain, quantity_down, to_grid
from orders.domain.shares import last_share, notional_judged, part_quantities, part_targets_problems
from orders.domain.sizing import loss_per_unit
from orders.domain.snapshot import Rules, Spec
from orders.domain.understood import own
from orders.domain.validation import TAKER_FEE, Market, initial_margin, liquidation_price, margin_needed

HUNDREDTH: Final = Decimal("0.01")
MONEY: Final = Decimal("1E-8")
HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Costs:
    """What executions cost. ``fee``: part of the notional, as a taker; ``slippage``: percent, each way."""

    fee: Decimal = TAKER_FEE
    slippage: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Outcome:
    """What comes of the position, or of ``quantity`` of it, when it is closed at ``level``.

    ``gross``: before fees and slippage; ``fees``: of its share of the entry and of the exit; ``net``: what is left of both.
    ``percent``: net in percent of the equity; ``r``: net in planned risk, which is what the stop would lose of the whole.
    """

    level: Decimal
    quantity: Decimal
    gross: Decimal
    fees: Decimal
    net: Decimal
    percent: Decimal | None = None
    r: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Headroom:
    """What a limit leaves. ``takes``: of it, by this ticket; ``left``: after it, negative where it does not fit."""

    limit: str
    allowed: str
    used: str
    takes: str
    left: Decimal
    whose: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """The figures of one ticket. What depends on something that is not said or known is ``None`` or empty."""

    spec: Spec  # as it will be sent: on the tick and in whole steps
    entry: Decimal | None  # the price it is reckoned at: the limit, the trigger, or the mark price
    notional: Decimal | None = None
    margin: Decimal | None = None  # that the position binds at first
    needed: Decimal | None = None  # of the free margin, by the entry: its margin and its fee
    free: Decimal | None = None
    entry_fee: Decimal | None = None
    exit_fee: Decimal | None = None  # at the stop
    stop: Outcome | None = None
    targets: tuple[Outcome, ...] = ()  # part targets, nearest first, then the take-profit
    gain: Outcome | None = None  # of all targets together
    break_even: Decimal | None = None  # the first tick at which the whole loses nothing, fees included
    liquidation: Decimal | None = None  # estimated; zero or less: no price liquidates it
    liquidation_distance: Decimal | None = None  # from the stop, positive where the stop comes first
    triggers_at_once: bool | None = None
    legs_left: int | None = None  # of the account's conditional orders, after this one's
    headroom: tuple[Headroom, ...] = ()
    orders: tuple[str, ...] = ()


def on_the_grid(spec: Spec, rules: Rules) -> Spec:
    """Return a ticket as it would be sent: prices on the tick towards safety, the quantity rounded down."""
    fit = fitted(spec, rules)
    steps = [step for step in (rules.step_size, rules.market_step_size) if step]
    quantity = quantity_down(fit.quantity, step=max(steps)) if steps else fit.quantity
    return replace(fit, quantity=quantity)


def preview(
    spec: Spec,
    rules: Rules,
    market: Market,
    *,
    costs: Costs | None = None,
    equity: Decimal | None = None,
    conditionals: tuple[int, int] | None = None,
    limited: Iterable[tuple[Limits, Usage]] = (),
) -> Preview:
    """Return what a ticket comes to. A quantity of zero, or a level of ``None``: not said yet.

    ``conditionals``: how many conditional orders the account's trios have or may come to have, and others'. ``limited``: the
    limits that apply, with what is used of them.
    """
    costs = costs or Costs()
    spec = on_the_grid(spec, rules)
    entry = spec.entry_price if spec.rests else market.mark_price
    if entry is not None and spec.rungs:
        entry = entry.quantize(MONEY)
    found = Preview(
        spec=spec,
        entry=entry,
        free=None if market.available is None else market.available - market.promised,
        triggers_at_once=_triggers_at_once(spec, market),
        legs_left=_legs_left(spec, conditionals),
        orders=tuple(orders_in_words(spec, rules)),
    )
    if entry is None or entry <= 0 or spec.quantity <= 0:
        return found
    tick = rules.tick_size or Decimal("1E-16")
    worse = costs.slippage / HUNDRED
    stop = _stop(spec, entry, costs, equity=equity)
    risk = None if stop is None or stop.net >= 0 else -stop.net
    margin, needed = initial_margin(spec, market), margin_needed(spec, market)
    targets = tuple(_targets(spec, rules, market, entry, costs, equity=equity, risk=risk))
    liquidation = liquidation_price(spec, market, entry)
    if liquidation is not None:
        nearer = ROUND_CEILING if spec.side is Side.BUY else ROUND_FLOOR
        liquidation = to_grid(liquidation, tick, nearer)
    return replace(
        found,
        notional=_money(spec.quantity * entry),
        margin=None if margin is None else _money(margin),
        needed=None if needed is None else _money(needed),
        entry_fee=_money(spec.quantity * entry * (1 + worse) * costs.fee),
        exit_fee=None if stop is None else _money(spec.quantity * stop.level * (1 - worse) * costs.fee),
        stop=stop,
        targets=targets,
        gain=_together(targets) if len(targets) > 1 else None,
        break_even=break_even_level(spec.side, entry, fee_each=entry * costs.fee, tick=tick),
        liquidation=liquidation,
        liquidation_distance=_distance(spec, liquidation),
        headroom=tuple(_headroom(spec, rules, market, limited)),
    )


# --- money at each level --------------------------------------------------------------------------


def _stop(spec: Spec, entry: Decimal, costs: Costs, *, equity: Decimal | None) -> Outcome | None:
    if spec.stop_loss is None:
        return None
    found = _outcome(spec, spec.stop_loss, spec.quantity, entry, costs, equity=equity, risk=None)
    return replace(found, r=Decimal("-1.00")) if found.net < 0 else found


def _targets(
    spec: Spec,
    rules: Rules,
    market: Market,
    entry: Decimal,
    costs: Costs,
    *,
    equity: Decimal | None,
    risk: Decimal | None,
) -> Iterable[Outcome]:
    """Each part target takes its share of the position, the take-profit what they leave."""
    if spec.take_profit is None:
        return
    left = spec.quantity
    if spec.part_targets and not any(part_targets_problems(spec, rules, market.mark_price)):
        shares = part_quantities(
            left,
            spec.part_targets,
            last=last_share(spec.part_targets),
            lot=lot_of(rules, OrderType.TAKE_PROFIT_MARKET),
            notional_min=notional_judged(spec, rules),
        )
        for part in spec.part_targets:
            quantity = shares[part.number]
            left -= quantity
            yield _outcome(spec, part.level, quantity, entry, costs, equity=equity, risk=risk)
    yield _outcome(spec, spec.take_profit, left, entry, costs, equity=equity, risk=risk)


def _outcome(
    spec: Spec,
    level: Decimal,
    quantity: Decimal,
    entry: Decimal,
    costs: Costs,
    *,
    equity: Decimal | None,
    risk: Decimal | None,
) -> Outcome:
    toward = 1 if spec.side is Side.BUY else -1
    net = -quantity * loss_per_unit(entry, level, side=spec.side, fee=costs.fee, slippage=costs.slippage)
    worse = toward * costs.slippage / HUNDRED
    return Outcome(
        level=level,
        quantity=quantity,
        gross=_money(toward * quantity * (level - entry)),
        fees=_money(quantity * costs.fee * (entry * (1 + worse) + level * (1 - worse))),
        net=_money(net),
        percent=None if not equity or equity <= 0 else (net / equity * HUNDRED).quantize(HUNDREDTH),
        r=None if not risk else (net / risk).quantize(HUNDREDTH),
    )


def _together(targets: Sequence[Outcome]) -> Outcome:
    last = targets[-1]

    def total(name: str) -> Decimal | None:
        values = [getattr(target, name) for target in targets]
        return None if None in values else sum(values, ZERO)

    return Outcome(
        level=last.level,
        quantity=total("quantity") or ZERO,
        gross=total("gross") or ZERO,
        fees=total("fees") or ZERO,
        net=total("net") or ZERO,
        percent=total("percent"),
        r=total("r"),
    )


# --- what stands in the way, and what is left -------------------------------------------------------


def stop_judged_at(spec: Spec, market: Market) -> Decimal | None:
    """Return the mark price at which the exchange judges the stop: today's, or a stop entry's trigger where it goes out then."""
    waits = spec.entry_type.is_conditional and spec.protection is Protection.ON_FIRST_FILL
    return spec.trigger_price if waits else market.mark_price


def _triggers_at_once(spec: Spec, market: Market) -> bool | None:
    mark = stop_judged_at(spec, market)
    if spec.stop_loss is None or mark is None:
        return None
    return spec.stop_loss >= mark if spec.side is Side.BUY else spec.stop_loss <= mark


def _legs_left(spec: Spec, conditionals: tuple[int, int] | None) -> int | None:
    """Return how many conditional orders others may still have on the account; those kept for protection left out."""
    if conditionals is None:
        return None
    return CONDITIONALS_MAX - CONDITIONALS_KEPT_FREE - sum(conditionals) - spec.legs_wanted


def _distance(spec: Spec, liquidation: Decimal | None) -> Decimal | None:
    if liquidation is None or spec.stop_loss is None:
        return None
    away = spec.stop_loss - liquidation
    return away if spec.side is Side.BUY else -away


def _headroom(
    spec: Spec, rules: Rules, market: Market, limited: Iterable[tuple[Limits, Usage]]
) -> Iterable[Headroom]:
    entry = Entry(
        rules.symbol,
        spec.side,
        spec.quantity,
        spec.entry_type,
        spec.price,
        market.mark_price,
        trigger=spec.trigger_price,
        worst=spec.worst_price(market.mark_price) if spec.rungs else None,
        farthest=spec.rungs[-1].price if spec.rungs else None,
    )
    notional = entry.notional
    for limits, usage in limited:
        whose = limits.source or limits.account
        if limits.notional_order is not None and notional is not None:
            yield _room("order notional", limits.notional_order, ZERO, notional, whose)
        if limits.notional_open is not None and notional is not None:
            yield _room("open notional", limits.notional_open, usage.notional_open, notional, whose)
        if limits.trios_open is not None:
            yield _counted("open trios", limits.trios_open, usage.trios_open, whose)
        if limits.orders_minute is not None:
            yield _counted("entries per minute", limits.orders_minute, usage.begun_minute, whose)
        if limits.daily_loss is not None:
            yield _room("daily loss (UTC)", limits.daily_loss, max(ZERO, -usage.day_result), ZERO, whose)


def _room(name: str, allowed: Decimal, used: Decimal, takes: Decimal, whose: str) -> Headroom:
    return Headroom(
        name,
        _cents(allowed),
        _cents(used),
        _cents(takes),
        (allowed - used - takes).quantize(HUNDREDTH),
        whose,
    )


def _counted(name: str, allowed: int, used: int, whose: str) -> Headroom:
    return Headroom(name, str(allowed), str(used), "1", Decimal(allowed - used - 1), whose)


# --- what will be sent --------------------------------------------------------------------------------


def orders_in_words(spec: Spec, rules: Rules) -> Iterable[str]:
    """Yield what goes to the exchange, in its order. Nothing while quantity or levels are not said."""
    if spec.quantity <= 0 or spec.stop_loss is None or spec.take_profit is None:
        return
    armed = spec.protection is Protection.PRE_ARMED
    rests = spec.rests
    if armed:
        yield _leg(spec, rules, stop=True, whole=False) + ", before the entry"
        if not rests:
            yield _leg(spec, rules, stop=False, whole=False) + ", before the entry"
    yield from _entry_words(spec, rules)
    first = ", with the first fill"
    if not armed:
        yield _leg(spec, rules, stop=True, whole=True) + first
    elif spec.part_targets:
        yield _leg(spec, rules, stop=True, whole=True) + ", once it is filled, in place of the first"
    if not armed or rests or spec.part_targets:
        yield _leg(spec, rules, stop=False, whole=True) + (first if not spec.part_targets else ", then")
    lot, least = lot_of(rules, OrderType.TAKE_PROFIT_MARKET), notional_judged(spec, rules)
    if spec.part_targets and last_share(spec.part_targets) > 0:
        shares = part_quantities(
            spec.quantity, spec.part_targets, last=last_share(spec.part_targets), lot=lot, notional_min=least
        )
        for part in spec.part_targets:
            if quantity := shares[part.number]:
                yield (
                    f"Part target: {spec.exit_side} {own(quantity, rules.step_size)} {rules.symbol} take-profit at market, "
                    f"trigger {own(part.level, rules.tick_size)} (last price){_reduces(spec)}, then"
                )


def _entry_words(spec: Spec, rules: Rules) -> Iterable[str]:
    if spec.rungs:
        for rung, quantity in zip(spec.rungs, rung_quantities(spec, rules), strict=True):
            yield (
                f"Entry, rung {rung.number}: {spec.side} {own(quantity, rules.step_size)} {rules.symbol} limit "
                f"{own(rung.price, rules.tick_size)} {spec.time_in_force}{_position_side(spec)}"
            )
        return
    at = "at market"
    if spec.entry_type.has_price and spec.price is not None:
        at = f"limit {own(spec.price, rules.tick_size)} {spec.time_in_force}"
    if spec.entry_type.is_conditional and spec.trigger_price is not None:
        at = f"stop {at}, trigger {own(spec.trigger_price, rules.tick_size)} (mark price)"
    yield (
        f"Entry: {spec.side} {own(spec.quantity, rules.step_size)} {rules.symbol} {at}{_position_side(spec)}"
    )


def _leg(spec: Spec, rules: Rules, *, stop: bool, whole: bool) -> str:
    name, kind, watches = (
        ("Stop-loss", "stop at market", "mark price")
        if stop
        else ("Take-profit", "take-profit at market", "last price")
    )
    level = spec.stop_loss if stop else spec.take_profit
    assert level is not None
    what = "whole position (closePosition)" if whole else own(spec.quantity, rules.step_size)
    end = _position_side(spec) if whole else _reduces(spec)
    return (
        f"{name}: {spec.exit_side} {what} {rules.symbol} {kind}, trigger {own(level, rules.tick_size)} "
        f"({watches}){end}"
    )


def _reduces(spec: Spec) -> str:
    return ", reduce-only" if spec.mode is PositionMode.ONE_WAY else _position_side(spec)


def _position_side(spec: Spec) -> str:
    return "" if spec.mode is PositionMode.ONE_WAY else f", {spec.position_side}"


# --- numbers ------------------------------------------------------------------------------------------


def _money(value: Decimal) -> Decimal:
    return value.quantize(MONEY)


def _cents(value: Decimal) -> str:
    return plain(value.quantize(HUNDREDTH))

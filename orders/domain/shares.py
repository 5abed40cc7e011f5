"""How a position is divided among its targets. Pure.

Shares divide what remains of the position among the targets that are not spent, in proportion. Each part is rounded
down to the step; the last target takes whatever the parts leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final

from exchange.types import ZERO, OrderType, PositionMode, Side
from orders.domain.errors import RuleBroken
from orders.domain.fitting import Lot, lot_of
from orders.domain.rounding import TINY, on_grid, plain, quantity_down, quantity_up
from orders.domain.snapshot import PartTarget, Rules, Spec

WHOLE: Final = Decimal(100)
PARTS_MAX: Final = 4  # beside the take-profit: five targets


def last_share(targets: Iterable[PartTarget]) -> Decimal:
    """Return the share of the take-profit, in percent of the whole: what the part targets leave."""
    return WHOLE - sum((target.share for target in targets), ZERO)


def part_quantities(
    left: Decimal, targets: Sequence[PartTarget], *, last: Decimal, lot: Lot, notional_min: Decimal | None
) -> dict[int, Decimal]:
    """Return the quantity of each part target by its number; 0 where it is too small and its share goes to the next.

    ``left``: what remains of the position. ``targets``: those that are not spent, nearest first. ``last``: the share of the
    take-profit. ``notional_min``: the least an order may be worth, where that is judged.
    """
    total = last + sum((target.share for target in targets), ZERO)
    quantities: dict[int, Decimal] = {}
    carried = ZERO
    for target in targets:
        share = target.share + carried
        quantity = min(_down(left * share / total, lot), lot.largest)
        too_small = quantity < lot.smallest or (
            notional_min is not None and quantity * target.level < notional_min
        )
        carried = share if too_small else ZERO
        quantities[target.number] = ZERO if too_small or quantity <= 0 else quantity
    return quantities


def notional_judged(spec: Spec, rules: Rules) -> Decimal | None:
    """Return the least notional of an order that reduces: judged in hedge mode, where none can say that it only reduces."""
    return rules.notional_min if spec.mode is PositionMode.HEDGE else None


def part_targets_problems(spec: Spec, rules: Rules, mark: Decimal | None) -> Iterable[RuleBroken]:
    """Yield what is wrong with the part targets of a trio that is to be placed. ``mark``: the mark price, where known."""
    parts = spec.part_targets
    if not parts:
        return
    if spec.take_profit is None:
        yield _broken("Part targets need a take-profit, which takes what they leave.")
        return
    if len(parts) > PARTS_MAX:
        yield _broken(f"At most {PARTS_MAX} part targets beside the take-profit, not {len(parts)}.")
        return
    if any(part.share <= 0 for part in parts):
        yield _broken("The share of a part target must be greater than zero.")
        return
    last = last_share(parts)
    if last <= 0:
        yield _broken(
            f"The shares come to {plain(WHOLE - last)} %, which leaves nothing for the take-profit: they must come to less "
            "than 100 %."
        )
        return
    yield from _level_problems(spec, rules, mark)
    yield from _rung_problems(spec, rules, last=last)


def _level_problems(spec: Spec, rules: Rules, mark: Decimal | None) -> Iterable[RuleBroken]:
    """Part targets lie between the entry and the take-profit, in the order in which the price meets them."""
    assert spec.take_profit is not None
    long = spec.side is Side.BUY
    toward = "above" if long else "below"
    farthest = max if long else min
    named = [(price, f"the {what}") for what, price in spec.entry_prices]
    before, name = farthest(named) if named else (None if spec.rests else mark, "the mark price")
    before, name = (spec.stop_loss, "the stop-loss") if before is None else (before, name)
    for part in spec.part_targets:
        level = part.level
        if not on_grid(level, rules.tick_size):
            assert rules.tick_size is not None
            lower = quantity_down(level, step=rules.tick_size)
            near = lower if long else lower + rules.tick_size
            yield _broken(
                f"The part target {plain(level)} is not a whole number of ticks of {plain(rules.tick_size)}: use {plain(near)}."
            )
            return
        if before is not None and (level <= before if long else level >= before):
            yield _broken(
                f"The part target {plain(level)} must lie {toward} {name} {plain(before)}: name the nearest first."
            )
            return
        if level >= spec.take_profit if long else level <= spec.take_profit:
            yield _broken(
                f"The part target {plain(level)} must lie before the take-profit {plain(spec.take_profit)}, which takes what is "
                "left."
            )
            return
        before, name = level, "the part target before it,"


def _rung_problems(spec: Spec, rules: Rules, *, last: Decimal) -> Iterable[RuleBroken]:
    lot, least = lot_of(rules, OrderType.TAKE_PROFIT_MARKET), notional_judged(spec, rules)
    for part in spec.part_targets:
        quantity = _down(spec.quantity * part.share / WHOLE, lot)
        smallest = lot.smallest
        if least is not None:
            smallest = max(smallest, quantity_up(least / part.level, step=lot.step or TINY))
        if quantity < smallest:
            share = (
                (smallest / spec.quantity * WHOLE).quantize(Decimal("0.01"), ROUND_CEILING)
                if spec.quantity
                else ZERO
            )
            yield _broken(
                f"{plain(part.share)} % of {plain(spec.quantity)} at {plain(part.level)} is {plain(quantity)}, less than the "
                f"exchange takes in one order ({plain(smallest)}): at least {plain(share)} %, or fewer targets."
            )
            return


def _broken(sentence: str) -> RuleBroken:
    return RuleBroken("part_targets", sentence)


def _down(quantity: Decimal, lot: Lot) -> Decimal:
    return quantity_down(quantity, step=lot.step) if lot.step else quantity

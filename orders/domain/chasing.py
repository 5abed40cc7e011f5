"""An entry that follows the last price up to a bound: to which price it goes next, and what may be asked for. Pure.

It goes toward the market alone: an entry that the market comes back to fills where it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.types import Side
from orders.domain import validation
from orders.domain.entry_terms import post_only_check
from orders.domain.errors import RuleBroken
from orders.domain.rounding import entry_to_tick, on_grid, plain, to_grid
from orders.domain.snapshot import LegView, TrioSnapshot

CHANGES_MAX: Final = (
    500  # of one chase: each stays in the books for good, and what wants so many follows too closely
)


@dataclass(frozen=True, slots=True)
class ChaseTerms:
    """How an entry on ``side`` follows. Prices are in the quote asset.

    ``bound``: the most that a buyer pays, the least that a seller takes. ``distance``: behind the last price. ``step``: the
    smallest change.
    """

    side: Side
    bound: Decimal
    distance: Decimal
    step: Decimal
    tick: Decimal

    @property
    def words(self) -> str:
        """Say what is followed, and how far."""
        way = "up to" if self.side is Side.BUY else "down to"
        return (
            f"{plain(self.distance)} behind the last price, {way} {plain(self.bound)}, in changes of at least "
            f"{plain(self.step)}"
        )


def next_price(chase: ChaseTerms, *, price: Decimal, last: Decimal) -> Decimal | None:
    """Return the price to which the entry goes next; ``None``: it stays.

    Never beyond the bound, never away from the market, and nearer by the smallest change, or onto the bound.
    """
    buys = chase.side is Side.BUY
    away = -chase.distance if buys else chase.distance
    wanted = entry_to_tick(last + away, tick=chase.tick, side=chase.side)
    wanted = min(wanted, chase.bound) if buys else max(wanted, chase.bound)
    nearer = wanted - price if buys else price - wanted
    if nearer <= 0 or (nearer < chase.step and wanted != chase.bound):
        return None
    return wanted


def is_spent(changes: int) -> bool:
    """Has a chase that wished for so many changes made all that one may?"""
    return changes >= CHANGES_MAX


def chase_check(trio: TrioSnapshot, entry: LegView, chase: ChaseTerms) -> None:
    """Raise RuleBroken for terms that cannot be, with the nearest that can. ``resting_entry`` comes before."""
    for problem in (*_grid_problems(chase), *_bound_problems(trio, entry, chase)):
        raise problem


def step_check(trio: TrioSnapshot, entry: LegView, price: Decimal, *, mark: Decimal | None) -> None:
    """Raise RuleBroken when the entry may not rest at this price now: the next price decides then."""
    spec = replace(trio.spec, quantity=entry.quantity, price=price)
    validation.check(spec, trio.rules, validation.Market(mark_price=mark))
    post_only_check(spec, trio, mark)


def _grid_problems(chase: ChaseTerms) -> Iterable[RuleBroken]:
    buys, tick = chase.side is Side.BUY, chase.tick
    for field, what, value in (
        ("bound", "bound", chase.bound),
        ("distance", "distance", chase.distance),
        ("step", "smallest change", chase.step),
    ):
        if value <= 0 or not on_grid(value, tick):
            # A bound is never made wider, a distance never shorter than a tick.
            rounding = ROUND_FLOOR if field != "bound" or buys else ROUND_CEILING
            near = max(tick, to_grid(value, tick, rounding))
            yield RuleBroken(
                field, f"The {what} must be above zero, in ticks of {plain(tick)}: {plain(near)} would be."
            )


def _bound_problems(trio: TrioSnapshot, entry: LegView, chase: ChaseTerms) -> Iterable[RuleBroken]:
    buys, tick, bound = chase.side is Side.BUY, chase.tick, chase.bound
    side, one = ("above", tick) if buys else ("below", -tick)
    assert entry.price is not None  # a LIMIT entry has one
    if bound <= entry.price if buys else bound >= entry.price:
        yield RuleBroken(
            "bound",
            f"The entry rests at {plain(entry.price)} already: a bound lies {side} that, {plain(entry.price + one)} is the "
            "nearest.",
        )
    target = trio.spec.part_targets[0].level if trio.spec.part_targets else trio.spec.take_profit
    if target is not None and (bound >= target if buys else bound <= target):
        yield RuleBroken(
            "bound",
            f"The bound must lie before the first target, which is at {plain(target)}: {plain(target - one)} is the nearest.",
        )

"""A stop that follows the price at a distance: from when on, and to which level it goes next. Pure, no clock.

The best price since activation (a long's highest, a short's lowest) is all that a trail has to remember: whoever is
told the same prices, in whatever pieces, comes to the same level.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from exchange.types import CALLBACK_MAX, CALLBACK_MIN, CALLBACK_STEP, ZERO, PriceKind, Side
from orders.domain.decision.parts import executed_targets
from orders.domain.enums import Role
from orders.domain.errors import RuleBroken
from orders.domain.level_moves import MARK_AGE_MS
from orders.domain.rounding import on_grid, plain, to_grid
from orders.domain.snapshot import TrioSnapshot

PERCENT_GRID: Final = Decimal("0.0001")


class TrailUnit(enum.StrEnum):
    """How the distance of a trail is given."""

    PRICE = "PRICE"  # in the quote asset
    PERCENT = "PERCENT"  # of the best price


class FollowEnd(enum.StrEnum):
    """How the following of a price ended."""

    DONE = "DONE"  # its level was reached, and the stop was asked to move
    OFF = "OFF"  # a person ended it
    REPLACED = "REPLACED"  # by a later one
    TRIO_ENDED = "TRIO_ENDED"
    REFUSED = "REFUSED"  # the exchange took no trailing order of its own


@dataclass(frozen=True, slots=True)
class TrailTerms:
    """The terms of a trailing stop of a trio that was entered on ``side``. Prices are in the quote asset."""

    side: Side
    distance: Decimal
    tick: Decimal
    step: Decimal  # the smallest move
    unit: TrailUnit = TrailUnit.PRICE
    activation: Decimal | None = (
        None  # nothing is followed before the price has reached it; ``None``: at once
    )
    watches: PriceKind = PriceKind.MARK
    run_from: Decimal | None = None  # where the take-profit was that makes way; ``None``: it stays
    by_exchange: bool = False  # its own trailing order follows the price, not our stop

    @property
    def is_long(self) -> bool:
        return self.side is Side.BUY

    def distance_at(self, price: Decimal) -> Decimal:
        """Return the distance in the quote asset."""
        return self.distance if self.unit is TrailUnit.PRICE else price * self.distance / 100

    @property
    def words(self) -> str:
        """Say what is followed, and how."""
        what = f"{plain(self.distance)}{' %' if self.unit is TrailUnit.PERCENT else ''}"
        since = "" if self.activation is None else f", from {plain(self.activation)} on"
        price = "mark price" if self.watches is PriceKind.MARK else "last price"
        if self.by_exchange:
            return f"{what} behind the {price}{since}, by the exchange's own order"
        runs = ", and the take-profit makes way" if self.run_from is not None else ""
        return f"{what} behind the {price}{since}, in moves of at least {plain(self.step)}{runs}"


def reached(side: Side, level: Decimal, price: Decimal) -> bool:
    """Has the price come as far as this level, in the direction in which a trio of this side wins?"""
    return price >= level if side is Side.BUY else price <= level


def best_of(trail: TrailTerms, best: Decimal | None, price: Decimal) -> Decimal | None:
    """Return the best price since activation, with ``price`` the newest; ``None``: it is not active yet."""
    if best is None:
        return price if trail.activation is None or reached(trail.side, trail.activation, price) else None
    return max(best, price) if trail.is_long else min(best, price)


def level_behind(trail: TrailTerms, best: Decimal) -> Decimal:
    """Return the level a trail asks for at this best price, rounded toward safety: a long's up, a short's down."""
    away = trail.distance_at(best)
    if trail.is_long:
        return to_grid(best - away, trail.tick, ROUND_CEILING)
    return to_grid(best + away, trail.tick, ROUND_FLOOR)


def next_stop(
    trail: TrailTerms, *, best: Decimal | None, stop: Decimal, price: Decimal | None = None
) -> Decimal | None:
    """Return where the stop goes next; ``None``: it stays.

    Never looser than the present ``stop``, and better by the smallest move at least. Never beyond ``price``, by which the
    stop triggers (the mark price; ``None``: not known): where the trail's own level was passed while it could not be
    there, the stop goes to the nearest tick that would not trigger at once.
    """
    if best is None:
        return None
    level = level_behind(trail, best)
    if price is not None:
        level = _not_beyond(trail, level, price)
    gain = level - stop if trail.is_long else stop - level
    return level if level > 0 and gain > 0 and gain >= trail.step else None


def _not_beyond(trail: TrailTerms, level: Decimal, price: Decimal) -> Decimal:
    if trail.is_long:
        return min(level, to_grid(price, trail.tick, ROUND_CEILING) - trail.tick)
    return max(level, to_grid(price, trail.tick, ROUND_FLOOR) + trail.tick)


def target_is_near(trail: TrailTerms, *, best: Decimal | None, target: Decimal) -> bool:
    """Has the price come as near to the take-profit as the activation was to the first one, so that it is to make way?"""
    if trail.run_from is None or trail.activation is None or best is None:
        return False
    gap = trail.run_from - trail.activation  # negative for a short
    return reached(trail.side, target - gap, best)


def next_target(
    trail: TrailTerms, *, best: Decimal | None, target: Decimal, average: Decimal
) -> Decimal | None:
    """Return where the take-profit goes next; ``None``: it stays.

    Each time as far as the first one was from the ``average`` of the entry, until the price is not near it any more.
    """
    if not target_is_near(trail, best=best, target=target):
        return None
    assert trail.run_from is not None
    assert trail.activation is not None
    assert best is not None
    gap, reach = abs(trail.run_from - trail.activation), abs(trail.run_from - average)
    reach = max(reach, gap, trail.tick)
    if trail.is_long:
        times = (best + gap - target) // reach + 1
        return to_grid(target + times * reach, trail.tick, ROUND_CEILING)
    times = (target + gap - best) // reach + 1
    level = max(trail.tick, to_grid(target - times * reach, trail.tick, ROUND_FLOOR))
    return level if level < target else None


@dataclass(frozen=True, slots=True)
class PriceSpan:
    """The highest and the lowest price of a stretch of time that began at ``since_ts`` (exchange ms)."""

    since_ts: int
    high: Decimal
    low: Decimal

    def best_for(self, side: Side) -> Decimal:
        return self.high if side is Side.BUY else self.low


def best_in(side: Side, spans: Iterable[PriceSpan], *, since_ts: int) -> Decimal | None:
    """Return the best price of these stretches; ``None``: there is none.

    One that began before ``since_ts``, when the trail was asked for, is left out: its best price may be older.
    """
    prices = [span.best_for(side) for span in spans if span.since_ts >= since_ts]
    if not prices:
        return None
    return max(prices) if side is Side.BUY else min(prices)


# --- what may be asked for ------------------------------------------------------------------------


def trail_check(trio: TrioSnapshot, trail: TrailTerms, *, break_even: Decimal | None = None) -> None:
    """Raise RuleBroken for terms that cannot be, with the nearest that can. ``standing_check`` comes before.

    ``break_even``: where the stop loses nothing, where that is known; the take-profit makes way from there on.
    """
    if trail.by_exchange:
        _rate_check(trail)
    _distance_check(trio, trail)
    _step_check(trail)
    if trail.run_from is not None and trail.activation is None:
        raise RuleBroken(
            "activation",
            "Say from which price on the take-profit is to make way: an activation before it. There the stop begins to follow.",
        )
    if trail.activation is not None:
        _activation_check(trio, trail, trail.activation)
    if trail.run_from is not None and break_even is not None:
        _run_check(trail, trail.run_from, break_even)


def _rate_check(trail: TrailTerms) -> None:
    """What the exchange's own order takes: a percentage from 0.1 to 20, in tenths."""
    rate = trail.distance
    near = min(CALLBACK_MAX, max(CALLBACK_MIN, to_grid(rate, CALLBACK_STEP, ROUND_CEILING)))
    if near != rate:
        raise RuleBroken(
            "percent",
            f"The exchange's own trailing order takes {plain(CALLBACK_MIN)} to {plain(CALLBACK_MAX)} %, in steps of "
            f"{plain(CALLBACK_STEP)} %: {plain(near)} % is the nearest valid distance.",
        )


def _run_check(trail: TrailTerms, target: Decimal, break_even: Decimal) -> None:
    """Refuse a trail whose stop would still lose when the price is at the take-profit: that would execute first."""
    last = target - trail.tick if trail.is_long else target + trail.tick
    if reached(trail.side, break_even, level_behind(trail, last)):
        return
    room = last - break_even if trail.is_long else break_even - last
    field, most = "distance", room
    if trail.unit is TrailUnit.PERCENT:
        field, most = "percent", to_grid(100 * room / last, PERCENT_GRID, ROUND_FLOOR)
    near = f"{_said(trail, most)} is the nearest valid distance" if most > 0 else "move the target first"
    raise RuleBroken(
        field,
        f"The take-profit makes way once the stop loses nothing ({plain(break_even)}). So far behind the price it still would at "
        f"{plain(last)}, where the take-profit executes next: {near}.",
    )


def _distance_check(trio: TrioSnapshot, trail: TrailTerms) -> None:
    tick, price = trail.tick, trio.slot.mark_price or _paid(trio)
    field = "distance" if trail.unit is TrailUnit.PRICE else "percent"
    away = trail.distance if price is None else trail.distance_at(price)
    if trail.distance <= 0 or ((price is not None or trail.unit is TrailUnit.PRICE) and away < tick):
        near = tick
        if trail.unit is TrailUnit.PERCENT:
            near = PERCENT_GRID if price is None else to_grid(100 * tick / price, PERCENT_GRID, ROUND_CEILING)
        raise RuleBroken(
            field,
            f"A trail cannot be tighter than one tick ({plain(tick)}): {_said(trail, near)} is the nearest valid distance.",
        )
    if trail.unit is TrailUnit.PERCENT and trail.distance >= 100:
        near = 100 - PERCENT_GRID
        raise RuleBroken(
            field,
            f"A trail of {plain(trail.distance)} % has no price left to stop at: {_said(trail, near)} is the nearest valid "
            "distance.",
        )
    if price is not None and away >= price:
        near = to_grid(price, tick, ROUND_CEILING) - tick
        raise RuleBroken(
            field,
            f"A trail of {plain(trail.distance)} is as far as the price itself ({plain(price)}): {plain(near)} is the "
            "nearest valid distance.",
        )


def _said(trail: TrailTerms, distance: Decimal) -> str:
    return f"{plain(distance)}{' %' if trail.unit is TrailUnit.PERCENT else ''}"


def _paid(trio: TrioSnapshot) -> Decimal | None:
    """Return a price of the trio's own where none of the market is known."""
    return trio.spec.price or trio.spec.stop_loss


def _step_check(trail: TrailTerms) -> None:
    if trail.step < trail.tick or not on_grid(trail.step, trail.tick):
        near = max(trail.tick, to_grid(trail.step, trail.tick, ROUND_CEILING))
        raise RuleBroken(
            "step",
            f"The smallest move must be in ticks of {plain(trail.tick)}: {plain(near)} is the nearest valid one.",
        )


def _activation_check(trio: TrioSnapshot, trail: TrailTerms, activation: Decimal) -> None:
    tick = trail.tick
    away, toward = (ROUND_CEILING, ROUND_FLOOR) if trail.is_long else (ROUND_FLOOR, ROUND_CEILING)
    if not on_grid(activation, tick):
        near = to_grid(activation, tick, away)
        raise RuleBroken(
            "activation", f"The activation must be in ticks of {plain(tick)}: {plain(near)} would be."
        )
    side, one = ("above", tick) if trail.is_long else ("below", -tick)
    known = abs(trio.now_ts - trio.slot.mark_as_of) <= MARK_AGE_MS
    mark, stop = trio.slot.mark_price if known else None, trio.level(Role.STOP_LOSS)
    for price, name in ((mark, "mark price"), (stop, "stop-loss")):
        if price is not None and reached(trail.side.opposite, price, activation):
            near = to_grid(price, tick, toward) + one
            raise RuleBroken(
                "activation",
                f"The activation must be {side} the {name} {plain(price)}: {plain(near)} is the nearest valid level. Leave "
                "it out to follow the price at once.",
            )
    target = trio.level(Role.TAKE_PROFIT)
    if target is not None and reached(trail.side, target, activation):
        raise RuleBroken(
            "activation",
            f"The take-profit at {plain(target)} would close the trio before the price reaches {plain(activation)}: "
            f"{plain(target - one)} is the nearest valid level. To let it run further, have the target make way, or move it "
            "first.",
        )


def r_level(
    side: Side, *, average: Decimal, first_stop: Decimal, multiple: Decimal, tick: Decimal
) -> Decimal:
    """Return the price at which a trio has won ``multiple`` times what it risked, first tick at or beyond it.

    ``first_stop``: where the stop was at first. Raises RuleBroken where that risked nothing.
    """
    risk = average - first_stop if side is Side.BUY else first_stop - average
    if risk <= ZERO:
        raise RuleBroken(
            "at_r", "Its first stop risked nothing, so there is no R to count in: name a price instead."
        )
    if side is Side.BUY:
        return to_grid(average + multiple * risk, tick, ROUND_CEILING)
    return to_grid(average - multiple * risk, tick, ROUND_FLOOR)


def first_target_check(seen: TrioSnapshot) -> None:
    """Raise RuleBroken where no part target is to be waited for."""
    field, parts = "after_first_target", seen.spec.part_targets
    if not parts:
        raise RuleBroken(
            field,
            "The trio has no part target that leaves something open: its take-profit closes all of it. Name a price or a "
            "multiple of R, or set part targets first.",
        )
    if executed_targets(seen):
        raise RuleBroken(field, "Its first target has executed already: leave it out to move the stop now.")

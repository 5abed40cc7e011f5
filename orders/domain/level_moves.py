"""May a stop or a target of a living trio go to another level, and if not, which is the nearest that it may? Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from exchange.types import ZERO, OrderType, Side
from orders.domain.decision.amendments import position_to_come
from orders.domain.decision.conditions import entry_over, is_dropped
from orders.domain.decision.moves import is_being_added
from orders.domain.decision.parts import is_spent
from orders.domain.enums import Form, Protection, Role
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition, RuleBroken, TrioRefused
from orders.domain.fitting import lot_of
from orders.domain.rounding import on_grid, plain, to_grid
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot
from orders.domain.validation import TAKER_FEE

FIELDS = {Role.STOP_LOSS: "stop_loss", Role.TAKE_PROFIT: "take_profit"}
MARK_AGE_MS = 5000
NOT_YET = frozenset({S.QUEUED, S.PLACING})


def is_looser(trio: TrioSnapshot, role: Role, level: Decimal) -> bool:
    """Would a stop at this level lose more than the one that is agreed?"""
    agreed = trio.level(role)
    if role is not Role.STOP_LOSS or agreed is None:
        return False
    return level < agreed if trio.spec.exit_side is Side.SELL else level > agreed


def level_on_tick(level: Decimal, role: Role, *, side: Side, tick: Decimal) -> Decimal:
    """Return a level on the tick, towards safety: what waits below the price goes up, what waits above it down."""
    below = (side is Side.BUY) == (role is Role.STOP_LOSS)
    return to_grid(level, tick, ROUND_CEILING if below else ROUND_FLOOR)


def seen_check(trio: TrioSnapshot, role: Role, level: Decimal, seen: Decimal | None) -> None:
    """Raise TrioRefused when the level has gone elsewhere since a person saw it, and this would take that back.

    A stop that this moves nearer all the same may go: nobody is surprised by it, and one that trails would hardly ever stand still.
    """
    agreed = trio.level(role)
    if seen is None or agreed is None or seen == agreed:
        return
    if role is Role.STOP_LOSS and not is_looser(trio, role, level):
        return
    raise TrioRefused(
        f"The {role.words} is at {plain(agreed)} now, not at {plain(seen)} as shown. Nothing was moved: check it again, then "
        "move it."
    )


def break_even_level(
    side: Side, average: Decimal, *, fee_each: Decimal, tick: Decimal, offset_ticks: int = 0
) -> Decimal:
    """Return the first tick at which a stop that fills there loses nothing, fees included.

    ``average``: of the entry; ``fee_each``: what it cost in fees for each unit of quantity. Both in the quote asset. The stop
    is a taker. ``offset_ticks``: so many ticks better than that.
    """
    if side is Side.BUY:
        return to_grid((average + fee_each) / (1 - TAKER_FEE), tick, ROUND_CEILING) + offset_ticks * tick
    return to_grid((average - fee_each) / (1 + TAKER_FEE), tick, ROUND_FLOOR) - offset_ticks * tick


def nearest_level(trio: TrioSnapshot, role: Role) -> Decimal | None:
    """Return the level next to the mark price that would not trigger at once; ``None``: the mark price is not known."""
    mark, tick = trio.slot.mark_price, trio.rules.tick_size
    if mark is None or not tick:
        return None
    return (
        to_grid(mark, tick, ROUND_CEILING) - tick
        if _is_below(trio, role)
        else to_grid(mark, tick, ROUND_FLOOR) + tick
    )


def _is_below(trio: TrioSnapshot, role: Role) -> bool:
    """Does a leg of this role wait below the price: a long's stop, a short's target?"""
    return (trio.spec.exit_side is Side.SELL) == (role is Role.STOP_LOSS)


def stands_alone(trio: TrioSnapshot, role: Role) -> bool:
    """Is nothing of a move of this level under way: no wish, and nothing but acknowledged orders at the agreed level?

    Several rest there where an armed one was joined by one for the whole position, or one that was in doubt turned up; a
    bridge beside the order that follows it is still to be taken down.
    """
    legs = [leg for leg in trio.every(role) if not (leg.state.is_final or is_dropped(trio, leg))]
    if not legs or any(move.role is role for move in trio.moves):
        return False
    if len(legs) > 1 and any(leg.for_move for leg in legs):
        return False
    return all(_rests_at(leg, trio.level(role)) for leg in legs)


def _rests_at(leg: LegView, level: Decimal | None) -> bool:
    leaves = leg.cancel in (RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT, RequestStatus.ACCEPTED)
    rests = leg.live and leg.acknowledged and leg.triggered_ts is None and not leaves
    return rests and leg.trigger_price == level


def standing_check(trio: TrioSnapshot, role: Role) -> None:
    """Raise IllegalTransition when no level of this trio can be moved now."""
    what = role.words
    if trio.state is S.DRAFT:
        raise IllegalTransition(f"A draft has no {what} on the exchange yet: edit its {what}.")
    if trio.spec.entry_only:
        raise IllegalTransition("An entry-only order has no levels: it is closed as soon as it fills.")
    if trio.state in NOT_YET:
        raise IllegalTransition(
            f"It is being placed ({trio.state}). Its {what} can be moved once its entry rests or has filled: try again in "
            "a moment."
        )
    if trio.state.is_end:
        raise IllegalTransition(f"The trio has ended ({trio.state}): there is no {what} to move.")
    if trio.state not in (S.OPEN, S.WORKING) or trio.close_wanted or trio.panic_wanted:
        raise IllegalTransition(f"The trio is being closed ({trio.state}): its {what} is not moved any more.")
    if trio.state is S.WORKING and trio.cancel_wanted:
        raise IllegalTransition(
            f"The trio is being cancelled ({trio.state}): its {what} is not moved any more."
        )
    until = trio.unprotected_until
    if role is Role.STOP_LOSS and until is not None and trio.now < until:
        raise IllegalTransition("It is left unprotected for now: protect it again, then move its stop-loss.")
    adds = any(wish.role is Role.ADD for wish in trio.sizes)
    if adds or is_being_added(trio):
        raise IllegalTransition(
            f"Something is being added to it: its {what} can be moved when that has ended."
        )
    if trio.state is S.OPEN and trio.rungs and not entry_over(trio):
        if any(leg.pending for leg in trio.rungs):
            raise IllegalTransition("It is not known yet what became of its entry: try again in a moment.")
        if role is Role.STOP_LOSS and any(
            leg.form is Form.CLOSE_POSITION and (leg.live or leg.pending) for leg in trio.every(role)
        ):
            raise IllegalTransition(
                "Its entry still fills, and no order for a quantity would cover a position that grows while its stop-loss is "
                "moved. Cancel the unfilled part, then move it."
            )
    largest = lot_of(trio.rules, OrderType.STOP_MARKET).largest
    if position_to_come(trio) > largest:
        raise IllegalTransition(
            f"The position of {plain(position_to_come(trio))} is larger than one order may be ({plain(largest)}), so no single order "
            f"could stand for it while the {what} is moved."
        )


def level_check(trio: TrioSnapshot, role: Role, level: Decimal) -> None:
    """Raise RuleBroken when the level cannot be moved to this one, with the nearest that it can.

    The side of a mark price that is not known lately is for the exchange to judge: nothing old may hold up a stop that is
    moved nearer.
    """
    what, field, rules = role.words, FIELDS[role], trio.rules
    below, other = (
        _is_below(trio, role),
        trio.level(Role.TAKE_PROFIT if role is Role.STOP_LOSS else Role.STOP_LOSS),
    )
    tick = rules.tick_size
    if not on_grid(level, tick):
        assert tick is not None
        near = level_on_tick(level, role, side=trio.spec.side, tick=tick)
        raise RuleBroken(field, f"The {what} must be in ticks of {plain(tick)}: {plain(near)} would be.")
    low, high = rules.price_min or ZERO, rules.price_max
    if level <= 0 or level < low or (high and level > high):
        most = f" and at most {plain(high)}" if high else ""
        raise RuleBroken(
            field,
            f"The exchange takes no {what} at {plain(level)}: at least {plain(max(low, tick or ZERO))}{most}.",
        )
    if level == trio.level(role) and not any(move.role is role for move in trio.moves):
        raise RuleBroken(field, f"The {what} is at {plain(level)} already.")
    _entry_side_check(trio, role, level)
    is_known = abs(trio.now_ts - trio.slot.mark_as_of) <= MARK_AGE_MS
    if trio.state is S.WORKING and (role is Role.TAKE_PROFIT or _goes_out_at_trigger(trio)):
        is_known = False  # one between the market and a resting entry is sound: it goes out when that fills
    nearest = nearest_level(trio, role) if is_known else None
    if nearest is not None and (level > nearest if below else level < nearest):
        side = "below" if below else "above"
        raise RuleBroken(
            field,
            f"The {what} must be {side} the mark price {plain(trio.slot.mark_price)}, or it would trigger at once: "
            f"{plain(nearest)} is the nearest valid level.",
        )
    if role is Role.TAKE_PROFIT:
        _part_targets_check(trio, level)
    if other is not None and (level >= other if below else level <= other):
        side = "below" if below else "above"
        name = (Role.TAKE_PROFIT if role is Role.STOP_LOSS else Role.STOP_LOSS).words
        raise RuleBroken(field, f"The {what} must be {side} the {name}, which is at {plain(other)}.")


def _part_targets_check(trio: TrioSnapshot, level: Decimal) -> None:
    """Raise RuleBroken when the take-profit, which closes all of it, would be met before a target that still waits."""
    long, tick = trio.spec.side is Side.BUY, trio.rules.tick_size or ZERO
    for part in reversed(trio.spec.part_targets):
        if is_spent(trio, part) or (level > part.level if long else level < part.level):
            continue
        side, near = ("above", part.level + tick) if long else ("below", part.level - tick)
        raise RuleBroken(
            FIELDS[Role.TAKE_PROFIT],
            f"The take-profit must be {side} the part target at {plain(part.level)}, which would otherwise never be reached: "
            f"{plain(near)} is the nearest valid level. Or set the part targets anew first.",
        )


def _entry_side_check(trio: TrioSnapshot, role: Role, level: Decimal) -> None:
    """Raise RuleBroken when an entry that still rests would fill beyond its own stop or target."""
    tick = trio.rules.tick_size or ZERO
    prices = [
        (name, price)
        for entry in trio.rungs
        if entry.live
        for name, price in (
            ("trigger price", entry.trigger_price if entry.triggered_ts is None else None),
            ("price", entry.price),
        )
        if price
    ]
    below = _is_below(trio, role)
    for name, price in prices:
        if level < price if below else level > price:
            continue
        side, near = ("below", price - tick) if below else ("above", price + tick)
        raise RuleBroken(
            FIELDS[role],
            f"The {role.words} must be {side} the {name} of the entry that still rests, {plain(price)}: {plain(near)} is the "
            "nearest valid level.",
        )


def _goes_out_at_trigger(trio: TrioSnapshot) -> bool:
    """Is the stop of an entry that waits for its trigger to go out no sooner than that? It is judged by the price then."""
    return trio.spec.entry_type.is_conditional and trio.spec.protection is Protection.ON_FIRST_FILL

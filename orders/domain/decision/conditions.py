"""What a trio's facts amount to: conditions worth a name, by which transitions and steps are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import OrderType, Side
from orders.domain.coverage import is_uncovered, uncovered_since_ts
from orders.domain.decision.amendments import most_of
from orders.domain.decision.rungs import rungs_unsent
from orders.domain.enums import Form, LegState, Protection, Role
from orders.domain.enums import TrioState as S
from orders.domain.fitting import lot_of, split
from orders.domain.rounding import plain
from orders.domain.snapshot import LegView, TrioSnapshot

LEVEL_OFF_THE_RULES: Final = (Refusal.BAD_STEP, Refusal.PRICE_OUT_OF_RANGE)
SHORT_LIFE_MS: Final = 5000
VAIN_PAUSE_MS: Final = 200
VAIN_PAUSE_MAX_MS: Final = 5000
VAIN_PAUSE_STOP_MAX_MS: Final = 1000  # what covers is tried more often


def entry_over(trio: TrioSnapshot) -> bool:
    """Has everything that enlarges the position ended? A rung that never reached the book, and will not go any more, has."""
    dropped = [leg for leg in trio.rungs if leg.state is LegState.PLANNED] if trio.spec.rungs else []
    waits = rungs_unsent(trio)
    return all(
        leg.state.is_final or is_dropped(trio, leg) or (leg in dropped and leg not in waits)
        for leg in trio.entries
    )


def is_dropped(trio: TrioSnapshot, leg: LegView) -> bool:
    """Did this order never reach the book, and is what it was for over, so that nobody sends it any more?"""
    if leg.state is not LegState.PLANNED:
        return False
    match leg.role:
        case Role.ADD | Role.PART_CLOSE:
            return all(wish.number != leg.number for wish in trio.sizes)
        case Role.PART_TARGET:
            return all(part.number != leg.number for part in trio.spec.part_targets)
        case Role.TRAIL:
            return trio.exchange_trail is None or trio.exchange_trail.number != leg.number
        case Role.STOP_LOSS | Role.TAKE_PROFIT:
            if any(move.role is leg.role and move.level == leg.trigger_price for move in trio.moves):
                return False
            newest = trio.newest(leg.role)
            is_newest = newest is not None and newest.client_id == leg.client_id
            return not is_newest or _is_spare_stop(trio, leg)
        case _:
            return False


def _is_spare_stop(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was this stop meant for a larger position that nobody wants any more, and does another one cover what there is?"""
    wanted = trio.sizes or trio.change is not None or trio.spec.part_targets or leg.role in trio.moved
    covered = trio.state is S.OPEN and trio.position > 0 and not is_uncovered(trio)
    return leg.role is Role.STOP_LOSS and covered and not wanted


def before_entry(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was this leg sent before the entry? Then its refusal says nothing about a position."""
    for other in trio.legs:
        if other.client_id == leg.client_id:
            return True
        if other.role is Role.ENTRY:
            return False
    return True


def deferred(trio: TrioSnapshot, leg: LegView) -> bool:
    """May this refused armed leg go out on first fill instead?"""
    if leg.state is not LegState.REJECTED or leg.acknowledged:
        return False
    if leg.refusal is Refusal.NOT_WHILE_FLAT:
        return True
    return leg.role is Role.TAKE_PROFIT and leg.refusal is Refusal.LEVEL_PASSED


def armed_roles(trio: TrioSnapshot) -> tuple[Role, ...]:
    """Return the legs that must be acknowledged before the entry may go."""
    if trio.spec.protection is not Protection.PRE_ARMED or trio.spec.entry_only:
        return ()
    roles: tuple[Role, ...] = (Role.STOP_LOSS,)
    if trio.spec.entry_type is OrderType.MARKET:
        roles = (Role.STOP_LOSS, Role.TAKE_PROFIT)
    return tuple(role for role in roles if (leg := trio.newest(role)) is None or not deferred(trio, leg))


def armed_until(trio: TrioSnapshot) -> int | None:
    """Return until when (our clock) the legs that rest already wait for an entry that cannot be sent."""
    armed = [leg.accepted_ts for leg in trio.protective_legs if leg.live and leg.accepted_ts is not None]
    return trio.now + min(armed) + trio.policies.armed_alone - trio.now_ts if armed else None


def armed_stop_gone(trio: TrioSnapshot) -> LegView | None:
    """Return the armed stop that was there and is not any more, before any fill."""
    if Role.STOP_LOSS not in armed_roles(trio):
        return None
    stops = trio.of(Role.STOP_LOSS)
    if not stops or any(leg.live or leg.pending for leg in stops):
        return None
    return next((leg for leg in reversed(stops) if leg.acknowledged), None)


def armed_level_passed(trio: TrioSnapshot) -> bool:
    """Has the mark price passed the waiting stop's level since it was placed?"""
    if Role.STOP_LOSS not in armed_roles(trio):
        return False
    accepted = [leg.accepted_ts or 0 for leg in trio.of(Role.STOP_LOSS) if leg.live]
    return bool(accepted) and trio.slot.mark_as_of > min(accepted) and _mark_beyond_stop(trio)


def armed_leg_refused(trio: TrioSnapshot) -> LegView | None:
    for role in armed_roles(trio):
        leg = trio.newest(role)
        if leg is not None and leg.state is LegState.REJECTED and not leg.acknowledged:
            return leg
    return None


def triggered_leg_at_work(trio: TrioSnapshot) -> bool:
    """Is a triggered leg of ours closing the position? Its fills may be reported after the flat position."""
    return any(
        leg.state is LegState.TRIGGERED
        and leg.triggered_ts is not None
        and trio.now_ts - leg.triggered_ts <= trio.policies.naked_limit
        for leg in trio.protective_legs
    )


def stop_failed(trio: TrioSnapshot) -> LegView | None:
    """Return an acknowledged stop that failed at its trigger, unless a newer one rests or is on its way."""
    for leg in reversed(trio.of(Role.STOP_LOSS)):
        if leg.live and leg.triggered_ts is not None:
            return leg  # TRIGGERED without a fill for too long, or it would cover
        if leg.live or leg.pending or leg.state is LegState.PLANNED:
            return None
        if leg.acknowledged:
            return leg if leg.state is LegState.REJECTED else None
    return None


def refused_as_passed(trio: TrioSnapshot) -> LegView | None:
    for role in (Role.STOP_LOSS, Role.TAKE_PROFIT):
        leg = trio.newest(role)
        if (
            leg is not None
            and leg.state is LegState.REJECTED
            and leg.refusal is Refusal.LEVEL_PASSED
            and not before_entry(trio, leg)
        ):
            return leg
    return None


def level_passed(trio: TrioSnapshot) -> bool:
    """Has the mark price passed the stop's level, as of after the gap opened?"""
    return trio.slot.mark_as_of >= uncovered_since_ts(trio) and _mark_beyond_stop(trio)


def _mark_beyond_stop(trio: TrioSnapshot) -> bool:
    level, mark = trio.spec.stop_loss, trio.slot.mark_price
    if level is None or mark is None:
        return False
    return mark <= level if trio.spec.exit_side is Side.SELL else mark >= level


def refused_forms(trio: TrioSnapshot, role: Role) -> set[Form]:
    """Return the forms in which the exchange refused this leg since one was last acknowledged."""
    forms: set[Form] = set()
    for leg in reversed(trio.of(role)):
        if leg.acknowledged:
            break
        if leg.state is not LegState.REJECTED or before_entry(trio, leg) or refused_by_old_rules(trio, leg):
            continue
        if leg.refusal is Refusal.NOT_WHILE_FLAT and not _position_seen_after(trio, leg):
            continue
        forms.add(leg.form)
    return forms


def _position_seen_after(trio: TrioSnapshot, leg: LegView) -> bool:
    return trio.slot.quantity > 0 and trio.slot.as_of > (leg.ended_ts or leg.submitted_ts)


def refused_by_old_rules(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was this leg refused at a level that today's tick would not send any more? That says nothing about the next one."""
    if leg.state is not LegState.REJECTED or leg.acknowledged or leg.refusal not in LEVEL_OFF_THE_RULES:
        return False
    return leg.trigger_price is not None and leg.trigger_price != trio.level(leg.role)


def is_dust(trio: TrioSnapshot) -> bool:
    """Is the position below the smallest order, by today's rules or by what the exchange said of the last exit?"""
    newest = trio.newest(Role.EXIT)
    if trio.position > 0 and not split(trio.position, lot_of(trio.rules, OrderType.MARKET)):
        return True
    if newest is None or newest.state is not LegState.REJECTED or newest.refusal is not Refusal.TOO_SMALL:
        return False
    return 0 < trio.position <= newest.quantity


def wants_cover_while_leaving(trio: TrioSnapshot) -> bool:
    """Is what cannot be closed at market uncovered, and could a stop still be had for it?"""
    if not is_dust(trio) or not is_uncovered(trio) or refused_as_passed(trio):
        return False
    return refused_forms(trio, Role.STOP_LOSS) < {Form.CLOSE_POSITION, Form.QUANTITY}


def vain_pause_ms(trio: TrioSnapshot, role: Role) -> int:
    """Return how long to wait before another leg of a role whose last ones the exchange ended at once.

    The first replacement goes out immediately; what keeps ending at once, or but for a stop being refused, is placed with
    growing pauses.
    """
    return vain_pause_of(trio, trio.of(role))


def vain_pause_of(trio: TrioSnapshot, legs: Sequence[LegView]) -> int:
    """Return the same for some legs of one role, oldest first."""
    vain = 0
    for leg in reversed(legs):
        if before_entry(trio, leg) or leg.live or leg.executed or leg.ended_ts is None:
            break
        refused = leg.state is LegState.REJECTED and leg.role is not Role.STOP_LOSS
        if not (leg.acknowledged or refused):
            break
        if leg.ended_ts - (leg.accepted_ts or leg.ended_ts) > SHORT_LIFE_MS:
            break
        vain += 1
    if vain < 2:
        return 0
    most = VAIN_PAUSE_STOP_MAX_MS if legs[-1].role is Role.STOP_LOSS else VAIN_PAUSE_MAX_MS
    pause = min(VAIN_PAUSE_MS << min(vain - 2, 8), most)
    return max(0, (legs[-1].ended_ts or 0) + pause - trio.now_ts)


def protected_once(trio: TrioSnapshot) -> bool:
    """Has every wanted leg once been acknowledged?"""
    stop = any(leg.acknowledged for leg in trio.of(Role.STOP_LOSS))
    return stop and any(leg.acknowledged for leg in trio.of(Role.TAKE_PROFIT))


def from_outside(trio: TrioSnapshot) -> Decimal | None:
    """Return how much of the position is certainly none that this trio's entry can have made; ``None``: not known.

    What is left of an entry that still rests may have filled already, also to terms that were asked for and not answered;
    what ours closed may not show yet.
    """
    sent = [leg for leg in trio.rungs if leg.state is not LegState.PLANNED]
    if not any(leg.acknowledged for leg in sent) or trio.exit_filled or not trio.slot_is_newer:
        return None
    if not all(leg.acknowledged or leg.state.is_final for leg in sent):
        return None
    if not all(leg.state.is_final or is_dropped(trio, leg) for leg in trio.every(Role.ADD)):
        return None
    most = trio.entry_filled + sum(
        (most_of(trio, leg) - leg.filled for leg in sent if not leg.state.is_final), Decimal(0)
    )
    return max(Decimal(0), trio.slot.quantity - most)


def stop_attempted(trio: TrioSnapshot) -> bool:
    """Was a stop sent since the present gap opened?"""
    known_ts = _known_ts(trio)
    return any(
        leg.submitted_at > 0 and not before_entry(trio, leg) and leg.submitted_ts >= known_ts
        for leg in trio.of(Role.STOP_LOSS)
    )


def cover_deadline_ts(trio: TrioSnapshot) -> int:
    """Return the exchange time by which cover must be acknowledged, else the position is closed."""
    policies = trio.policies
    return max(uncovered_since_ts(trio) + policies.naked_limit - 500, _known_ts(trio) + policies.patience)


def _known_ts(trio: TrioSnapshot) -> int:
    known = trio.uncovered_known_at if trio.uncovered_known_at is not None else trio.now
    return known + trio.now_ts - trio.now


def late_leg_matters(trio: TrioSnapshot, leg: LegView) -> bool:
    """Does a leg that was written off and turned up still need action?"""
    return leg.late and (leg.live or (leg.role.opens and late_quantity(trio) > 0))


def late_quantity(trio: TrioSnapshot) -> Decimal:
    """Return the entry quantity that showed itself after the trio's end and has not been closed since.

    Only what of it our orders had not closed before that, as part of the position.
    """
    late = sum((leg.filled - leg.settled for leg in trio.entries if leg.late), Decimal(0))
    ended = trio.ended_at
    exits = (leg for leg in trio.of(Role.EXIT) if ended is not None and leg.submitted_at >= ended)
    return max(Decimal(0), min(trio.ours, late - sum((leg.filled for leg in exits), Decimal(0))))


def refusal_facts(trio: TrioSnapshot, leg: LegView) -> dict[str, str | int]:
    """Return what the exchange said when it refused this order, and what it was about, as the facts of a question."""
    return {
        "text": leg.refused_text.rstrip("."),
        "code": leg.refused_code,
        "generation": leg.generation,
        "quantity": plain(trio.position),
    }

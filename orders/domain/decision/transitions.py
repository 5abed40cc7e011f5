"""Which transitions a trio's facts imply: for each state the rules that end it; the first that applies wins.

``apply_transitions`` takes a snapshot through every transition its facts already imply, so that a decision never
starts from an outdated state. It changes nothing but ``state``, ``cause`` and ``reason``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from exchange.rate_limits import CONDITIONALS_MAX
from exchange.refusals import RESTRICTIONS, SENTENCES, Refusal
from exchange.types import ClosedBy
from orders.domain.coverage import is_uncovered
from orders.domain.decision.amendments import TAKEN_OFF, taken_off
from orders.domain.decision.conditions import (
    armed_leg_refused,
    armed_level_passed,
    armed_stop_gone,
    armed_until,
    before_entry,
    cover_deadline_ts,
    late_leg_matters,
    level_passed,
    protected_once,
    refused_as_passed,
    refused_by_old_rules,
    refused_forms,
    stop_attempted,
    stop_failed,
    triggered_leg_at_work,
)
from orders.domain.decision.drifts import (
    drift_that_closes,
    left_unprotected,
    settings_that_close,
    why_closed,
)
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.decision.lookups import must_wait
from orders.domain.decision.rules import first_that_applies
from orders.domain.enums import ENDS, Cause, Form, LegState, Role, TargetPolicy
from orders.domain.enums import TrioState as S
from orders.domain.fitting import entry_misfit
from orders.domain.snapshot import LegView, TrioSnapshot

CONDITIONALS_KEPT_FREE: Final = (
    5  # of an account, for a stop that is placed anew while the old one still rests
)

# What the exchange's own words leave open: what it means for the account, or that nobody here knows the code.
NEEDS_WORDS: Final = RESTRICTIONS | {Refusal.NOT_UNDERSTOOD}


class Implied(NamedTuple):
    """A transition that a trio's facts imply, its cause, and the sentence that says so."""

    transition: Transition
    cause: Cause | None = None
    reason: str = ""


CLOSED_BY: Final[Mapping[str, Cause]] = {
    ClosedBy.LIQUIDATION.value: Cause.LIQUIDATED,
    ClosedBy.ADL.value: Cause.ADL,
    ClosedBy.SETTLEMENT.value: Cause.SETTLEMENT,
    ClosedBy.DELIVERY.value: Cause.DELIVERY,
}
NOT_TAKEN: Final[Mapping[Refusal | None, str]] = {
    Refusal.LEVEL_PASSED: "The price had already passed the entry's trigger, so it was not placed.",
    Refusal.WOULD_TAKE: "The entry was post-only (GTX) and would have traded at once, so it was not placed.",
    Refusal.NOT_FILLED_AT_ONCE: "The entry (FOK) could not fill in full at once.",
}
TransitionRule: TypeAlias = Callable[[TrioSnapshot], Implied | None]


def apply_transitions(trio: TrioSnapshot) -> TrioSnapshot:
    """Take ``trio`` through every transition its facts already imply."""
    for _ in range(len(S)):
        implied = first_that_applies(TRANSITION_RULES.get(trio.state, ()), trio)
        if implied is None:
            return trio
        transition, cause, reason = implied
        trio = replace(trio, state=next_state(trio.state, transition), cause=cause, reason=reason)
    raise AssertionError("a trio's transitions run in a circle")


# --- queued -----------------------------------------------------------------------------------


def withdrawn_unsent(trio: TrioSnapshot) -> Implied | None:
    """Cancel, close or panic was requested. Nothing was sent, so there is nothing to take back."""
    if trio.cancel_wanted or trio.close_wanted or trio.panic_wanted:
        return Implied(Transition.WITHDRAWN, Cause.CANCEL_WANTED, "Withdrawn before anything was sent.")
    return None


def overdue(trio: TrioSnapshot) -> Implied | None:
    """``place_before`` has passed: an order must not go out long after it was meant."""
    if trio.place_before is not None and trio.now >= trio.place_before:
        why = f" {trio.slot.not_placeable}" if trio.slot.not_placeable else ""
        return Implied(Transition.OVERDUE, Cause.PLACE_BEFORE, f"Not sent before its deadline.{why}")
    return None


def flat_before_placing(trio: TrioSnapshot) -> Implied | None:
    """The moment by which it was to be flat has come already: it is not opened."""
    if trio.flat_ts is not None and trio.now_ts >= trio.flat_ts:
        return Implied(Transition.OVERDUE, Cause.PLACE_BEFORE, "Its flat-by time has come.")
    return None


def dry_run_passed(trio: TrioSnapshot) -> Implied | None:
    """The exchange checked the entry of a dry run and would have accepted it."""
    if trio.dry_run_passed:
        return Implied(Transition.TESTED, None, "Dry run: checked by the exchange, nothing was placed.")
    return None


def limit_refuses(trio: TrioSnapshot) -> Implied | None:
    """A switch, a limit or the account forbids new risk now, although it did not when the trio was queued."""
    if trio.refusal:
        return Implied(Transition.REFUSED, Cause.LIMIT, trio.refusal)
    return None


def dry_run_untested(trio: TrioSnapshot) -> Implied | None:
    """The exchange tries out no order that waits for a trigger: a dry run of one ends with what was checked here."""
    if not trio.dry_run or not trio.spec.entry_type.is_conditional:
        return None
    reason = "Dry run: checked here; the exchange cannot test a stop entry. Nothing was placed."
    return Implied(Transition.TESTED, None, reason)


def dry_run_refused(trio: TrioSnapshot) -> Implied | None:
    """The exchange checked the entry of a dry run, or a rung of it, and would have refused it."""
    entry = _refused_rung(trio)
    if not trio.dry_run or entry is None:
        return None
    return Implied(Transition.REFUSED, Cause.ENTRY_REFUSED, _refused(_entry_words(entry), entry))


def slot_taken(trio: TrioSnapshot) -> Implied | None:
    """Somebody else's position or order is in the slot: it would be covered and exited as if it were ours."""
    if _ready(trio) and (trouble := slot_trouble(trio)):
        return Implied(Transition.REFUSED, Cause.LIMIT, trouble)
    return None


def legs_do_not_fit(trio: TrioSnapshot) -> Implied | None:
    """The exchange would not take both legs beside what rests: a position that cannot be covered is not opened."""
    if _ready(trio) and (trouble := _legs_trouble(trio)):
        return Implied(Transition.REFUSED, Cause.LIMIT, trouble)
    return None


def rules_refuse(trio: TrioSnapshot) -> Implied | None:
    """The symbol's rules have changed since the trio was queued, and it does not fit them any more."""
    if _ready(trio) and (trouble := entry_misfit(trio.spec, trio.rules)):
        return Implied(Transition.REFUSED, Cause.LIMIT, trouble)
    return None


def begun(trio: TrioSnapshot) -> Implied | None:
    """A worker is alive, the position was read recently and the slot is free: placing begins."""
    return Implied(Transition.BEGUN) if _ready(trio) else None


QUEUED: Final[tuple[TransitionRule, ...]] = (
    withdrawn_unsent,
    overdue,
    flat_before_placing,
    dry_run_passed,
    limit_refuses,
    dry_run_untested,
    dry_run_refused,
    slot_taken,
    legs_do_not_fit,
    rules_refuse,
    begun,
)


def _ready(trio: TrioSnapshot) -> bool:
    """Would somebody see the fill and cover it, and is the position that placing relies on a fresh one?"""
    return not trio.dry_run and trio.worker_alive and trio.slot.placeable


def _legs_trouble(trio: TrioSnapshot) -> str:
    """Say why this trio's legs do not fit beside the account's other conditional orders, or nothing."""
    ours, theirs, wanted = trio.conditionals, trio.stranger_conditionals, trio.spec.legs_wanted
    if trio.spec.entry_only or ours + theirs + wanted <= CONDITIONALS_MAX - CONDITIONALS_KEPT_FREE:
        return ""
    legs = "the stop-loss and the take-profit" if not trio.spec.part_targets else f"its {wanted} legs"
    return (
        f"The exchange takes {CONDITIONALS_MAX} conditional orders of an account, and {CONDITIONALS_KEPT_FREE} are kept "
        f"free for protection. {ours} belong to other trios or are reserved for their legs, {theirs} are not ours: "
        f"{legs} would not fit. Cancel those that are not ours, or wait until a trio has ended, "
        "then place the trio again."
    )


def slot_trouble(trio: TrioSnapshot) -> str:
    """Say what of somebody else's is in this trio's slot, or nothing."""
    slot = trio.slot
    if slot.quantity > 0 or slot.opposite > 0:
        quantity = slot.quantity or slot.opposite
        side = "on this side" if slot.quantity > 0 else "on the opposite side"
        return (
            f"The slot already holds a position of {quantity.normalize():f} {side} that is not ours. "
            "Close it, or wait until it is closed, then place the trio again."
        )
    if slot.strangers:
        return (
            f"The slot already holds an order that is not ours ({', '.join(slot.strangers[:3])}). "
            "Cancel it, then place the trio again."
        )
    return ""


# --- before a position: withdrawing -----------------------------------------------------------


def panic_before_fill(trio: TrioSnapshot) -> Implied | None:
    """Panic was requested."""
    return Implied(Transition.WITHDRAW, Cause.PANIC, "Withdrawn by panic.") if trio.panic_wanted else None


def close_before_fill(trio: TrioSnapshot) -> Implied | None:
    """Close was requested. Without a fill there is nothing to close, so the entry is taken back."""
    if trio.close_wanted:
        return Implied(Transition.WITHDRAW, Cause.MANUAL, "Closed before anything was filled.")
    return None


def cancel_before_fill(trio: TrioSnapshot) -> Implied | None:
    """Cancel was requested."""
    if trio.cancel_wanted:
        return Implied(Transition.WITHDRAW, Cause.CANCEL_WANTED, "Cancelled before anything was filled.")
    return None


def withdrawn_by_policy(trio: TrioSnapshot) -> Implied | None:
    """A setting of the account was changed outside, and the drift policy closes then: nothing is to fill any more."""
    drift = settings_that_close(trio)
    return None if drift is None else Implied(Transition.WITHDRAW, Cause.DRIFT, why_closed(drift))


def entry_overdue(trio: TrioSnapshot) -> Implied | None:
    """``place_before`` has passed while the legs waited for an entry that could not be sent."""
    if _entry_unsent(trio) and trio.place_before is not None and trio.now >= trio.place_before:
        return Implied(
            Transition.WITHDRAW, Cause.PLACE_BEFORE, "The entry could not be sent before its deadline."
        )
    return None


def entry_waits_too_long(trio: TrioSnapshot) -> Implied | None:
    """The entry still cannot be sent, long after the legs that wait for it: they do not rest for nothing."""
    until = armed_until(trio)
    if not _entry_unsent(trio) or until is None or trio.now < until:
        return None
    held_back = any(leg.state is LegState.PLANNED and must_wait(trio, leg) for leg in trio.legs)
    if trio.worker_alive and trio.slot.placeable and not held_back:
        return None
    why = f" {trio.slot.not_placeable}" if trio.slot.not_placeable else ""
    seconds = trio.policies.armed_alone // 1000
    reason = f"The entry could not be sent within {seconds} s of the legs that wait for it.{why}"
    return Implied(Transition.WITHDRAW, Cause.PLACE_BEFORE, reason)


def limit_refuses_entry(trio: TrioSnapshot) -> Implied | None:
    """A switch or limit forbids new risk now. It is asked until the entry goes, which is what brings the risk."""
    if _entry_unsent(trio) and trio.refusal:
        return Implied(Transition.WITHDRAW, Cause.LIMIT, trio.refusal)
    return None


def rules_refuse_entry(trio: TrioSnapshot) -> Implied | None:
    """The symbol's rules have changed while the legs waited for the entry, and it does not fit them any more."""
    if _entry_unsent(trio) and (trouble := entry_misfit(trio.spec, trio.rules)):
        return Implied(Transition.WITHDRAW, Cause.LIMIT, trouble)
    return None


def good_till_passed(trio: TrioSnapshot) -> Implied | None:
    """``good_till`` has passed without a fill."""
    if trio.good_till is not None and trio.now >= trio.good_till:
        return Implied(
            Transition.WITHDRAW, Cause.GOOD_TILL, "Its good-till time passed before anything was filled."
        )
    return None


def flat_before_fill(trio: TrioSnapshot) -> Implied | None:
    """The moment by which it was to be flat has come without a fill: nothing is to fill any more."""
    if trio.flat_ts is not None and trio.now_ts >= trio.flat_ts:
        reason = "Its flat-by time came before anything was filled."
        return Implied(Transition.WITHDRAW, Cause.GOOD_TILL, reason)
    return None


def entry_taken_off(trio: TrioSnapshot) -> Implied | None:
    """A post-only entry would have traded at once at the price it was changed to: the exchange took it off the book."""
    return Implied(Transition.WITHDRAW, Cause.ENTRY_ENDED, TAKEN_OFF) if taken_off(trio) else None


def entry_cancelled(trio: TrioSnapshot) -> Implied | None:
    """Somebody cancelled the entry in the exchange's app: it is not placed again."""
    if _entry_ended_as(trio, LegState.CANCELLED):
        return Implied(Transition.WITHDRAW, Cause.ENTRY_CANCELLED, "The entry was cancelled on the exchange.")
    return None


def entry_expired(trio: TrioSnapshot) -> Implied | None:
    """The exchange ended the entry: IOC, FOK or GTX, self-trade prevention, or a symbol that was delisted."""
    if _entry_ended_as(trio, LegState.EXPIRED):
        return Implied(
            Transition.WITHDRAW, Cause.ENTRY_ENDED, "The entry ended on the exchange without a fill."
        )
    return None


def entry_refused_at_trigger(trio: TrioSnapshot) -> Implied | None:
    """The exchange judges the margin of a stop entry when it triggers, and refused it then: it is not placed again."""
    entry = trio.entry
    if entry is None or entry.state is not LegState.REJECTED or not entry.acknowledged:
        return None
    if entry.trigger_price is None:
        return None
    why = entry.refused_text.rstrip(".") or "no reason given"
    reason = f"The exchange refused the entry at its trigger: {why}."
    return Implied(Transition.WITHDRAW, Cause.ENTRY_REFUSED, reason)


def entry_gone(trio: TrioSnapshot) -> Implied | None:
    """The entry rested, and is no longer there: it is not placed again."""
    if _entry_ended_as(trio, LegState.WRITTEN_OFF, LegState.REJECTED):
        return Implied(
            Transition.WITHDRAW, Cause.ENTRY_ENDED, "The entry is gone from the exchange without a fill."
        )
    return None


def waiting_stop_gone(trio: TrioSnapshot) -> Implied | None:
    """The stop that waited for the entry is gone. An entry must not fill with nothing under it."""
    if gone := armed_stop_gone(trio):
        reason = f"The waiting stop-loss is gone ({gone.state.lower()}) before any fill."
        return Implied(Transition.WITHDRAW, Cause.STOP_GONE, reason)
    return None


def waiting_stop_passed(trio: TrioSnapshot) -> Implied | None:
    """The mark price is beyond the stop that waits for the entry. An entry must not fill beyond its own stop."""
    if armed_level_passed(trio):
        reason = "The price passed the waiting stop-loss's level before any fill."
        return Implied(Transition.WITHDRAW, Cause.LEVEL_PASSED, reason)
    return None


WITHDRAW: Final[tuple[TransitionRule, ...]] = (
    panic_before_fill,
    close_before_fill,
    cancel_before_fill,
    withdrawn_by_policy,
    entry_overdue,
    entry_waits_too_long,
    limit_refuses_entry,
    rules_refuse_entry,
    good_till_passed,
    flat_before_fill,
    entry_taken_off,
    entry_cancelled,
    entry_expired,
    entry_refused_at_trigger,
    entry_gone,
    waiting_stop_gone,
    waiting_stop_passed,
)


def _entry_unsent(trio: TrioSnapshot) -> bool:
    """Is the entry, or a rung of it, still to be sent?"""
    return trio.entry is None or any(leg.state is LegState.PLANNED for leg in trio.rungs)


def _entry_ended_as(trio: TrioSnapshot, *states: LegState) -> bool:
    """Has the entry ended like this? A ladder has once its last rung has; that one says how."""
    if not trio.rungs or not all(leg.state.is_final for leg in trio.rungs):
        return False
    return max(trio.rungs, key=lambda leg: leg.ended_ts or 0).state in states


def _refused_rung(trio: TrioSnapshot) -> LegView | None:
    """Return the order of the entry that the exchange refused: a ladder stands with all its rungs, or is taken back."""
    return next((leg for leg in trio.rungs if leg.state is LegState.REJECTED), None)


def _without(trio: TrioSnapshot, cause: Cause, reason: str) -> Implied:
    """An entry that is not there is rolled back. What rests of a ladder is withdrawn; what fills meanwhile stays, and is covered."""
    return Implied(Transition.WITHDRAW if trio.spec.rungs else Transition.LEG_REFUSED, cause, reason)


# --- before a position ------------------------------------------------------------------------


def first_fill(trio: TrioSnapshot) -> Implied | None:
    """A fill, or a position in the slot, whichever is reported first. From now on it is covered."""
    if trio.entry_filled > 0 or trio.position > 0:
        return Implied(Transition.FILLED, trio.cause if trio.state is S.WITHDRAWING else None)
    return None


def entry_not_taken(trio: TrioSnapshot) -> Implied | None:
    """A GTX entry would have traded at once, a FOK entry could not fill whole, or the price was past a stop entry's trigger:
    as asked for, it is not placed."""
    entry = _refused_rung(trio)
    if entry is None or entry.refusal not in NOT_TAKEN:
        return None
    return Implied(Transition.WITHDRAW, Cause.ENTRY_ENDED, NOT_TAKEN[entry.refusal])


def entry_refused(trio: TrioSnapshot) -> Implied | None:
    """The exchange refused the entry, or a rung of it before anything filled: what was placed is taken back."""
    entry = _refused_rung(trio)
    if entry is None:
        return None
    return _without(trio, Cause.ENTRY_REFUSED, _refused(_entry_words(entry), entry))


def entry_lost(trio: TrioSnapshot) -> Implied | None:
    """The entry was proved absent. It is never sent again: if it turned up after all, it would execute twice."""
    lost = next((leg for leg in trio.rungs if leg.state is LegState.WRITTEN_OFF), None)
    if lost is None:
        return None
    what = "The entry" if lost.role is Role.ENTRY else f"Rung {lost.number} of the entry"
    return _without(
        trio, Cause.ENTRY_ABSENT, f"{what} never reached the exchange; it is not sent a second time."
    )


def leg_refused_before_entry(trio: TrioSnapshot) -> Implied | None:
    """The exchange refused a leg that has to rest before the entry, so the entry is not sent."""
    if refused := armed_leg_refused(trio):
        cause = Cause.STOP_REFUSED if refused.role is Role.STOP_LOSS else Cause.TARGET_REFUSED
        return Implied(Transition.LEG_REFUSED, cause, _refused(refused.role.words, refused))
    return None


def entry_rests(trio: TrioSnapshot) -> Implied | None:
    """Everything that is wanted now was accepted."""
    rungs = trio.rungs
    if any(leg.live for leg in rungs) and not _entry_unsent(trio) and not any(leg.pending for leg in rungs):
        return Implied(Transition.ALL_ACCEPTED)
    return None


PLACING: Final[tuple[TransitionRule, ...]] = (
    first_fill,
    entry_not_taken,
    entry_refused_at_trigger,
    entry_refused,
    entry_lost,
    leg_refused_before_entry,
    *WITHDRAW,
    entry_rests,
)
WORKING: Final[tuple[TransitionRule, ...]] = (first_fill, *WITHDRAW)
WITHDRAWING: Final[tuple[TransitionRule, ...]] = (first_fill,)


# --- with a position --------------------------------------------------------------------------


def leg_executed(trio: TrioSnapshot) -> Implied | None:
    """A stop, a target or the exchange's trailing order executed: whatever is left of the position is exited."""
    out = [leg for leg in trio.legs if not (leg.role.opens or leg.role.is_part) and leg.executed]
    first = min(out, key=lambda leg: leg.filled_ts or 0, default=None)
    if first is None or first.role is Role.EXIT:
        return None
    stops = first.role in (Role.STOP_LOSS, Role.TRAIL)
    cause = Cause.STOP_LOSS if stops else Cause.TAKE_PROFIT
    return Implied(Transition.EXIT, cause, f"The {first.role.words} executed.")


def parts_closed_all(trio: TrioSnapshot) -> Implied | None:
    """Part targets and part closes have closed everything: the last of them names the end."""
    parts = [leg for leg in trio.legs if leg.role.is_part and leg.executed]
    if not parts or trio.ours > 0 or not trio.flat_believed:
        return None
    last = max(parts, key=lambda leg: leg.filled_ts or 0)
    if last.role is Role.PART_TARGET:
        return Implied(Transition.EXIT, Cause.TAKE_PROFIT, "Its part targets closed the whole position.")
    return Implied(Transition.EXIT, Cause.MANUAL, "All of it was closed in parts.")


def closed_by_exchange(trio: TrioSnapshot) -> Implied | None:
    """The exchange closed the position itself: liquidation, auto-deleveraging, settlement or delivery."""
    return _forced(trio) if trio.forced and _gone(trio) else None


def closed_outside(trio: TrioSnapshot) -> Implied | None:
    """A person closed the position in the exchange's app. It is not opened again; our legs are taken back."""
    if _gone(trio):
        return Implied(Transition.EXIT, Cause.OUTSIDE, "The position was closed outside this system.")
    return None


def panic(trio: TrioSnapshot) -> Implied | None:
    """Panic was requested."""
    return Implied(Transition.EXIT, Cause.PANIC, "Closed by panic.") if trio.panic_wanted else None


def close(trio: TrioSnapshot) -> Implied | None:
    """Close was requested."""
    return (
        Implied(Transition.EXIT, Cause.MANUAL, "Closed at market on request.") if trio.close_wanted else None
    )


def closed_by_policy(trio: TrioSnapshot) -> Implied | None:
    """Somebody acted outside, and the drift policy closes the position then."""
    drift = drift_that_closes(trio)
    return None if drift is None else Implied(Transition.EXIT, Cause.DRIFT, why_closed(drift))


def entry_only(trio: TrioSnapshot) -> Implied | None:
    """An order without legs is closed as soon as it fills: nothing would protect it."""
    if trio.spec.entry_only:
        return Implied(Transition.EXIT, Cause.MANUAL, "An entry-only order is closed as soon as it fills.")
    return None


def holding_time_over(trio: TrioSnapshot) -> Implied | None:
    """The holding time is over."""
    if trio.hold_until_ts is not None and trio.now_ts >= trio.hold_until_ts:
        return Implied(Transition.EXIT, Cause.TIME, "Its holding time is over.")
    return None


def flat_moment_reached(trio: TrioSnapshot) -> Implied | None:
    """The moment by which it was to be flat has come."""
    if trio.flat_ts is not None and trio.now_ts >= trio.flat_ts:
        return Implied(Transition.EXIT, Cause.TIME, "Its flat-by time has come.")
    return None


def by_cover(trio: TrioSnapshot) -> Implied | None:
    """Whatever else ends an open trio depends on whether its position is covered."""
    naked = is_uncovered(trio) and not left_unprotected(trio)
    return first_that_applies(UNCOVERED if naked else COVERED, trio)


OPEN: Final[tuple[TransitionRule, ...]] = (
    leg_executed,
    parts_closed_all,
    closed_by_exchange,
    closed_outside,
    panic,
    close,
    closed_by_policy,
    entry_only,
    holding_time_over,
    flat_moment_reached,
    by_cover,
)


def _gone(trio: TrioSnapshot) -> bool:
    gone = trio.flat_believed and (trio.entry_filled > 0 or bool(trio.protective_legs))
    return gone and not triggered_leg_at_work(trio)


def _forced(trio: TrioSnapshot) -> Implied:
    reason = f"The exchange closed the position itself ({trio.forced})."
    return Implied(Transition.EXIT, CLOSED_BY.get(trio.forced, Cause.LIQUIDATED), reason)


def _way_out(trio: TrioSnapshot) -> Transition:
    """A trio that never stood with both legs is undone, not closed. A position that was there before us is no trio's to undo."""
    return Transition.EXIT if trio.adopted or protected_once(trio) else Transition.UNDO


# --- with a position that is covered ----------------------------------------------------------


def target_refused_as_passed(trio: TrioSnapshot) -> Implied | None:
    """The exchange refused the target because the price is already beyond it: the profit is taken at market."""
    target = _refused_target(trio)
    if target is None or target.refusal is not Refusal.LEVEL_PASSED:
        return None
    reason = "The price had already passed the take-profit's level."
    return Implied(_way_out(trio), Cause.LEVEL_PASSED, reason)


def target_refused_while_unprotected(trio: TrioSnapshot) -> Implied | None:
    """The exchange refused the target. Unless both legs stood before, or the trio is to keep its stop, it is undone."""
    target = _refused_target(trio)
    if target is None or protected_once(trio) or trio.spec.target_policy is TargetPolicy.KEEP_STOP:
        return None
    return Implied(Transition.UNDO, Cause.TARGET_REFUSED, _refused("take-profit", target))


COVERED: Final[tuple[TransitionRule, ...]] = (
    target_refused_as_passed,
    target_refused_while_unprotected,
)


def _refused_target(trio: TrioSnapshot) -> LegView | None:
    """Return the newest target if the exchange refused it at once, with the position there."""
    target = trio.newest(Role.TAKE_PROFIT)
    if target is None or target.state is not LegState.REJECTED or before_entry(trio, target):
        return None
    said_nothing = target.refusal is Refusal.NOT_WHILE_FLAT or refused_by_old_rules(trio, target)
    another = any(leg.live for leg in trio.of(Role.TAKE_PROFIT))
    return None if target.acknowledged or said_nothing or another else target


# --- with a position that is not covered ------------------------------------------------------


def leg_refused_as_passed(trio: TrioSnapshot) -> Implied | None:
    """The exchange refused a leg because the price is already beyond its level; it would do so again."""
    if passed := refused_as_passed(trio):
        reason = f"The price had already passed the {passed.role.words}'s level."
        return Implied(_way_out(trio), Cause.LEVEL_PASSED, reason)
    return None


def stop_passed_uncovered(trio: TrioSnapshot) -> Implied | None:
    """The mark price passed the stop's level while nothing covered: a stop would have triggered already."""
    if level_passed(trio):
        reason = "The price passed the stop-loss while no stop was in place."
        return Implied(Transition.EXIT, Cause.LEVEL_PASSED, reason)
    return None


def stop_died_at_trigger(trio: TrioSnapshot) -> Implied | None:
    """The stop triggered and failed. The market has just gone through the level, so another stop would be too late."""
    if dead := stop_failed(trio):
        reason = f"The stop-loss failed at its trigger: {dead.refused_text or dead.state.lower()}."
        return Implied(Transition.EXIT, Cause.UNCOVERED, reason)
    return None


def stop_refused_in_both_forms(trio: TrioSnapshot) -> Implied | None:
    """The exchange refuses a stop in either form. Better out than uncovered."""
    if refused_forms(trio, Role.STOP_LOSS) >= {Form.CLOSE_POSITION, Form.QUANTITY}:
        transition, newest = _way_out(trio), trio.of(Role.STOP_LOSS)[-1]
        cause = Cause.UNCOVERED if transition is Transition.EXIT else Cause.STOP_REFUSED
        return Implied(transition, cause, _refused("stop-loss", newest))
    return None


def bound_passed(trio: TrioSnapshot) -> Implied | None:
    """The bound passed without cover. One attempt is always made first, however late the gap was found."""
    if trio.now_ts >= cover_deadline_ts(trio) and stop_attempted(trio):
        return Implied(Transition.EXIT, Cause.UNCOVERED, "The position could not be protected in time.")
    return None


UNCOVERED: Final[tuple[TransitionRule, ...]] = (
    leg_refused_as_passed,
    stop_passed_uncovered,
    stop_died_at_trigger,
    stop_refused_in_both_forms,
    bound_passed,
)


# --- on the way out ---------------------------------------------------------------------------


def named_after_leg(trio: TrioSnapshot) -> Implied | None:
    """An exit is named after the first leg that executed, whatever started it."""
    executed = leg_executed(trio)
    return executed if executed is not None and executed.cause is not trio.cause else None


def named_after_exchange(trio: TrioSnapshot) -> Implied | None:
    """The exchange closed the position itself: its word is the cause, unless one of our orders executed before that."""
    if not trio.forced:
        return None
    forced = _forced(trio)
    ours = [leg.role for leg in trio.legs if not (leg.role.opens or leg.role.is_part) and leg.executed]
    late_to_tell = trio.cause is Cause.OUTSIDE and all(role is Role.EXIT for role in ours)
    return forced if forced.cause is not trio.cause and (late_to_tell or not ours) else None


def named_after_person(trio: TrioSnapshot) -> Implied | None:
    """The position could not be covered, or was to be closed, when it was gone already: somebody had closed it, unseen."""
    ours = any(leg.executed for leg in trio.legs if not (leg.role.opens or leg.role.is_part))
    if trio.cause not in (Cause.UNCOVERED, Cause.DRIFT) or ours or trio.ours <= 0 or not _gone(trio):
        return None
    return Implied(Transition.EXIT, Cause.OUTSIDE, "The position was closed outside this system, unseen.")


EXITING: Final[tuple[TransitionRule, ...]] = (
    named_after_leg,
    named_after_exchange,
    named_after_person,
)


# --- ended ------------------------------------------------------------------------------------


def turned_up(trio: TrioSnapshot) -> Implied | None:
    """An order that was proved absent is there after all: it is cancelled, and what it filled is closed."""
    if any(late_leg_matters(trio, leg) for leg in trio.legs):
        return Implied(Transition.TURNED_UP, Cause.LATE, "An order that had been written off turned up.")
    return None


ENDED: Final[tuple[TransitionRule, ...]] = (turned_up,)


TRANSITION_RULES: Final[Mapping[S, tuple[TransitionRule, ...]]] = {
    S.QUEUED: QUEUED,
    S.PLACING: PLACING,
    S.WORKING: WORKING,
    S.WITHDRAWING: WITHDRAWING,
    S.OPEN: OPEN,
    S.EXITING: EXITING,
    **dict.fromkeys(ENDS, ENDED),
}


def _entry_words(leg: LegView) -> str:
    return "entry" if leg.role is Role.ENTRY else f"entry's rung {leg.number}"


def _refused(what: str, leg: LegView) -> str:
    text = leg.refused_text.rstrip(".")
    code = f" (code {leg.refused_code})" if leg.refused_code else ""
    said = f"The exchange refused the {what}: {text or 'no reason given'}{code}."
    return f"{said} {SENTENCES[leg.refusal]}" if leg.refusal in NEEDS_WORDS else said

"""The life of a trio: one table of turns, and the facts that cause them.

``settle`` carries a snapshot through every turn its facts already imply, so that a decision never
starts from yesterday's state. It changes nothing but ``state``, ``cause`` and ``reason``.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import Final

from exchange.refusals import Refusal
from orders.domain.coverage import is_uncovered
from orders.domain.decision.conditions import (
    armed_leg_refused,
    armed_level_passed,
    armed_stop_gone,
    before_entry,
    cover_deadline_ts,
    guard_at_work,
    late_leg_matters,
    level_passed,
    protected_once,
    refused_as_passed,
    refused_forms,
    stop_attempted,
    stop_failed,
)
from orders.domain.enums import Cause, Form, LegState, Role, TargetPolicy
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition
from orders.domain.snapshot import LegView, TrioSnapshot


class Turn(enum.StrEnum):
    QUEUED = "QUEUED"
    WITHDRAWN = "WITHDRAWN"
    REFUSED = "REFUSED"
    OVERDUE = "OVERDUE"
    TESTED = "TESTED"
    BEGUN = "BEGUN"
    ALL_ACCEPTED = "ALL_ACCEPTED"
    LEG_REFUSED = "LEG_REFUSED"
    WITHDRAW = "WITHDRAW"
    FILLED = "FILLED"
    UNDO = "UNDO"
    EXIT = "EXIT"
    TURNED_UP = "TURNED_UP"
    FLAT_AND_EMPTY = "FLAT_AND_EMPTY"


E = Turn
# fmt: off
TRANSITIONS: Final = {
    (S.DRAFT,        E.QUEUED):         S.QUEUED,
    (S.DRAFT,        E.WITHDRAWN):      S.CANCELLED,
    (S.QUEUED,       E.WITHDRAWN):      S.CANCELLED,
    (S.QUEUED,       E.REFUSED):        S.REFUSED,
    (S.QUEUED,       E.OVERDUE):        S.EXPIRED,
    (S.QUEUED,       E.TESTED):         S.DRY_RUN,
    (S.QUEUED,       E.BEGUN):          S.PLACING,
    (S.PLACING,      E.ALL_ACCEPTED):   S.WORKING,
    (S.PLACING,      E.LEG_REFUSED):    S.ROLLING_BACK,
    (S.PLACING,      E.FILLED):         S.OPEN,
    (S.WORKING,      E.FILLED):         S.OPEN,
    (S.WITHDRAWING,  E.FILLED):         S.OPEN,
    (S.PLACING,      E.WITHDRAW):       S.WITHDRAWING,
    (S.WORKING,      E.WITHDRAW):       S.WITHDRAWING,
    (S.OPEN,         E.UNDO):           S.ROLLING_BACK,
    (S.OPEN,         E.EXIT):           S.EXITING,
    (S.EXITING,      E.EXIT):           S.EXITING,       # it is named after who executed first
    (S.WITHDRAWING,  E.FLAT_AND_EMPTY): S.CANCELLED,     # or as WITHDRAWN_AS says, by cause
    (S.ROLLING_BACK, E.FLAT_AND_EMPTY): S.ROLLED_BACK,
    (S.EXITING,      E.FLAT_AND_EMPTY): S.CLOSED,
    (S.LATE,         E.FLAT_AND_EMPTY): S.CLOSED,
    (S.CLOSED,       E.TURNED_UP):      S.LATE,
    (S.ROLLED_BACK,  E.TURNED_UP):      S.LATE,
    (S.CANCELLED,    E.TURNED_UP):      S.LATE,
    (S.EXPIRED,      E.TURNED_UP):      S.LATE,
    (S.REFUSED,      E.TURNED_UP):      S.LATE,
}
WITHDRAWN_AS: Final = {
    Cause.CANCEL_WANTED:   S.CANCELLED,
    Cause.MANUAL:          S.CANCELLED,
    Cause.PANIC:           S.CANCELLED,
    Cause.ENTRY_CANCELLED: S.CANCELLED,
    Cause.GOOD_TILL:       S.EXPIRED,
    Cause.PLACE_BEFORE:    S.EXPIRED,
    Cause.ENTRY_ENDED:     S.EXPIRED,
    Cause.LIMIT:           S.REFUSED,
    Cause.STOP_GONE:       S.ROLLED_BACK,
    Cause.LEVEL_PASSED:    S.ROLLED_BACK,
}
# fmt: on


def transition(state: S, turn: Turn) -> S:
    """Return where ``turn`` leads from ``state``. Raises IllegalTransition when it leads nowhere."""
    try:
        return TRANSITIONS[state, turn]
    except KeyError:
        raise IllegalTransition(
            f"A trio in state {state} cannot be {turn.lower().replace('_', ' ')}."
        ) from None


def ending(state: S, cause: Cause | None) -> S:
    """Return the end a trio reaches once it is flat and nothing of ours rests."""
    if state is S.WITHDRAWING and cause is not None:
        return WITHDRAWN_AS[cause]
    return transition(state, Turn.FLAT_AND_EMPTY)


def settle(trio: TrioSnapshot) -> TrioSnapshot:
    """Carry ``trio`` through every turn that its facts already imply."""
    for _ in range(len(S)):
        found = _turn(trio)
        if found is None:
            return trio
        turn, cause, reason = found
        trio = replace(trio, state=transition(trio.state, turn), cause=cause, reason=reason)
    raise AssertionError("a trio's turns run in a circle")


Found = tuple[Turn, Cause | None, str]


def _turn(trio: TrioSnapshot) -> Found | None:
    match trio.state:
        case S.QUEUED:
            return _queued(trio)
        case S.PLACING | S.WORKING | S.WITHDRAWING:
            return _before_a_position(trio)
        case S.OPEN:
            return _open(trio)
        case S.EXITING:
            return _exiting(trio)
        case state if state.is_end and any(late_leg_matters(trio, leg) for leg in trio.legs):
            return Turn.TURNED_UP, Cause.LATE, "An order that had been written off turned up."
    return None


def _queued(trio: TrioSnapshot) -> Found | None:
    if trio.cancel_wanted or trio.close_wanted or trio.panic_wanted:
        return Turn.WITHDRAWN, Cause.CANCEL_WANTED, "Withdrawn before anything was sent."
    if trio.place_before is not None and trio.now >= trio.place_before:
        why = f" {trio.book.not_placeable}" if trio.book.not_placeable else ""
        return Turn.OVERDUE, Cause.PLACE_BEFORE, f"Not sent before its deadline.{why}"
    if trio.dry_run_passed:
        return Turn.TESTED, None, "Dry run: checked by the exchange, nothing was placed."
    if trio.refusal:
        return Turn.REFUSED, Cause.LIMIT, trio.refusal
    entry = trio.entry
    if trio.dry_run and entry is not None and entry.state is LegState.REJECTED:
        return Turn.REFUSED, Cause.ENTRY_REFUSED, _refused("entry", entry)
    if trio.dry_run or not trio.worker_alive or not trio.book.placeable:
        return None
    if trouble := slot_trouble(trio):
        return Turn.REFUSED, Cause.LIMIT, trouble
    return Turn.BEGUN, None, ""


def slot_trouble(trio: TrioSnapshot) -> str:
    """Say what of somebody else's is in this trio's slot, or nothing."""
    book = trio.book
    if book.quantity > 0 or book.opposite > 0:
        quantity = book.quantity or book.opposite
        side = "on this side" if book.quantity > 0 else "on the opposite side"
        return (
            f"The slot already holds a position of {quantity.normalize():f} {side} that is not ours. "
            "Close it, or wait until it is closed, then place the trio again."
        )
    if book.strangers:
        return (
            f"The slot already holds an order that is not ours ({', '.join(book.strangers[:3])}). "
            "Cancel it, then place the trio again."
        )
    return ""


def _before_a_position(trio: TrioSnapshot) -> Found | None:
    entry = trio.entry
    if trio.bought > 0 or trio.position > 0:
        return Turn.FILLED, trio.cause if trio.state is S.WITHDRAWING else None, ""
    if trio.state is S.WITHDRAWING:
        return None
    if entry is not None and entry.state is LegState.REJECTED and trio.state is S.PLACING:
        return Turn.LEG_REFUSED, Cause.ENTRY_REFUSED, _refused("entry", entry)
    if entry is not None and entry.state is LegState.WRITTEN_OFF and trio.state is S.PLACING:
        return Turn.LEG_REFUSED, Cause.ENTRY_ABSENT, "The entry got lost on its way; it is never sent twice."
    if trio.state is S.PLACING and (refused := armed_leg_refused(trio)):
        cause = Cause.STOP_REFUSED if refused.role is Role.STOP_LOSS else Cause.TARGET_REFUSED
        return Turn.LEG_REFUSED, cause, _refused(refused.role.words, refused)
    if withdraw := _withdraw_reason(trio, entry):
        return (Turn.WITHDRAW, *withdraw)
    if trio.state is S.PLACING and entry is not None and entry.live and not entry.executed:
        return Turn.ALL_ACCEPTED, None, ""
    return None


def _withdraw_reason(trio: TrioSnapshot, entry: LegView | None) -> tuple[Cause, str] | None:
    if trio.panic_wanted:
        return Cause.PANIC, "Withdrawn by panic."
    if trio.close_wanted:
        return Cause.MANUAL, "Closed before anything was filled."
    if trio.cancel_wanted:
        return Cause.CANCEL_WANTED, "Cancelled before anything was filled."
    if entry is None or entry.state is LegState.PLANNED:
        if trio.place_before is not None and trio.now >= trio.place_before:
            return Cause.PLACE_BEFORE, "The entry could not be sent before its deadline."
        if trio.refusal:
            return Cause.LIMIT, trio.refusal
    if trio.good_till is not None and trio.now >= trio.good_till:
        return Cause.GOOD_TILL, "Its good-till time passed before anything was filled."
    if entry is not None and entry.state is LegState.CANCELLED:
        return Cause.ENTRY_CANCELLED, "The entry was cancelled on the exchange."
    if entry is not None and entry.state is LegState.EXPIRED:
        return Cause.ENTRY_ENDED, "The entry ended on the exchange without a fill."
    if entry is not None and entry.state in (LegState.WRITTEN_OFF, LegState.REJECTED):
        return Cause.ENTRY_ENDED, "The entry is gone from the exchange without a fill."
    if gone := armed_stop_gone(trio):
        return Cause.STOP_GONE, f"The waiting stop-loss is gone ({gone.state.lower()}) before any fill."
    if armed_level_passed(trio):
        return Cause.LEVEL_PASSED, "The price passed the waiting stop-loss's level before any fill."
    return None


def _open(trio: TrioSnapshot) -> Found | None:
    if executed := _guard_executed_first(trio):
        return executed
    if trio.flat_believed and (trio.bought > 0 or trio.guards) and not guard_at_work(trio):
        if trio.forced:
            return _forced(trio)
        return Turn.EXIT, Cause.OUTSIDE, "The position was closed outside this system."
    if trio.panic_wanted:
        return Turn.EXIT, Cause.PANIC, "Closed by panic."
    if trio.close_wanted:
        return Turn.EXIT, Cause.MANUAL, "Closed at market on request."
    if trio.spec.entry_only:
        return Turn.EXIT, Cause.MANUAL, "An entry-only order is closed as soon as it fills."
    if trio.hold_until_ts is not None and trio.now_ts >= trio.hold_until_ts:
        return Turn.EXIT, Cause.TIME, "Its holding time is over."
    if not is_uncovered(trio):
        return _target_refused(trio)
    turn = Turn.EXIT if protected_once(trio) else Turn.UNDO
    if passed := refused_as_passed(trio):
        cause = Cause.LEVEL_PASSED
        return turn, cause, f"The price had already passed the {passed.role.words}'s level."
    if level_passed(trio):
        return Turn.EXIT, Cause.LEVEL_PASSED, "The price passed the stop-loss while nothing covered."
    if dead := stop_failed(trio):
        return (
            Turn.EXIT,
            Cause.UNCOVERED,
            f"The stop-loss failed at its trigger: {dead.refused_text or dead.state.lower()}.",
        )
    if refused_forms(trio, Role.STOP_LOSS) >= {Form.CLOSE_POSITION, Form.QUANTITY}:
        newest = trio.of(Role.STOP_LOSS)[-1]
        cause = Cause.UNCOVERED if turn is Turn.EXIT else Cause.STOP_REFUSED
        return turn, cause, _refused("stop-loss", newest)
    if trio.now_ts >= cover_deadline_ts(trio) and stop_attempted(trio):
        return Turn.EXIT, Cause.UNCOVERED, "The position could not be covered within its bound."
    return None


def _target_refused(trio: TrioSnapshot) -> Found | None:
    newest = trio.newest(Role.TAKE_PROFIT)
    if newest is None or newest.state is not LegState.REJECTED or before_entry(trio, newest):
        return None
    if newest.acknowledged or newest.refusal is Refusal.NOT_WHILE_FLAT:
        return None
    if newest.refusal is Refusal.LEVEL_PASSED:
        turn = Turn.EXIT if protected_once(trio) else Turn.UNDO
        return turn, Cause.LEVEL_PASSED, "The price had already passed the take-profit's level."
    if protected_once(trio) or trio.spec.target_policy is TargetPolicy.KEEP_STOP:
        return None
    return Turn.UNDO, Cause.TARGET_REFUSED, _refused("take-profit", newest)


def _exiting(trio: TrioSnapshot) -> Found | None:
    """An exit is named after the first order of ours that executed, whatever set it off."""
    executed = _guard_executed_first(trio)
    if executed is None and trio.forced and trio.cause is Cause.OUTSIDE:
        return _forced(trio)  # its order is told after the position it closed
    return executed if executed is not None and executed[1] is not trio.cause else None


def _forced(trio: TrioSnapshot) -> Found:
    return Turn.EXIT, Cause.LIQUIDATED, f"The exchange closed the position itself ({trio.forced})."


def _guard_executed_first(trio: TrioSnapshot) -> Found | None:
    out = [leg for leg in trio.legs if leg.role is not Role.ENTRY and leg.executed]
    first = min(out, key=lambda leg: leg.filled_ts or 0, default=None)
    if first is None or first.role is Role.EXIT:
        return None
    cause = Cause.STOP_LOSS if first.role is Role.STOP_LOSS else Cause.TAKE_PROFIT
    return Turn.EXIT, cause, f"The {first.role.words} executed."


def _refused(what: str, leg: LegView) -> str:
    text = leg.refused_text.rstrip(".")
    code = f" (code {leg.refused_code})" if leg.refused_code else ""
    return f"The exchange refused the {what}: {text or 'no reason given'}{code}."

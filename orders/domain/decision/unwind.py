"""On the way out: exit the position, cancel what rests, and only then end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exchange.refusals import Refusal
from exchange.types import OrderType
from orders.domain.decision.conditions import is_dust, late_quantity, refusal_facts
from orders.domain.decision.lifecycle import ending
from orders.domain.decision.lookups import (
    awaited,
    look_up,
    look_up_after_patience,
    look_up_if_due,
    must_wait,
    position_read_since,
    read_in_vain,
    read_position,
)
from orders.domain.decision.order_plans import exit_plan
from orders.domain.decision.rules import LegRule, Rule, decided_by, first_that_applies, soonest
from orders.domain.decision.steps import AskPerson, Cancel, Done, Exit, Rest, Step
from orders.domain.decision.stuck import put_to_person
from orders.domain.enums import Cause, Form, LegState, Role
from orders.domain.fitting import lot_of, split
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot

DUST_LOOK_MS: Final = 5000  # how often a remainder too small to close is read again
REFUSED_EXITS_MAX: Final = 3


def undo(trio: TrioSnapshot) -> Step:
    """Exit what is there, then take back whatever rests, verify, done."""
    return decided_by(UNDO, trio)


def tidy_late(trio: TrioSnapshot) -> Step:
    """Cancel an order that was written off and turned up, and close what its entry filled, once."""
    return decided_by(TIDY_LATE, trio)


# --- undoing ----------------------------------------------------------------------------------


def position_exited(trio: TrioSnapshot) -> Step | None:
    """A position is exited before anything else."""
    return decided_by(EXIT, trio) if trio.position > 0 else None


def entry_taken_back(trio: TrioSnapshot) -> Step | None:
    """Then the entry is cancelled, so that nothing can fill any more."""
    return cleared(trio, trio.entries)


def flat_verified(trio: TrioSnapshot) -> Step | None:
    """Stops stay until the position, read after the entry's end and the last fill, is flat."""
    return read_position(trio) if _flat_is_uncertain(trio) else None


def rest_taken_back(trio: TrioSnapshot) -> Step | None:
    """Stops, targets and exits are cancelled last."""
    return cleared(trio, tuple(leg for leg in trio.legs if not leg.role.opens))


def undone(trio: TrioSnapshot) -> Step:
    """The slot is flat and nothing of ours rests: the trio ends."""
    return Done(ending(trio.state, trio.cause))


UNDO: Final[tuple[Rule, ...]] = (
    position_exited,
    entry_taken_back,
    flat_verified,
    rest_taken_back,
    undone,
)


def _flat_is_uncertain(trio: TrioSnapshot) -> bool:
    """Anything that hinges on "flat" wants a position read after the entry's end and the last fill."""
    if all(leg.state is LegState.PLANNED for leg in trio.rungs):
        return False
    after = max(trio.executed_ts, *(leg.ended_ts or 0 for leg in trio.entries))
    return trio.slot.as_of < after or not trio.flat_believed


# --- exiting ----------------------------------------------------------------------------------


def leg_at_work(trio: TrioSnapshot) -> Step | None:
    """A leg that triggered or is filling closes the position already: it gets ``PROTECT_TIMEOUT_MS`` to finish."""
    for leg in trio.protective_legs:
        since = max(leg.filled_ts or 0, leg.triggered_ts or 0)
        over = since + trio.policies.patience - trio.now_ts
        if leg.state in (LegState.TRIGGERED, LegState.PARTIALLY_FILLED) and over > 0:
            return Rest(trio.now + over)
    return None


def last_exit_resolved(trio: TrioSnapshot) -> Step | None:
    """No exit goes out before it is known what the last one did."""
    newest = trio.newest(Role.EXIT)
    return None if newest is None else first_that_applies(LAST_EXIT, trio, newest)


def dust_kept(trio: TrioSnapshot) -> Step | None:
    """A remainder too small to close stays under its stop, which may be of any size, and a person is asked."""
    if not is_dust(trio):
        return None
    if step := entry_taken_back(trio):
        return step
    question = Question(QuestionKind.DUST, {"quantity": plain(trio.position)})
    asks = trio.question is not None and trio.question.kind is QuestionKind.DUST
    if not asks and trio.may_ask(question):  # it matters more than another
        return AskPerson(question)
    over = trio.slot.as_of + DUST_LOOK_MS - trio.now_ts
    return Rest(trio.now + over) if over > 0 else read_position(trio)


def exit_keeps_being_refused(trio: TrioSnapshot) -> Step | None:
    """After several refusals a person is asked to look; the exit is tried again all the same."""
    refused = [leg for leg in trio.of(Role.EXIT) if leg.state is LegState.REJECTED]
    if len(refused) < REFUSED_EXITS_MAX or trio.question is not None:
        return None
    question = Question(QuestionKind.EXIT_REFUSED, refusal_facts(trio, refused[-1]))
    return AskPerson(question) if trio.may_ask(question) else None


def exit_sent(trio: TrioSnapshot) -> Step:
    """The position is closed at market, in as many exits as the symbol's lot makes of it. Orders that would enlarge it, or block the exit, are cancelled at the same time."""
    newest = trio.newest(Role.EXIT)
    again = newest if newest is not None and newest.state is LegState.PLANNED else None
    return Exit(exit_plan(trio, trio.position, again), tuple(_in_the_way(trio, newest)))


EXIT: Final[tuple[Rule, ...]] = (
    leg_at_work,
    last_exit_resolved,
    dust_kept,
    exit_keeps_being_refused,
    exit_sent,
)


def _in_the_way(trio: TrioSnapshot, newest: LegView | None) -> Iterator[str]:
    """Name what is cancelled with an exit: the unfilled entry, and reduce-only targets that use up its allowance.

    Stops stay until the position is gone.
    """
    for leg in trio.entries:
        if leg.live and leg.cancel is RequestStatus.NONE:
            yield leg.client_id
    if (
        newest is None
        or newest.state is not LegState.REJECTED
        or newest.refusal is not Refusal.NOT_WHILE_FLAT
    ):
        return
    for leg in (*trio.of(Role.TAKE_PROFIT), *trio.of(Role.PART_TARGET)):
        if leg.live and leg.form is Form.QUANTITY and leg.cancel is RequestStatus.NONE:
            yield leg.client_id


# --- exiting: the last exit -------------------------------------------------------------------


def exit_in_flight(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """An exit that was just sent gets ``PROTECT_TIMEOUT_MS`` to be answered."""
    in_flight = newest.pending and newest.submit is RequestStatus.IN_FLIGHT
    return Rest(newest.submitted_at + trio.policies.patience) if in_flight else None


def exit_in_doubt(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """An unanswered exit is judged by the position, read after it was sent. Exits only reduce, so another may follow, also
    where the position cannot be read."""
    in_doubt = newest.pending and trio.slot.as_of <= newest.submitted_ts
    return read_position(trio) if in_doubt and not read_in_vain(trio, newest) else None


def exit_refused(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """A refused exit may mean that nothing is left to reduce, so the position is read first."""
    if newest.state is not LegState.REJECTED or position_read_since(trio, newest):
        return None
    may_be_flat = newest.refusal is Refusal.NOT_WHILE_FLAT
    return read_position(trio) if may_be_flat or not read_in_vain(trio, newest) else None


def exit_executed(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """After a fill the position is read again: it says how much is left."""
    executed = newest.state.is_final and newest.executed and trio.slot.as_of < (newest.filled_ts or 0)
    return read_position(trio) if executed and not read_in_vain(trio, newest) else None


def exit_held_back(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """Exits without effect follow each other ever more slowly."""
    return Rest(newest.retry_at) if must_wait(trio, newest) else None


def exit_resting(trio: TrioSnapshot, newest: LegView) -> Step | None:
    """A market order should not rest: it is looked up."""
    if newest.state not in (LegState.ACCEPTED, LegState.PARTIALLY_FILLED):
        return None
    return look_up_if_due(trio, newest) or look_up_after_patience(trio, newest)


LAST_EXIT: Final[tuple[LegRule, ...]] = (
    exit_in_flight,
    exit_in_doubt,
    exit_refused,
    exit_executed,
    exit_held_back,
    exit_resting,
)


# --- an order that turned up late -------------------------------------------------------------


def late_in_doubt(trio: TrioSnapshot) -> Step | None:
    """Requests in doubt are looked up first: a late fill is closed once, never twice."""
    return soonest(awaited(trio, leg) for leg in trio.legs if leg.pending)


def late_taken_back(trio: TrioSnapshot) -> Step | None:
    """Whatever still rests is cancelled by its id."""
    return cleared(trio, tuple(leg for leg in trio.legs if leg.live))


def late_fill_exited(trio: TrioSnapshot) -> Step | None:
    """Exactly what the entry filled is closed; anything more may be somebody else's position."""
    quantity = late_quantity(trio)
    newest = trio.newest(Role.EXIT)
    if quantity <= 0 or _late_exit_answered(trio, newest):
        return None
    if not split(quantity, lot_of(trio.rules, OrderType.MARKET)):
        left = Question(QuestionKind.DUST, {"quantity": plain(quantity)})
        return AskPerson(left) if trio.may_ask(left) else None
    if newest is not None and must_wait(trio, newest):
        return Rest(newest.retry_at)
    again = newest if newest is not None and newest.state is LegState.PLANNED else None
    return Exit(exit_plan(trio, quantity, again))


def late_tidied(trio: TrioSnapshot) -> Step:
    """None of its orders rests and what it filled is closed: the trio ends again."""
    return Done(ending(trio.state, Cause.LATE))


TIDY_LATE: Final[tuple[Rule, ...]] = (
    late_in_doubt,
    late_taken_back,
    late_fill_exited,
    late_tidied,
)


def _late_exit_answered(trio: TrioSnapshot, exit_order: LegView | None) -> bool:
    """Did an exit sent after the late fill execute, or find the slot flat? One exit is all it gets."""
    if exit_order is None or not exit_order.state.is_final or exit_order.state is LegState.WRITTEN_OFF:
        return False
    if trio.ended_at is not None and exit_order.submitted_at < trio.ended_at:
        return False  # it was for what was known then
    filled_ts = max((leg.filled_ts or 0 for leg in trio.entries), default=0)
    refused = exit_order.state is LegState.REJECTED and exit_order.refusal is not Refusal.NOT_WHILE_FLAT
    return exit_order.submitted_ts >= filled_ts and not refused and not _is_one_of_several(trio, exit_order)


def _is_one_of_several(trio: TrioSnapshot, exit_order: LegView) -> bool:
    """Did this late exit fill wholly, cut to what one order may have, so that others follow it?"""
    before = late_quantity(trio) + exit_order.filled
    orders = split(before, lot_of(trio.rules, OrderType.MARKET))
    return len(orders) > 1 and exit_order.state is LegState.FILLED and exit_order.filled == orders[0]


# --- taking back ------------------------------------------------------------------------------


def cleared(trio: TrioSnapshot, legs: Iterable[LegView]) -> Step | None:
    """Return the next step until none of these legs rests or is in doubt; nothing when that is so.

    Cancels that can go now go together, and before any waiting.
    """
    waits: list[Step] = []
    cancels: list[str] = []
    for leg in legs:
        step = first_that_applies(CLEAR, trio, leg) if _may_rest(leg) else None
        if isinstance(step, Cancel):
            cancels += step.client_ids
        elif step is not None:
            waits.append(step)
    return Cancel(tuple(cancels)) if cancels else soonest(waits)


def _may_rest(leg: LegView) -> bool:
    """What was acknowledged once and is written off may rest all the same: look-ups may be wrong."""
    return leg.pending or leg.live or (leg.acknowledged and leg.state is LegState.WRITTEN_OFF)


def placing_in_doubt(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """There is no end while a request that places is in doubt: it may still execute."""
    return awaited(trio, leg) if leg.pending else None


def stuck_put_to_person(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg that triggered, neither executes nor is cancelled, is put to a person: it could hit the next position."""
    if leg.triggered_ts is None or leg.state is not LegState.TRIGGERED or trio.position > 0:
        return None
    if leg.role.opens and leg.price is not None and leg.child_known:
        return None  # what was born at its trigger rests like any limit order
    tried = leg.cancel_at > 0 and leg.cancel is RequestStatus.NONE  # and still there by a look-up since
    if not tried or trio.now_ts - leg.triggered_ts <= trio.policies.naked_limit:
        return None
    return put_to_person(trio, leg)


def cancel_held_back(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A cancel that never reached the exchange goes out again after a pause."""
    return Rest(leg.retry_at) if leg.cancel is RequestStatus.NONE and must_wait(trio, leg) else None


def expiring_by_itself(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """closePosition orders expire when the position closes: they get ``PROTECT_TIMEOUT_MS`` to do so."""
    if leg.cancel is not RequestStatus.NONE or leg.form is not Form.CLOSE_POSITION or not trio.executed_ts:
        return None
    closed_ts = max(trio.executed_ts, trio.slot.flat_since or 0)
    over = min(trio.policies.patience, closed_ts + trio.policies.patience - trio.now_ts)
    return Rest(trio.now + over) if over > 0 else None


def cancel_sent(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """Otherwise the order is cancelled by its id."""
    return Cancel((leg.client_id,)) if leg.cancel is RequestStatus.NONE else None


def cancel_in_flight(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A cancel that was just sent gets ``PROTECT_TIMEOUT_MS`` to be answered."""
    return Rest(leg.cancel_at + trio.policies.patience) if leg.cancel is RequestStatus.IN_FLIGHT else None


def cancel_in_doubt(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A written-off order cannot be looked up, so a cancel in doubt is sent again until it is answered."""
    if leg.live or leg.cancel is not RequestStatus.IN_DOUBT:
        return None
    again = leg.cancel_at + trio.policies.look_again
    return Rest(again) if trio.now < again else Cancel((leg.client_id,))


def cancel_without_effect(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """An order that still counts as resting after its cancel is looked up."""
    return look_up(trio, leg) if leg.live else None


CLEAR: Final[tuple[LegRule, ...]] = (
    placing_in_doubt,
    stuck_put_to_person,
    cancel_held_back,
    expiring_by_itself,
    cancel_sent,
    cancel_in_flight,
    cancel_in_doubt,
    cancel_without_effect,
)

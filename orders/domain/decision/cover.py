"""While there is a position: cover it with a stop, add the target, otherwise rest."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import OrderType, PositionMode
from orders.domain.coverage import covered
from orders.domain.decision.conditions import (
    before_entry,
    cover_deadline_ts,
    entry_over,
    refusal_facts,
    refused_by_old_rules,
    refused_forms,
    vain_pause_ms,
)
from orders.domain.decision.drifts import (
    enlarged_from_outside,
    enlargement_gone,
    left_unprotected,
    protected_again,
    reduced_outside,
    reduction_gone,
    strangers_asked_about,
    strangers_gone,
)
from orders.domain.decision.entry_changes import entry_changed, spare_stops_taken_back
from orders.domain.decision.exchange_trail import trail_kept
from orders.domain.decision.lookups import (
    awaited,
    earliest,
    look_up,
    look_up_if_due,
    must_wait,
    position_read_since,
    read_in_vain,
    read_position,
)
from orders.domain.decision.moves import levels_moved
from orders.domain.decision.order_plans import entry_plans, leg_plan
from orders.domain.decision.parts import (
    changes_in_size,
    part_targets_completed,
    sizes_wished,
    spare_legs_taken_back,
    stop_awaits_price,
)
from orders.domain.decision.rules import LegRule, Rule, decided_by, first_that_applies, soonest
from orders.domain.decision.rungs import entry_withdraws, rungs_unsent
from orders.domain.decision.steps import AskPerson, Plan, Rest, Step, Submit
from orders.domain.decision.strangers import strangers_taken_back
from orders.domain.decision.stuck import stuck_no_more
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.fitting import lot_of
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import LegView, TrioSnapshot


def cover(trio: TrioSnapshot) -> Step:
    """Get an acknowledged stop for a position that is not covered."""
    return decided_by(COVER, trio)


def hold(trio: TrioSnapshot) -> Step:
    """Complete the target of a covered position, follow its orders, cancel what is no longer wanted; otherwise rest."""
    return soonest(rule(trio) for rule in HOLD) or Rest(None)


# --- not covered ------------------------------------------------------------------------------


def stop_under_way(trio: TrioSnapshot) -> Step | None:
    """A stop whose fate is unknown is looked up once, within the deadline; then a second one goes out.

    Stops only reduce the position: two are safe, none is not.
    """
    return soonest(first_that_applies(STOP_UNDER_WAY, trio, stop) for stop in _stops(trio))


def stop_that_may_be_gone(trio: TrioSnapshot, stop: LegView) -> Step | None:
    """A stop that may be gone is looked up once before it counts as gone."""
    return look_up_if_due(trio, stop) if stop.live and stop.looks == 0 else None


def stop_in_doubt(trio: TrioSnapshot, stop: LegView) -> Step | None:
    """A stop that was sent is waited for, but no longer than the deadline for cover allows."""
    if stop.pending and stop.looks == 0:
        return awaited(trio, stop, until=_deadline(trio))
    return None


def stop_expired(trio: TrioSnapshot, stop: LegView) -> Step | None:
    """A stop mostly expires because its position was closed, so the position is read first, once: where that is not answered,
    a stop goes out all the same."""
    expired = stop.state is LegState.EXPIRED and stop.acknowledged
    if not expired or position_read_since(trio, stop) or read_in_vain(trio, stop):
        return None
    return read_position(trio)


def stop_sent_again(trio: TrioSnapshot) -> Step | None:
    """A stop that never reached the book goes out again under the same id, after a pause if the exchange asked for one."""
    stop = _newest_stop(trio)
    if stop is None or stop.state is not LegState.PLANNED:
        return None
    if must_wait(trio, stop):
        return Rest(earliest(stop.retry_at, _deadline(trio), after=trio.now))
    return _submit_stop(trio, leg_plan(trio, Role.STOP_LOSS, stop.form, trio.position, again=stop))


def stop_refused_while_flat(trio: TrioSnapshot) -> Step | None:
    """The exchange refused the stop as "not while flat": the position is read; while that lags, the stop waits."""
    stop = _newest_stop(trio)
    if stop is None or stop.state is not LegState.REJECTED or stop.refusal is not Refusal.NOT_WHILE_FLAT:
        return None
    if not position_read_since(trio, stop):
        return read_position(trio)
    if trio.slot.quantity == 0 and trio.now_ts - (stop.ended_ts or 0) < trio.policies.back_off:
        return Rest(trio.now + trio.policies.back_off)
    return None


def stop_dying_young(trio: TrioSnapshot) -> Step | None:
    """Stops that the exchange keeps ending at once are replaced with growing pauses."""
    pause = vain_pause_ms(trio, Role.STOP_LOSS)
    return Rest(trio.now + pause) if pause else None


def new_stop(trio: TrioSnapshot) -> Step:
    """Otherwise a new stop goes out, in a form that was not refused and is not taken."""
    return _submit_stop(trio, leg_plan(trio, Role.STOP_LOSS, _stop_form(trio), _stop_quantity(trio)))


STOP_UNDER_WAY: Final[tuple[LegRule, ...]] = (
    stop_that_may_be_gone,
    stop_in_doubt,
    stop_expired,
)
COVER: Final[tuple[Rule, ...]] = (
    stop_under_way,
    stop_sent_again,
    stop_refused_while_flat,
    stop_dying_young,
    new_stop,
)


def _stops(trio: TrioSnapshot) -> list[LegView]:
    """Return the stops that say something about this position: not those refused before there was one."""
    return [leg for leg in trio.of(Role.STOP_LOSS) if not before_entry(trio, leg) or leg.acknowledged]


def _newest_stop(trio: TrioSnapshot) -> LegView | None:
    stops = _stops(trio)
    return stops[-1] if stops else None


def _deadline(trio: TrioSnapshot) -> int:
    return trio.now + max(1, cover_deadline_ts(trio) - trio.now_ts)


def _submit_stop(trio: TrioSnapshot, stop: Plan) -> Step:
    """The first target goes out beside the stop: neither waits for the other."""
    if trio.newest(Role.TAKE_PROFIT) is None:
        return Submit((stop, _target_plan(trio)))
    return Submit((stop,))


def _stop_quantity(trio: TrioSnapshot) -> Decimal:
    """One stop for all of it; where that is more than an order may have, what the stops before it leave."""
    one = trio.position <= lot_of(trio.rules, OrderType.STOP_MARKET).largest
    return trio.position if one else trio.position - covered(trio)


def _stop_form(trio: TrioSnapshot) -> Form:
    """closePosition grows with later fills; the other form when that one is refused, still in doubt, or a stranger's."""
    refused = refused_forms(trio, Role.STOP_LOSS)
    taken = any(
        leg.form is Form.CLOSE_POSITION and (leg.pending or leg.live) for leg in trio.of(Role.STOP_LOSS)
    )
    taken = taken or Role.STOP_LOSS in trio.occupied
    if Form.CLOSE_POSITION in refused or (taken and Form.QUANTITY not in refused):
        return Form.QUANTITY
    return Form.CLOSE_POSITION


# --- covered ----------------------------------------------------------------------------------


def entry_withdrawn(trio: TrioSnapshot) -> Step | None:
    """The unfilled part of the entry, all rungs of a ladder, is cancelled on request, when ``good_till`` has passed, or when a
    ladder is over. Cover stays."""
    return cleared(trio, trio.rungs) if entry_withdraws(trio) else None


def entry_in_doubt(trio: TrioSnapshot) -> Step | None:
    """The position may show the fill before the entry is answered; the entry's fate is still looked up."""
    return soonest(awaited(trio, leg) for leg in trio.rungs if leg.pending)


def rungs_sent_again(trio: TrioSnapshot) -> Step | None:
    """A rung that never reached the book goes out again under the same id, while its ladder stands; until ``place_before``.

    None goes while a person has the position left unprotected: what it filled would be without a stop.
    """
    unsent = rungs_unsent(trio)
    if not unsent:
        return None
    if left_unprotected(trio):
        return Rest(earliest(trio.unprotected_until, trio.place_before, after=trio.now))
    if not (trio.worker_alive and trio.slot.placeable):
        return Rest(earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))
    if all(must_wait(trio, leg) for leg in unsent):
        return Rest(earliest(*(leg.retry_at for leg in unsent), trio.place_before, after=trio.now))
    return Submit(tuple(entry_plans(trio)))


def target_completed(trio: TrioSnapshot) -> Step | None:
    """A covered position gets its take-profit."""
    target = trio.newest(Role.TAKE_PROFIT)
    if target is None:
        return _submit_target(trio)
    if (
        not target.live
        and any(leg.live for leg in trio.of(Role.TAKE_PROFIT))
        and Role.TAKE_PROFIT in trio.moved
    ):
        return None  # the bridge of a move stands for it
    return first_that_applies(TARGET, trio, target)


def legs_followed(trio: TrioSnapshot) -> Step | None:
    """Every stop and target is followed until its fate is known."""
    return soonest(first_that_applies(PROTECTION, trio, leg) for leg in trio.protective_legs)


def entry_read(trio: TrioSnapshot) -> Step | None:
    """A resting entry is looked up when its price was reached: the fill may not have been reported."""
    return soonest(look_up_if_due(trio, leg) for leg in trio.rungs if leg.live)


def flat_doubted(trio: TrioSnapshot) -> Step | None:
    """The slot reads flat although we know of a fill: look up an order that would have expired with it; read again."""
    if not trio.slot_is_newer or trio.slot.quantity > 0 or trio.flat_believed:
        return None
    witness, since = trio.flat_witness, trio.slot.flat_since
    unasked = witness is not None and since is not None and (witness.looked_ts or 0) <= since
    if witness is not None and unasked and witness.look_at is None:
        return look_up(trio, witness)
    return read_position(trio)


def holding_time(trio: TrioSnapshot) -> Step | None:
    """The trio is decided about again when its holding time is over, or it is to be flat."""
    moments = [moment for moment in (trio.hold_until_ts, trio.flat_ts) if moment is not None]
    return Rest(trio.now + max(1, min(moments) - trio.now_ts)) if moments else None


def good_till(trio: TrioSnapshot) -> Step | None:
    """The trio is decided about again when ``good_till`` has passed."""
    waits = any(leg.live for leg in trio.rungs) and trio.good_till is not None
    return Rest(trio.good_till) if waits and not entry_withdraws(trio) else None


HOLD: Final[tuple[Rule, ...]] = (
    entry_withdrawn,
    entry_in_doubt,
    rungs_sent_again,
    levels_moved,
    sizes_wished,
    entry_changed,
    spare_stops_taken_back,
    target_completed,
    part_targets_completed,
    spare_legs_taken_back,
    trail_kept,
    stop_awaits_price,
    strangers_taken_back,
    legs_followed,
    entry_read,
    flat_doubted,
    enlarged_from_outside,
    enlargement_gone,
    reduced_outside,
    reduction_gone,
    strangers_asked_about,
    strangers_gone,
    protected_again,
    stuck_no_more,
    holding_time,
    good_till,
)


# --- covered: each stop and target ------------------------------------------------------------


def leg_in_doubt(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg that was sent is waited for, then looked up each second until its fate is known."""
    return awaited(trio, leg) if leg.pending else None


def leg_to_be_read(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg is looked up when its level was reached, or when it was missing from a list."""
    return look_up_if_due(trio, leg) if leg.live else None


def leg_triggered(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A triggered leg has ``NAKED_LIMIT_MS`` to fill, then it is looked up each second."""
    if leg.state is not LegState.TRIGGERED or leg.triggered_ts is None:
        return None
    again = (leg.looked_ts or 0) + trio.policies.look_again
    over = max(leg.triggered_ts + trio.policies.naked_limit + 1, again) - trio.now_ts
    return Rest(trio.now + over) if over > 0 else look_up(trio, leg)


PROTECTION: Final[tuple[LegRule, ...]] = (
    leg_in_doubt,
    leg_to_be_read,
    leg_triggered,
)


# --- covered: the newest target ---------------------------------------------------------------


def target_in_doubt(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target in doubt is waited for: nothing is at risk meanwhile."""
    return Rest(None) if target.pending else None


def target_sent_again(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that never reached the book goes out again under the same id, after a pause if the exchange asked for one."""
    if target.state is not LegState.PLANNED:
        return None
    if must_wait(trio, target):
        return Rest(target.retry_at)
    return Submit((leg_plan(trio, Role.TAKE_PROFIT, target.form, trio.position, again=target),))


def target_above_position(trio: TrioSnapshot, target: LegView) -> Step | None:
    """In hedge mode a target above the position may be refused whole at its trigger: one for all of it joins it.

    So does one for whatever is left, where the position is to change in size.
    """
    if not target.live or trio.entry is None or not entry_over(trio):
        return None
    if any(
        leg.form is Form.CLOSE_POSITION and (leg.live or leg.pending) for leg in trio.every(Role.TAKE_PROFIT)
    ):
        return None  # one for the whole position is there, or still leaves: the exchange takes one at a time
    if target.form is Form.QUANTITY and changes_in_size(trio):
        refused = Form.CLOSE_POSITION in refused_forms(trio, Role.TAKE_PROFIT)
        return None if refused else _submit_target(trio)
    fits = target.form is Form.CLOSE_POSITION or trio.spec.mode is PositionMode.ONE_WAY
    return None if fits or target.quantity == trio.position else _submit_target(trio)


def target_resting(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that rests needs nothing more."""
    return Rest(None) if target.live else None


def target_dying_young(trio: TrioSnapshot, target: LegView) -> Step | None:
    """Targets that the exchange keeps ending at once are replaced with growing pauses."""
    pause = vain_pause_ms(trio, Role.TAKE_PROFIT)
    return Rest(trio.now + pause) if pause else None


def target_gone(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that was refused before the entry, cancelled or written off is replaced at once."""
    gone = before_entry(trio, target) or target.state in (LegState.WRITTEN_OFF, LegState.CANCELLED)
    return _submit_target(trio) if gone else None


def target_refused_by_old_rules(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that was refused at a level which is not a valid price any more goes out at today's."""
    return _submit_target(trio) if refused_by_old_rules(trio, target) else None


def target_ended_by_exchange(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that expired, or was refused as "not while flat", is replaced if the position, read since, is still there."""
    ended = target.state in (LegState.EXPIRED, LegState.REJECTED)
    if not ended or not (target.acknowledged or target.refusal is Refusal.NOT_WHILE_FLAT):
        return None
    if not position_read_since(trio, target):
        return read_position(trio)
    return _submit_target(trio) if trio.slot.quantity > 0 else Rest(trio.now + trio.policies.look_again)


def target_beside_strangers(trio: TrioSnapshot, target: LegView) -> Step | None:
    """Beside somebody else's closePosition target, left where it is, an adopted position's goes out for the quantity."""
    taken = target.state is LegState.REJECTED and target.refusal is Refusal.CLOSE_EXISTS
    return _submit_target(trio) if trio.adopted and taken and _target_form(trio) is not target.form else None


def target_refused_for_good(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A target that the exchange refuses for good is put to a person, once for each refusal. The stop stays."""
    refused = target.state is LegState.REJECTED and target.refusal is not Refusal.LEVEL_PASSED
    if not refused or trio.question is not None:
        return None
    question = Question(QuestionKind.TARGET_REFUSED, refusal_facts(trio, target))
    return AskPerson(question) if trio.may_ask(question) else None


TARGET: Final[tuple[LegRule, ...]] = (
    target_in_doubt,
    target_sent_again,
    target_above_position,
    target_resting,
    target_dying_young,
    target_gone,
    target_refused_by_old_rules,
    target_ended_by_exchange,
    target_beside_strangers,
    target_refused_for_good,
)


def _submit_target(trio: TrioSnapshot) -> Step:
    return Submit((_target_plan(trio),))


def _target_plan(trio: TrioSnapshot) -> Plan:
    return leg_plan(trio, Role.TAKE_PROFIT, _target_form(trio), trio.position)


def _target_form(trio: TrioSnapshot) -> Form:
    """For the whole position, unless a stranger's order has that place beside an adopted one."""
    refused = refused_forms(trio, Role.TAKE_PROFIT) if trio.adopted else frozenset()
    taken = Role.TAKE_PROFIT in trio.occupied or Form.CLOSE_POSITION in refused
    return Form.QUANTITY if taken and Form.QUANTITY not in refused else Form.CLOSE_POSITION

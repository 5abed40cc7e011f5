"""While there is a position: get a stop under it, complete the target, otherwise rest."""

from __future__ import annotations

from exchange.refusals import Refusal
from exchange.types import PositionMode
from orders.domain.decision.conditions import (
    before_entry,
    cover_deadline_ts,
    refusal_facts,
    refused_forms,
    vain_pause_ms,
)
from orders.domain.decision.lookups import awaited, due_read, earliest, first, look, observe, seen_since
from orders.domain.decision.order_plans import guard_plan
from orders.domain.decision.steps import AskPerson, Rest, Step, Submit
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.snapshot import LegView, TrioSnapshot


def cover(trio: TrioSnapshot) -> Step:
    """Get an acknowledged stop under the position. A stop in doubt is looked up once, then doubled."""
    deadline = trio.now + max(1, cover_deadline_ts(trio) - trio.now_ts)
    waits: list[Step] = []
    stops = [leg for leg in trio.of(Role.STOP_LOSS) if not before_entry(trio, leg) or leg.acknowledged]
    for leg in stops:
        if leg.live and leg.looks == 0 and (due := due_read(trio, leg)):
            waits.append(due)
        if leg.pending and leg.looks == 0:
            waits.append(awaited(trio, leg, until=deadline))
        if leg.state is LegState.EXPIRED and leg.acknowledged and not seen_since(trio, leg):
            waits.append(observe(trio))  # it expires because the position closed, mostly
    if waits:
        return first(waits)
    newest = stops[-1] if stops else None
    again: LegView | None = None
    if newest is not None and newest.state is LegState.PLANNED:
        if (newest.retry_at or 0) > trio.now:
            return Rest(earliest(newest.retry_at, deadline, after=trio.now))
        again = newest
    elif (
        newest is not None and newest.state is LegState.REJECTED and newest.refusal is Refusal.NOT_WHILE_FLAT
    ):
        if not seen_since(trio, newest):
            return observe(trio)
        if trio.book.quantity == 0 and trio.now_ts - (newest.ended_ts or 0) < trio.policies.back_off:
            return Rest(trio.now + trio.policies.back_off)
    if again is None and (pause := vain_pause_ms(trio, Role.STOP_LOSS)):
        return Rest(trio.now + pause)
    form = again.form if again else _stop_form(trio)
    plans = [guard_plan(trio, Role.STOP_LOSS, form, trio.position, again=again)]
    if trio.newest(Role.TAKE_PROFIT) is None:
        plans.append(guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position))
    return Submit(tuple(plans))


def _stop_form(trio: TrioSnapshot) -> Form:
    """closePosition grows with later fills; the other form when that one is refused or still in doubt."""
    refused = refused_forms(trio, Role.STOP_LOSS)
    taken = any(
        leg.form is Form.CLOSE_POSITION and (leg.pending or leg.live) for leg in trio.of(Role.STOP_LOSS)
    )
    if Form.CLOSE_POSITION in refused or (taken and Form.QUANTITY not in refused):
        return Form.QUANTITY
    return Form.CLOSE_POSITION


def hold(trio: TrioSnapshot) -> Step:
    """The position is covered: complete the target, withdraw what is not wanted, otherwise rest."""
    entry = trio.entry
    withdraw = trio.cancel_wanted or (trio.good_till is not None and trio.now >= trio.good_till)
    steps: list[Step] = []
    if entry is not None and withdraw and (step := cleared(trio, (entry,))):
        steps.append(step)
    elif entry is not None and entry.pending:
        steps.append(awaited(trio, entry))
    if step := _target(trio):
        steps.append(step)
    for leg in trio.guards:
        if leg.pending:
            steps.append(awaited(trio, leg))
        elif leg.live and (due := due_read(trio, leg)):
            steps.append(due)
        elif leg.live and leg.state is LegState.TRIGGERED and leg.triggered_ts is not None:
            again = (leg.looked_ts or 0) + trio.policies.look_again
            over = max(leg.triggered_ts + trio.policies.naked_limit + 1, again) - trio.now_ts
            steps.append(Rest(trio.now + over) if over > 0 else look(trio, leg))
    if entry is not None and entry.live and (due := due_read(trio, entry)):
        steps.append(due)
    if trio.book_is_newer and trio.book.quantity == 0 and not trio.flat_believed:
        steps.append(_doubt_flat(trio))
    if trio.hold_until_ts is not None:
        steps.append(Rest(trio.now + max(1, trio.hold_until_ts - trio.now_ts)))
    if not withdraw and entry is not None and entry.live and trio.good_till is not None:
        steps.append(Rest(trio.good_till))
    return first(steps)


def _doubt_flat(trio: TrioSnapshot) -> Step:
    """Flat against a known fill: ask a closePosition order of ours, which dies with its position; look again."""
    witness, since = trio.flat_witness, trio.book.flat_since
    unasked = witness is not None and since is not None and (witness.looked_ts or 0) <= since
    if witness is not None and unasked and witness.look_at is None:
        return look(trio, witness)
    return observe(trio)


def _target(trio: TrioSnapshot) -> Step | None:
    """Return what it takes to have a take-profit on the book, or nothing when it is there."""
    newest = trio.newest(Role.TAKE_PROFIT)
    if newest is None:
        return Submit((guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
    if newest.pending:
        return None  # in doubt: it waits for the proof
    if newest.state is LegState.PLANNED:
        if (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        return Submit((guard_plan(trio, Role.TAKE_PROFIT, newest.form, trio.position, again=newest),))
    if newest.live:
        return _join_partial_target(trio, newest)
    if pause := vain_pause_ms(trio, Role.TAKE_PROFIT):
        return Rest(trio.now + pause)
    if before_entry(trio, newest) or newest.state in (LegState.WRITTEN_OFF, LegState.CANCELLED):
        return Submit((guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
    if newest.state in (LegState.EXPIRED, LegState.REJECTED) and (
        newest.acknowledged or newest.refusal is Refusal.NOT_WHILE_FLAT
    ):
        if not seen_since(trio, newest):
            return observe(trio)
        if trio.book.quantity > 0:
            return Submit((guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
        return Rest(trio.now + trio.policies.look_again)
    if (
        newest.state is LegState.REJECTED
        and newest.refusal is not Refusal.LEVEL_PASSED
        and trio.question is None
    ):
        return AskPerson(Question(QuestionKind.TARGET_REFUSED, refusal_facts(newest)))
    return None


def _join_partial_target(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A hedge quantity target above the position may be refused whole at trigger: join a closePosition one."""
    entry = trio.entry
    whole = target.form is Form.CLOSE_POSITION or trio.spec.mode is PositionMode.ONE_WAY
    if whole or target.quantity == trio.position or entry is None or not entry.state.is_final:
        return None
    return Submit((guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))

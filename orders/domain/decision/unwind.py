"""Out of it: exit what is there, take back what rests, and only then an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from exchange.refusals import Refusal
from orders.domain.decision.conditions import is_dust, late_quantity, refusal_facts
from orders.domain.decision.lifecycle import ending
from orders.domain.decision.lookups import (
    awaited,
    due_read,
    first,
    look,
    look_after_patience,
    observe,
    seen_since,
)
from orders.domain.decision.order_plans import exit_plan
from orders.domain.decision.steps import AskPerson, Cancel, Done, Exit, Rest, Step
from orders.domain.enums import Cause, Form, LegState, Role
from orders.domain.operator_questions import Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import Ask, LegView, TrioSnapshot

DUST_LOOK_MS: Final = 5000  # how often a rest that cannot be sold is looked at


def undo(trio: TrioSnapshot) -> Step:
    """Exit what is there, then take back whatever rests, verify, done. Guards go last."""
    entry = trio.entry
    if trio.position > 0:
        return _exit(trio)
    if entry is not None and (step := cleared(trio, (entry,))):
        return step
    if _needs_a_look(trio):
        return observe(trio)
    if step := cleared(trio, tuple(leg for leg in trio.legs if leg.role is not Role.ENTRY)):
        return step
    return Done(ending(trio.state, trio.cause))


def _needs_a_look(trio: TrioSnapshot) -> bool:
    """Anything that hinges on "flat" wants a book asked after the entry's end and the last fill."""
    entry = trio.entry
    if entry is None or entry.state is LegState.PLANNED:
        return False
    after = max(trio.executed_ts, entry.ended_ts or 0)
    return trio.book.as_of < after or not trio.flat_believed


def _exit(trio: TrioSnapshot) -> Step:
    policies = trio.policies
    for leg in trio.guards:  # an order of ours is at it already: it has patience to finish
        since = max(leg.filled_ts or 0, leg.triggered_ts or 0)
        over = since + policies.patience - trio.now_ts
        if leg.state in (LegState.TRIGGERED, LegState.PARTIALLY_FILLED) and over > 0:
            return Rest(trio.now + over)
    exits = trio.of(Role.EXIT)
    newest = exits[-1] if exits else None
    again = None
    if newest is not None:
        if newest.pending and newest.asked is Ask.IN_THE_AIR:
            return Rest(newest.asked_at + policies.patience)
        if newest.pending and trio.book.as_of <= newest.asked_ts:
            return observe(trio)
        if newest.state is LegState.REJECTED and not seen_since(trio, newest):
            return observe(trio)
        if newest.state.is_final and newest.executed and trio.book.as_of < (newest.filled_ts or 0):
            return observe(trio)
        if (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        if newest.state is LegState.PLANNED:
            again = newest
        if newest.state in (LegState.ACCEPTED, LegState.PARTIALLY_FILLED):
            return due_read(trio, newest) or look_after_patience(trio, newest)
    if is_dust(trio):
        return _keep_dust(trio)
    refused = sum(1 for leg in exits if leg.state is LegState.REJECTED)
    if newest is not None and refused >= 3 and trio.question is None:
        return AskPerson(Question(QuestionKind.EXIT_REFUSED, refusal_facts(newest)))
    return Exit(exit_plan(trio, trio.position, again), tuple(_in_the_way(trio, newest)))


def _in_the_way(trio: TrioSnapshot, newest: LegView | None) -> Iterator[str]:
    """Name what goes away with an exit: the entry's rest, and reduce-only targets that use up its allowance.

    Stops stay until the position is gone.
    """
    for leg in trio.of(Role.ENTRY):
        if leg.live and leg.cancel is Ask.NONE:
            yield leg.client_id
    if (
        newest is None
        or newest.state is not LegState.REJECTED
        or newest.refusal is not Refusal.NOT_WHILE_FLAT
    ):
        return
    for leg in trio.of(Role.TAKE_PROFIT):
        if leg.live and leg.form is Form.QUANTITY and leg.cancel is Ask.NONE:
            yield leg.client_id


def _keep_dust(trio: TrioSnapshot) -> Step:
    """Leave a rest too small to be sold under its stop, which may be of any size, and tell a person."""
    entry = trio.entry
    if entry is not None and (step := cleared(trio, (entry,))):
        return step
    if (
        trio.question is None or trio.question.kind is not QuestionKind.DUST
    ):  # it matters more than what was asked before
        return AskPerson(Question(QuestionKind.DUST, {"quantity": plain(trio.position)}))
    over = trio.book.as_of + DUST_LOOK_MS - trio.now_ts
    return Rest(trio.now + over) if over > 0 else observe(trio)


def tidy_late(trio: TrioSnapshot) -> Step:
    """Cancel by id what lives of an order we had written off; take off what its entry filled, once."""
    pending = [leg for leg in trio.legs if leg.pending]
    if pending:
        return first([awaited(trio, leg) for leg in pending])
    if step := cleared(trio, tuple(leg for leg in trio.legs if leg.live)):
        return step
    quantity = late_quantity(trio)
    newest = trio.newest(Role.EXIT)
    if quantity > 0 and not _late_exit_answered(trio, newest):
        again = newest if newest is not None and newest.state is LegState.PLANNED else None
        if newest is not None and (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        return Exit(exit_plan(trio, quantity, again))
    return Done(ending(trio.state, Cause.LATE))


def _late_exit_answered(trio: TrioSnapshot, exit_order: LegView | None) -> bool:
    """Did an exit asked after the late fill execute, or meet a slot that was flat? One is all it gets."""
    if exit_order is None or not exit_order.state.is_final or exit_order.state is LegState.WRITTEN_OFF:
        return False
    filled_ts = max((leg.filled_ts or 0 for leg in trio.of(Role.ENTRY)), default=0)
    refused = exit_order.state is LegState.REJECTED and exit_order.refusal is not Refusal.NOT_WHILE_FLAT
    return exit_order.asked_ts >= filled_ts and not refused


def cleared(trio: TrioSnapshot, legs: Iterable[LegView]) -> Step | None:
    """Return the next step until none of these legs rests or is in doubt; ``None`` when that is so.

    What was acknowledged once and is written off is cancelled by its id all the same: look-ups may be wrong.
    """
    cancels: list[str] = []
    waits: list[Step] = []
    for leg in legs:
        if leg.pending:
            waits.append(awaited(trio, leg))
        elif leg.live or (leg.acknowledged and leg.state is LegState.WRITTEN_OFF):
            match leg.cancel:
                case Ask.NONE if (leg.retry_at or 0) > trio.now:
                    waits.append(Rest(leg.retry_at))
                case Ask.NONE if (over := _expiring(trio, leg)) > 0:
                    waits.append(Rest(trio.now + over))
                case Ask.NONE:
                    cancels.append(leg.client_id)
                case Ask.IN_THE_AIR:
                    waits.append(Rest(leg.cancel_at + trio.policies.patience))
                case Ask.DOUBT if not leg.live:  # no look-up shows it, so the cancel itself is asked again
                    if trio.now < leg.cancel_at + trio.policies.look_again:
                        waits.append(Rest(leg.cancel_at + trio.policies.look_again))
                    else:
                        cancels.append(leg.client_id)
                case _ if not leg.live:
                    pass  # the exchange has given its word on that id
                case _:
                    waits.append(look(trio, leg))
    if cancels:
        return Cancel(tuple(cancels))
    return first(waits) if waits else None


def _expiring(trio: TrioSnapshot, leg: LegView) -> int:
    """closePosition legs expire by themselves when the position closes: give them patience to say so."""
    if leg.form is not Form.CLOSE_POSITION or not trio.executed_ts:
        return 0
    closed_ts = max(trio.executed_ts, trio.book.flat_since or 0)
    return min(trio.policies.patience, closed_ts + trio.policies.patience - trio.now_ts)

"""The one decision: what to do next with a trio. Cover comes before everything.

Placing, rolling back, cancelling, closing and recovering after a crash are all this function, asked
again with a different snapshot. There is no second path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from exchange.types import NewOrder, OrderType, PositionMode
from orders.domain import ids
from orders.domain.coverage import is_uncovered
from orders.domain.lifecycle import (
    LEVEL_PASSED_CODE,
    NOT_WHILE_FLAT,
    armed_roles,
    before_entry,
    cover_deadline_ts,
    ending,
    late_quantity,
    refused_forms,
    settle,
)
from orders.domain.snapshot import STOP_WORKING_TYPE, TARGET_WORKING_TYPE, Ask, LegView, TrioSnapshot
from orders.domain.words import Cause, Form, LegState, Role, TrioState

# --- the closed set of steps ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """One order to send. ``again``: this very id never reached the book and may go out once more."""

    role: Role
    generation: int
    form: Form
    order: NewOrder
    again: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """Send these orders, in parallel; with ``test`` only have them checked (a dry run)."""

    plans: tuple[Plan, ...]
    test: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """Its fate is unknown or doubted: look it up by our id before acting on it."""

    client_id: str


@dataclass(frozen=True, slots=True)
class Cancel:
    client_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exit:
    """Close the slot's position at market; ``cancels`` go out with it and are not waited for."""

    plan: Plan
    cancels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observe:
    """Read the slot's position."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do before ``until`` (database ms), or before a fact arrives (``None``)."""

    until: int | None


@dataclass(frozen=True, slots=True)
class Done:
    state: TrioState


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Put a question to a person; the trio goes on being covered while it waits."""

    question: str


Step = Submit | Confirm | Cancel | Exit | Observe | Rest | Done | AskPerson


@dataclass(frozen=True, slots=True)
class Decision:
    """The settled trio and the one thing to do next."""

    trio: TrioSnapshot
    step: Step

    @property
    def uncovered(self) -> bool:
        return is_uncovered(self.trio)


def decide(trio: TrioSnapshot) -> Decision:
    """Settle the trio's state from its facts, then choose the next step."""
    if trio.uncovered_known_at is None and is_uncovered(trio):
        trio = replace(trio, uncovered_known_at=trio.now)
    trio = settle(trio)
    return Decision(trio, next_step(trio))


def next_step(trio: TrioSnapshot) -> Step:
    """Choose the one thing to do next with a settled trio."""
    match trio.state:
        case TrioState.DRAFT:
            return Rest(None)
        case TrioState.QUEUED:
            return _queued(trio)
        case TrioState.PLACING:
            return _place(trio)
        case TrioState.WORKING:
            return _work(trio)
        case TrioState.WITHDRAWING:
            return _withdraw(trio)
        case TrioState.OPEN:
            return _cover(trio) if is_uncovered(trio) else _hold(trio)
        case TrioState.EXITING | TrioState.ROLLING_BACK:
            return _undo(trio)
        case TrioState.LATE:
            return _tidy_late(trio)
        case _:
            return Done(trio.state)


# --- before a position ------------------------------------------------------------------------


def _queued(trio: TrioSnapshot) -> Step:
    """Wait for what placing needs; a dry run only asks the exchange to check the entry."""
    if trio.dry_run:
        entry = trio.entry
        if entry is None or (entry.state is LegState.PLANNED and (entry.retry_at or 0) <= trio.now):
            return Submit((_entry_plan(trio, entry),), test=True)
        return Rest(_earliest(entry.asked_at + trio.policies.patience, entry.retry_at, after=trio.now))
    return Rest(_earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))


def _place(trio: TrioSnapshot) -> Step:
    entry = trio.entry
    if entry is not None and entry.state is not LegState.PLANNED:
        return _await(trio, entry) if entry.pending else Rest(None)
    plans: list[Plan] = []
    waits: list[Step] = []
    for role in armed_roles(trio):
        leg = trio.newest(role)
        if leg is None or leg.state is LegState.WRITTEN_OFF:
            plans.append(_guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity))
        elif leg.state is LegState.PLANNED:
            if (leg.retry_at or 0) > trio.now:
                waits.append(Rest(leg.retry_at))
            else:
                plans.append(_guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity, again=leg))
        elif leg.pending:
            waits.append(_await(trio, leg))
        elif leg.live and (due := _due_read(trio, leg)):
            waits.append(due)
        elif not leg.live and not leg.pending:  # a target gone before the entry is placed anew
            plans.append(_guard_plan(trio, role, Form.QUANTITY, trio.spec.quantity))
    if plans:
        return Submit(tuple(plans))
    if waits:
        return _first(waits)
    if not trio.worker_alive or not trio.book.placeable:
        return Rest(_earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))
    if entry is not None and (entry.retry_at or 0) > trio.now:
        return Rest(_earliest(entry.retry_at, trio.place_before, after=trio.now))
    return Submit((_entry_plan(trio, entry),))


def _work(trio: TrioSnapshot) -> Step:
    waits = [due for leg in trio.legs if leg.live and (due := _due_read(trio, leg))]
    waits += [_await(trio, leg) for leg in trio.legs if leg.pending]
    return _first([*waits, Rest(trio.good_till)])


def _withdraw(trio: TrioSnapshot) -> Step:
    """Take back the entry first: cover stays until nothing can fill any more."""
    if step := _clear(trio, trio.of(Role.ENTRY)):
        return step
    if step := _clear(trio, trio.guards):
        return step
    return Done(ending(trio.state, trio.cause))


# --- while there is a position ----------------------------------------------------------------


def _cover(trio: TrioSnapshot) -> Step:
    """Get an acknowledged stop under the position. A stop in doubt is looked up once, then doubled."""
    deadline = trio.now + max(1, cover_deadline_ts(trio) - trio.now_ts)
    waits: list[Step] = []
    stops = [leg for leg in trio.of(Role.STOP_LOSS) if not before_entry(trio, leg) or leg.acknowledged]
    for leg in stops:
        if leg.live and leg.looks == 0 and (due := _due_read(trio, leg)):
            waits.append(due)
        if leg.pending and leg.looks == 0:
            waits.append(_await(trio, leg, until=deadline))
        if leg.state is LegState.EXPIRED and leg.acknowledged and not _seen_since(trio, leg):
            waits.append(_observe(trio))  # it expires because the position closed, mostly
    if waits:
        return _first(waits)
    newest = stops[-1] if stops else None
    again: LegView | None = None
    if newest is not None and newest.state is LegState.PLANNED:
        if (newest.retry_at or 0) > trio.now:
            return Rest(_earliest(newest.retry_at, deadline, after=trio.now))
        again = newest
    elif newest is not None and newest.state is LegState.REJECTED and newest.refused_code in NOT_WHILE_FLAT:
        if not _seen_since(trio, newest):
            return _observe(trio)
        if trio.book.quantity == 0 and trio.now_ts - (newest.ended_ts or 0) < trio.policies.back_off:
            return Rest(trio.now + trio.policies.back_off)
    form = again.form if again else _stop_form(trio)
    plans = [_guard_plan(trio, Role.STOP_LOSS, form, trio.position, again=again)]
    if trio.newest(Role.TAKE_PROFIT) is None:
        plans.append(_guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position))
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


def _hold(trio: TrioSnapshot) -> Step:
    """The position is covered: complete the target, withdraw what is not wanted, otherwise rest."""
    entry = trio.entry
    withdraw = trio.cancel_wanted or (trio.good_till is not None and trio.now >= trio.good_till)
    steps: list[Step] = []
    if entry is not None and withdraw and (step := _clear(trio, (entry,))):
        steps.append(step)
    elif entry is not None and entry.pending:
        steps.append(_await(trio, entry))
    if step := _target(trio):
        steps.append(step)
    for leg in trio.guards:
        if leg.pending:
            steps.append(_await(trio, leg))
        elif leg.live and (due := _due_read(trio, leg)):
            steps.append(due)
        elif leg.live and leg.state is LegState.TRIGGERED and leg.triggered_ts is not None:
            again = (leg.looked_ts or 0) + trio.policies.look_again
            over = max(leg.triggered_ts + trio.policies.naked_limit + 1, again) - trio.now_ts
            steps.append(Rest(trio.now + over) if over > 0 else _look(trio, leg))
    if entry is not None and entry.live and (due := _due_read(trio, entry)):
        steps.append(due)
    if trio.book_is_newer and trio.book.quantity == 0 and not trio.flat_believed:
        steps.append(_observe(trio))  # flat against a known fill: look once more
    if not withdraw and entry is not None and entry.live and trio.good_till is not None:
        steps.append(Rest(trio.good_till))
    return _first(steps)


def _target(trio: TrioSnapshot) -> Step | None:
    """Return what it takes to have a take-profit on the book, or nothing when it is there."""
    newest = trio.newest(Role.TAKE_PROFIT)
    if newest is None:
        return Submit((_guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
    if newest.pending:
        return None  # in doubt: it waits for the proof
    if newest.state is LegState.PLANNED:
        if (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        return Submit((_guard_plan(trio, Role.TAKE_PROFIT, newest.form, trio.position, again=newest),))
    if newest.live:
        return _join_partial_target(trio, newest)
    if before_entry(trio, newest) or newest.state in (LegState.WRITTEN_OFF, LegState.CANCELLED):
        return Submit((_guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
    if newest.state in (LegState.EXPIRED, LegState.REJECTED) and (
        newest.acknowledged or newest.refused_code in NOT_WHILE_FLAT
    ):
        if not _seen_since(trio, newest):
            return _observe(trio)
        if trio.book.quantity > 0:
            return Submit((_guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))
        return Rest(trio.now + trio.policies.look_again)
    if newest.state is LegState.REJECTED and newest.refused_code != LEVEL_PASSED_CODE and not trio.question:
        return AskPerson(
            f"The exchange refused the take-profit ({newest.refused_text.rstrip('.')}, {newest.refused_code}). "
            "The stop-loss stays. Close the trio at market, or leave it to its stop-loss?"
        )
    return None


def _join_partial_target(trio: TrioSnapshot, target: LegView) -> Step | None:
    """A hedge quantity target above the position may be refused whole at trigger: join a closePosition one."""
    entry = trio.entry
    whole = target.form is Form.CLOSE_POSITION or trio.spec.mode is PositionMode.ONE_WAY
    if whole or target.quantity == trio.position or entry is None or not entry.state.is_final:
        return None
    return Submit((_guard_plan(trio, Role.TAKE_PROFIT, Form.CLOSE_POSITION, trio.position),))


# --- out of it --------------------------------------------------------------------------------


def _undo(trio: TrioSnapshot) -> Step:
    """Exit what is there, then take back whatever rests, verify, done. Guards go last."""
    entry = trio.entry
    if trio.position > 0:
        return _exit(trio)
    if entry is not None and (step := _clear(trio, (entry,))):
        return step
    if _needs_a_look(trio):
        return _observe(trio)
    if step := _clear(trio, tuple(leg for leg in trio.legs if leg.role is not Role.ENTRY)):
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
            return _observe(trio)
        if newest.state is LegState.REJECTED and not _seen_since(trio, newest):
            return _observe(trio)
        if newest.state.is_final and newest.executed and trio.book.as_of < (newest.filled_ts or 0):
            return _observe(trio)
        if (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        if newest.state is LegState.PLANNED:
            again = newest
        if newest.state in (LegState.ACCEPTED, LegState.PARTIALLY_FILLED):
            return _due_read(trio, newest) or _look_after_patience(trio, newest)
    refused = sum(1 for leg in exits if leg.state is LegState.REJECTED)
    if refused >= 3 and not trio.question:
        return AskPerson(
            "The exchange keeps refusing to close the position at market; it is tried again. "
            "Look at the account in the exchange's app."
        )
    order = NewOrder(
        client_id=again.client_id if again else _client_id(trio, Role.EXIT),
        symbol="",
        side=trio.spec.exit_side,
        type=OrderType.MARKET,
        position_side=trio.spec.position_side,
        quantity=trio.position,
        reduce_only=trio.spec.mode is PositionMode.ONE_WAY,
    )
    plan = Plan(Role.EXIT, _generation(trio, Role.EXIT, again), Form.QUANTITY, order, again is not None)
    entry = trio.entry
    cancels = (entry.client_id,) if entry is not None and entry.live and entry.cancel is Ask.NONE else ()
    return Exit(plan, cancels)


def _tidy_late(trio: TrioSnapshot) -> Step:
    """Cancel by id what lives of an order we had written off; take off what its entry filled, once."""
    pending = [leg for leg in trio.legs if leg.pending]
    if pending:
        return _first([_await(trio, leg) for leg in pending])
    if step := _clear(trio, tuple(leg for leg in trio.legs if leg.live)):
        return step
    quantity = late_quantity(trio)
    newest = trio.newest(Role.EXIT)
    if quantity > 0 and not _late_exit_answered(trio, newest):
        again = newest if newest is not None and newest.state is LegState.PLANNED else None
        if newest is not None and (newest.retry_at or 0) > trio.now:
            return Rest(newest.retry_at)
        order = NewOrder(
            client_id=again.client_id if again else _client_id(trio, Role.EXIT),
            symbol="",
            side=trio.spec.exit_side,
            type=OrderType.MARKET,
            position_side=trio.spec.position_side,
            quantity=quantity,
            reduce_only=trio.spec.mode is PositionMode.ONE_WAY,
        )
        plan = Plan(Role.EXIT, _generation(trio, Role.EXIT, again), Form.QUANTITY, order, again is not None)
        return Exit(plan)
    return Done(ending(trio.state, Cause.LATE))


def _late_exit_answered(trio: TrioSnapshot, exit_order: LegView | None) -> bool:
    """Did an exit asked after the late fill execute, or meet a slot that was flat? One is all it gets."""
    if exit_order is None or not exit_order.state.is_final or exit_order.state is LegState.WRITTEN_OFF:
        return False
    filled_ts = max((leg.filled_ts or 0 for leg in trio.of(Role.ENTRY)), default=0)
    refused = exit_order.state is LegState.REJECTED and exit_order.refused_code not in NOT_WHILE_FLAT
    return exit_order.asked_ts >= filled_ts and not refused


# --- asking, waiting, taking back -------------------------------------------------------------


def _await(trio: TrioSnapshot, leg: LegView, *, until: int | None = None) -> Step:
    """Rest on a request in the air; look up one in doubt, then again each second."""
    due = leg.look_at if leg.look_at is not None else leg.asked_at + trio.policies.patience
    if leg.asked is Ask.IN_THE_AIR:
        due = max(due, leg.asked_at + trio.policies.patience)
    if trio.now < due:
        return Rest(due if until is None else min(due, until))
    return _look(trio, leg)


def _look(trio: TrioSnapshot, leg: LegView) -> Step:
    """Confirm, unless somebody is at it."""
    if leg.looking_since is not None and trio.now < leg.looking_since + trio.policies.patience:
        return Rest(leg.looking_since + trio.policies.patience)
    if leg.look_at is not None and trio.now < leg.look_at:
        return Rest(leg.look_at)
    return Confirm(leg.client_id)


def _due_read(trio: TrioSnapshot, leg: LegView) -> Step | None:
    if leg.look_at is None:
        return None
    return _look(trio, leg)


def _look_after_patience(trio: TrioSnapshot, leg: LegView) -> Step:
    due = leg.asked_at + trio.policies.patience
    return Rest(due) if trio.now < due else _look(trio, leg)


def _clear(trio: TrioSnapshot, legs: Iterable[LegView]) -> Step | None:
    """Return the next step until none of these legs rests or is in doubt; ``None`` when that is so."""
    cancels: list[str] = []
    waits: list[Step] = []
    for leg in legs:
        if leg.pending:
            waits.append(_await(trio, leg))
        elif leg.live:
            match leg.cancel:
                case Ask.NONE if (leg.retry_at or 0) > trio.now:
                    waits.append(Rest(leg.retry_at))
                case Ask.NONE if (over := _expiring(trio, leg)) > 0:
                    waits.append(Rest(trio.now + over))
                case Ask.NONE:
                    cancels.append(leg.client_id)
                case Ask.IN_THE_AIR:
                    waits.append(Rest(leg.cancel_at + trio.policies.patience))
                case _:
                    waits.append(_look(trio, leg))
    if cancels:
        return Cancel(tuple(cancels))
    return _first(waits) if waits else None


def _expiring(trio: TrioSnapshot, leg: LegView) -> int:
    """closePosition legs expire by themselves when the position closes: give them patience to say so."""
    if leg.form is not Form.CLOSE_POSITION or not trio.executed_ts:
        return 0
    closed_ts = max(trio.executed_ts, trio.book.flat_since or 0)
    return min(trio.policies.patience, closed_ts + trio.policies.patience - trio.now_ts)


def _observe(trio: TrioSnapshot) -> Step:
    """Read the position, unless somebody is at it or has just done so."""
    if trio.observing_since is not None and trio.now < trio.observing_since + trio.policies.patience:
        return Rest(trio.observing_since + trio.policies.patience)
    since = trio.book.flat_since
    if trio.book_is_newer and since is not None and trio.ours > 0:
        seen = since if since >= trio.executed_ts else trio.book.as_of
        due = seen + trio.policies.look_again - trio.now_ts
        if due > 0:
            return Rest(trio.now + due)
    return Observe()


def _seen_since(trio: TrioSnapshot, leg: LegView) -> bool:
    return trio.book.as_of > (leg.ended_ts or leg.asked_ts)


def _first(steps: Iterable[Step]) -> Step:
    """Return the first step that does something, else the earliest rest."""
    rests: list[int] = []
    for step in steps:
        if not isinstance(step, Rest):
            return step
        if step.until is not None:
            rests.append(step.until)
    return Rest(min(rests) if rests else None)


def _earliest(*moments: int | None, after: int) -> int | None:
    """Return the first of these moments that still lies ahead."""
    ahead = [moment for moment in moments if moment is not None and moment > after]
    return min(ahead) if ahead else None


# --- the orders themselves --------------------------------------------------------------------


def _generation(trio: TrioSnapshot, role: Role, again: LegView | None = None) -> int:
    if again is not None:
        return again.generation
    newest = trio.newest(role)
    return newest.generation + 1 if newest else 1


def _client_id(trio: TrioSnapshot, role: Role) -> str:
    return ids.client_id(trio.stem, role, _generation(trio, role))


def _entry_plan(trio: TrioSnapshot, again: LegView | None) -> Plan:
    spec = trio.spec
    limit = spec.entry_type is OrderType.LIMIT
    order = NewOrder(
        client_id=again.client_id if again else _client_id(trio, Role.ENTRY),
        symbol="",
        side=spec.side,
        type=spec.entry_type,
        position_side=spec.position_side,
        quantity=spec.quantity,
        price=spec.price if limit else None,
        time_in_force=spec.time_in_force if limit else None,
    )
    return Plan(Role.ENTRY, _generation(trio, Role.ENTRY, again), Form.QUANTITY, order, again is not None)


def _guard_plan(
    trio: TrioSnapshot, role: Role, form: Form, quantity: Decimal, *, again: LegView | None = None
) -> Plan:
    spec = trio.spec
    stop = role is Role.STOP_LOSS
    if again is not None:
        form, quantity = again.form, again.quantity or quantity
    closing = form is Form.CLOSE_POSITION
    order = NewOrder(
        client_id=again.client_id if again else _client_id(trio, role),
        symbol="",
        side=spec.exit_side,
        type=OrderType.STOP_MARKET if stop else OrderType.TAKE_PROFIT_MARKET,
        position_side=spec.position_side,
        quantity=None if closing else quantity,
        trigger_price=spec.stop_loss if stop else spec.take_profit,
        working_type=STOP_WORKING_TYPE if stop else TARGET_WORKING_TYPE,
        price_protect=False,
        reduce_only=not closing and spec.mode is PositionMode.ONE_WAY,
        close_position=closing,
    )
    return Plan(role, _generation(trio, role, again), form, order, again is not None)

"""Before there is a position: wait for what placing needs, place, watch what rests, withdraw it."""

from __future__ import annotations

from typing import Final

from exchange.refusals import Refusal
from orders.domain.decision.conditions import armed_roles, armed_until
from orders.domain.decision.entry_changes import entry_changed, spare_stops_taken_back
from orders.domain.decision.lifecycle import ending
from orders.domain.decision.lookups import (
    awaited,
    earliest,
    look_up,
    look_up_if_due,
    must_wait,
    position_read_since,
    read_position,
)
from orders.domain.decision.moves import levels_moved
from orders.domain.decision.order_plans import entry_plans, leg_plan
from orders.domain.decision.rules import LegRule, Rule, decided_by, first_that_applies, soonest
from orders.domain.decision.steps import Confirm, Done, Plan, Rest, Step, Submit
from orders.domain.decision.stuck import put_to_person, stuck_no_more
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.snapshot import LegView, TrioSnapshot

STUCK_LOOK_MS: Final = 10_000  # how often an entry that is stuck at its trigger is read again


def queue(trio: TrioSnapshot) -> Step:
    """Wait for what placing needs; a dry run only asks the exchange to check the entry."""
    return decided_by(QUEUE, trio)


def place(trio: TrioSnapshot) -> Step:
    """Send what has to rest before the entry, then the entry."""
    return decided_by(PLACE, trio)


def work(trio: TrioSnapshot) -> Step:
    """Watch an entry that rests, and the legs that wait for it; nothing has filled."""
    return soonest(rule(trio) for rule in WORK) or Rest(None)


def withdraw(trio: TrioSnapshot) -> Step:
    """Cancel everything; nothing has filled."""
    return decided_by(WITHDRAW, trio)


# --- queued -----------------------------------------------------------------------------------


def dry_run_checked(trio: TrioSnapshot) -> Step | None:
    """A dry run has the exchange check the entry and sends nothing else."""
    if not trio.dry_run:
        return None
    checked = {leg.client_id for leg in trio.rungs if leg.tested}
    plans = [plan for plan in entry_plans(trio) if plan.order.client_id not in checked]
    if plans:
        return Submit((plans[0],), test=True)  # the rungs of a ladder one after the other
    waits = (leg.retry_at for leg in trio.rungs)
    return Rest(earliest(*waits, trio.place_before, after=trio.now))


def begin_awaited(trio: TrioSnapshot) -> Step:
    """The conditions for placing are checked each second, until ``place_before``."""
    return Rest(earliest(trio.now + trio.policies.look_again, trio.place_before, after=trio.now))


QUEUE: Final[tuple[Rule, ...]] = (
    dry_run_checked,
    begin_awaited,
)


# --- placing ----------------------------------------------------------------------------------


def rungs_read(trio: TrioSnapshot) -> Step | None:
    """A rung that rests is looked up when its price was reached, also while another one is still to be placed."""
    step = _rungs_followed(trio)
    return step if isinstance(step, Confirm) else None


def entry_is_out(trio: TrioSnapshot) -> Step | None:
    """The entry was sent, a ladder with all its rungs. While its fate is open it is looked up; it is never sent twice."""
    if entry_plans(trio, now=False):
        return None
    return _rungs_followed(trio) or Rest(None)


def armed_legs_sent(trio: TrioSnapshot) -> Step | None:
    """The legs that have to rest before the entry go out first, together."""
    plans = [plan for role in armed_roles(trio) if (plan := _armed_plan(trio, role)) is not None]
    return Submit(tuple(plans)) if plans else None


def armed_legs_awaited(trio: TrioSnapshot) -> Step | None:
    """The entry waits until each of them is acknowledged."""
    legs = (leg for role in armed_roles(trio) if (leg := trio.newest(role)) is not None)
    return soonest(first_that_applies(ARMED_LEG, trio, leg) for leg in legs)


def refusal_while_flat_checked(trio: TrioSnapshot) -> Step | None:
    """A leg refused as "not while flat" waits for the fill, once the position was read."""
    unread = (
        leg.refusal is Refusal.NOT_WHILE_FLAT and not position_read_since(trio, leg)
        for leg in trio.protective_legs
    )
    return read_position(trio) if any(unread) else None


def watcher_awaited(trio: TrioSnapshot) -> Step | None:
    """Without a live worker and a recent position the entry is not sent: nobody would cover its fill."""
    if trio.worker_alive and trio.slot.placeable:
        return None
    look_again = trio.now + trio.policies.look_again
    rest = Rest(earliest(look_again, trio.place_before, armed_until(trio), after=trio.now))
    return soonest((_rungs_followed(trio), rest))


def entry_held_back(trio: TrioSnapshot) -> Step | None:
    """An entry, or a rung, that never reached the book goes out again after a pause, if ``place_before`` allows."""
    if entry_plans(trio):
        return None
    again = (leg.retry_at for leg in trio.rungs if must_wait(trio, leg))
    rest = Rest(earliest(*again, trio.place_before, armed_until(trio), after=trio.now))
    return soonest((_rungs_followed(trio), rest))


def entry_sent(trio: TrioSnapshot) -> Step:
    """Otherwise the entry goes out, a ladder with all its rungs at once."""
    return Submit(tuple(entry_plans(trio)))


def _rungs_followed(trio: TrioSnapshot) -> Step | None:
    """Look up the rungs whose fate is not known, and those that rest and may have filled; or wait for the first of them."""
    return soonest(
        awaited(trio, leg) if leg.pending else look_up_if_due(trio, leg)
        for leg in trio.rungs
        if leg.pending or leg.live
    )


PLACE: Final[tuple[Rule, ...]] = (
    rungs_read,
    entry_is_out,
    armed_legs_sent,
    armed_legs_awaited,
    refusal_while_flat_checked,
    watcher_awaited,
    entry_held_back,
    entry_sent,
)


def _armed_plan(trio: TrioSnapshot, role: Role) -> Plan | None:
    """A leg that is gone before the entry, or was lost, is placed anew; one that never reached the book, again."""
    leg = trio.newest(role)
    again = leg if leg is not None and leg.state is LegState.PLANNED else None
    if leg is not None and (leg.live or leg.pending or (again is not None and must_wait(trio, leg))):
        return None
    return leg_plan(trio, role, Form.QUANTITY, trio.spec.quantity, again=again)


# --- placing: each leg that goes before the entry ---------------------------------------------


def armed_leg_held_back(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg that never reached the book goes out again after a pause."""
    if leg.state is not LegState.PLANNED or not must_wait(trio, leg):
        return None
    return Rest(earliest(leg.retry_at, armed_until(trio), after=trio.now))


def armed_leg_in_doubt(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg that was sent is waited for, then looked up each second until its fate is known."""
    return awaited(trio, leg) if leg.pending else None


def armed_leg_to_be_read(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """A leg that may be gone is looked up before the entry relies on it."""
    return look_up_if_due(trio, leg) if leg.live else None


ARMED_LEG: Final[tuple[LegRule, ...]] = (
    armed_leg_held_back,
    armed_leg_in_doubt,
    armed_leg_to_be_read,
)


# --- working ----------------------------------------------------------------------------------


def orders_read(trio: TrioSnapshot) -> Step | None:
    """An order is looked up when its price was reached, or when it was missing from a list."""
    return soonest(look_up_if_due(trio, leg) for leg in trio.legs if leg.live)


def requests_in_doubt(trio: TrioSnapshot) -> Step | None:
    """A request that was sent is waited for, then looked up each second until its fate is known."""
    return soonest(awaited(trio, leg) for leg in trio.legs if leg.pending)


def entry_stuck(trio: TrioSnapshot) -> Step | None:
    """An entry whose trigger brought forth no order for ``NAKED_LIMIT_MS`` is looked up, put to a person, and looked up now and then."""
    entry = trio.entry
    if (
        entry is None
        or entry.state is not LegState.TRIGGERED
        or entry.triggered_ts is None
        or entry.child_known
    ):
        return None
    bound_ts = entry.triggered_ts + trio.policies.naked_limit
    looked = (entry.looked_ts or 0) > bound_ts
    if looked and (step := put_to_person(trio, entry)):
        return step
    over = (entry.looked_ts + STUCK_LOOK_MS if looked and entry.looked_ts else bound_ts + 1) - trio.now_ts
    return Rest(trio.now + over) if over > 0 else look_up(trio, entry)


def good_till_awaited(trio: TrioSnapshot) -> Step:
    """Otherwise the trio rests until ``good_till``, or until it is to be flat."""
    flat_at = None if trio.flat_ts is None else trio.now + trio.flat_ts - trio.now_ts
    return Rest(earliest(trio.good_till, flat_at, after=trio.now))


WORK: Final[tuple[Rule, ...]] = (
    orders_read,
    requests_in_doubt,
    entry_stuck,
    stuck_no_more,
    levels_moved,
    entry_changed,
    spare_stops_taken_back,
    good_till_awaited,
)


# --- withdrawing ------------------------------------------------------------------------------


def entry_taken_back_first(trio: TrioSnapshot) -> Step | None:
    """The entry is cancelled first: its stop stays until nothing can fill any more."""
    return cleared(trio, trio.entries)


def legs_taken_back(trio: TrioSnapshot) -> Step | None:
    """Then the legs that waited for it are cancelled."""
    return cleared(trio, trio.protective_legs)


def withdrawn(trio: TrioSnapshot) -> Step:
    """Nothing of ours rests and nothing filled: the trio ends, as its cause says."""
    return Done(ending(trio.state, trio.cause))


WITHDRAW: Final[tuple[Rule, ...]] = (
    entry_taken_back_first,
    legs_taken_back,
    withdrawn,
)

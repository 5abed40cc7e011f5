"""The resting entry gets another price or quantity, and what may fill is covered at every moment.

A change is one request (PUT) with the whole quantity, never the unfilled part. Before it leaves, an acknowledged stop stands
for all that the entry may then fill. The exchange's word about the entry says what became of it: with these terms the
wish is done; without an answer the entry is read until that is certain, and only then may the request go once more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from exchange.refusals import Refusal
from orders.domain.coverage import would_cover
from orders.domain.decision.amendments import (
    TAKEN_OFF,
    amend_open,
    asked_for,
    is_said_to_be_so,
    position_to_come,
    position_with,
    shows,
    taken_off,
)
from orders.domain.decision.conditions import armed_roles, from_outside, refused_forms
from orders.domain.decision.drifts import left_unprotected
from orders.domain.decision.lookups import earliest, look_up, must_wait
from orders.domain.decision.order_plans import leg_plan
from orders.domain.decision.steps import Amend, Rest, Step, Submit
from orders.domain.decision.unwind import cleared
from orders.domain.enums import Form, LegState, Role
from orders.domain.enums import TrioState as S
from orders.domain.rounding import plain
from orders.domain.snapshot import (
    ChangeEnd,
    EndedChange,
    EntryChange,
    LegView,
    RequestStatus,
    TrioSnapshot,
)

SENT_WITHIN_MS: Final = 60_000  # a price must not go out long after it was meant


def change_ended(trio: TrioSnapshot) -> TrioSnapshot:
    """Take the terms that the exchange shows as agreed where we asked for them, and end a wish whose fate is known."""
    trio = _agreed(trio)
    change = trio.change
    ended = None if change is None else _ended(trio, change)
    return trio if ended is None else replace(trio, change=None, ended_change=ended)


def entry_changed(trio: TrioSnapshot) -> Step | None:
    """The requested change of the resting entry is sent once a stop stands for it; a request in doubt is read back first."""
    entry, change = trio.entry, trio.change
    if entry is not None and entry.live and amend_open(entry):
        return _read_back(trio, entry)
    if entry is None or not entry.live or change is None:
        return None
    if change.quantity <= entry.filled:
        return cleared(trio, (entry,))
    waits = _held_back(trio, change) or _stop_ready(trio, change)
    return waits or Amend(entry.client_id, change.quantity, change.price)


def spare_stops_taken_back(trio: TrioSnapshot) -> Step | None:
    """Stops that were placed for a change, or that it made needless, leave once one that is right stands for all."""
    if trio.change is not None or trio.moves or amend_open(trio.entry):
        return None
    stops = [leg for leg in _at_level(trio) if leg.live]
    if len(stops) < 2 or not any(leg.for_move for leg in stops):
        return None
    kept = next((leg for leg in stops if _is_right(trio, leg)), None)
    spare = (leg for leg in stops if leg is not kept and leg.form is Form.QUANTITY)
    return None if kept is None else cleared(trio, spare)


# --- how a wish ends --------------------------------------------------------------------------


def _agreed(trio: TrioSnapshot) -> TrioSnapshot:
    """The entry shows the terms that we asked for last: they are the trio's own, whatever became of the wish."""
    entry = trio.entry
    asked = None if entry is None else entry.amend
    if entry is None or asked is None or not shows(entry, asked):
        return trio
    if (asked.quantity, asked.price) == (trio.spec.quantity, trio.spec.price) or trio.every(Role.ADD):
        return trio  # what was added since counts in the trio's quantity as well
    return replace(trio, spec=replace(trio.spec, quantity=asked.quantity, price=asked.price), agreed=True)


def _ended(trio: TrioSnapshot, change: EntryChange) -> EndedChange | None:
    entry = trio.entry
    if entry is None:
        return EndedChange(change, ChangeEnd.DROPPED)
    if amend_open(entry):
        return None  # also where it has these terms now: an earlier request may still take them away
    if shows(entry, change):
        return EndedChange(change, ChangeEnd.DONE)
    if entry.state.is_final:
        return _ended_with_entry(trio, entry, change)
    return _refused(trio, change) or _given_up(trio, change)


def _ended_with_entry(trio: TrioSnapshot, entry: LegView, change: EntryChange) -> EndedChange:
    """The entry has ended with other terms: filled before that, cancelled by us, or by the exchange for the change."""
    if change.quantity <= entry.filled and entry.state is not LegState.FILLED:
        return EndedChange(change, ChangeEnd.CANCELLED)
    if asked_for(trio, change) is not None and taken_off(trio):
        return EndedChange(change, ChangeEnd.REFUSED, TAKEN_OFF)
    return EndedChange(change, ChangeEnd.DROPPED)


def _refused(trio: TrioSnapshot, change: EntryChange) -> EndedChange | None:
    """The exchange refused the request, or the stop that has to stand before it."""
    asked = asked_for(trio, change)
    if asked is not None and asked.status is RequestStatus.REFUSED:
        return EndedChange(change, ChangeEnd.REFUSED, asked.text, asked.code)
    stop = _stop_sent(trio, change)
    if stop is None or not stop.state.is_final or _refused_for_its_form_or_while_flat(stop):
        return None
    said = f": {stop.refused_text.rstrip('.')}" if stop.refused_text else ""
    reason = f"The stop-loss for {plain(change.quantity)}, which has to rest before that, was {stop.state.lower()}{said}."
    return EndedChange(change, ChangeEnd.REFUSED, reason, stop.refused_code)


def _given_up(trio: TrioSnapshot, change: EntryChange) -> EndedChange | None:
    """Nothing was executed, and it is not sent (any more): the trio leaves, a rule forbids it, or too much time passed."""
    if _leaves(trio):
        return EndedChange(change, ChangeEnd.DROPPED)
    if left_unprotected(trio):  # its stop would be placed again for it
        return EndedChange(change, ChangeEnd.REFUSED, "It is left unprotected.")
    if change.opens and trio.refusal:
        return EndedChange(change, ChangeEnd.REFUSED, trio.refusal, breach=trio.breach)
    if change.opens and (trouble := slot_trouble_of(trio)):
        return EndedChange(change, ChangeEnd.REFUSED, trouble)
    if trio.now >= change.since + SENT_WITHIN_MS:
        return EndedChange(change, ChangeEnd.OVERDUE, trio.slot.not_placeable)
    return None


def _leaves(trio: TrioSnapshot) -> bool:
    wanted = trio.cancel_wanted or trio.close_wanted or trio.panic_wanted
    over = trio.good_till is not None and trio.now >= trio.good_till
    return wanted or over or trio.state not in (S.WORKING, S.OPEN)


def slot_trouble_of(trio: TrioSnapshot) -> str:
    """Say what of somebody else's in the slot forbids new risk there, or nothing."""
    if trio.slot.opposite > 0 or from_outside(trio):
        return "The slot holds a position that is not ours. Close it, then change the entry."
    if trio.slot.strangers:
        return f"The slot holds an order that is not ours ({', '.join(trio.slot.strangers[:3])}). Cancel it, then change the entry."
    return ""


# --- sending it -------------------------------------------------------------------------------


def _read_back(trio: TrioSnapshot, entry: LegView) -> Step:
    """A request that was just sent gets ``PROTECT_TIMEOUT_MS`` to be answered; then the entry is looked up each second."""
    asked = entry.amend
    assert asked is not None  # it is what is open
    if asked.status is RequestStatus.IN_FLIGHT:
        return Rest(asked.asked_at + trio.policies.patience)
    again = (entry.looked_ts or 0) + trio.policies.look_again
    over = again - trio.now_ts if again > asked.asked_ts and not is_said_to_be_so(entry) else 0
    return Rest(trio.now + over) if over > 0 else look_up(trio, entry)


def _held_back(trio: TrioSnapshot, change: EntryChange) -> Step | None:
    """What never reached the book goes out again after a pause; nothing new is opened where nobody would see it fill."""
    over = change.since + SENT_WITHIN_MS
    asked = asked_for(trio, change)
    again = None if asked is None else asked.asked_at + trio.policies.look_again
    if again is not None and trio.now < again:
        return Rest(min(again, over))
    if change.opens and not (trio.worker_alive and trio.slot.placeable):
        return Rest(earliest(trio.now + trio.policies.look_again, over, after=trio.now))
    return None


def _stop_ready(trio: TrioSnapshot, change: EntryChange) -> Step | None:
    """Before more may fill, an acknowledged stop stands for all of it; an entry that nothing waits for needs none yet."""
    if trio.spec.entry_only or (trio.state is S.WORKING and not _is_armed(trio)):
        return None
    over = change.since + SENT_WITHIN_MS
    if any(move.role is Role.STOP_LOSS for move in trio.moves):
        return Rest(over)  # its level is settled first
    wanted = position_with(trio, change.quantity)
    if would_cover(trio, _at_level(trio), wanted):
        return None
    if any(leg.pending for leg in trio.of(Role.STOP_LOSS)):
        return Rest(over)  # it may be what is wanted
    stop = _stop_sent(trio, change)
    if stop is None:
        return Submit((leg_plan(trio, Role.STOP_LOSS, _form(trio), wanted, for_wish=True),))
    if stop.state is LegState.REJECTED:
        return Submit((leg_plan(trio, Role.STOP_LOSS, Form.QUANTITY, wanted, for_wish=True),))
    if stop.state is LegState.PLANNED and not must_wait(trio, stop):
        return Submit((leg_plan(trio, Role.STOP_LOSS, stop.form, wanted, again=stop, for_wish=True),))
    waits = stop.retry_at if stop.state is LegState.PLANNED else None
    return Rest(earliest(waits, over, after=trio.now))


def _is_armed(trio: TrioSnapshot) -> bool:
    """Does a stop wait for the entry?"""
    waiting = any(leg.live or leg.pending for leg in trio.every(Role.STOP_LOSS))
    return waiting or Role.STOP_LOSS in armed_roles(trio)


def _form(trio: TrioSnapshot) -> Form:
    """With a position there, a closePosition order grows with it; before that, and where it is refused, a quantity."""
    refused = trio.state is S.WORKING or Form.CLOSE_POSITION in refused_forms(trio, Role.STOP_LOSS)
    return Form.QUANTITY if refused else Form.CLOSE_POSITION


def _stop_sent(trio: TrioSnapshot, change: EntryChange) -> LegView | None:
    """Return the stop that was sent for this wish, if any."""
    level = trio.level(Role.STOP_LOSS)
    sent = [
        leg
        for leg in trio.every(Role.STOP_LOSS)
        if leg.for_move and leg.trigger_price == level and leg.submitted_at >= change.since
    ]
    return sent[-1] if sent else None


def _refused_for_its_form_or_while_flat(stop: LegView) -> bool:
    """Was the whole-position order refused for what it is, or because nothing is there yet? One for the quantity may be taken."""
    refused = stop.state is LegState.REJECTED and not stop.acknowledged
    return refused and stop.form is Form.CLOSE_POSITION and stop.refusal is not Refusal.LEVEL_PASSED


def _at_level(trio: TrioSnapshot) -> list[LegView]:
    return [
        leg
        for leg in trio.of(Role.STOP_LOSS)
        if leg.acknowledged and leg.trigger_price == trio.level(leg.role)
    ]


def _is_right(trio: TrioSnapshot, leg: LegView) -> bool:
    """Does this stop stand by itself for all that is there and may come, and for no more?"""
    if leg.form is Form.CLOSE_POSITION:
        return trio.position > 0 and would_cover(trio, (leg,), trio.position)
    wanted = position_to_come(trio)
    return leg.quantity == wanted and would_cover(trio, (leg,), wanted)

"""What became of a request for other terms of a resting entry, from the facts alone.

It is committed before it is sent, and sent once. Where its answer is missing the entry itself is read: it shows the
terms that it has. Only a look-up that was asked after the request could no longer execute proves that it never did.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from exchange.refusals import Refusal
from exchange.types import ZERO, TimeInForce
from orders.domain.decision.rungs import rungs_unsent
from orders.domain.enums import LegState, TrioState
from orders.domain.snapshot import Amendment, EntryChange, LegView, RequestStatus, TrioSnapshot

SENT = (RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT)


def shows(entry: LegView, terms: Amendment | EntryChange) -> bool:
    """Does the exchange's word about the entry say these terms?"""
    return (entry.quantity, entry.price) == (terms.quantity, terms.price)


def amend_open(entry: LegView | None) -> bool:
    """Is it not known yet what became of the newest request for other terms?"""
    if entry is None or (asked := entry.amend) is None or entry.state.is_final or shows(entry, asked):
        return False
    if asked.status not in SENT:
        return is_said_to_be_so(entry)
    return not (entry.looks == 0 and (entry.looked_ts or 0) > asked.certain_ts)


def is_said_to_be_so(entry: LegView) -> bool:
    """Did the exchange refuse because the entry has these terms already, and was it not looked up since?"""
    asked = entry.amend
    if asked is None or asked.status is not RequestStatus.REFUSED or asked.refusal is not Refusal.ALREADY_SO:
        return False
    return (entry.looked_ts or 0) <= asked.asked_ts


def asked_for(trio: TrioSnapshot, change: EntryChange) -> Amendment | None:
    """Return the newest request that was sent for this wish, if any."""
    asked = None if trio.entry is None else trio.entry.amend
    if asked is None or asked.asked_at < change.since:
        return None
    return asked if (asked.quantity, asked.price) == (change.quantity, change.price) else None


TAKEN_OFF: Final = "At that price the entry, which is post-only (GTX), would have traded at once, so the exchange took it off the book."


def taken_off(trio: TrioSnapshot) -> bool:
    """Did the exchange take a post-only entry off the book because of the price that we asked for?"""
    entry = trio.entry
    asked = None if entry is None else entry.amend
    if entry is None or asked is None or asked.status not in (RequestStatus.ACCEPTED, *SENT):
        return False
    ended = (
        entry.state is LegState.CANCELLED and entry.cancel is RequestStatus.NONE and not shows(entry, asked)
    )
    return ended and trio.spec.time_in_force is TimeInForce.GTX and asked.quantity > entry.filled


def rests(trio: TrioSnapshot) -> bool:
    """May the entry, or a rung of it, still fill?"""
    waits = rungs_unsent(trio)
    return any(leg.live or leg.pending or leg in waits for leg in trio.rungs)


def most_entry(trio: TrioSnapshot) -> Decimal:
    """Return the most that the entry may come to have filled: also by a request whose fate is not known."""
    if trio.entry is None:
        return trio.spec.quantity
    if not trio.spec.rungs:
        return most_of(trio, trio.entry)
    waits = rungs_unsent(trio)
    sent = (leg for leg in trio.rungs if leg.state is not LegState.PLANNED or leg in waits)
    return sum((most_of(trio, leg) for leg in sent), ZERO)


def most_of(trio: TrioSnapshot, entry: LegView) -> Decimal:
    """Return the most that one order of the entry may come to have filled."""
    if entry.state.is_final:
        return entry.filled
    asked = entry.amend.quantity if entry.amend is not None and amend_open(entry) else ZERO
    return max(entry.quantity or trio.spec.quantity, asked)


def position_to_come(trio: TrioSnapshot) -> Decimal:
    """Return the position for which a stop must stand: what is there, and what the entry may still add."""
    if trio.state is TrioState.WORKING or (trio.state is TrioState.OPEN and rests(trio)):
        return position_with(trio, most_entry(trio))
    return trio.position


def position_with(trio: TrioSnapshot, quantity: Decimal) -> Decimal:
    """Return the position once an entry of this quantity has filled: what is there already, and what of it is missing."""
    filled: Decimal = sum((leg.filled for leg in trio.rungs), ZERO)
    return trio.position + max(ZERO, quantity - filled)

"""When an order is looked up and the position read, and how long to wait before that."""

from __future__ import annotations

from orders.domain.decision.steps import Confirm, Observe, Rest, Step
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot


def awaited(trio: TrioSnapshot, leg: LegView, *, until: int | None = None) -> Step:
    """Rest on a request in flight; look up one in doubt, then again each second."""
    due = leg.look_at if leg.look_at is not None else leg.submitted_at + trio.policies.patience
    if leg.submit is RequestStatus.IN_FLIGHT:
        due = max(due, leg.submitted_at + trio.policies.patience)
    if trio.now < due:
        return Rest(due if until is None else min(due, until))
    return look_up(trio, leg)


def look_up(trio: TrioSnapshot, leg: LegView) -> Step:
    """Confirm, unless a look-up is under way or not due yet."""
    if leg.looking_since is not None and trio.now < leg.looking_since + trio.policies.patience:
        return Rest(leg.looking_since + trio.policies.patience)
    if leg.look_at is not None and trio.now < leg.look_at:
        return Rest(leg.look_at)
    return Confirm(leg.client_id)


def look_up_if_due(trio: TrioSnapshot, leg: LegView) -> Step | None:
    """Look up an order whose look-up has been called for; nothing when nobody has."""
    return None if leg.look_at is None else look_up(trio, leg)


def look_up_after_patience(trio: TrioSnapshot, leg: LegView) -> Step:
    due = leg.submitted_at + trio.policies.patience
    return Rest(due) if trio.now < due else look_up(trio, leg)


def read_position(trio: TrioSnapshot) -> Step:
    """Observe, unless a read is under way, or the last one is too young for another to add anything."""
    if trio.observing_since is not None and trio.now < trio.observing_since + trio.policies.patience:
        return Rest(trio.observing_since + trio.policies.patience)
    since = trio.slot.flat_since
    if trio.slot_is_newer and since is not None and trio.ours > 0:
        seen = since if since >= trio.executed_ts else trio.slot.as_of
        due = seen + trio.policies.look_again - trio.now_ts
        if due > 0:
            return Rest(trio.now + due)
    return Observe()


def position_read_since(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was the position read after this order ended, or was sent?"""
    return trio.slot.as_of > (leg.ended_ts or leg.submitted_ts)


def read_in_vain(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was the position asked for since this order ended, or was sent, and not answered within ``PROTECT_TIMEOUT_MS``?"""
    since = trio.observing_since
    if since is None or trio.now < since + trio.policies.patience:
        return False
    return since + trio.now_ts - trio.now >= (leg.ended_ts or leg.submitted_ts)


def must_wait(trio: TrioSnapshot, leg: LegView) -> bool:
    """Is this order, or its cancel, not to be sent again yet?"""
    return leg.retry_at is not None and leg.retry_at > trio.now


def earliest(*moments: int | None, after: int) -> int | None:
    """Return the first of these moments that still lies ahead."""
    ahead = [moment for moment in moments if moment is not None and moment > after]
    return min(ahead) if ahead else None

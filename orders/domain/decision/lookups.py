"""The closed set of steps, and how what was asked is waited for, looked up and read."""

from __future__ import annotations

from collections.abc import Iterable

from orders.domain.decision.steps import Confirm, Observe, Rest, Step
from orders.domain.snapshot import Ask, LegView, TrioSnapshot


def awaited(trio: TrioSnapshot, leg: LegView, *, until: int | None = None) -> Step:
    """Rest on a request in the air; look up one in doubt, then again each second."""
    due = leg.look_at if leg.look_at is not None else leg.asked_at + trio.policies.patience
    if leg.asked is Ask.IN_THE_AIR:
        due = max(due, leg.asked_at + trio.policies.patience)
    if trio.now < due:
        return Rest(due if until is None else min(due, until))
    return look(trio, leg)


def look(trio: TrioSnapshot, leg: LegView) -> Step:
    """Confirm, unless somebody is at it."""
    if leg.looking_since is not None and trio.now < leg.looking_since + trio.policies.patience:
        return Rest(leg.looking_since + trio.policies.patience)
    if leg.look_at is not None and trio.now < leg.look_at:
        return Rest(leg.look_at)
    return Confirm(leg.client_id)


def due_read(trio: TrioSnapshot, leg: LegView) -> Step | None:
    if leg.look_at is None:
        return None
    return look(trio, leg)


def look_after_patience(trio: TrioSnapshot, leg: LegView) -> Step:
    due = leg.asked_at + trio.policies.patience
    return Rest(due) if trio.now < due else look(trio, leg)


def observe(trio: TrioSnapshot) -> Step:
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


def seen_since(trio: TrioSnapshot, leg: LegView) -> bool:
    return trio.book.as_of > (leg.ended_ts or leg.asked_ts)


def first(steps: Iterable[Step]) -> Step:
    """Return the first step that does something, else the earliest rest."""
    rests: list[int] = []
    for step in steps:
        if not isinstance(step, Rest):
            return step
        if step.until is not None:
            rests.append(step.until)
    return Rest(min(rests) if rests else None)


def earliest(*moments: int | None, after: int) -> int | None:
    """Return the first of these moments that still lies ahead."""
    ahead = [moment for moment in moments if moment is not None and moment > after]
    return min(ahead) if ahead else None

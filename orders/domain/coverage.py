"""Who covers a position, and for how long nobody did."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, PositionMode
from orders.domain.enums import Form, LegState, Role
from orders.domain.snapshot import LegView, RequestStatus, TrioSnapshot


def leg_covers(leg: LegView, trio: TrioSnapshot, position: Decimal | None = None) -> Decimal:
    """Return how much of the position this stop covers now, or would cover of one of that size.

    Only an acknowledged stop covers. closePosition covers all; a one-way reduce-only quantity is cut to
    the position by the exchange; a hedge quantity above the position may be refused whole at trigger,
    so it counts for nothing.
    """
    position = trio.position if position is None else position
    if leg.role is not Role.STOP_LOSS or not leg.live or not leg.acknowledged:
        return ZERO
    if leg.cancel in (RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT):
        return ZERO
    if leg.look_at is not None and leg.looks > 0:  # a due read did not show it
        return ZERO
    if leg.triggered_ts is not None and trio.now_ts - leg.triggered_ts > trio.policies.naked_limit:
        return ZERO
    if leg.form is Form.CLOSE_POSITION:
        return position
    open_quantity = leg.quantity - leg.filled
    if trio.spec.mode is PositionMode.HEDGE:
        return open_quantity if open_quantity <= position else ZERO
    return min(open_quantity, position)


def would_cover(trio: TrioSnapshot, legs: Iterable[LegView], position: Decimal) -> bool:
    """Would these stops cover all of a position of that size?"""
    total: Decimal = sum((leg_covers(leg, trio, position) for leg in legs), ZERO)
    return total >= position > 0


def covered(trio: TrioSnapshot) -> Decimal:
    return min(trio.position, sum((leg_covers(leg, trio) for leg in trio.of(Role.STOP_LOSS)), ZERO))


def is_uncovered(trio: TrioSnapshot) -> bool:
    return not trio.spec.entry_only and trio.position > 0 and covered(trio) < trio.position


def uncovered_since_ts(trio: TrioSnapshot) -> int:
    """Return the exchange time at which the present gap opened, as far as we know."""
    fills = [leg.filled_ts for leg in trio.entries if leg.filled_ts]
    first = min(fills) if fills else trio.slot.as_of
    stops = trio.of(Role.STOP_LOSS)
    endings = [leg.ended_ts for leg in stops if leg.acknowledged and leg.ended_ts]
    if endings:
        return max(first, max(endings))
    triggered = [leg.triggered_ts for leg in stops if leg.triggered_ts and leg.state is LegState.TRIGGERED]
    if triggered:
        return max(first, max(triggered))
    if trio.spec.mode is PositionMode.HEDGE or any(leg.acknowledged for leg in stops):
        latest = max(fills) if fills else trio.slot.as_of
        return latest if any(leg.acknowledged and leg.live for leg in stops) else first
    return first


GONE_TOGETHER_MS: Final = 1000


def gone_ts(trio: TrioSnapshot) -> int | None:
    """Return the exchange time since when a position that no order of ours closed is gone; nothing while it is there.

    Stop and target of the whole position expire when it closes: where both did, at one time, that is when it went.
    Otherwise it is known to be gone since it was first seen so.
    """
    if trio.ours <= 0 or not trio.flat_believed:
        return None
    seen = trio.slot.flat_since or trio.slot.as_of
    stop, target = (_expired_ts(trio.of(role)) for role in (Role.STOP_LOSS, Role.TAKE_PROFIT))
    if stop is None or target is None or abs(stop - target) > GONE_TOGETHER_MS:
        return seen
    return min(seen, stop, target)


def _expired_ts(legs: Iterable[LegView]) -> int | None:
    """Return when the last of these that was on the book expired, if it stood for the whole position."""
    last = next((leg for leg in reversed(list(legs)) if leg.acknowledged), None)
    expired = last is not None and last.state is LegState.EXPIRED and last.form is Form.CLOSE_POSITION
    return last.ended_ts if last is not None and expired else None


# --- accounting: from what was recorded, after the event --------------------------------------


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill: when (exchange ms) and by how much the position grew (entry) or shrank (the others)."""

    time_ts: int
    change: Decimal


@dataclass(frozen=True, slots=True)
class StopInterval:
    """One stop, from the moment the exchange had it until it was gone (``None``: still there)."""

    since_ts: int
    until_ts: int | None
    quantity: Decimal | None  # None: closePosition, whatever there is
    exact: bool = False  # hedge quantity leg: counts only when not above the position


@dataclass(frozen=True, slots=True)
class Gaps:
    """How long a position was not fully covered, in milliseconds of exchange time."""

    total: int
    longest: int
    refused: int = 0  # the part of the total in which the exchange refused or lost what was to cover


class Cover(enum.StrEnum):
    """How a position stood for a while."""

    FLAT = "FLAT"  # there was none
    COVERED = "COVERED"
    UNCOVERED = "UNCOVERED"


@dataclass(frozen=True, slots=True)
class Span:
    """How a position stood from one moment to another, in exchange milliseconds."""

    cover: Cover
    since: int
    until: int

    @property
    def lasted(self) -> int:
        return self.until - self.since


def spans(executions: Iterable[Execution], stops: Iterable[StopInterval], *, until_ts: int) -> list[Span]:
    """Return how a position stood from its first execution or stop up to ``until_ts``: one after the other, no two alike."""
    executions = sorted(executions, key=lambda e: e.time_ts)
    stops = list(stops)
    moments = sorted(
        {e.time_ts for e in executions}
        | {s.since_ts for s in stops}
        | {s.until_ts for s in stops if s.until_ts is not None}
    )
    found: list[Span] = []
    for moment in moments:
        if moment > until_ts:
            break
        position = sum((e.change for e in executions if e.time_ts <= moment), ZERO)
        cover = Cover.FLAT
        if position > 0:
            cover = Cover.UNCOVERED if _cover_at(stops, moment, position) < position else Cover.COVERED
        if found and found[-1].cover is cover:
            continue
        if found:
            found[-1] = replace(found[-1], until=moment)
        found.append(Span(cover, moment, until_ts))
    return found


def gaps(
    executions: Iterable[Execution],
    stops: Iterable[StopInterval],
    *,
    until_ts: int,
    refusals: Iterable[int] = (),
) -> Gaps:
    """Measure the uncovered intervals up to ``until_ts`` from executions and stops.

    An interval in which a stop or exit was sent and refused or lost (``refusals``: when each was
    sent) counts whole as refused: without that refusal it would have ended.
    """
    refusals = list(refusals)
    stood = spans(executions, stops, until_ts=until_ts)
    lasted = [(span.since, span.until) for span in stood if span.cover is Cover.UNCOVERED]
    times = [end - start for start, end in lasted]
    refused = sum(end - start for start, end in lasted if any(start <= asked <= end for asked in refusals))
    return Gaps(sum(times), max(times, default=0), refused)


def _cover_at(stops: list[StopInterval], moment: int, position: Decimal) -> Decimal:
    cover = ZERO
    for stop in stops:
        if stop.since_ts > moment or (stop.until_ts is not None and stop.until_ts <= moment):
            continue
        if stop.quantity is None:
            return position
        cover += stop.quantity if not stop.exact or stop.quantity <= position else ZERO
    return cover

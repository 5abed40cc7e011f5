"""For how long a trio's position was not covered: measured from what was recorded, up to any moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exchange.types import ZERO, ExchangeMs, PositionMode
from orders.domain.coverage import Cover, Execution, Gaps, Span, StopInterval, gaps, spans
from orders.domain.coverage import gone_ts as position_gone_ts
from orders.domain.enums import ENDS, Form, RequestKind, Role, TrioState, Verdict
from orders.domain.snapshot import TrioSnapshot
from orders.exchange_data.clock import db_now, to_exchange_ms
from orders.installation import install_row
from orders.models import Clock, TrioOrder
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import TrioRows, rows_read

MAY_BE_NAKED = (TrioState.OPEN, TrioState.EXITING, TrioState.ROLLING_BACK)
# Answers to a protective request that left the position as uncovered as it was.
NO_COVER = (Verdict.REFUSED, Verdict.NOT_EXECUTED, Verdict.KEY_REFUSED)


@dataclass(frozen=True, slots=True)
class TrioSeen:
    """A trio as a decision would see it at this moment: its rows, and the snapshot that is made of them."""

    rows: TrioRows
    snapshot: TrioSnapshot


def trio_seen(trio: TrioOrder) -> TrioSeen:
    """Read a trio as a decision would. Who shows several things about it reads it once."""
    rows = rows_read(trio)
    clock = Clock.objects.filter(environment=trio.account.environment).first()
    snapshot = snapshot_of(
        trio,
        rows,
        now=db_now(),
        offset_ms=clock.offset_ms if clock else 0,
        install=install_row(),
        stepped_ts=clock.stepped_ts if clock else None,
    )
    return TrioSeen(rows, snapshot)


def uncovered_now(trio: TrioOrder, seen: TrioSeen | None = None) -> Gaps:
    """Return for how long a trio's position was not covered up to this moment, also while nobody decides about it.

    Reads, and asks the exchange nothing.
    """
    if trio.trio_state not in MAY_BE_NAKED:
        return Gaps(trio.uncovered_ms, trio.uncovered_longest_ms, trio.uncovered_refused_ms)
    seen = seen or trio_seen(trio)
    return measure(trio, seen.rows, until_ts=seen.snapshot.now_ts, gone_ts=position_gone_ts(seen.snapshot))


def cover_spans(trio: TrioOrder, seen: TrioSeen | None = None) -> list[Span]:
    """Return how a trio's position stood from its first execution on, up to now or its end: what ``uncovered_now`` is the sum of.

    Of one that has ended whose position went elsewhere, at a time that the record does not say, nothing is returned.
    """
    if trio.is_entry_only or trio.trio_state not in (*MAY_BE_NAKED, *ENDS):
        return []
    if trio.trio_state in MAY_BE_NAKED:
        seen = seen or trio_seen(trio)
        now_ts = seen.snapshot.now_ts
        facts = _facts(trio, seen.rows, until_ts=now_ts, gone_ts=position_gone_ts(seen.snapshot))
        return _from_first(facts, until_ts=now_ts)
    if trio.ended_at is None:
        return []
    rows = rows_read(trio)
    clock = Clock.objects.filter(environment=trio.account.environment).first()
    offset = clock.offset_ms if clock else 0
    ended_ts = to_exchange_ms(trio.ended_at, offset)
    exits = sorted(leg.ended_ts for leg in rows.legs if leg.ended_ts and not Role(leg.role).opens)
    until_ts = ExchangeMs(max([ended_ts, *exits, *(execution.time_ts for execution in rows.executions)]))
    for gone_ts in (None, *exits, until_ts):
        facts = _facts(trio, rows, until_ts=until_ts, gone_ts=gone_ts)
        if gaps(*facts, until_ts=until_ts).total == trio.uncovered_ms:
            return _from_first(facts, until_ts=until_ts)
    return []


def _from_first(facts: tuple[list[Execution], list[StopInterval]], *, until_ts: int) -> list[Span]:
    found = spans(*facts, until_ts=until_ts)
    return found[1:] if found and found[0].cover is Cover.FLAT else found


def measure(trio: TrioOrder, rows: TrioRows, *, until_ts: ExchangeMs, gone_ts: int | None = None) -> Gaps:
    """Measure from the trio's executions and stops for how long its position was not covered.

    ``rows`` are those that the decision was made from. ``gone_ts``: since when the position is known to be gone
    although no order of ours closed it.
    """
    if trio.is_entry_only:
        return Gaps(0, 0)
    executions, stops = _facts(trio, rows, until_ts=until_ts, gone_ts=gone_ts)
    found = gaps(executions, stops, until_ts=until_ts)
    if not found.total:
        return found
    return gaps(executions, stops, until_ts=until_ts, refusals=_refused_cover(rows))


def _facts(
    trio: TrioOrder, rows: TrioRows, *, until_ts: ExchangeMs, gone_ts: int | None
) -> tuple[list[Execution], list[StopInterval]]:
    """Return what changed a trio's position, and from when to when its stops stood."""
    executions: list[Execution] = []
    stops: list[StopInterval] = []
    hedge = trio.account.position_mode == PositionMode.HEDGE
    booked: dict[int, list[tuple[int, Any]]] = {}
    for execution in rows.executions:
        booked.setdefault(execution.leg_id, []).append((execution.time_ts, execution.quantity))
    for leg in rows.legs:
        sign = 1 if Role(leg.role).opens else -1
        parts = booked.get(leg.pk, [])
        rest = leg.filled - sum((quantity for _, quantity in parts), ZERO)
        if rest > 0:  # an answer shows it, its executions are not booked yet
            parts = [*parts, (leg.filled_ts or until_ts, rest)]
        executions += [Execution(time_ts, sign * quantity) for time_ts, quantity in parts]
        if leg.role == Role.STOP_LOSS and leg.accepted_ts is not None:
            whole = leg.form == Form.CLOSE_POSITION
            stops.append(
                StopInterval(leg.accepted_ts, leg.ended_ts, None if whole else leg.quantity, exact=hedge)
            )
    left = sum((execution.change for execution in executions), ZERO)
    if gone_ts is not None and left > 0:
        executions.append(Execution(gone_ts, -left))
    return executions, stops


def _refused_cover(rows: TrioRows) -> list[int]:
    """Return when (exchange ms) stops and exits were sent that the exchange refused or lost."""
    legs = {leg.pk: leg for leg in rows.legs if leg.role in (Role.STOP_LOSS, Role.EXIT)}
    asked = []
    for request in rows.requests:
        leg, outcome = legs.get(request.leg_id), getattr(request, "outcome", None)
        if leg is None or outcome is None or request.kind != RequestKind.SUBMIT:
            continue
        lost = outcome.verdict == Verdict.UNKNOWN and not leg.acknowledged  # else it was there all the same
        if lost or outcome.verdict in NO_COVER:
            asked.append(request.timestamp)
    return asked

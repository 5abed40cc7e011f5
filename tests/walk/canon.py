"""Which snapshots and worlds count as the same: ids and absolute times are abstracted away.

A time becomes a bucket of its distance from now, whose edges are the bounds the mechanism knows, and for
exchange times whether it lies before, at or after when the slot was read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable
from typing import Final

from orders.domain.enums import RequestKind, Role
from orders.domain.snapshot import LegView, TrioSnapshot
from tests.walk.world import Event, LegRow, World

# fmt: off
EDGES: Final = (
    -30_000, -15_000, -10_000, -5000, -2000, -1500, -1000, -600, 0, 1, 251, 601, 1001, 2001, 5001, 15_001,
)
# fmt: on


def away(at: int | None, now: int) -> int | None:
    return None if at is None else bisect_left(EDGES, at - now)


def seconds(at: int | None, now: int) -> int | None:
    """Tell waits apart that a look each second would otherwise make equal, up to the proof of absence."""
    return None if at is None else min((now - at) // 1000, 17)


def against(at: int | None, now_ts: int, as_of: int) -> tuple[int, int] | None:
    if at is None:
        return None
    return bisect_left(EDGES, at - now_ts), (at > as_of) - (at < as_of)


def snapshot_key(trio: TrioSnapshot) -> Hashable:
    """Return what makes this snapshot different from others, for the walk's count."""
    now, ts, as_of = trio.now, trio.now_ts, trio.slot.as_of
    slot = trio.slot
    return (
        trio.state,
        trio.cause,
        trio.cancel_wanted,
        trio.close_wanted,
        trio.panic_wanted,
        bool(trio.question),
        bool(trio.refusal),
        slot.placeable,
        slot.quantity,
        slot.opposite,
        slot.from_event,
        slot.mark_price,
        away(as_of, ts),
        against(slot.flat_since, ts, as_of),
        away(trio.observing_since, now),
        away(trio.uncovered_known_at, now),
        away(trio.good_till, now),
        (trio.place_before or now) > now,
        away(trio.hold_until_ts, ts),
        trio.forced,
        against(slot.flat_event_ts or None, ts, as_of),
        trio.flat_contradicted,
        tuple([(move.role, move.level) for move in trio.moves]),
        tuple([(wish.role, wish.quantity) for wish in trio.sizes]),
        trio.spec.stop_loss,
        trio.spec.take_profit,
        tuple(
            [
                (
                    leg.role,
                    leg.generation,
                    leg.state,
                    leg.form,
                    leg.quantity,
                    leg.filled,
                    leg.acknowledged,
                    leg.late,
                    leg.settled,
                    _since_end(trio, leg),
                    leg.submit,
                    leg.cancel,
                    leg.refused_code,
                    min(leg.looks, 2),
                    away(leg.retry_at, now),
                    away(leg.look_at, now),
                    away(leg.looking_since, now),
                    away(leg.submitted_at or None, now) if leg.pending else None,
                    against(leg.filled_ts, ts, as_of),
                    against(leg.ended_ts, ts, as_of),
                    against(leg.triggered_ts, ts, as_of),
                )
                for leg in trio.legs
            ]
        ),
    )


def world_key(world: World) -> Hashable:
    """Return what makes this world different from others, for the search."""
    now, ts, as_of = world.now, world.now_ts, world.slot.as_of
    slot = world.slot
    return hash(
        (
            world.fills,
            world.faults,
            world.acts,
            world.moves,
            world.races,
            world.trouble,
            world.state,
            world.cause,
            world.cancel_wanted,
            world.close_wanted,
            world.panic_wanted,
            bool(world.refusal),
            bool(world.question),
            len(world.answered),
            world.forced,
            _wishes_key(world, now),
            _late_key(world),
            world.undisturbed,
            world.held,
            away(_hold_until(world), ts),
            away(world.observing_since, now),
            away(world.uncovered_known_at, now),
            away(world.wake_at, now),
            max(0, (world.blind_until - now) // 1000) if world.blind_until else None,
            away(now - 1_000_000, world.setting.good_till) if world.setting.good_till else None,
            tuple([_leg_key(world, leg, now, ts, as_of) for leg in world.legs]),
            (
                slot.quantity,
                slot.from_event,
                away(as_of, ts),
                against(slot.flat_since, ts, as_of),
                against(slot.flat_event_ts or None, ts, as_of),
                _contradicted(world),
                slot.mark,
                away(slot.mark_as_of, ts) if world.moves or world.zone else None,
            ),
            tuple(
                sorted(
                    [
                        (
                            o.client_id,
                            o.status,
                            o.quantity,
                            o.filled,
                            away(o.hidden_until, ts) if o.hidden_until > ts else 0,
                            away(o.stuck_until, ts) if o.stuck_until > ts else 0,
                            away(o.triggered, ts) if o.live and o.triggered else 0,
                        )
                        for o in world.orders
                        if o.live or not _settled(world, o.client_id)
                    ]
                )
            ),
            world.position,
            world.before if ts - world.changed_ts < 1000 else None,
            world.zone,
            (world.bar[1], away(world.bar[0], ts)) if world.bar[0] > ts else None,
            world.meddled,
            tuple([(c.kind, c.client_id, away(c.at, ts), c.witness, c.child) for c in world.calls]),
            tuple(
                [
                    (c.kind, c.client_id, away(c.at, ts), a.verdict, a.code, a.view, a.failed, a.position)
                    if a.view is None
                    else (c.kind, c.client_id, a.view.state, a.view.executed, a.view.quantity)
                    for c, a in world.answers
                ]
            ),
            tuple([(c.kind, c.client_id, away(c.at, ts)) for c in world.paused]),
            tuple([(c.kind, c.client_id, away(c.at, ts)) for c in world.adrift]),
            tuple([_event_key(e, ts, as_of) for e in world.events]),
            tuple([_event_key(e, ts, as_of) for e in world.stray]),
            away(world.watch_at, now),
            away(world.sweep_at, now),
            away(world.naked_since, ts),
            away(world.disturbed, ts) if world.naked_since else None,
            world.deaths if world.naked_since else None,
            world.idle,
        )
    )


def _wishes_key(world: World, now: int) -> Hashable:
    if not world.wishes and not world.followed:
        return None
    return (
        world.agreed.stop_loss,
        world.agreed.take_profit,
        tuple([(move.role, move.level, away(move.since, now)) for move in world.level_moves]),
        tuple([(wish.role, wish.quantity, away(wish.since, now)) for wish in world.sizes]),
        tuple(sorted(world.moved)),
        world.followed,
        world.wishes,
    )


def _since_end(trio: TrioSnapshot, leg: LegView) -> bool:
    """Was this exit sent after the trio's end, for what turned up late?"""
    exits = leg.role is Role.EXIT and trio.ended_at is not None
    return exits and leg.submitted_at >= (trio.ended_at or 0)


def _late_key(world: World) -> Hashable:
    """What tells the quantity that came late from what was known at the end."""
    if world.ended_at is None or not any(leg.facts.late and leg.role.opens for leg in world.legs):
        return None
    exits = [
        request.client_id
        for request in world.requests
        if request.kind is RequestKind.SUBMIT and request.begun_at >= world.ended_at
    ]
    return world.settled, tuple(sorted(set(exits)))


def _hold_until(world: World) -> int | None:
    filled = [leg.facts.filled_ts for leg in world.legs if leg.role is Role.ENTRY and leg.facts.filled_ts]
    return None if world.setting.hold_for is None or not filled else min(filled) + world.setting.hold_for


def _contradicted(world: World) -> bool:
    since = world.slot.flat_since
    return since is not None and any((leg.looked_ts or 0) > since for leg in world.legs if leg.state.is_live)


def _event_key(event: Event, ts: int, as_of: int) -> Hashable:
    if event.view is None:
        return event.forced, event.position, against(event.at, ts, as_of)
    view = event.view
    return view.client_id, view.state, view.executed, view.conditional, away(event.at, ts)


def _settled(world: World, client_id: str) -> bool:
    return any(leg.client_id == client_id and leg.state.is_final for leg in world.legs)


def _leg_key(world: World, leg: LegRow, now: int, ts: int, as_of: int) -> Hashable:
    facts = leg.facts
    if facts.state.is_final:
        stale = facts.filled == 0 and any(
            o.role is leg.role and o.generation > leg.generation for o in world.legs
        )
        return (
            leg.role,
            leg.number,
            facts.trigger_price,
            facts.state,
            facts.form,
            facts.filled,
            facts.acknowledged,
            facts.late,
            leg.refused_code,
            away(leg.retry_at, now),
            against(facts.filled_ts, ts, as_of),
            None if stale else against(facts.ended_ts, ts, as_of),
        )
    newest = world.newest_request(leg.client_id, RequestKind.SUBMIT)
    taken_back = world.newest_request(leg.client_id, RequestKind.CANCEL)
    looked = None
    if taken_back is not None and leg.looked_ts is not None:
        looked = leg.looked_ts > taken_back.timestamp
    asked: Hashable = None
    if newest is not None:
        asked = newest.verdict if facts.acknowledged else (newest.verdict, seconds(newest.timestamp, ts))
    return (
        leg.role,
        leg.number,
        facts.trigger_price,
        facts.state,
        facts.form,
        facts.quantity,
        facts.filled,
        facts.acknowledged,
        facts.late,
        facts.order_id,
        leg.refused_code,
        min(leg.looks, 2),
        looked,
        away(leg.retry_at, now),
        away(leg.look_at, now),
        away(leg.looking_since, now),
        asked,
        taken_back and (taken_back.verdict, away(taken_back.timestamp, ts)),
        against(facts.filled_ts, ts, as_of),
        against(facts.triggered_ts, ts, as_of),
        seconds(facts.seen_ts, ts) if facts.acknowledged and leg.looks else None,
    )

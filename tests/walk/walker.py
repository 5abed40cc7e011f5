"""The search: every world reachable within the bound, each judged, and each carried to its end by a fair exchange."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from exchange.binance.errors import refusal_of
from exchange.refusals import Refusal
from exchange.types import PositionMode
from orders.domain.decision import parts
from orders.domain.enums import Protection, Role, TrioState
from tests.walk import adversary, finish, network, venue
from tests.walk.canon import world_key
from tests.walk.service import snapshot
from tests.walk.world import POLL, RULES, START, Setting, Violation, World, first_world

Line = tuple[str, int, Any]  # what happened, when, and the decision that followed
FAIR_STEPS_MAX = 400
STEPS_MAX = 60
IN_TURN = 0.6
INSTANT_MAX = 60
FAIR_MS_MAX = 300_000


@dataclass(slots=True)
class Walk:
    """What one search came to. ``complete``: nothing within the bound was left out."""

    setting: Setting
    worlds: int = 0
    moves: int = 0
    seconds: float = 0.0
    complete: bool = True
    ends: Counter[str] = field(default_factory=Counter)
    longest_naked: int = 0  # ms, whatever the reason
    longest_undisturbed: int = 0  # ms since the last fault that touched this trio's own protection
    failures: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Search:
    walk: Walk
    parents: list[tuple[int, Line]] = field(default_factory=list)
    seen: set[object] = field(default_factory=set)
    good: set[object] = field(default_factory=set)
    fresh: bool = True


def walk(setting: Setting, *, worlds_max: int, failures_max: int = 1) -> Walk:
    """Walk one setting breadth first, so that the first failure found has the shortest story."""
    result = Walk(setting)
    search = _Search(result)
    started = time.process_time()
    first = first_world(setting)
    search.seen.add(world_key(first))
    search.parents.append((-1, ("a trio is queued", first.now, None)))
    queue: deque[tuple[int, World]] = deque([(0, first)])
    while queue:
        place, world = queue.popleft()
        for label, change in adversary.moves(world):
            following = world.copy()
            result.moves += 1
            try:
                change(following)
                judge(following, result)
            except Violation as broken:
                _fail(search, place, label, following, broken)
                if len(result.failures) >= failures_max:
                    result.seconds = time.process_time() - started
                    return result
                continue
            key = world_key(following)
            if key in search.seen:
                continue
            search.seen.add(key)
            said = following.said if following.said is not world.said else None
            search.parents.append((place, (label, following.now, said)))
            child = len(search.parents) - 1
            try:
                carry_on(search, following, key)
            except _Unfair as broken:
                tail = [f"fair: {_line(line)}" for line in broken.story]
                _fail(search, child, None, broken.world, broken.why, tail)
                if len(result.failures) >= failures_max:
                    result.seconds = time.process_time() - started
                    return result
                continue
            if len(search.seen) >= worlds_max:
                result.complete = False
                queue.clear()
                break
            queue.append((child, following))
    result.worlds = len(search.seen)
    result.seconds = time.process_time() - started
    return result


def roam(setting: Setting, *, seed: int, paths: int, failures_max: int = 1) -> Walk:
    """Walk at random through the whole bound: too large to be searched, but not to be visited."""
    result = Walk(setting, complete=False)
    search = _Search(result)
    dice = random.Random(seed)
    started = time.process_time()
    for _ in range(paths):
        world = first_world(setting)
        search.parents = [(-1, ("a trio is queued", world.now, None))]
        for _ in range(STEPS_MAX):
            moves = list(adversary.moves(world))
            if not moves:
                break
            label, change = moves[0] if dice.random() < IN_TURN else dice.choice(moves)
            before = world.said
            result.moves += 1
            try:
                change(world)
                judge(world, result)
            except Violation as broken:
                _fail(search, len(search.parents) - 1, label, world, broken)
                break
            said = world.said if world.said is not before else None
            search.parents.append((len(search.parents) - 1, (label, world.now, said)))
            if dice.random() < 0.2 and not _ends_well(search, world):
                break
        else:
            _ends_well(search, world)
        if len(result.failures) >= failures_max:
            break
    result.worlds = len(search.good)
    result.seconds = time.process_time() - started
    return result


def _ends_well(search: _Search, world: World) -> bool:
    try:
        carry_on(search, world, world_key(world))
    except _Unfair as broken:
        tail = [f"fair: {_line(line)}" for line in broken.story]
        _fail(search, len(search.parents) - 1, None, broken.world, broken.why, tail)
        return False
    return True


# --- judgement --------------------------------------------------------------------------------


def judge(world: World, result: Walk) -> None:
    """Hold a world against P4: nobody uncovered for longer than the bound."""
    if world.naked_since is None:
        return
    if world.held and world.undisturbed and not (_leg_at_work(world) or _bridge_outgrown(world)):
        raise Violation("uncovered by our own doing: nothing but the market and our verbs has happened")
    gap = world.now_ts - world.naked_since
    result.longest_naked = max(result.longest_naked, gap)
    since = max(world.naked_since, world.disturbed, world.unseen)
    allowed = RULES.naked_limit + RULES.patience * max(0, world.deaths - 1)
    result.longest_undisturbed = max(result.longest_undisturbed, world.now_ts - since)
    if world.now_ts - since > allowed:
        raise Violation(
            f"uncovered for {gap} ms, {world.now_ts - since} ms of it undisturbed (allowed {allowed})"
        )


def _leg_at_work(world: World) -> bool:
    """Is the trio on its way out: a stop or take-profit triggered, an exit sent? Then cover is not what it was."""
    leaving = (Role.STOP_LOSS, Role.TAKE_PROFIT)
    return any(o.role is Role.EXIT or (o.role in leaving and o.triggered is not None) for o in world.orders)


def _bridge_outgrown(world: World) -> bool:
    """Did a hedge target execute while only the quantity bridge of a move rests? That gap has its bound, like others."""
    hedge = world.setting.spec.mode is PositionMode.HEDGE
    parts_done = any(o.role is Role.PART_TARGET and o.filled for o in world.orders)
    return hedge and parts_done and Role.STOP_LOSS in world.moved


class _Unfair(Exception):
    def __init__(self, world: World, why: Violation, story: list[Line]) -> None:
        super().__init__(str(why))
        self.world, self.why, self.story = world, why, story


def carry_on(search: _Search, world: World, key: object) -> None:
    """Carry a world to its end by a fair exchange: P3 and P4 must hold from everywhere."""
    if key in search.good:
        return
    trail: list[object] = []
    story: list[Line] = []
    world = world.copy()
    instant, at, swept = 0, world.now, 0
    for _ in range(FAIR_STEPS_MAX):
        if key in search.good:
            break
        trail.append(key)
        try:
            move = adversary.fair(world)
            if move is None:
                if swept >= 3 or not _sweep(world):
                    settled(world)
                    search.walk.ends[f"{world.state} {world.cause or ''}".strip()] += 1
                    break
                swept += 1
                story.append(("the account is swept", world.now, None))
                key = object()
                continue
            label, change = move
            said = world.said
            change(world)
            story.append((label, world.now, world.said if world.said is not said else None))
            judge(world, search.walk)
        except Violation as broken:
            raise _Unfair(world, broken, story) from broken
        instant = instant + 1 if world.now - at < 1000 else 0
        if instant == 0:
            at = world.now
        if instant > INSTANT_MAX:
            raise _Unfair(world, Violation("it runs in a circle while hardly any time passes"), story)
        if world.now - START > FAIR_MS_MAX:
            raise _Unfair(world, Violation("never comes to rest"), story)
        key = world_key(world)
    else:
        raise _Unfair(world, Violation("never comes to rest"), story)
    search.good.update(trail)


def _sweep(world: World) -> bool:
    """Sweep a quiet account once; return whether the trio was woken by it."""
    world.now += network.SWEEP
    world.unseen = world.now_ts + POLL
    venue.refresh(world)
    finish.sweep(world)
    return world.wake_at is not None


def settled(world: World) -> None:
    """Hold a world in which nothing happens any more against P3 and P4."""
    live = [order.client_id for order in world.orders if order.live]
    if world.state.is_end:
        if live:
            raise Violation(f"ended {world.state} with {', '.join(live)} still on the exchange")
        if world.position > 0:
            raise Violation(f"ended {world.state} with a position of {world.position}")
        return
    covered = world.position > 0 and venue.covered(world) == world.position
    rests = any(order.role in (Role.ENTRY, Role.RUNG) and order.live for order in world.orders)
    if world.state is TrioState.OPEN and covered:
        if world.level_moves or world.sizes:
            raise Violation("rests OPEN with a wish that nobody follows any more")
        levels(world)
        if (
            rests
            and any(o.role is Role.PART_TARGET and o.filled for o in world.orders)
            and world.setting.spec.rungs
        ):
            raise Violation("a rung rests although a part target has executed")
        target = any(o.role is Role.TAKE_PROFIT and o.live for o in world.orders)
        if target or world.question or world.setting.spec.target_policy == "KEEP_STOP":
            return
        raise Violation("rests OPEN without a take-profit, and nobody was asked")
    if world.state is TrioState.WORKING and rests and world.position == 0:
        spec = world.setting.spec
        armed = spec.protection is Protection.PRE_ARMED and not spec.entry_only
        deferred = any(
            leg.refused_code and refusal_of(leg.refused_code) is Refusal.NOT_WHILE_FLAT for leg in world.legs
        )  # it goes on first fill
        if not armed or deferred or any(o.role is Role.STOP_LOSS and o.live for o in world.orders):
            return
        raise Violation("rests WORKING without the stop it was to be armed with")
    raise Violation(f"rests {world.state} for good, position {world.position}, on the exchange {live}")


def levels(world: World) -> None:
    """Hold an open trio's resting orders against what was agreed."""
    spec = world.agreed
    for role, level in ((Role.STOP_LOSS, spec.stop_loss), (Role.TAKE_PROFIT, spec.take_profit)):
        for order in world.orders:
            if order.role is role and order.live and world.leg(order.client_id).facts.trigger_price != level:
                raise Violation(f"{order.client_id} rests at a level that is not the agreed one")
    live = [order for order in world.orders if order.role is Role.PART_TARGET and order.live]
    if len({world.leg(order.client_id).number for order in live}) < len(live):
        raise Violation("two orders rest for one part target")
    if sum(order.quantity for order in live) > world.position:
        raise Violation("the part targets come to more than the position")
    wanted_now = {target.number: quantity for target, quantity in parts.wanted(snapshot(world)) if quantity}
    resting = {world.leg(order.client_id).number: order.quantity for order in live if order.triggered is None}
    if not world.question and any(resting.get(number) != quantity for number, quantity in wanted_now.items()):
        raise Violation(f"part targets rest as {resting}, wanted are {wanted_now}")


# --- the story --------------------------------------------------------------------------------


def _where(now: int) -> str:
    return f"[+{(now - START) / 1000:.3f} s]"


def _line(line: Line) -> str:
    label, now, said = line
    decided = f"  ⇒ {said[0]}: {_short(said[1])}" if said else ""
    return f"{_where(now)} {label}{decided}"


def _short(step: object) -> str:
    plans = list(getattr(step, "plans", ())) or ([p] if (p := getattr(step, "plan", None)) else [])
    if plans:
        sent = ", ".join(
            f"{p.order.client_id} {p.form.lower()} {p.order.quantity if p.order.quantity is not None else ''}"
            f"{' again' if p.again else ''}".strip()
            for p in plans
        )
        cancels = getattr(step, "cancels", ())
        return f"{type(step).__name__}({sent}{'; cancels ' + ', '.join(cancels) if cancels else ''})"
    if hasattr(step, "until") and step.until is not None:
        return f"Rest(+{(step.until - START) / 1000:.3f} s)"
    return str(step)


def _fail(
    search: _Search,
    place: int,
    label: str | None,
    world: World,
    why: Violation,
    tail: list[str] | None = None,
) -> None:
    lines: list[str] = [] if label is None else [f"{_where(world.now)} {label}"]
    while place >= 0:
        place, text = search.parents[place]
        lines.append(_line(text))
    lines.reverse()
    tail = tail or []
    lines += tail if len(tail) <= 40 else [*tail[:30], "…", *tail[-8:]]
    spec = search.walk.setting
    said = world.said and f"{world.said[0]}: {_short(world.said[1])}"
    story = "\n".join(f"  {line}" for line in lines)
    search.walk.failures.append(
        f"{spec.name}: {why}\n{story}\n  last decision: {said}\n  legs: "
        + "; ".join(
            f"{leg.client_id} {leg.state} {leg.facts.filled}/{leg.facts.quantity} code {leg.refused_code}"
            for leg in world.legs
        )
        + f"\n  exchange: position {world.position}; "
        + "; ".join(f"{o.client_id} {o.status} {o.filled}/{o.quantity}" for o in world.orders)
    )


__all__ = ["Walk", "walk"]

"""What may happen next in a world: each move is a label for the story and a function that changes a copy.

Without a fault everything is prompt: requests, answers, events and wake-ups all come before time passes, but in
any order among themselves. Faults, acts of a person, fills and moves of the price are paid from the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from exchange.types import OrderType
from orders.domain.enums import Role, TrioState
from orders.domain.operator_questions import QuestionKind
from tests.walk import finish, service, venue
from tests.walk.nature import child, children, environment, meddle
from tests.walk.network import Move, answered, arrive, deliver, deliver_late, execute, faults, resume
from tests.walk.story import name_of, telling, told_by
from tests.walk.world import POLL, RECV_WINDOW, World


def moves(world: World) -> Iterator[Move]:
    """Everything that may happen next: what is next in turn, what overtakes it, and what disturbs it."""
    next_in_turn = fair(world, patient=True)
    if next_in_turn is not None:
        yield next_in_turn
    elif not world.idle and not world.state.is_end:
        yield "nothing happens for three seconds", _idle
    if world.setting.dry_run and world.state is not TrioState.QUEUED:
        return
    yield from environment(world)
    if world.races:
        yield from _races(world)
    if world.faults:
        yield from faults(world)
    yield from _late(world)


def fair(world: World, *, patient: bool = False) -> Move | None:
    """The one move of a fair exchange and live processes; ``None`` when all is quiet for good.

    ``patient``: what is late stays late; the search tries each moment for it.
    """
    if world.events:
        return telling(world.events[0]), partial(deliver, count=1)
    if world.answers:
        return f"{name_of(world.answers[0][0])}: answered", partial(answered, place=0)
    if service.due(world):
        return "the trio is carried forward", service.turn
    if world.calls:
        return f"{name_of(world.calls[0])}: executed", partial(execute, place=0)
    if born := children(world):
        return f"the child of {born[0].client_id} executes", partial(child, client_id=born[0].client_id)
    if world.stray and not patient:
        return f"late: {telling(world.stray[0])}", partial(deliver_late, place=0)
    if world.paused and not patient:
        return f"{name_of(world.paused[0])}: its process wakes up", partial(resume, place=0)
    if world.adrift and not patient:
        return f"{name_of(world.adrift[0])}: arrives late", partial(arrive, place=0)
    if world.position > 0 and world.question is not None and world.question.kind is QuestionKind.DUST:
        return "a person closes the rest in the app", partial(meddle, change=-world.position)
    at = next_moment(world)
    if at is None:
        hidden = [order.hidden_until for order in world.orders if order.hidden_until > world.now_ts]
        if not hidden:
            return None
        at = world.now + min(hidden) - world.now_ts
    return f"time passes to +{(at - 1_000_000) / 1000:.3f} s", partial(pass_time, at=at)


def _quiet(world: World) -> bool:
    return not (world.calls or world.answers or world.events or children(world))


def next_moment(world: World) -> int | None:
    """Return when something is due next, once everything prompt is over."""
    if not _quiet(world):
        return None
    moments = [world.watch_at, world.sweep_at]
    if world.wake_at is not None:
        moments.append(world.wake_at + POLL)
    moments += [
        world.now + order.stuck_until - world.now_ts
        for order in world.orders
        if order.live and order.stuck_until > world.now_ts
    ]
    return min((at for at in moments if at is not None and at > world.now), default=None)


def pass_time(world: World, *, at: int) -> None:
    world.now = at
    venue.refresh(world)
    if world.watch_at is not None and world.watch_at <= at:
        world.watch_at = None
        row = next((leg for leg in world.legs if leg.client_id == world.watched), None)
        if row is not None and row.state.is_live and row.look_at is None:
            world.put_leg(replace(row, look_at=at))
            world.wake_at = at
    if world.sweep_at is not None and world.sweep_at <= at:
        world.sweep_at = None
        finish.sweep(world)
    if service.due(world):
        service.turn(world)


def _idle(world: World) -> None:
    world.idle += 1
    world.now += 3000


def _races(world: World) -> Iterator[Move]:
    """What may overtake what is next in turn, at the price of one race."""

    def overtake(change: Callable[[World], None]) -> Callable[[World], None]:
        def raced(world: World) -> None:
            world.races -= 1
            change(world)

        return raced

    first = bool(world.events), bool(world.answers), service.due(world)
    if world.answers and first[0]:
        call, answer = world.answers[0]
        yield f"{name_of(call)}: answered {told_by(answer)}", overtake(partial(answered, place=0))
    if len(world.events) > 1:
        yield "; ".join(map(telling, world.events)), overtake(partial(deliver, count=len(world.events)))
    for place, call in enumerate(world.calls):
        if any(first) or place:
            yield f"{name_of(call)}: executed", overtake(partial(execute, place=place))
    if any(first) or world.calls:
        for order in children(world):
            yield (
                f"the child of {order.client_id} executes",
                overtake(partial(child, client_id=order.client_id)),
            )


def _late(world: World) -> Iterator[Move]:
    for place, call in enumerate(world.calls):
        plan = call.plan if call.kind == "SUBMIT" and world.fills > 1 else None
        if plan is not None and plan.order.type is OrderType.MARKET:
            yield f"{name_of(call)}: executed for one lot only", partial(execute, place=place, take=1)
            if plan.role is Role.ENTRY:
                yield f"{name_of(call)}: rests first", partial(execute, place=place, take=0)
    for place, event in enumerate(world.stray):
        yield f"late: {telling(event)}", partial(deliver_late, place=place)
    for place, call in enumerate(world.paused):
        yield f"{name_of(call)}: its process wakes up", partial(resume, place=place)
    for place, call in enumerate(world.adrift):
        if world.now_ts <= call.at + RECV_WINDOW:
            yield f"{name_of(call)}: arrives late", partial(arrive, place=place)

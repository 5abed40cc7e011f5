"""What the market, the exchange's whims and people do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial

from exchange.types import OrderType, PositionMode
from orders.domain.enums import Role, TrioState
from orders.domain.snapshot import Move as LevelMove
from orders.domain.snapshot import SizeWish
from tests.walk import service, venue
from tests.walk.network import SWEEP, Move, pay
from tests.walk.world import LATENCY, POLL, Event, World, XOrder

STUCK = 4000  # how long a triggered order may hang


def children(world: World) -> list[XOrder]:
    return [o for o in world.orders if o.status == "TRIGGERING" and o.stuck_until <= world.now_ts]


def child(world: World, *, client_id: str, take: int | None = None, refuse: str = "") -> None:
    order = world.order(client_id)
    assert order is not None
    world.now += LATENCY
    world.fills -= take is not None
    if refuse == "margin":
        pay(world, "faults")
    if order.role is Role.ENTRY:
        venue.enter(world, order, take=take, refuse=refuse)
    else:
        venue.child(world, order, take=take, refuse=refuse)


def _reach(world: World, *, client_id: str) -> None:
    order = world.order(client_id)
    assert order is not None
    world.now += LATENCY
    venue.reach(world, order)


def _stick(world: World, *, client_id: str) -> None:
    order = world.order(client_id)
    assert order is not None
    pay(world, "faults")
    world.put_order(replace(order, stuck_until=world.now_ts + STUCK))


def environment(world: World) -> Iterator[Move]:
    for order in children(world):
        name = order.client_id
        yield f"the child of {name} executes", partial(child, client_id=name)
        entry = order.role is Role.ENTRY
        whole = min(world.position, world.position if order.closing else order.quantity)
        if entry:
            whole = 0 if world.setting.spec.entry_type is OrderType.STOP else order.quantity
        if world.fills > 0 and whole > 1:
            yield (
                f"the child of {name} executes one lot, the rest expires",
                partial(child, client_id=name, take=1),
            )
        hedge = world.setting.spec.mode is PositionMode.HEDGE
        if hedge and not entry and not order.closing and order.quantity > world.position > 0:
            yield f"the child of {name} is refused whole", partial(child, client_id=name, refuse="excess")
        if world.faults and (world.position > 0 or entry):
            yield f"{name} is rejected at its trigger", partial(child, client_id=name, refuse="margin")
            yield f"{name} is stuck at its trigger", partial(_stick, client_id=name)
    for order in world.orders:
        if order.role is Role.ENTRY and order.conditional and order.status == "NEW" and not order.born:
            yield "the price reaches the entry's trigger", partial(_reach, client_id=order.client_id)
            continue
        if order.status == "TRIGGERING" and order.role is Role.ENTRY:
            continue
        if order.role in service.ENTERS and order.live and world.fills > 0:
            rest, name = order.quantity - order.filled, order.client_id
            yield f"{name} fills {rest}", partial(_fill, client_id=name, lots=rest)
            if rest > 1 and world.fills > 1:
                yield f"{name} fills 1", partial(_fill, client_id=name, lots=1)
    if world.state.is_end or world.state is TrioState.QUEUED:
        if world.state is TrioState.QUEUED:
            yield from _wishes(world)
            yield from _gates(world)
        return
    if world.moves and any(o.conditional and o.live for o in world.orders):
        if world.zone == 0:
            yield "the price reaches the stop's level", partial(_price, zone=-1)
            yield "the price reaches the stop's level and is heard", partial(_price, zone=-1, heard=True)
            yield "the price reaches the target's level", partial(_price, zone=1)
            if world.setting.spec.part_targets:
                yield "the price gaps over both targets", partial(_price, zone=2)
        else:
            yield "the price comes back", partial(_price, zone=0)
    yield from _wishes(world)
    yield from _verbs(world)
    yield from _gates(world)
    yield from _people(world)
    if world.faults:
        for order in world.orders:
            if (
                order.status == "NEW"
                and order.conditional
                and not (order.born or order.hidden_until > world.now_ts)
            ):
                yield f"the exchange forgets {order.client_id}", partial(_forget, client_id=order.client_id)
                yield (
                    f"{order.client_id} expires by itself",
                    partial(_ends, client_id=order.client_id, status="EXPIRED"),
                )
            if order.role in service.ENTERS and order.live:
                yield (
                    f"what is left of {order.client_id} expires by itself",
                    partial(_ends, client_id=order.client_id, status="EXPIRED"),
                )


def _gates(world: World) -> Iterator[Move]:
    if world.faults and world.state in (TrioState.QUEUED, TrioState.PLACING):
        if world.blind_until <= world.now:
            yield "nobody watches for two minutes", partial(_blind, ms=120_000)
            yield "nobody watches for three seconds", partial(_blind, ms=3000)
        if not world.refusal:
            yield "a limit refuses new risk", _limit


def _blind(world: World, *, ms: int) -> None:
    pay(world, "faults")
    world.blind_until = world.now + ms


def _limit(world: World) -> None:
    pay(world, "faults")
    world.refusal = "A limit refuses."
    world.wake_at = world.now


def _wishes(world: World) -> Iterator[Move]:
    if world.acts:
        for wish in ("cancel", "close", "panic"):
            if not getattr(world, f"{wish}_wanted"):
                yield f"a person wants {wish}", partial(_wish, wish=wish)


def _wish(world: World, *, wish: str) -> None:
    pay(world, "acts")
    setattr(world, f"{wish}_wanted", True)
    service.turn(world)


def _verbs(world: World) -> Iterator[Move]:
    """What a person may do to an open trio; the services refuse it in any other state."""
    if not world.acts or world.state is not TrioState.OPEN or world.close_wanted or world.panic_wanted:
        return
    seen = service.snapshot(world)
    if not all(leg.state.is_final for leg in seen.entries) or seen.position <= 0:
        return
    for verb in world.setting.verbs:
        role = {"stop": Role.STOP_LOSS, "target": Role.TAKE_PROFIT}.get(verb)
        if role is not None and not any(move.role is role for move in world.level_moves):
            yield f"a person moves the {role.words}", partial(_move_level, role=role)
        elif verb == "part" and not world.sizes and seen.position > 1:
            yield "a person takes one lot off", partial(_size, role=Role.PART_CLOSE)
        elif verb == "add" and not world.sizes and not world.level_moves and not world.cancel_wanted:
            yield "a person adds one lot", partial(_size, role=Role.ADD)


def _move_level(world: World, *, role: Role) -> None:
    _wished(world)
    spec = world.agreed
    level = spec.stop_loss if role is Role.STOP_LOSS else spec.take_profit
    assert level is not None
    nearer = level + (1 if level < 100 else -1)
    world.level_moves = (*world.level_moves, LevelMove(world.wishes, role, nearer, world.now))
    service.turn(world)


def _size(world: World, *, role: Role) -> None:
    _wished(world)
    world.sizes = (*world.sizes, SizeWish(world.wishes, role, Decimal(1), world.now))
    service.turn(world)


def _wished(world: World) -> None:
    """Pay for a verb of ours: it disturbs nothing."""
    undisturbed = world.undisturbed
    pay(world, "acts")
    world.undisturbed = undisturbed
    world.wishes += 1


def _people(world: World) -> Iterator[Move]:
    if not world.acts:
        return
    for order in world.orders:
        if order.live and order.status != "TRIGGERING":
            yield (
                f"a person cancels {order.client_id} in the app",
                partial(_ends, client_id=order.client_id, status="CANCELED"),
            )
    if world.position > 0:
        yield "the exchange liquidates the position", _liquidate
        yield "a person closes the position in the app", partial(_meddle, change=-world.position)
        if world.position > 1:
            yield "a person reduces the position by one", partial(_meddle, change=-1)
        yield "a person adds one to the position", partial(_meddle, change=1)
        if world.setting.spec.mode is PositionMode.ONE_WAY:
            yield "a person reverses the position", partial(_meddle, change=-world.position - 1)


def _ends(world: World, *, client_id: str, status: str) -> None:
    order = world.order(client_id)
    assert order is not None
    if status == "CANCELED":
        pay(world, "acts")
    else:
        pay(world, "faults")
    world.now += LATENCY
    venue.end(world, order, status)


def _forget(world: World, *, client_id: str) -> None:
    pay(world, "faults")
    world.now += LATENCY
    world.orders = tuple(order for order in world.orders if order.client_id != client_id)
    world.unseen = world.now_ts + SWEEP + POLL
    world.sweep_at = min(world.sweep_at or world.now + SWEEP, world.now + SWEEP)
    venue.refresh(world)


def _meddle(world: World, *, change: int) -> None:
    pay(world, "acts")
    meddle(world, change=change)


def meddle(world: World, *, change: int) -> None:
    """A person changes the position in the app."""
    world.meddled = True
    world.now += LATENCY
    venue.move(world, change)


def _liquidate(world: World) -> None:
    """The exchange closes everything, and tells its own order after the position, as it does."""
    _meddle(world, change=-world.position)
    world.events = (*world.events, Event(world.now_ts, forced=True))


def _fill(world: World, *, client_id: str, lots: int) -> None:
    world.fills -= 1
    world.now += LATENCY
    order = world.order(client_id)
    assert order is not None
    venue.fill(world, order, lots)


def _price(world: World, *, zone: int, heard: bool = False) -> None:
    world.moves -= 1
    world.now += LATENCY
    venue.trigger(world, zone)
    if heard:  # the price watch notes it and wakes nobody: it waits for an event
        world.slot = replace(world.slot, mark=venue.mark(world), mark_as_of=world.now_ts)

"""The exchange of the walk: what it does with a request, a trigger, a fill. It shares nothing with ours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from exchange.types import (
    NewOrder,
    OrderState,
    OrderType,
    OrderView,
    PositionMode,
    PositionSide,
    Side,
    TimeInForce,
)
from orders.domain.enums import Role, Verdict
from tests.walk.world import LOTS, RECV_WINDOW, RULES, Answer, Call, Event, Violation, World, XOrder

BORN = 9  # the exchange's number of the order born at the entry's trigger
STATES = {
    "NEW": OrderState.NEW,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "TRIGGERING": OrderState.TRIGGERING,
    "FILLED": OrderState.FILLED,
    "FINISHED": OrderState.FINISHED,
    "CANCELED": OrderState.CANCELED,
    "EXPIRED": OrderState.EXPIRED,
    "REJECTED": OrderState.REJECTED,
}


@lru_cache(maxsize=100_000)
def view(
    client_id: str,
    state: OrderState,
    quantity: int,
    executed: int,
    at: int,
    conditional: bool,
    reason: str = "",
    number: int | None = None,
    child_state: OrderState | None = None,
) -> OrderView:
    return OrderView(
        client_id=client_id,
        symbol="BTCUSDT",
        side=Side.BUY,
        type=None,
        state=state,
        position_side=PositionSide.BOTH,
        quantity=LOTS[quantity],
        executed=LOTS[executed],
        updated_at=at,
        conditional=conditional,
        order_id=number,
        algo_id=1 if conditional else None,
        average_price=Decimal(100) if executed else None,
        reason=reason,
        child_state=child_state,
    )


def shown(order: XOrder) -> OrderView:
    """Return the order as answers, lists and look-ups show it."""
    if order.born:
        state = OrderState.TRIGGERED if order.live else OrderState.FINISHED
        return view(
            order.client_id, state, order.quantity, order.filled, order.updated, True, order.reason, BORN,
            STATES[order.status],
        )  # fmt: skip
    return view(
        order.client_id,
        STATES[order.status],
        order.quantity,
        order.filled,
        order.updated,
        order.conditional,
        order.reason,
    )


def told(order: XOrder) -> Iterable[OrderView]:
    """Yield what the stream tells of an order as it is: of one born at a trigger, and then of its parent's end."""
    if not order.born:
        yield shown(order)
        return
    words = order.client_id, STATES[order.status], order.quantity, order.filled, order.updated
    yield view(*words, False, order.reason, BORN)
    if not order.live:
        name, _, *rest = words
        yield view(name, OrderState.FINISHED, *rest, True, order.reason, BORN)


# --- requests ---------------------------------------------------------------------------------


def submit(world: World, order: NewOrder, role: Role, at: int, *, take: int | None = None) -> Answer:
    """Place ``order``; ``take`` caps what a market order finds at once. Changes the world."""
    if world.now_ts > at + RECV_WINDOW:
        return Answer(Verdict.NOT_EXECUTED, -1021)
    open_one = world.order(order.client_id)
    if open_one is not None and open_one.live:
        return Answer(Verdict.UNKNOWN, -4116)
    if role.opens:
        return _enter(world, order, take, role)
    _check_flags(world, order)
    if role is Role.EXIT or order.type is OrderType.MARKET:
        if order.type is OrderType.LIMIT and (
            order.price is None or order.time_in_force is not TimeInForce.IOC
        ):
            raise Violation(f"{order.client_id} could rest: an exit at a limit must be IOC")
        return _exit(world, order, take, role)
    stop = order.type is OrderType.STOP_MARKET
    until, code = world.bar
    if stop and world.now_ts < until:
        return Answer(Verdict.NOT_EXECUTED if code == -1008 else Verdict.REFUSED, code)
    if role in reached(world, world.zone):
        return Answer(Verdict.REFUSED, -2021)
    if order.close_position:
        if world.position <= 0:
            return Answer(Verdict.REFUSED, -4509)
        if any(o.closing and o.live and o.role is role for o in world.orders):
            return Answer(Verdict.REFUSED, -4130)
    quantity = int(order.quantity or 0)
    if not order.close_position and order.reduce_only and world.position > 0:
        quantity = min(quantity, world.position)  # cut on acceptance, and echoed so
    placed = XOrder(
        order.client_id,
        role,
        True,
        order.close_position,
        quantity,
        "NEW",
        placed=world.now_ts,
        updated=world.now_ts,
    )
    world.put_order(placed)
    _tell(world, placed)
    refresh(world)
    return Answer(Verdict.ACCEPTED, view=shown(placed))


def _check_flags(world: World, order: NewOrder) -> None:
    one_way = world.setting.spec.mode is PositionMode.ONE_WAY
    if one_way and not (order.reduce_only or order.close_position):
        raise Violation(f"{order.client_id} could open a position: neither reduceOnly nor closePosition")
    if order.side is not world.setting.spec.exit_side:
        raise Violation(f"{order.client_id} is on the wrong side")
    if not one_way and (order.reduce_only or order.position_side is PositionSide.BOTH):
        raise Violation(f"{order.client_id} carries the wrong flags for hedge mode")


def _enter(world: World, order: NewOrder, take: int | None, role: Role) -> Answer:
    world.entries_taken += 1
    planned = max(1, len(world.setting.spec.rungs))
    if world.entries_taken > planned + world.setting.verbs.count("add") * world.wishes:
        raise Violation("the exchange took a second entry: the order is doubled")
    if role is Role.RUNG and any(o.client_id == order.client_id for o in world.orders):
        raise Violation("the exchange took a rung twice")
    if role is Role.ADD and any(o.role is Role.ADD for o in world.orders) and world.wishes < 2:
        raise Violation("the exchange took an add twice")
    whole = int(order.quantity or 0)
    waits = order.type.is_conditional
    placed = XOrder(
        order.client_id, role, waits, False, whole, "NEW", placed=world.now_ts, updated=world.now_ts
    )
    world.put_order(placed)
    if order.type is OrderType.MARKET and take != 0:
        filled = whole if take is None else min(take, whole)
        world.fills -= 1
        status = "FILLED" if filled == whole else "EXPIRED"
        placed = replace(placed, filled=filled, status=status)
        world.put_order(placed)
        move(world, filled)
        _tell(world, placed)
    elif order.type is not OrderType.MARKET or take == 0:
        _tell(world, placed)
    return Answer(Verdict.ACCEPTED, view=shown(placed))


def _exit(world: World, order: NewOrder, take: int | None, role: Role) -> Answer:
    quantity = int(order.quantity or 0)
    hedge = world.setting.spec.mode is PositionMode.HEDGE
    if world.position <= 0 or (hedge and quantity > world.position):
        return Answer(Verdict.REFUSED, -2022)
    filled = min(quantity, world.position) if take is None else take
    quantity = min(quantity, world.position)
    status = "FILLED" if filled == quantity else "EXPIRED"
    done = XOrder(
        order.client_id,
        role,
        False,
        False,
        quantity,
        status,
        filled=filled,
        placed=world.now_ts,
        updated=world.now_ts,
    )
    world.put_order(done)
    move(world, -filled)
    _tell(world, done)
    return Answer(Verdict.ACCEPTED, view=shown(done))


def cancel(world: World, client_id: str, at: int, *, child: bool = False) -> Answer:
    """Cancel by id. A conditional order's answer tells nothing but its id; ``child``: by the number of what it became."""
    if world.now_ts > at + RECV_WINDOW:
        return Answer(Verdict.NOT_EXECUTED, -1021)
    order = world.order(client_id)
    if order is None or not order.live or order.status == "TRIGGERING" or order.born is not child:
        return Answer(Verdict.REFUSED, -2011)
    end(world, order, "CANCELED")
    gone = world.order(client_id)
    assert gone is not None
    if order.conditional and not child:
        return Answer(Verdict.ACCEPTED, view=view(client_id, OrderState.CANCELED, 0, 0, 0, True))
    return Answer(Verdict.ACCEPTED, view=next(iter(told(gone))))


def look(world: World, call: Call) -> Answer:
    """Look up by id; a conditional order's child is followed."""
    order = world.order(call.client_id)
    if order is None or order.hidden_until > world.now_ts:
        return Answer(Verdict.ACCEPTED)
    return Answer(Verdict.ACCEPTED, view=shown(order))


def observe(world: World, *, stale: bool = False) -> Answer:
    position = world.before if stale else world.position
    return Answer(Verdict.ACCEPTED, position=position, mark=mark(world) if position else None)


def mark(world: World) -> Decimal:
    """Return the mark price of the present zone, on the trio's own scale."""
    spec = world.setting.spec
    parts = spec.part_targets
    levels = {
        -1: spec.stop_loss,
        0: None,
        1: parts[0].level if parts else spec.take_profit,
        2: spec.take_profit,
    }
    return levels[world.zone] or Decimal(100)


def reached(world: World, zone: int) -> tuple[Role, ...]:
    """Return whose levels the price has reached. With part targets it meets theirs first."""
    parts = bool(world.setting.spec.part_targets)
    return {
        -1: (Role.STOP_LOSS,),
        0: (),
        1: (Role.PART_TARGET,) if parts else (Role.TAKE_PROFIT,),
        2: (Role.PART_TARGET, Role.TAKE_PROFIT),
    }[zone]


# --- what happens by itself -------------------------------------------------------------------


def fill(world: World, order: XOrder, quantity: int) -> None:
    """Execute part of the resting entry."""
    filled = order.filled + quantity
    status = "FILLED" if filled == order.quantity else "PARTIALLY_FILLED"
    order = replace(order, filled=filled, status=status, updated=world.now_ts)
    world.put_order(order)
    move(world, quantity)
    _tell(world, order)


def end(world: World, order: XOrder, status: str, reason: str = "") -> None:
    """End an order without an execution."""
    order = replace(order, status=status, updated=world.now_ts, reason=reason)
    world.put_order(order)
    _tell(world, order)
    refresh(world)


def trigger(world: World, zone: int) -> None:
    """Move the price to a level: every waiting leg of that level is triggered."""
    world.zone = zone
    roles = reached(world, zone)
    for order in world.orders:
        if order.role in roles and order.conditional and order.status == "NEW":
            order = replace(order, status="TRIGGERING", triggered=world.now_ts, updated=world.now_ts)
            world.put_order(order)
            _tell(world, order)
    refresh(world)


def reach(world: World, order: XOrder) -> None:
    """Let the price reach the entry's trigger."""
    order = replace(order, status="TRIGGERING", triggered=world.now_ts, updated=world.now_ts)
    world.put_order(order)
    _tell(world, order)


def enter(world: World, order: XOrder, *, take: int | None = None, refuse: str = "") -> None:
    """Let the order born at the entry's trigger rest (STOP), execute in full, or in part (its rest expires)."""
    if refuse:
        end(world, order, "REJECTED", refuse)
        return
    if world.setting.spec.entry_type is OrderType.STOP:
        order = replace(order, status="NEW", updated=world.now_ts)
        world.put_order(order)
        _tell(world, order)
        return
    filled = order.quantity if take is None else take
    status = "FILLED" if filled == order.quantity else "EXPIRED"
    order = replace(order, status=status, filled=filled, updated=world.now_ts)
    world.put_order(order)
    move(world, filled)
    _tell(world, order)


def child(world: World, order: XOrder, *, take: int | None = None, refuse: str = "") -> None:
    """Let the order born at a trigger execute, in full, in part (its rest expires), or not at all."""
    hedge = world.setting.spec.mode is PositionMode.HEDGE
    if world.position <= 0:
        refuse = refuse or "Reduce Only reject"
    if refuse:
        end(world, order, "REJECTED", refuse)
        return
    wanted = world.position if order.closing else order.quantity
    if hedge and wanted > world.position:
        wanted = world.position  # trimmed; refusing it whole is the adversary's other choice
    filled = min(wanted, world.position) if take is None else take
    whole = filled == min(wanted, world.position)
    now = world.now_ts
    done = replace(order, status="FINISHED", filled=filled, updated=now)
    world.put_order(done)
    move(world, -filled)
    state = OrderState.FILLED if whole else OrderState.EXPIRED
    world.events = (
        *world.events,
        Event(now, view(order.client_id, state, wanted, filled, now, False)),
        Event(now, shown(done)),
    )


def move(world: World, change: int) -> None:
    """Change the position and tell it; closePosition legs of a closed position expire by themselves."""
    world.before, world.changed_ts = world.position, world.now_ts
    world.position += change
    world.events = (*world.events, Event(world.now_ts, position=world.position))
    if world.position <= 0 < world.before:
        for order in world.orders:
            if order.closing and order.live:
                end(world, order, "EXPIRED", "the position is gone")
    refresh(world)


def _tell(world: World, order: XOrder) -> None:
    world.events = (*world.events, *(Event(world.now_ts, seen) for seen in told(order)))


# --- who covers, by the exchange's own orders -------------------------------------------------


def covered(world: World) -> int:
    """Return how many lots of the position live stops cover, as docs/explanation/protection-modes.md says."""
    total = 0
    for order in world.orders:
        if order.role is not Role.STOP_LOSS or not order.live:
            continue
        if order.triggered is not None and world.now_ts - order.triggered > RULES.naked_limit:
            continue
        if order.closing:
            return world.position
        if world.setting.spec.mode is PositionMode.HEDGE and order.quantity > world.position:
            continue
        total += order.quantity
    return min(total, world.position)


def refresh(world: World) -> None:
    """Note when a gap in the cover opens and closes."""
    naked = not world.setting.spec.entry_only and world.position > 0 and covered(world) < world.position
    if naked and world.naked_since is None:
        world.naked_since = _lapsed(world) or world.now_ts
    elif not naked:
        world.naked_since = None
        entered = [order for order in world.orders if order.role.opens]
        world.held = world.position > 0 and all(not order.live for order in entered)


def _lapsed(world: World) -> int | None:
    """Return when a triggered stop stopped counting, if that is what opened the gap."""
    lapses = [
        order.triggered + RULES.naked_limit
        for order in world.orders
        if order.role is Role.STOP_LOSS and order.live and order.triggered is not None
    ]
    return max([at for at in lapses if at < world.now_ts], default=None)

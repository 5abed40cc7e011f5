"""What the network and dying processes do to requests, answers and events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from orders.domain.enums import Role, Verdict
from tests.walk import finish, service, venue
from tests.walk.story import name_of, telling
from tests.walk.world import LATENCY, POLL, RULES, Answer, Call, World

Move = tuple[str, Callable[[World], None]]
LAG, HIDDEN = 5000, 25_000  # how long look-ups may not show an order: within the margin, and beyond it
WATCH, SWEEP = 500, 15_000  # when the price watch and the sweep find what the stream did not tell
REFUSALS: dict[Role, tuple[tuple[int, Verdict], ...]] = {
    Role.ENTRY: (
        (-2019, Verdict.REFUSED),
        (-1008, Verdict.NOT_EXECUTED),
        (-2015, Verdict.KEY_REFUSED),
    ),
    Role.STOP_LOSS: (
        (-1111, Verdict.REFUSED),
        (-2021, Verdict.REFUSED),
        (-4118, Verdict.REFUSED),
        (-4130, Verdict.REFUSED),
        (-1008, Verdict.NOT_EXECUTED),
        (-2015, Verdict.KEY_REFUSED),
    ),
    Role.EXIT: (
        (-4131, Verdict.REFUSED),
        (-2022, Verdict.REFUSED),
        (-1008, Verdict.NOT_EXECUTED),
        (-2015, Verdict.KEY_REFUSED),
    ),
}
REFUSALS[Role.TAKE_PROFIT] = REFUSALS[Role.PART_TARGET] = REFUSALS[Role.STOP_LOSS]
REFUSALS[Role.PART_CLOSE] = REFUSALS[Role.EXIT]
REFUSALS[Role.ADD] = REFUSALS[Role.RUNG] = REFUSALS[Role.ENTRY]
AT_MARKET = (Role.ENTRY, Role.EXIT, Role.PART_CLOSE, Role.ADD, Role.RUNG)


def faults(world: World) -> Iterator[Move]:
    for place, call in enumerate(world.calls):
        yield from _call_faults(world, place, call)
    if len(world.calls) > 1:
        yield "all requests in flight are lost with their process", partial(die, execute_first=False)
        yield "the process dies before any answer reaches it", partial(die, execute_first=True)
    for place, (call, _) in enumerate(world.answers):
        yield (
            f"{name_of(call)}: its process dies before it can record the answer",
            partial(forget, place=place),
        )
    if world.events:
        yield f"never told: {telling(world.events[0])}", partial(lose_event, keep=False)
        yield f"not told yet: {telling(world.events[0])}", partial(lose_event, keep=True)


def _call_faults(world: World, place: int, call: Call) -> Iterator[Move]:
    name = name_of(call)
    if call.kind == "LOOK":
        yield f"{name}: no answer", partial(read_fails, place=place)
        if world.order(call.client_id) is not None:
            yield f"{name}: not visible yet", partial(hide, place=place)
        return
    if call.kind == "OBSERVE":
        yield f"{name}: no answer", partial(read_fails, place=place)
        if world.changed_ts and world.now_ts - world.changed_ts < RULES.look_again:
            yield f"{name}: shows an older position", partial(execute, place=place, stale=True)
        return
    yield f"{name}: lost on its way, fate unknown", partial(lose, place=place)
    yield f"{name}: executed, its answer lost", partial(execute, place=place, lost=True)
    yield f"{name}: its process dies before sending", partial(lose, place=place, dead=True)
    if call.plan is None or call.plan.role not in AT_MARKET:
        yield f"{name}: executed, its process dies", partial(execute, place=place, dead=True)
    yield f"{name}: its process hangs before sending", partial(pause, place=place)
    yield f"{name}: adrift in the network", partial(lose, place=place, adrift=True)
    if call.kind == "CANCEL":
        yield (
            f"{name}: throttled (-1008)",
            partial(refuse, place=place, code=-1008, verdict=Verdict.NOT_EXECUTED),
        )
        yield f"{name}: refused (-2011)", partial(refuse, place=place, code=-2011, verdict=Verdict.REFUSED)
    elif call.plan is not None and call.kind == "SUBMIT":
        if call.plan.role is Role.STOP_LOSS:
            yield f"{name}: stops are throttled for ten seconds", partial(bar, code=-1008)
            yield f"{name}: stops are refused for ten seconds", partial(bar, code=-1111)
        if call.plan.role is Role.EXIT and world.zone == 0:
            yield (
                f"{name}: refused as too small (-4164)",
                partial(refuse, place=place, code=-4164, verdict=Verdict.REFUSED),
            )
        for code, verdict in REFUSALS[call.plan.role]:
            yield f"{name}: refused ({code})", partial(refuse, place=place, code=code, verdict=verdict)
        yield (
            f"{name}: executed, its answer and events lost, unseen for {HIDDEN} ms",
            partial(execute, place=place, lost=True, hidden=HIDDEN),
        )
        yield (
            f"{name}: executed, its answer lost, unseen for {LAG} ms",
            partial(execute, place=place, lost=True, hidden=LAG),
        )


def _drop(calls: tuple[Call, ...], place: int) -> tuple[Call, ...]:
    return (*calls[:place], *calls[place + 1 :])


def _fault(world: World) -> None:
    pay(world, "faults")
    world.disturbed = world.now_ts


def _death(world: World) -> None:
    pay(world, "faults")
    world.deaths += 1


def pay(world: World, what: str) -> None:
    """Take one fault or act from what may still happen; both also count as trouble."""
    setattr(world, what, getattr(world, what) - 1)
    world.undisturbed = False
    world.trouble -= 1
    if world.trouble <= 0:
        world.faults = world.acts = 0


def execute(
    world: World,
    *,
    place: int,
    take: int | None = None,
    stale: bool = False,
    lost: bool = False,
    dead: bool = False,
    hidden: int = 0,
) -> None:
    """Let a request reach the exchange; what comes of its answer is another matter."""
    call = world.calls[place]
    world.calls = _drop(world.calls, place)
    world.now += LATENCY
    told = len(world.events)
    answer = asked(world, call, take=take, stale=stale)
    if stale:
        _fault(world)
    if dead:
        _death(world)
        return
    if hidden:
        order = world.order(call.client_id)
        if order is not None:
            world.put_order(replace(order, hidden_until=world.now_ts + hidden))
        if hidden == HIDDEN:
            world.stray = (*world.stray, *(event for event in world.events[told:] if event.view))
            world.events = (*world.events[:told], *(e for e in world.events[told:] if not e.view))
    if lost:
        _fault(world)
        answer = Answer(Verdict.UNKNOWN)
    if lost or (call.plan is not None and call.plan.role in AT_MARKET):
        world.answers = (*world.answers, (call, answer))  # what it did may be told before it is answered
        return
    quiet_acks(world, told, answer)
    _recorded(world, call, answer)


def quiet_acks(world: World, told: int, answer: Answer) -> None:
    """Leave out the event that says no more than the answer just recorded: a leg rests, an order is cancelled."""
    if answer.view is not None:
        world.events = tuple(
            event
            for place, event in enumerate(world.events)
            if place < told or event.view is None or event.view.client_id != answer.view.client_id
        )


def asked(world: World, call: Call, *, take: int | None = None, stale: bool = False) -> Answer:
    """Have the exchange answer one call."""
    if call.kind == "LOOK":
        return venue.look(world, call)
    if call.kind == "OBSERVE":
        return venue.observe(world, stale=stale)
    if call.kind == "CANCEL":
        return venue.cancel(world, call.client_id, call.at, child=call.child)
    assert call.plan is not None
    if call.kind == "TEST":
        return Answer(Verdict.ACCEPTED)
    if take == 1:
        world.fills -= call.plan.role is not Role.ENTRY
    return venue.submit(world, call.plan.order, call.plan.role, call.at, take=take)


def answered(world: World, *, place: int) -> None:
    call, answer = world.answers[place]
    world.answers = (*world.answers[:place], *world.answers[place + 1 :])
    finish.record(world, call, answer)
    service.turn(world)


def bar(world: World, *, code: int) -> None:
    """Refuse every stop for a while; an Exit still passes, so the bound of P4 holds all the same."""
    pay(world, "faults")
    world.bar = (world.now_ts + 10_000, code)


def forget(world: World, *, place: int) -> None:
    world.answers = (*world.answers[:place], *world.answers[place + 1 :])
    _death(world)


def lose(world: World, *, place: int, dead: bool = False, adrift: bool = False) -> None:
    call = world.calls[place]
    world.calls = _drop(world.calls, place)
    if dead:
        _death(world)
        return
    _fault(world)
    if adrift:
        world.adrift = (*world.adrift, call)
    _recorded(world, call, Answer(Verdict.UNKNOWN))


def _recorded(world: World, call: Call, answer: Answer) -> None:
    finish.record(world, call, answer)
    service.turn(world)


def die(world: World, *, execute_first: bool) -> None:
    for call in world.calls:
        if execute_first:
            world.now += LATENCY
            asked(world, call)
    world.calls = ()
    _death(world)


def pause(world: World, *, place: int) -> None:
    world.paused = (*world.paused, world.calls[place])
    world.calls = _drop(world.calls, place)
    _death(world)


def resume(world: World, *, place: int) -> None:
    call = world.paused[place]
    world.paused = _drop(world.paused, place)
    world.now += LATENCY
    world.answers = (*world.answers, (call, asked(world, call)))


def arrive(world: World, *, place: int) -> None:
    call = world.adrift[place]
    world.adrift = _drop(world.adrift, place)
    world.now += LATENCY
    asked(world, call)


def refuse(world: World, *, place: int, code: int, verdict: Verdict) -> None:
    call = world.calls[place]
    world.calls = _drop(world.calls, place)
    world.now += LATENCY
    _fault(world)
    if verdict is Verdict.KEY_REFUSED:
        world.disturbed += finish.KEY_BACK_OFF  # tried again every five seconds
    _recorded(world, call, Answer(verdict, code))


def read_fails(world: World, *, place: int) -> None:
    call = world.calls[place]
    world.calls = _drop(world.calls, place)
    _fault(world)
    _recorded(world, call, Answer(Verdict.NOT_EXECUTED, failed=True))


def hide(world: World, *, place: int) -> None:
    call = world.calls[place]
    world.calls = _drop(world.calls, place)
    world.now += LATENCY
    _fault(world)
    _recorded(world, call, Answer(Verdict.ACCEPTED))


# --- the stream -------------------------------------------------------------------------------


def deliver(world: World, *, count: int) -> None:
    """Take in that many events, then carry the trio forward if one of them was news."""
    told, world.events = world.events[:count], world.events[count:]
    for event in told:
        finish.hear(world, event)
    if service.due(world):
        service.turn(world)


def deliver_late(world: World, *, place: int) -> None:
    event = world.stray[place]
    world.stray = (*world.stray[:place], *world.stray[place + 1 :])
    finish.hear(world, event)
    if service.due(world):
        service.turn(world)


def lose_event(world: World, *, keep: bool) -> None:
    """The stream keeps silent about one event; the price watch or the sweep finds the difference."""
    event = world.events[0]
    world.events = world.events[1:]
    pay(world, "faults")
    if keep:
        world.stray = (*world.stray, event)
    name = event.view.client_id if event.view else ""
    if event.view and (event.view.executed > 0 or event.view.state.value == "TRIGGERING"):
        world.watch_at, world.watched = world.now + WATCH, name
    else:
        world.unseen = world.now_ts + SWEEP + POLL
    world.sweep_at = min(world.sweep_at or world.now + SWEEP, world.now + SWEEP)

"""What came of a call, and what the exchange tells, written into the rows; as orders/placement/finish.py and facts.py do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from exchange.types import OrderView
from orders.domain.enums import LegState, RequestKind, Role, TrioState, Verdict
from orders.domain.leg_updates import merge
from orders.domain.operator_questions import Question, QuestionKind
from tests.walk.service import PLACING
from tests.walk.venue import mark, shown
from tests.walk.world import RECV_WINDOW, RULES, Answer, Call, Event, LegRow, Slot, World

BACK_OFF, KEY_BACK_OFF, LOOK_AGAIN = 200, 5000, 1000


def record(world: World, call: Call, answer: Answer) -> None:
    """Write down what came of a call."""
    if call.kind == "OBSERVE":
        if not answer.failed:
            take_position(world, answer.position, answer.mark, as_of=call.at, from_event=False)
            world.observing_since = None
        return
    if call.kind == "LOOK":
        _record_look(world, call, answer)
        return
    world.set_verdict(call.request, answer.verdict)
    if call.kind == "CANCEL":
        _record_cancel(world, call.client_id, answer)
    elif call.kind == "TEST":
        _record_test(world, call.client_id, answer)
    else:
        _record_submit(world, call.client_id, answer)


def _record_submit(world: World, client_id: str, answer: Answer) -> None:
    leg = world.leg(client_id)
    pending = leg.state is LegState.SUBMITTED
    match answer.verdict:
        case Verdict.ACCEPTED if answer.view is not None:
            take_in(world, leg, answer.view, certain=False)
        case Verdict.REFUSED if pending:
            leg = _rejected(world, leg, answer)
            if leg.role is Role.EXIT:
                # counted before this row is saved, as there
                refused = sum(1 for other in world.legs if _refused_exit(other))
                leg = replace(leg, retry_at=world.now + min(5000, BACK_OFF * 2 ** min(refused, 5)))
            world.put_leg(leg)
        case Verdict.NOT_EXECUTED if pending:
            facts = replace(leg.facts, state=LegState.PLANNED)
            world.put_leg(replace(leg, facts=facts, retry_at=world.now + BACK_OFF))
        case Verdict.KEY_REFUSED if pending:
            if world.state in PLACING or leg.role.opens:
                world.put_leg(_rejected(world, leg, answer))
            else:
                facts = replace(leg.facts, state=LegState.PLANNED, refused_text="key")
                world.put_leg(
                    replace(leg, facts=facts, refused_code=answer.code, retry_at=world.now + KEY_BACK_OFF)
                )
                world.question = Question(QuestionKind.KEY_REFUSED)
        case _:
            pass


def _refused_exit(leg: LegRow) -> bool:
    return leg.role is Role.EXIT and leg.state is LegState.REJECTED


def _rejected(world: World, leg: LegRow, answer: Answer) -> LegRow:
    facts = replace(leg.facts, state=LegState.REJECTED, ended_ts=world.now_ts, refused_text="refused")
    return replace(leg, facts=facts, refused_code=answer.code)


def _record_cancel(world: World, client_id: str, answer: Answer) -> None:
    leg = world.leg(client_id)
    if answer.verdict is Verdict.ACCEPTED and answer.view is not None:
        take_in(world, leg, answer.view, certain=False)
    elif answer.verdict in (Verdict.NOT_EXECUTED, Verdict.KEY_REFUSED):
        pause = BACK_OFF if answer.verdict is Verdict.NOT_EXECUTED else KEY_BACK_OFF
        world.put_leg(replace(leg, retry_at=world.now + pause))
    elif not leg.state.is_final:
        world.put_leg(replace(leg, look_at=leg.look_at or world.now))


def _record_test(world: World, client_id: str, answer: Answer) -> None:
    leg = world.leg(client_id)
    if answer.verdict in (Verdict.REFUSED, Verdict.KEY_REFUSED):
        facts = replace(leg.facts, state=LegState.REJECTED, refused_text="refused")
        world.put_leg(replace(leg, facts=facts, refused_code=answer.code))
    elif answer.verdict is not Verdict.ACCEPTED:
        world.put_leg(replace(leg, retry_at=world.now + LOOK_AGAIN))


def _record_look(world: World, call: Call, answer: Answer) -> None:
    leg = replace(world.leg(call.client_id), looking_since=None)
    if answer.failed:
        world.put_leg(replace(leg, look_at=world.now + LOOK_AGAIN))
        return
    leg = replace(leg, looked_ts=max(leg.looked_ts or 0, call.at))
    if answer.view is not None:
        take_in(world, leg, answer.view, certain=True)
        leg = world.leg(call.client_id)
        newest = world.newest_request(call.client_id, RequestKind.CANCEL)
        if leg.state.is_live and newest is not None and newest.verdict is Verdict.REFUSED:
            world.put_leg(replace(leg, retry_at=world.now + LOOK_AGAIN))
        return
    leg = replace(leg, looks=leg.looks + 1, look_at=world.now + LOOK_AGAIN)
    if not leg.state.is_final and _proved_absent(world, leg, call):
        facts = replace(leg.facts, state=LegState.WRITTEN_OFF, ended_ts=call.at)
        leg = replace(leg, facts=facts, look_at=None)
    world.put_leg(leg)


def _proved_absent(world: World, leg: LegRow, call: Call) -> bool:
    newest = world.newest_request(leg.client_id, RequestKind.SUBMIT)
    if leg.facts.acknowledged:
        return call.at > (leg.facts.seen_ts or 0) + RULES.absence_margin
    if newest is None or call.at <= newest.timestamp + RECV_WINDOW + RULES.absence_margin:
        return False
    return not leg.role.opens or call.witness


# --- facts ------------------------------------------------------------------------------------


def take_in(world: World, leg: LegRow, view: OrderView, *, certain: bool) -> bool:
    """Merge what the exchange shows of one order into its row; return whether anything changed."""
    before = leg.facts
    after, look = merge(before, view, certain=certain)
    changed = after != replace(before, seen_ts=after.seen_ts)
    if look:
        leg = replace(leg, facts=after, look_at=leg.look_at or world.now)
    else:
        leg = replace(leg, facts=after, look_at=None, looks=0, looking_since=None)
    world.put_leg(leg)
    return changed


def hear(world: World, event: Event) -> None:
    """Take in what the user stream tells, and wake the trio when it was news."""
    if event.forced:
        if not world.forced and not world.state.is_end and world.state is not TrioState.LATE:
            world.forced, world.wake_at = "liquidation", world.now
        return
    if event.view is None:
        news = take_position(world, event.position, None, as_of=event.at, from_event=True)
        if news and not world.state.is_end and world.state is not TrioState.LATE:
            world.wake_at = world.now
        return
    if _seen(world, event.view):
        world.wake_at = world.now


def _seen(world: World, view: OrderView) -> bool:
    """Take in one order as the exchange shows it; return whether it was ours and news."""
    ours = any(leg.client_id == view.client_id for leg in world.legs)
    return ours and take_in(world, world.leg(view.client_id), view, certain=False)


def take_position(world: World, position: int, mark: Decimal | None, *, as_of: int, from_event: bool) -> bool:
    """Write a position into the slot unless something newer is there."""
    slot = world.slot
    if as_of < slot.as_of:
        return False
    changed = slot.quantity != position or (position == 0 and slot.flat_since is None)
    flat_since: int | None
    if position != 0:
        flat_since = None
    elif slot.flat_since is None or slot.quantity != 0:
        flat_since = as_of
    else:
        flat_since = slot.flat_since
        changed |= as_of - slot.flat_since >= 1000 > slot.as_of - slot.flat_since
    flat_event_ts = 0 if position != 0 else as_of if from_event else slot.flat_event_ts
    changed |= flat_event_ts > slot.flat_event_ts
    newer_mark = mark is not None and as_of >= slot.mark_as_of
    world.slot = Slot(
        position,
        as_of,
        from_event,
        flat_since,
        flat_event_ts,
        mark if newer_mark else slot.mark,
        as_of if newer_mark else slot.mark_as_of,
    )
    return changed


def sweep(world: World) -> None:
    """Compare the exchange's lists with our rows, and wake the trio over each difference."""
    at = world.now_ts
    listed = {order.client_id: order for order in world.orders if order.live and order.hidden_until <= at}
    for listed_order in listed.values():
        if _seen(world, shown(listed_order)):
            world.wake_at = world.now
    for leg in world.legs:  # written-off ids are watched for a day
        order = world.order(leg.client_id)
        visible = order is not None and order.hidden_until <= at
        if leg.state is LegState.WRITTEN_OFF and order is not None and visible and _seen(world, shown(order)):
            world.wake_at = world.now
    for leg in world.legs:
        missing = leg.client_id not in listed and (leg.facts.seen_ts or 0) <= at - 2000
        if leg.state.is_live and leg.look_at is None and missing:
            world.put_leg(replace(leg, look_at=world.now))
            world.wake_at = world.now
    position = world.position
    told = mark(world) if position else None
    news = take_position(world, position, told, as_of=at, from_event=False)
    if news and not world.state.is_end and world.state is not TrioState.LATE:
        world.wake_at = world.now

"""The rows and turns around ``decide``, as begin, record and the facts do them (orders/*.py), without a database.

Every function changes the world it is given.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from exchange.binance.errors import refusal_of
from exchange.binance.order_params import submit_request
from exchange.types import ZERO, ExchangeMs, NewOrder, OurMs, WireRequest
from orders.domain.decision.decide import Decision, decide
from orders.domain.decision.steps import (
    AnswerByPolicy,
    AskPerson,
    Cancel,
    Confirm,
    Done,
    Exit,
    Observe,
    Plan,
    Rest,
    Submit,
    WithdrawQuestion,
)
from orders.domain.enums import LegState, RequestKind, Role, TrioState, Verdict
from orders.domain.leg_updates import LegFacts
from orders.domain.snapshot import LegView, Move, RequestStatus, SlotView, TrioSnapshot
from tests.walk import rows
from tests.walk.world import (
    LOT,
    LOTS,
    RECV_WINDOW,
    RULES,
    START,
    Call,
    LegRow,
    Request,
    Violation,
    World,
)

STATUS = {
    Verdict.ACCEPTED: RequestStatus.ACCEPTED,
    Verdict.REFUSED: RequestStatus.REFUSED,
    Verdict.KEY_REFUSED: RequestStatus.REFUSED,
    Verdict.UNKNOWN: RequestStatus.IN_DOUBT,
    Verdict.NOT_EXECUTED: RequestStatus.NONE,
}
PLACING = (TrioState.QUEUED, TrioState.PLACING)
ENTERS = (Role.ENTRY, Role.RUNG)


# --- the snapshot -----------------------------------------------------------------------------


def snapshot(world: World) -> TrioSnapshot:
    setting = world.setting
    placing = world.state in PLACING
    sighted = world.now >= world.blind_until
    entry = [leg for leg in world.legs if leg.role in ENTERS]
    opens = placing or (len(entry) > 1 and any(leg.state is LegState.PLANNED for leg in entry))
    return TrioSnapshot(
        spec=world.agreed,
        rules=LOT,
        moves=world.level_moves,
        moved=world.moved,
        sizes=world.sizes,
        followed=world.followed,
        state=world.state,
        now=OurMs(world.now),
        now_ts=ExchangeMs(world.now_ts),
        stem="walk-1",
        ended_at=world.ended_at,
        cause=world.cause,
        reason=world.reason,
        legs=tuple([_leg_view(world, leg) for leg in world.legs]),
        slot=_slot_view(world, sighted),
        policies=RULES,
        cancel_wanted=world.cancel_wanted,
        close_wanted=world.close_wanted,
        panic_wanted=world.panic_wanted,
        place_before=START + setting.place_before,
        good_till=None if setting.good_till is None else START + setting.good_till,
        worker_alive=sighted or not opens,
        dry_run=setting.dry_run and world.state is TrioState.QUEUED,
        dry_run_passed=setting.dry_run
        and any(r.kind is RequestKind.TEST and r.verdict is Verdict.ACCEPTED for r in world.requests),
        refusal=world.refusal if opens else "",
        question=world.question,
        answered=world.answered,
        drift=setting.drift,
        observing_since=world.observing_since,
        uncovered_known_at=world.uncovered_known_at,
        hold_until_ts=_hold_until_ts(world),
        forced=world.forced,
    )


def _hold_until_ts(world: World) -> int | None:
    filled = [leg.facts.filled_ts for leg in world.legs if leg.role in ENTERS and leg.facts.filled_ts]
    return None if world.setting.hold_for is None or not filled else min(filled) + world.setting.hold_for


def _slot_view(world: World, sighted: bool) -> SlotView:
    slot = world.slot
    young = world.now_ts - slot.as_of <= RULES.slot_age_max
    return SlotView(
        quantity=LOTS[max(slot.quantity, 0)],
        opposite=LOTS[max(-slot.quantity, 0)],
        as_of=slot.as_of,
        from_event=slot.from_event,
        flat_since=slot.flat_since,
        flat_event_ts=slot.flat_event_ts,
        mark_price=slot.mark,
        mark_as_of=slot.mark_as_of,
        placeable=sighted and young,
        not_placeable="" if sighted and young else "Nobody watches.",
    )


def _leg_view(world: World, leg: LegRow) -> LegView:
    newest = world.newest_request(leg.client_id, RequestKind.SUBMIT)
    taken_back = world.newest_request(leg.client_id, RequestKind.CANCEL)
    cancel = _status(world, taken_back) if taken_back else RequestStatus.NONE
    if (
        taken_back
        and leg.looked_ts is not None
        and leg.looked_ts > taken_back.timestamp
        and cancel is not RequestStatus.ACCEPTED
    ):
        cancel = RequestStatus.NONE
    facts = leg.facts
    return LegView(
        client_id=leg.client_id,
        role=leg.role,
        generation=leg.generation,
        form=facts.form,
        state=facts.state,
        quantity=facts.quantity,
        filled=facts.filled,
        price=facts.price,
        trigger_price=facts.trigger_price,
        number=leg.number,
        for_move=leg.for_move,
        average_price=facts.average_price,
        acknowledged=facts.acknowledged,
        submit=_status(world, newest) if newest else RequestStatus.NONE,
        submitted_at=newest.begun_at if newest else 0,
        submitted_ts=newest.timestamp if newest else 0,
        cancel=cancel,
        cancel_at=taken_back.begun_at if taken_back else 0,
        refusal=refusal_of(leg.refused_code) if leg.refused_code else None,
        refused_code=leg.refused_code,
        refused_text=facts.refused_text,
        accepted_ts=facts.accepted_ts,
        triggered_ts=facts.triggered_ts,
        child_known=facts.conditional and facts.order_id is not None,
        filled_ts=facts.filled_ts,
        ended_ts=facts.ended_ts,
        retry_at=leg.retry_at,
        look_at=leg.look_at,
        looking_since=leg.looking_since,
        looked_ts=leg.looked_ts,
        looks=leg.looks,
        late=facts.late,
        settled=dict(world.settled).get(leg.client_id, ZERO) if facts.late else ZERO,
    )


def _status(world: World, request: Request) -> RequestStatus:
    if request.verdict is None:
        return (
            RequestStatus.IN_FLIGHT
            if world.now < request.begun_at + RULES.patience
            else RequestStatus.IN_DOUBT
        )
    return STATUS[request.verdict]


# --- decide and begin -------------------------------------------------------------------------


def turn(world: World) -> None:
    """Decide, write the new state down, and commit what is about to be asked."""
    for _ in range(4):
        seen = snapshot(world)
        try:
            decision = decide(seen)
        except Exception as error:
            raise Violation(f"deciding raised {type(error).__name__}: {error}") from error
        rows.witness(seen, decision)
        check(world, decision)
        _settle(world, decision)
        step = decision.step
        world.said = (decision.trio.state, step)
        if isinstance(step, AskPerson):
            world.question = step.question
            continue
        if isinstance(step, AnswerByPolicy):
            world.answered = (*world.answered, step.question)
            continue
        if isinstance(step, WithdrawQuestion):
            world.question = None
            continue
        if isinstance(step, Rest | Done):
            until = step.until if isinstance(step, Rest) else None
            world.wake_at = None if until is None else max(until, seen.now + 1)
            return
        _begin(world, decision)
        world.wake_at = world.now + RULES.patience
        return
    raise Violation("the trio keeps asking the same question")


def check(world: World, decision: Decision) -> None:
    """Judge one decision by what no decision may do, whatever comes of it."""
    trio, step = decision.trio, decision.step
    pending = [leg.client_id for leg in trio.legs if leg.pending]
    if isinstance(step, Done):
        if pending:
            raise Violation(f"an end while {', '.join(pending)} may still be placed")
        for call in (*world.calls, *world.paused, *world.adrift):
            row = next((leg for leg in world.legs if leg.client_id == call.client_id), None)
            written_off = row is not None and row.state is LegState.WRITTEN_OFF
            open_still = call.kind == "SUBMIT" and world.now_ts <= call.at + RECV_WINDOW
            if open_still and not (row is not None and row.state.is_final and not written_off):
                raise Violation(f"an end while {call.client_id} is in flight")
    if isinstance(step, Rest) and step.until is None:
        due = [leg.client_id for leg in trio.legs if leg.live and leg.look_at is not None]
        if pending or due or decision.uncovered:
            raise Violation(f"rests for good with {pending or due or 'a gap in the cover'} outstanding")
    if isinstance(step, Rest) and step.until is not None and step.until > trio.now + 60_000 and pending:
        raise Violation("rests far too long with a request in doubt")


def _settle(world: World, decision: Decision) -> None:
    settled, step = decision.trio, decision.step
    after = step.state if isinstance(step, Done) else settled.state
    if after is not world.state:
        world.state, world.cause, world.reason = after, settled.cause, settled.reason
        if after.is_end:
            world.question, world.ended_at = None, world.now
            world.settled = tuple(
                (leg.client_id, leg.facts.filled) for leg in world.legs if leg.role.opens and leg.facts.filled
            )
    world.uncovered_known_at = settled.uncovered_known_at if decision.uncovered else None
    if settled.ended_moves or settled.moves != world.level_moves:
        world.spec, world.moved = settled.spec, settled.moved
        world.level_moves = tuple(move if move.number else _numbered(world, move) for move in settled.moves)
    world.sizes, world.followed = settled.sizes, settled.followed


def _numbered(world: World, move: Move) -> Move:
    world.wishes += 1
    return replace(move, number=world.wishes)


def _begin(world: World, decision: Decision) -> None:
    match decision.step:
        case Submit(plans, test):
            for plan in plans:
                _submit(world, plan, test=test)
        case Exit(plan, cancels):
            _submit(world, plan, test=False)
            for client_id in cancels:
                _cancel(world, client_id)
        case Cancel(client_ids):
            for client_id in client_ids:
                _cancel(world, client_id)
        case Confirm(client_id):
            _look(world, client_id)
        case Observe():
            world.observing_since = world.now
            world.calls = (*world.calls, Call("OBSERVE", world.now_ts))
        case step:
            raise Violation(f"nothing to begin for {step}")


def _submit(world: World, plan: Plan, *, test: bool) -> None:
    order = plan.order
    sendable(order)
    if plan.role in (Role.ADD, Role.PART_CLOSE) and any(
        leg.role is plan.role and leg.number == plan.number and leg.client_id != order.client_id
        for leg in world.legs
    ):
        raise Violation(f"{order.client_id}: a second order for one wish")
    if plan.role is Role.ENTRY and plan.generation != 1:
        raise Violation("a second entry: an entry found absent is never sent again")
    if order.quantity is not None and order.quantity <= 0:
        raise Violation(f"{order.client_id} would be sent for {order.quantity}")
    row = next((leg for leg in world.legs if leg.client_id == order.client_id), None)
    state = LegState.PLANNED if test else LegState.SUBMITTED
    if row is None:
        facts = LegFacts(
            order.type.is_conditional,
            plan.form,
            state,
            quantity=order.quantity or ZERO,
            price=order.price,
            trigger_price=order.trigger_price,
            opens=plan.role.opens,
        )
        row = LegRow(order.client_id, plan.role, plan.generation, facts, plan.number, plan.for_move)
    else:
        newest = world.newest_request(order.client_id, RequestKind.SUBMIT)
        if not plan.again:
            raise Violation(f"{order.client_id} would be sent twice")
        if newest is not None and newest.verdict not in (Verdict.NOT_EXECUTED, Verdict.KEY_REFUSED):
            raise Violation(f"{order.client_id} would be sent again after {newest.verdict}")
        facts = replace(
            row.facts, state=state, quantity=order.quantity or ZERO, trigger_price=order.trigger_price
        )
        row = replace(row, facts=facts, retry_at=None, look_at=None, looks=0)
    world.put_leg(row)
    _commit(world, order.client_id, "TEST" if test else "SUBMIT", plan)


@lru_cache(maxsize=10_000)
def sendable(order: NewOrder) -> WireRequest:
    """Have the adapter make the request: what it refuses to send must never be decided."""
    try:
        return submit_request(replace(order, symbol="BTCUSDT"))
    except ValueError as error:
        raise Violation(f"{order.client_id} could not even be sent: {error}") from error


def _cancel(world: World, client_id: str) -> None:
    world.put_leg(replace(world.leg(client_id), retry_at=None))
    facts = world.leg(client_id).facts
    child = facts.conditional and facts.opens and facts.order_id is not None
    _commit(world, client_id, "CANCEL", None, child=child)


def _commit(world: World, client_id: str, kind: str, plan: Plan | None, *, child: bool = False) -> None:
    world.requests = (
        *world.requests,
        Request(client_id, RequestKind(kind), world.now_ts, world.now),
    )
    call = Call(kind, world.now_ts, client_id, len(world.requests) - 1, plan, child=child)
    world.calls = (*world.calls, call)


def _look(world: World, client_id: str) -> None:
    leg = replace(world.leg(client_id), looking_since=world.now)
    world.put_leg(leg)
    newest = world.newest_request(client_id, RequestKind.SUBMIT)
    witness = False
    if newest is not None and leg.role.opens and not leg.facts.acknowledged:
        witness = world.now_ts > newest.timestamp + RECV_WINDOW + RULES.absence_margin
    world.calls = (*world.calls, Call("LOOK", world.now_ts, client_id, witness=witness))


def due(world: World) -> bool:
    return world.wake_at is not None and world.wake_at <= world.now

"""Finish: record the outcome of a call, and the state a decision reached, under the row lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from accounts.models import ExchangeAccount
from accounts.restrictions import restriction_facts, restriction_note
from exchange.errors import CredentialsRefused, ExchangeError
from exchange.refusals import KEY_TROUBLE, RESTRICTIONS, SENTENCES
from exchange.types import ExchangeMs, PositionSide
from infrastructure.rows import row_new, row_update
from orders.domain.coverage import Gaps, gone_ts
from orders.domain.decision.amendments import amend_open
from orders.domain.decision.decide import Decision
from orders.domain.decision.drifts import stop_cancelled_outside
from orders.domain.decision.steps import Done, Submit
from orders.domain.enums import Cause, LegState, RequestKind, Role, Source, TrioState, Verdict
from orders.domain.leg_updates import answered, written_off
from orders.domain.level_moves import nearest_level
from orders.domain.operator_questions import OVER_WHEN_ACCEPTED, Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import PROTECTIVE, Move, MoveEnd, SizeEnd, TrioSnapshot
from orders.domain.trailing import FollowEnd
from orders.exchange_data.clock import from_ms, to_exchange_ms, to_ms
from orders.follow_rows import BREAK_EVEN, followers_end, waits_again
from orders.journal.append import journal_append
from orders.leg_facts import facts_of, facts_put
from orders.models import (
    EntryChangeWish,
    Leg,
    LevelMove,
    Outcome,
    Request,
    Sighting,
    SizeChange,
    Slot,
    Trail,
    TrioOrder,
)
from orders.placement.adoption import (
    foreign_add,
    foreign_asked,
    foreign_columns,
    foreign_named,
    foreign_put,
)
from orders.placement.ingest import flat_view, leg_take_in, slot_take_in
from orders.placement.perform import Answer, LookCall, LookForeignCall, ObserveCall, SendCall
from orders.placement.turn_rows import TrioRows, TurnRows
from orders.placement.uncovered import measure
from orders.story import (
    answers_forget,
    change_sentence,
    move_sentence,
    note,
    question_ask,
    question_over,
    size_sentence,
)

BACK_OFF_MS = 200
BY_TARGETS = "targets"  # who wished it: no person, but what the trio says about its targets
KEY_BACK_OFF_MS = 5000
AGAIN_MAX_MS = 5000  # between two tries of a target, and of a cancel of a stop or target
URGENT_AGAIN_MAX_MS = 1000  # and of an entry, its cancel, and an exit
LOOK_AGAIN_MS = 1000
CANCEL_AGAIN_MS = {
    Verdict.REFUSED: LOOK_AGAIN_MS,
    Verdict.UNKNOWN: BACK_OFF_MS,
    Verdict.KEY_REFUSED: KEY_BACK_OFF_MS,
}
CANCEL_PAUSE_MAX_MS = 30_000
WHAT_OF_IT = {RequestKind.CANCEL: " cancel", RequestKind.AMEND: " change"}


def record(rows: TurnRows, answer: Answer, *, offset_ms: int) -> None:
    """Record the outcome of a call. Idempotent; the caller holds the trio's row lock."""
    trio, now = rows.trio, rows.now
    match answer.call:
        case SendCall() as call:
            request = rows.request(call.request_id)
            _record_sent(trio, request, call, answer, now=now, now_ts=to_exchange_ms(now, offset_ms))
        case LookCall() as call:
            _record_look(trio, rows.leg(call.leg_id), call, answer, now=now)
        case LookForeignCall() as call:
            _record_foreign_look(trio, call, answer, now=now)
        case ObserveCall() as call:
            _record_observed(trio, call, answer)


def _record_sent(
    trio: TrioOrder, request: Request, call: SendCall, answer: Answer, *, now: datetime, now_ts: ExchangeMs
) -> None:
    leg = request.leg
    error, verdict = answer.error, answer.verdict
    outcome = row_new(
        Outcome,
        request=request,
        verdict=verdict,
        status=error.status if error else 0 if answer.bug else 200,
        code=error.code if error else 0,
        message=answer.bug or (words_of(error) if error else ""),
        latency_ms=answer.latency_ms,
        trio_state=trio.state,
        received_ts=now_ts,
        received_at=now,
    )
    journal_append(trio, outcome)
    if verdict is not Verdict.ACCEPTED:
        what = Role(leg.role).words + WHAT_OF_IT.get(call.kind, "")
        code = f", code {outcome.code}" if outcome.code else ""
        words = _verdict_words(verdict, error)
        text = f"{what.capitalize()}: {words} ({outcome.message.rstrip('.')}{code})."
        note(trio, "answer", text, at=now)
    if call.kind is RequestKind.FOREIGN:
        _record_foreign_cancel(trio, request, answer, now=now)
        return
    before = facts_of(leg)
    facts_put(
        leg,
        answered(
            before,
            kind=call.kind,
            verdict=verdict,
            role=Role(leg.role),
            trio=trio.trio_state,
            code=outcome.code,
            words=outcome.message,
            at=now_ts,
        ),
    )
    if call.kind is RequestKind.CANCEL:
        _record_cancel(leg, call, answer, now=now)
    elif call.kind is RequestKind.TEST:
        _record_test(leg, answer, now=now)
    elif call.kind is RequestKind.AMEND:
        _record_amend(trio, leg, answer, now=now)
    elif verdict is Verdict.ACCEPTED:
        _record_accepted(trio, leg, answer, now=now)
    elif before.state is LegState.SUBMITTED and error is not None:
        _record_submit(trio, leg, error, verdict, now=now)


def _record_accepted(trio: TrioOrder, leg: Leg, answer: Answer, *, now: datetime) -> None:
    if answer.view is None:
        return
    leg_take_in(leg, answer.view, source=Source.ANSWER, certain=False, now=now)
    forgot = answers_forget(trio, OVER_WHEN_ACCEPTED)  # the exchange takes our requests again
    over = trio.question_kind in OVER_WHEN_ACCEPTED
    if over:
        question_over(trio, at=now, answered=False)
    if over or forgot:
        row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")


def _record_submit(
    trio: TrioOrder, leg: Leg, error: ExchangeError, verdict: Verdict, *, now: datetime
) -> None:
    """Set when an order that was not accepted goes out again. In doubt, its request's row says when to look it up."""
    match verdict:
        case Verdict.REFUSED:
            if leg.role == Role.EXIT:
                refused = trio.legs.filter(role=Role.EXIT, state=LegState.REJECTED).count()
                leg.retry_at = now + timedelta(milliseconds=min(5000, BACK_OFF_MS * 2 ** min(refused, 5)))
        case Verdict.NOT_EXECUTED:
            leg.retry_at = now + _growing_pause(leg, RequestKind.SUBMIT, error)
        case Verdict.KEY_REFUSED:
            restricted = restriction_note(trio.account_id, error, at=now)
            if leg.state == LegState.PLANNED:
                leg.retry_at = now + timedelta(milliseconds=KEY_BACK_OFF_MS)
                if question_ask(trio, _refused_account(trio, error, restricted), at=now):
                    row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")
        case Verdict.UNKNOWN:
            return
    row_update(leg)


def _refused_account(trio: TrioOrder, error: ExchangeError, restricted: ExchangeAccount | None) -> Question:
    """Return the question that a refused key or account puts: what it means, and what the exchange said."""
    facts: dict[str, Any] = {"text": words_of(error).rstrip("."), "code": error.code}
    if error.refusal is None or error.refusal in KEY_TROUBLE:
        return Question(QuestionKind.KEY_REFUSED, facts)
    facts |= {"account": trio.account.name, "meaning": SENTENCES[error.refusal]}
    if restricted is not None:
        facts = restriction_facts(restricted)
    return Question(QuestionKind.ACCOUNT_RESTRICTED, facts)


def _record_cancel(leg: Leg, call: SendCall, answer: Answer, *, now: datetime) -> None:
    if answer.verdict is Verdict.ACCEPTED and answer.view is not None:
        # A conditional order's cancel is answered without a time: it covered until the cancel was sent, not longer.
        ended_ts = answer.view.updated_at or call.stamp.timestamp
        view = replace(answer.view, updated_at=ended_ts)
        leg_take_in(leg, view, source=Source.ANSWER, certain=False, now=now)
    elif answer.verdict in (Verdict.NOT_EXECUTED, Verdict.KEY_REFUSED) and answer.error is not None:
        leg.retry_at = now + _growing_pause(leg, RequestKind.CANCEL, answer.error)
        row_update(leg, "retry_at")
    elif not LegState(leg.state).is_final:
        leg.look_at = leg.look_at or now  # gone, triggered or never there: read it
        row_update(leg, "look_at")


def _record_amend(trio: TrioOrder, leg: Leg, answer: Answer, *, now: datetime) -> None:
    """Take over what the order has become. What an answer leaves open, the order's look-up says."""
    error = answer.error
    if answer.verdict is Verdict.ACCEPTED:
        _record_accepted(trio, leg, answer, now=now)
    elif answer.verdict is Verdict.KEY_REFUSED and error is not None:
        restriction_note(trio.account_id, error, at=now)
    elif not LegState(leg.state).is_final and answer.verdict in (Verdict.UNKNOWN, Verdict.REFUSED):
        leg.look_at = leg.look_at or now
        row_update(leg, "look_at")


def _record_test(leg: Leg, answer: Answer, *, now: datetime) -> None:
    if answer.verdict in (Verdict.NOT_EXECUTED, Verdict.UNKNOWN):
        leg.retry_at = now + timedelta(milliseconds=LOOK_AGAIN_MS)
    row_update(leg)


def _record_look(trio: TrioOrder, leg: Leg, call: LookCall, answer: Answer, *, now: datetime) -> None:
    called_for = _called_for_meanwhile(leg)
    leg.looking_since = None
    if answer.error is not None or answer.bug:
        wait_ms = answer.error.wait_ms if answer.error is not None else 0
        leg.look_at = now + timedelta(milliseconds=wait_ms or LOOK_AGAIN_MS)
        row_update(leg, "looking_since", "look_at")
        return
    leg.looked_ts = max(leg.looked_ts or 0, call.at)
    if answer.view is not None:
        leg_take_in(leg, answer.view, source=Source.LOOK_UP, certain=True, now=now)
        if leg.look_at is not None:  # still unclear: looked up again each second, not at once
            leg.look_at = now + timedelta(milliseconds=LOOK_AGAIN_MS)
        elif LegState(leg.state).is_live:
            leg.look_at = called_for
        cancel = _newest_cancel(leg) if LegState(leg.state).is_live else None
        if cancel is Verdict.ACCEPTED:  # the cancel is accepted, its end does not show yet
            leg.look_at = now + timedelta(milliseconds=LOOK_AGAIN_MS)
        elif cancel in CANCEL_AGAIN_MS:
            leg.retry_at = now + _cancel_pause(leg, cancel)
        row_update(leg, "look_at", "retry_at")
        return
    leg.looks += 1
    leg.look_at = now + timedelta(milliseconds=LOOK_AGAIN_MS)
    if not LegState(leg.state).is_final and _proved_absent(leg, call, answer):
        absence = {"at": call.at, "witnessed": answer.witnessed}
        journal_append(
            trio, row_new(Sighting, leg=leg, source=Source.ABSENCE, certain=True, facts=absence, seen_at=now)
        )
        facts_put(leg, written_off(facts_of(leg), at=call.at))
        leg.look_at = None
        note(
            trio,
            "leg",
            f"{Role(leg.role).words.capitalize()} is not on the exchange (proved by look-up); it is written off.",
            at=now,
        )
    row_update(leg)


def _called_for_meanwhile(leg: Leg) -> datetime | None:
    """Return when it is to be looked up once more: what happened after a look-up left is not in its answer."""
    if leg.look_at is None or leg.looking_since is None or leg.look_at <= leg.looking_since:
        return None
    return leg.look_at


def _cancel_pause(leg: Leg, verdict: Verdict) -> timedelta:
    """Return how long a cancel that took no effect waits. One of a leg that is stuck at its trigger waits ever longer."""
    pause = CANCEL_AGAIN_MS[verdict]
    if leg.triggered_ts is not None:
        tries = leg.requests.filter(kind=RequestKind.CANCEL).count()
        pause = min(pause << min(tries, 10), CANCEL_PAUSE_MAX_MS)
    return timedelta(milliseconds=pause)


def _proved_absent(leg: Leg, call: LookCall, answer: Answer) -> bool:
    """Absence is believed only from a look-up sent after the request could no longer execute, plus the margin."""
    margin = settings.ABSENCE_MARGIN_MS
    newest = leg.requests.filter(kind=RequestKind.SUBMIT).order_by("-id").first()
    if leg.acknowledged:
        certain_from = (leg.seen_ts or 0) + margin
    elif newest is not None:
        certain_from = newest.timestamp + newest.recv_window + margin
    else:
        return False
    if call.at <= certain_from:
        return False
    return not Role(leg.role).opens or answer.witnessed


def _newest_cancel(leg: Leg) -> Verdict | None:
    """Return the verdict on the newest cancel of this order; nothing if none was sent or answered."""
    return _verdict_of(
        leg.requests.filter(kind=RequestKind.CANCEL).select_related("outcome").order_by("-id").first()
    )


def _verdict_of(request: Request | None) -> Verdict | None:
    outcome = getattr(request, "outcome", None)
    return None if outcome is None else Verdict(outcome.verdict)


def _record_foreign_cancel(trio: TrioOrder, request: Request, answer: Answer, *, now: datetime) -> None:
    """Set when a cancel of somebody else's order that did not get through goes out again; any other is looked up."""
    order = foreign_asked(trio, request.pk)
    if answer.verdict in (Verdict.NOT_EXECUTED, Verdict.KEY_REFUSED) and answer.error is not None:
        again_at = now + _pause(answer.error)
        foreign_put(trio, order["client_id"], request=None, again_at=to_ms(again_at))
        row_update(trio, *foreign_columns(trio), "updated_at")


def _record_foreign_look(trio: TrioOrder, call: LookForeignCall, answer: Answer, *, now: datetime) -> None:
    """An order that the exchange shows no longer, or as ended, is gone; one that still rests is cancelled again."""
    client_id, order = call.ref.client_id, foreign_named(trio, call.ref.client_id)
    look_again = to_ms(now) + LOOK_AGAIN_MS
    changes: dict[str, Any] = {"looking_since": None, "look_at": look_again}
    if answer.error is None and not answer.bug:
        request = Request.objects.select_related("outcome").filter(pk=order["request"]).first()
        accepted = _verdict_of(request) is Verdict.ACCEPTED
        if answer.view is not None and answer.view.state.is_final:
            changes |= {"end": "GONE"}
        elif answer.view is None and request is not None:
            # An order that rested and is not shown is gone, at the latest when its cancel can do nothing any more.
            over_ts = request.timestamp + request.recv_window + settings.ABSENCE_MARGIN_MS
            changes |= {"end": "GONE"} if accepted or call.at > over_ts else {}
        elif not accepted:
            tries = order["tries"] + 1
            pause = min(LOOK_AGAIN_MS << min(tries, 10), CANCEL_PAUSE_MAX_MS)
            changes |= {"request": None, "tries": tries, "again_at": to_ms(now) + pause}
    foreign_put(trio, client_id, **changes)
    row_update(trio, *foreign_columns(trio), "updated_at")
    if changes.get("end"):
        note(trio, "outside", f"Gone from the exchange: {order['text']}.", at=now, client_id=client_id)


def _record_observed(trio: TrioOrder, call: ObserveCall, answer: Answer) -> None:
    if answer.error is not None or answer.bug:
        return  # no answer: it counts as under way until patience is over, then the position is read again
    # Only our own side: the other one concerns the trio there, which the sweep wakes.
    if trio.slot is not None:
        side = PositionSide(trio.slot.position_side)
        shown = (p for p in answer.positions if (p.symbol, p.position_side) == (call.symbol, side))
        view = next(shown, None) or flat_view(call.symbol, side)
        slot_take_in(trio.slot.pk, view, as_of=call.at, from_event=False)
        trio.slot = Slot.objects.get(pk=trio.slot.pk)
    trio.observing_since = None
    row_update(trio, "observing_since", "updated_at")


# --- what was decided ------------------------------------------------------------------


def _uncovered(trio: TrioOrder, settled: TrioSnapshot, rows: TrioRows) -> dict[str, int]:
    """Return the columns that change with the time the position was not covered."""
    measured = Gaps(0, 0)
    if settled.entry_filled > 0:
        measured = measure(trio, rows, until_ts=settled.now_ts, gone_ts=gone_ts(settled))
    uncovered = {
        "uncovered_ms": measured.total,
        "uncovered_longest_ms": measured.longest,
        "uncovered_refused_ms": measured.refused,
    }
    return {name: ms for name, ms in uncovered.items() if ms != getattr(trio, name)}


def settle(trio: TrioOrder, decision: Decision, rows: TrioRows) -> tuple[str, ...]:
    """Write the state that was decided into the trio; a trio that ended gives its slot back.

    Returns the columns that changed; the caller saves them.
    """
    settled, step = decision.trio, decision.step
    now = from_ms(settled.now)
    before, after = trio.state, step.state if isinstance(step, Done) else settled.state
    changes: dict[str, Any] = {}
    if after != before:
        changes |= {"state": after, "cause": settled.cause or "", "reason": settled.reason}
        if before == TrioState.QUEUED and not after.is_end:  # what its limits were checked with
            changes |= {"begun_at": now, "checked_mark": trio.checked_mark}
        if after.is_end:
            changes |= {"ended_at": now, "holds_slot": False}
            changes |= {"question_kind": "", "question_facts": None, "question_number": None}
        if after is TrioState.CLOSED:
            changes["result"] = settled.cause or ""
    known = settled.uncovered_known_at if decision.uncovered else None
    known_at = None if known is None else from_ms(known)
    if known_at != trio.uncovered_known_at:
        changes["uncovered_known_at"] = known_at
    if not trio.is_over:  # whatever is in its slot after its end is not its own
        changes |= _uncovered(trio, settled, rows)
    changes |= _moves_ended(trio, settled, now=now)
    changes |= _sizes_ended(trio, settled, now=now)
    changes |= _trail_refused(trio, settled, now=now)
    if after != before and after.is_end and followers_end(trio, now=now):
        changes["moves"] = trio.moves
    changes |= _entry_changed(trio, settled, now=now)
    changes |= _strangers_named(trio, settled, now=now)
    changes |= _unprotected_over(trio, decision, now=now)
    for name, value in changes.items():
        setattr(trio, name, value)
    if after != before:
        result = f" by {trio.result}" if trio.result else ""
        facts = settled.breach.facts if settled.breach is not None and settled.cause is Cause.LIMIT else {}
        text = f"{before} → {after}{result}. {trio.reason}".strip()
        note(trio, "state", text, at=now, cause=trio.cause, **facts)
    if after != before and (reversed_ := _reversed(settled, after)) is not None:
        question_ask(trio, reversed_, at=now)
        changes |= dict.fromkeys(TrioOrder.QUESTION_FIELDS)
    return tuple(changes)


def _strangers_named(trio: TrioOrder, settled: TrioSnapshot, *, now: datetime) -> dict[str, Any]:
    """Take on orders that are not ours, to be cancelled; return the column that changes with them."""
    if not settled.named:
        return {}
    foreign_add(trio, settled.named)
    for order in settled.named:
        text = f"An order that is not ours is in the slot, and the drift policy cancels it: {order.text}."
        note(trio, "outside", text, at=now, client_id=order.client_id)
    return {"outside": trio.outside}


def _unprotected_over(trio: TrioOrder, decision: Decision, *, now: datetime) -> dict[str, Any]:
    """Take the time that a person had a trio left unprotected off: once it is over and a stop goes out where none is, or
    when the trio is on its way out."""
    settled = decision.trio
    until = settled.unprotected_until
    if until is None:
        return {}
    naked = stop_cancelled_outside(settled) and not isinstance(decision.step, Submit)
    if settled.state is TrioState.OPEN and (until > settled.now or naked):
        return {}
    trio.outside = {name: value for name, value in trio.outside.items() if name != "unprotected"}
    over = "The time for which it was left unprotected is over: it is protected again."
    text = over if settled.state is TrioState.OPEN else "It is left unprotected no more: it is being closed."
    note(trio, "unprotected", text, at=now)
    return {"outside": trio.outside}


def _reversed(settled: TrioSnapshot, after: TrioState) -> Question | None:
    """Return the question of a trio that ended because its position was turned round outside; none when it was not."""
    if after is not TrioState.CLOSED or settled.cause is not Cause.OUTSIDE or not settled.slot.opposite:
        return None
    facts = {
        "account": settled.account,
        "symbol": settled.rules.symbol,
        "position": plain(settled.slot.opposite),
        "policy": settled.drift.reversed.value,
        "refused": "",
    }
    return Question(QuestionKind.POSITION_REVERSED, facts)


def _moves_ended(trio: TrioOrder, settled: TrioSnapshot, *, now: datetime) -> dict[str, Any]:
    """Write how wishes for another level ended; return the columns of the trio that change with them."""
    made = [move for move in settled.moves if not move.number]
    if not (settled.ended_moves or made or settled.followed != trio.targets_followed):
        return {}
    changes: dict[str, Any] = {}
    for ended in settled.ended_moves:
        move, order = ended.move, ended.order
        row = LevelMove.objects.get(pk=move.number)
        row.end, row.ended_at = ended.end, now
        if order is not None:
            row.refused_code, row.refused_text = order.refused_code, order.refused_text
            row.nearest = nearest_level(settled, move.role)
        row.save()
        if ended.end is MoveEnd.REFUSED and row.wanted_by == BREAK_EVEN and waits_again(trio):
            note(trio, "follow", "Break-even: it waits on, for its move was refused.", at=now)
        if ended.end is MoveEnd.DONE:
            changes["stop_loss" if move.role is Role.STOP_LOSS else "take_profit"] = move.level
        note(trio, "move", move_sentence(row), at=now, role=move.role, end=ended.end)
    wanted = [move for move in settled.moves if move.number]
    wanted += [_move_wished(trio, move, now=now) for move in made]
    trio.moves_put(wanted, settled.moved)
    if settled.followed:
        trio.moves = trio.moves | {"followed": settled.followed}
    return changes | {"moves": trio.moves}


def _move_wished(trio: TrioOrder, move: Move, *, now: datetime) -> Move:
    """Write a wish that the decision itself has made, as the stop follows the targets; it takes the place of one before it."""
    for replaced in trio.level_moves.filter(role=move.role, end=""):
        replaced.end, replaced.ended_at = MoveEnd.REPLACED, now
        replaced.save(update_fields=["end", "ended_at"])
        note(trio, "move", move_sentence(replaced), at=now, role=move.role, end=replaced.end)
    before = trio.stop_loss if move.role is Role.STOP_LOSS else trio.take_profit
    assert before is not None  # it has legs
    row = LevelMove.objects.create(
        trio=trio,
        role=move.role,
        level=move.level,
        level_before=before,
        wanted_at=now,
        wanted_by=BY_TARGETS,
    )
    text = f"The {move.role.words} follows the targets from {plain(before)} to {plain(move.level)}."
    note(
        trio,
        "wish",
        text,
        at=now,
        by=BY_TARGETS,
        role=move.role,
        level=plain(move.level),
        before=plain(before),
    )
    return replace(move, number=row.pk)


def _sizes_ended(trio: TrioOrder, settled: TrioSnapshot, *, now: datetime) -> dict[str, Any]:
    """Write how wishes for another size ended; return the columns of the trio that change with them."""
    if not settled.ended_sizes:
        return {}
    changes: dict[str, Any] = {}
    for ended in settled.ended_sizes:
        wish, order = ended.wish, ended.order
        row = SizeChange.objects.get(pk=wish.number)
        row.end, row.ended_at, row.refused_text = ended.end, now, ended.why
        if order is not None:
            row.filled = order.filled
            if ended.end is SizeEnd.REFUSED and not ended.why:
                row.refused_code, row.refused_text = order.refused_code, order.refused_text
            if wish.role is Role.ADD:
                changes["quantity"] = trio.quantity - (order.quantity - order.filled)
        row.save()
        note(trio, "size", size_sentence(row), at=now, role=wish.role, end=ended.end)
    trio.sizes_put(settled.sizes)
    return changes | {"moves": trio.moves}


def _trail_refused(trio: TrioOrder, settled: TrioSnapshot, *, now: datetime) -> dict[str, Any]:
    """Write that the exchange took no trailing order of its own; return the columns of the trio that change."""
    order = settled.ended_trail
    if order is None:
        return {}
    why = order.refused_text.rstrip(".") or "no reason given"
    Trail.objects.filter(pk=order.number, end="").update(
        end=FollowEnd.REFUSED, ended_at=now, refused_code=order.refused_code, refused_text=order.refused_text
    )
    trio.exchange_trail_put(None)
    trio.follows_put("trail", False)
    text = f"The exchange takes no trailing order of its own: {why}. The stop-loss stays where it is."
    note(trio, "follow", text, at=now, code=order.refused_code)
    return {"moves": trio.moves}


def _entry_changed(trio: TrioOrder, settled: TrioSnapshot, *, now: datetime) -> dict[str, Any]:
    """Write the terms that the entry has come to, and how a wish for other ones ended; return the columns that change."""
    changes: dict[str, Any] = {}
    if settled.agreed:
        terms = {"quantity": settled.spec.quantity, "price": settled.spec.price}
        changes |= {name: value for name, value in terms.items() if value != getattr(trio, name)}
    if trio.amending_notional is not None and not amend_open(settled.entry):
        changes["amending_notional"] = None
    if (ended := settled.ended_change) is None:
        return changes
    row = EntryChangeWish.objects.get(pk=ended.change.number)
    row.end, row.ended_at = ended.end, now
    row.refused_code, row.refused_text = ended.code, ended.reason
    row.save(update_fields=["end", "ended_at", "refused_code", "refused_text"])
    facts = ended.breach.facts if ended.breach is not None else {}
    note(trio, "change", change_sentence(row), at=now, end=ended.end, **facts)
    trio.change_wanted = None
    return changes | {"entry_change": None}


def words_of(error: ExchangeError) -> str:
    """Return the exchange's own words, or ours where it gave none."""
    return (error.words or error.message)[:500]


def _pause(error: ExchangeError) -> timedelta:
    if isinstance(error, CredentialsRefused):
        return timedelta(milliseconds=KEY_BACK_OFF_MS)
    return timedelta(milliseconds=error.wait_ms or BACK_OFF_MS)


def _growing_pause(leg: Leg, kind: RequestKind, error: ExchangeError) -> timedelta:
    """Return how long a request waits that never reached the book: ever longer, where nothing is uncovered meanwhile.

    A stop is tried within its bound or not at all; whatever has a time of its own from the exchange keeps to that.
    """
    covers = leg.role == Role.STOP_LOSS and kind is RequestKind.SUBMIT
    if covers or error.wait_ms or isinstance(error, CredentialsRefused):
        return _pause(error)
    most = AGAIN_MAX_MS if leg.role in PROTECTIVE else URGENT_AGAIN_MAX_MS
    tries = leg.requests.filter(kind=kind).count()
    return timedelta(milliseconds=min(BACK_OFF_MS << min(tries - 1, 10), most))


def _verdict_words(verdict: Verdict, error: ExchangeError | None) -> str:
    if verdict is Verdict.KEY_REFUSED and error is not None and error.refusal in RESTRICTIONS:
        return "the account was refused"
    return {
        Verdict.REFUSED: "refused",
        Verdict.NOT_EXECUTED: "did not reach the book",
        Verdict.UNKNOWN: "fate unknown",
        Verdict.KEY_REFUSED: "the key was refused",
    }[verdict]

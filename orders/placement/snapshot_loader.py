"""From rows to the snapshot a decision is made from. Called under the trio's row lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.conf import settings

from accounts.gateways import refusal_of
from accounts.rate_budget import Closure
from accounts.symbol_settings import setting_mismatch
from exchange.types import ZERO, ExchangeMs, OrderType, OurMs, PositionSide, Side
from infrastructure.planned import fetch_planned
from orders import limits, risk_gates
from orders.domain import client_ids
from orders.domain.enums import (
    Cause,
    Form,
    LegState,
    RequestKind,
    Role,
    TrioState,
    Verdict,
)
from orders.domain.fitting import fitted
from orders.domain.limits import Breach
from orders.domain.rounding import shown
from orders.domain.snapshot import (
    LEGS_A_TRIO,
    Amendment,
    EntryChange,
    LegView,
    Policies,
    RequestStatus,
    Silence,
    SlotView,
    Stranger,
    TrioSnapshot,
)
from orders.domain.stepped_clock import brought_back
from orders.exchange_data.clock import to_exchange_ms, to_ms
from orders.models import Install, Leg, Request, Sighting, TrioOrder, Watch
from orders.models.drift import drift_policy
from orders.placement.admission import Admission
from orders.placement.adoption import foreign_known_of, foreign_of, occupied_of
from orders.placement.turn_rows import TrioRows, TurnRows
from orders.specs import rules_of, spec_of

STATUS = {
    Verdict.ACCEPTED: RequestStatus.ACCEPTED,
    Verdict.REFUSED: RequestStatus.REFUSED,
    Verdict.KEY_REFUSED: RequestStatus.REFUSED,
    Verdict.UNKNOWN: RequestStatus.IN_DOUBT,
    Verdict.NOT_EXECUTED: RequestStatus.NONE,
}
# What rests or may come to rest of conditional orders of ours in a trio's account, beside its own, and strangers'.
# A trio that lives keeps room for all its legs. Of those that only wait, the ones queued before it come first,
# so that of two that begin at the same time one counts the other.
CONDITIONALS = """
    SELECT coalesce(sum(greatest(%s + CASE WHEN trio.entry_type IN ('STOP_MARKET', 'STOP') THEN 1 ELSE 0 END
        + CASE WHEN trio.moves->'exchange_trail' IS NULL THEN 0 ELSE 1 END
        + CASE WHEN trio.part_targets = '[]' THEN 0 ELSE jsonb_array_length(trio.part_targets) + 1 END, (
        SELECT count(*) FROM orders_leg leg
        WHERE leg.trio_id = trio.id AND leg.state = ANY (%s) AND leg.type = ANY (%s)
    ))), 0)::int, coalesce((SELECT stranger_conditionals FROM orders_watch WHERE account_id = %s), 0)
    FROM orders_trioorder trio
    WHERE trio.account_id = %s AND trio.holds_slot AND trio.id <> %s AND (trio.state <> 'QUEUED' OR trio.id < %s)
"""
ENTERS = (Role.ENTRY, Role.RUNG)
NOT_SAVED = 2**62  # comes after every trio that waits
ENDED_WITHIN: Final = timedelta(milliseconds=1)  # an end is kept in whole milliseconds, a sighting is not
MAY_REST = [state.value for state in LegState if state is LegState.SUBMITTED or state.is_live]
CONDITIONAL_TYPES = [kind.value for kind in OrderType if kind.is_conditional]
# Legs may rest before an entry as long as it may take to prove it absent, and some more: with the usual settings
# that outlasts a window of ten seconds in which the account may place no orders.
ARMED_MORE_MS = 4000
NOT_ADMITTED = {
    Admission.FULL: "The trios sent before it have to be protected first.",
    Admission.UNANSWERED: "The queue (Redis) does not answer, so nothing new is opened.",
}


def policies() -> Policies:
    return Policies(
        patience=settings.PROTECT_TIMEOUT_MS,
        armed_alone=settings.RECV_WINDOW_MS + settings.ABSENCE_MARGIN_MS + ARMED_MORE_MS,
        naked_limit=settings.NAKED_LIMIT_MS,
        absence_margin=settings.ABSENCE_MARGIN_MS,
        slot_age_max=2 * 1000 * settings.SWEEP_SECONDS,
    )


def silence_of(trio: TrioOrder, closure: Closure | None, *, now_ms: int) -> Silence | None:
    """Return until when the exchange does not serve our address, on the database's clock."""
    if closure is None or not closure.left_ms:
        return None
    return Silence(
        until=now_ms + closure.left_ms,
        until_text=f"{closure.until:%H:%M:%S} UTC",
        cause=closure.cause,
        account=trio.account.name,
        symbol=trio.symbol.symbol,
    )


def snapshot_of(
    trio: TrioOrder,
    rows: TrioRows,
    *,
    now: datetime,
    offset_ms: int,
    install: Install,
    admission: Admission = Admission.IN_AIR,
    closure: Closure | None = None,
    stepped_ts: int | None = None,
) -> TrioSnapshot:
    """Return everything a decision about ``trio`` hinges on. ``now`` was read after its lock."""
    now_ms, now_ts = to_ms(now), to_exchange_ms(now, offset_ms)
    rules, filters = policies(), rules_of(trio.symbol)
    requests = rows.requests
    legs = tuple(
        leg_view(leg, [r for r in requests if r.leg_id == leg.pk], now=now_ms, rules=rules)
        for leg in rows.legs
    )
    legs = _settled(trio, legs)
    placing = trio.trio_state in (TrioState.QUEUED, TrioState.PLACING)
    change = _change_of(trio)
    unsent = trio.rungs and any(leg.role in ENTERS and leg.state is LegState.PLANNED for leg in legs)
    opens = placing or (change is not None and change.opens) or bool(unsent and not trio.is_over)
    alive = True
    if opens:
        alive = rows.worker_alive if isinstance(rows, TurnRows) else risk_gates.worker_alive()
    dry_run = risk_gates.is_dry_run(trio)
    conditionals = (0, 0)
    if trio.trio_state is TrioState.QUEUED and not dry_run and admission.may_go:
        conditionals = conditionals_beside(trio)
    refusal = _refusal(trio, rows, install) if opens else ""
    if opens and trio.trio_state is not TrioState.QUEUED and dry_run and not refusal:
        refusal = "DRY_RUN_MODE is on: nothing new is opened."
    slot = slot_view(
        trio,
        now=now,
        now_ts=now_ts,
        rules=rules,
        admission=admission,
        alive=alive,
        watch=_watch_of(trio, rows) if opens or (trio.slot is not None and not trio.slot.as_of) else None,
        placing=opens,
    )
    tested = sum(leg.tested for leg in legs) if dry_run else 0
    breach = None
    if opens and not refusal and isinstance(rows, TurnRows):
        if placing and _begins(trio, slot, legs, dry_run=dry_run):
            breach = _breach(trio, rows, slot, now_ts=now_ts)
        elif change is not None and slot.placeable:
            breach = _breach(trio, rows, slot, now_ts=now_ts, terms=(change.quantity, change.price))
    snapshot = TrioSnapshot(
        spec=fitted(spec_of(trio), filters),
        state=trio.trio_state,
        now=now_ms,
        now_ts=now_ts,
        account=trio.account.name,
        stem=client_ids.stem(install.token, trio.pk),
        ended_at=_ms(trio.ended_at),
        cause=Cause(trio.cause) if trio.cause else None,
        reason=trio.reason,
        legs=legs,
        slot=slot,
        policies=rules,
        cancel_wanted=trio.cancel_wanted_at is not None,
        close_wanted=trio.close_wanted_at is not None,
        panic_wanted=trio.panic_wanted_at is not None,
        place_before=_ms(trio.place_before),
        good_till=_ms(trio.good_till),
        worker_alive=alive,
        dry_run=dry_run and trio.trio_state is TrioState.QUEUED,
        dry_run_passed=dry_run and tested >= max(1, len(trio.rungs)),
        refusal=refusal or (breach.sentence if breach is not None else ""),
        breach=breach,
        conditionals=conditionals[0],
        stranger_conditionals=conditionals[1],
        question=trio.asked,
        answered=tuple(kept.question for kept in trio.kept if kept.answered),
        observing_since=_ms(trio.observing_since),
        uncovered_known_at=_ms(trio.uncovered_known_at),
        hold_until_ts=_hold_until_ts(trio, rows, legs),
        flat_ts=_ms(
            trio.flat_at
        ),  # the exchange's clock is UTC, and it is the exchange that pays and takes funding
        silence=silence_of(trio, closure, now_ms=now_ms),
        rules=filters,
        forced=trio.forced,
        moves=tuple(
            replace(move, level=shown(move.level, trio.symbol.tick_size)) for move in trio.moves_wanted
        ),
        moved=trio.roles_moved,
        exchange_trail=trio.exchange_trail,
        sizes=trio.sizes_wanted,
        size_refusal=_add_refusal(trio, rows, install, slot, now_ts=now_ts),
        followed=trio.targets_followed,
        adopted=trio.is_adopted,
        occupied=occupied_of(trio),
        foreign=foreign_of(
            trio,
            {
                request.pk: request_status(request, now=now_ms, patience=rules.patience)
                for request in requests
                if request.kind == RequestKind.FOREIGN
            },
        ),
        foreign_known=foreign_known_of(trio),
        drift=drift_policy(rows.drifts),
        unprotected_until=trio.unprotected_until,
        change=change,
    )
    return brought_back(snapshot, stepped_ts)


def _hold_until_ts(trio: TrioOrder, rows: TrioRows, legs: Iterable[LegView]) -> int | None:
    """Return when the holding time, counted from the first execution, is over; nothing before there is one."""
    filled = [leg.filled_ts for leg in legs if leg.role in ENTERS and leg.filled_ts is not None]
    if trio.hold_seconds is None or not filled:
        return None
    entries = {leg.pk for leg in rows.legs if leg.role in ENTERS}
    booked = [booked.time_ts for booked in rows.executions if booked.leg_id in entries]
    return min(booked + filled) + 1000 * trio.hold_seconds


def _refusal(trio: TrioOrder, rows: TrioRows, install: Install) -> str:
    """Return why nothing may be opened, from the rows that were read with the lock where it is a turn's."""
    if not isinstance(rows, TurnRows):
        return risk_gates.new_risk_refusal(trio, install=install)
    refusal = risk_gates.new_risk_refusal(trio, install=install, settings_as_wanted=False)
    if refusal or rows.setting is None:
        return refusal
    return setting_mismatch(rows.setting, trio.account) or ""


def _add_refusal(
    trio: TrioOrder, rows: TrioRows, install: Install, slot: SlotView, *, now_ts: ExchangeMs
) -> str:
    """Return why what is wished for may not be added, while it is not sent; what is added is new risk."""
    wish = next((wish for wish in trio.sizes_wanted if wish.role.opens), None)
    if wish is None or any(leg.number == wish.number and leg.role == Role.ADD for leg in rows.legs):
        return ""
    if refusal := risk_gates.new_risk_refusal(trio, install=install):
        return refusal
    if risk_gates.is_dry_run(trio):
        return "DRY_RUN_MODE is on: nothing is added."
    fresh = slot.mark_price is not None and abs(now_ts - slot.mark_as_of) <= limits.MARK_AGE_MS
    mark = slot.mark_price if fresh else trio.checked_mark
    limited = rows.limited if isinstance(rows, TurnRows) else limits.is_limited(trio.account_id)
    breach = limits.breach_of(
        trio,
        limited=limited,
        mark=mark,
        now_ts=now_ts,
        lock=isinstance(rows, TurnRows),
        adds=wish.quantity,
    )
    return breach.sentence if breach is not None else ""


def _begins(trio: TrioOrder, slot: SlotView, legs: Iterable[LegView], *, dry_run: bool) -> bool:
    """May this turn commit the first request, or the entry's? A trio that is to leave opens nothing."""
    if trio.cancel_wanted_at or trio.close_wanted_at or trio.panic_wanted_at:
        return False
    if trio.trio_state is TrioState.QUEUED:
        return slot.placeable or dry_run
    return not any(leg.role in ENTERS and leg.state is not LegState.PLANNED for leg in legs)


def _breach(
    trio: TrioOrder, rows: TurnRows, slot: SlotView, *, now_ts: ExchangeMs, terms: limits.Terms | None = None
) -> Breach | None:
    """Return the limit that the entry would break; from now on others who begin on the account wait for this turn.

    ``terms``: that it rests already and is to have.
    """
    fresh = slot.mark_price is not None and abs(now_ts - slot.mark_as_of) <= limits.MARK_AGE_MS
    mark = slot.mark_price if fresh else trio.checked_mark
    found = limits.breach_of(trio, limited=rows.limited, mark=mark, now_ts=now_ts, lock=True, terms=terms)
    if terms is None:
        trio.checked_mark = mark
    return found


def _change_of(trio: TrioOrder) -> EntryChange | None:
    """Return the wish for other terms of the entry, in the symbol's own decimals."""
    change, symbol = trio.change_wanted, trio.symbol
    if change is None:
        return None
    quantity, price = shown(change.quantity, symbol.step_size), shown(change.price, symbol.tick_size)
    return replace(change, quantity=quantity, price=price)


def _watch_of(trio: TrioOrder, rows: TrioRows) -> Watch | None:
    return rows.watch if isinstance(rows, TurnRows) else Watch.objects.filter(account=trio.account_id).first()


def leg_view(leg: Leg, requests: list[Request], *, now: OurMs, rules: Policies) -> LegView:
    """Return one order with where its placing and its cancelling stand."""
    submits = [r for r in requests if r.kind == RequestKind.SUBMIT]
    cancels = [r for r in requests if r.kind == RequestKind.CANCEL]
    submit = request_status(submits[-1], now=now, patience=rules.patience) if submits else RequestStatus.NONE
    cancel = request_status(cancels[-1], now=now, patience=rules.patience) if cancels else RequestStatus.NONE
    if (
        cancels
        and leg.looked_ts is not None
        and leg.looked_ts > cancels[-1].timestamp
        and cancel is not RequestStatus.ACCEPTED
    ):
        cancel = RequestStatus.NONE  # it was looked up since and still lives: ask once more
    return LegView(
        client_id=leg.client_id,
        role=Role(leg.role),
        generation=leg.generation,
        form=Form(leg.form),
        state=LegState(leg.state),
        quantity=leg.quantity,
        filled=leg.filled,
        price=leg.price,
        trigger_price=leg.trigger_price,
        acknowledged=leg.acknowledged,
        submit=submit,
        submitted_at=to_ms(submits[-1].begun_at) if submits else 0,
        submitted_ts=submits[-1].timestamp if submits else 0,
        cancel=cancel,
        cancel_at=to_ms(cancels[-1].begun_at) if cancels else 0,
        refusal=refusal_of(leg.refused_code) if leg.refused_code else None,
        refused_code=leg.refused_code,
        refused_text=leg.refused_text,
        accepted_ts=leg.accepted_ts,
        triggered_ts=leg.triggered_ts,
        child_known=leg.is_conditional and leg.order_id is not None,
        filled_ts=leg.filled_ts,
        ended_ts=leg.ended_ts,
        retry_at=_ms(leg.retry_at),
        look_at=_ms(leg.look_at),
        looking_since=_ms(leg.looking_since),
        looked_ts=leg.looked_ts,
        looks=leg.looks,
        late=leg.late,
        tested=any(_tested(request) for request in requests),
        for_move=leg.for_move,
        number=leg.number,
        active=leg.active_ts is not None,
        average_price=leg.average_price,
        amend=_amendment(leg, requests, now=now, rules=rules),
    )


def _settled(trio: TrioOrder, legs: tuple[LegView, ...]) -> tuple[LegView, ...]:
    """Say of orders that turned up late what of them was known to have filled when the trio last ended, by its journal."""
    late = [leg.client_id for leg in legs if leg.late and leg.role.opens]
    if trio.ended_at is None or not late:
        return legs
    until = trio.ended_at + ENDED_WITHIN
    filled: dict[str, Decimal] = {}
    seen = Sighting.objects.filter(trio=trio, leg__client_id__in=late, seen_at__lt=until)
    for client_id, facts in seen.values_list("leg__client_id", "facts"):
        known = Decimal(facts.get("executed") or facts.get("filled") or 0)
        filled[client_id] = max(known, filled.get(client_id, ZERO))
    return tuple(replace(leg, settled=filled.get(leg.client_id, ZERO)) for leg in legs)


def _amendment(leg: Leg, requests: list[Request], *, now: OurMs, rules: Policies) -> Amendment | None:
    """Return the newest request for other terms of this order, with where it stands."""
    asked = [r for r in requests if r.kind == RequestKind.AMEND]
    if not asked or leg.amend_quantity is None or leg.amend_price is None:
        return None
    newest, outcome = asked[-1], getattr(asked[-1], "outcome", None)
    code = 0 if outcome is None else outcome.code
    return Amendment(
        quantity=leg.amend_quantity,
        price=leg.amend_price,
        status=request_status(newest, now=now, patience=rules.patience),
        asked_at=to_ms(newest.begun_at),
        asked_ts=newest.timestamp,
        certain_ts=newest.timestamp + newest.recv_window + rules.absence_margin,
        refusal=refusal_of(code) if code else None,
        code=code,
        text="" if outcome is None else outcome.message,
    )


def slot_view(
    trio: TrioOrder,
    *,
    now: datetime,
    now_ts: ExchangeMs,
    rules: Policies,
    admission: Admission,
    alive: bool,
    watch: Watch | None,
    placing: bool = True,
) -> SlotView:
    """Return the slot as the exchange last showed it, on the trio's own side.

    Whether something new may be placed on it is only looked into while the trio is ``placing``.
    """
    slot = trio.slot
    if slot is None:
        return SlotView()
    signed = slot.quantity if trio.side == Side.BUY else -slot.quantity
    if slot.position_side != PositionSide.BOTH:
        signed = abs(slot.quantity)  # a hedged side holds nothing but its own, whatever the sign
    # A slot without facts of its own was not there when the account was last swept: it was flat then.
    as_of = slot.as_of or (watch.swept_ts if watch else 0)
    why = "" if alive else risk_gates.NO_WORKER
    why = why or NOT_ADMITTED.get(admission, "")
    if placing:
        why = why or watch_trouble(watch, now=now)
    if not why and now_ts - as_of > _book_age_max(watch, rules):
        why = "The position was not read recently enough; the next sweep will read it."
    return SlotView(
        quantity=max(signed, ZERO),
        opposite=max(-signed, ZERO),
        as_of=as_of,
        from_event=slot.from_event,
        flat_since=slot.flat_since,
        flat_event_ts=slot.flat_event_ts or 0,
        mark_price=slot.mark_price,
        mark_as_of=slot.mark_as_of,
        strangers=tuple(slot.strangers),
        stranger_orders=tuple(Stranger(**order) for order in slot.stranger_orders),
        placeable=not why,
        not_placeable=why,
    )


def _book_age_max(watch: Watch | None, rules: Policies) -> int:
    """Return how old a position may be: twice the interval at which the account's sweeps come.

    It was read in full since its stream connected, or nothing would begin; from then on events keep it current,
    and a sweep that is late says that something is wrong.
    """
    return max(rules.slot_age_max, 2 * watch.interval_ms) if watch is not None else rules.slot_age_max


def conditionals_beside(trio: TrioOrder) -> tuple[int, int]:
    """Return how many conditional orders the account's other trios have or may come to have, and strangers'."""
    account, own = trio.account_id, trio.pk or NOT_SAVED
    row: tuple[int, int] = fetch_planned(
        CONDITIONALS, LEGS_A_TRIO, MAY_REST, CONDITIONAL_TYPES, account, account, own, own
    )
    return row


def watch_trouble(watch: Watch | None, *, now: datetime) -> str:
    takeover = timedelta(milliseconds=settings.TAKEOVER_MS)
    if watch is None or watch.beat is None or now - watch.beat > takeover:
        return "Nobody watches the account yet: wait for a runworker to take it."
    if watch.stream_since is None:
        return "The account's event stream is not connected; it is being connected again."
    if watch.swept_at is None or watch.swept_at < watch.stream_since:
        return "The account is being read for the first time since its stream connected."
    return ""


def request_status(request: Request, *, now: OurMs, patience: int) -> RequestStatus:
    outcome = getattr(request, "outcome", None)
    if outcome is None:
        return RequestStatus.IN_FLIGHT if now < to_ms(request.begun_at) + patience else RequestStatus.IN_DOUBT
    return STATUS[Verdict(outcome.verdict)]


def _tested(request: Request) -> bool:
    outcome = getattr(request, "outcome", None)
    return request.kind == RequestKind.TEST and outcome is not None and outcome.verdict == Verdict.ACCEPTED


def _ms(moment: datetime | None) -> OurMs | None:
    return None if moment is None else to_ms(moment)

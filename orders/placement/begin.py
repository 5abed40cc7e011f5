"""Begin: commit exactly what is about to be sent, and when to look again. Sends nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from exchange.port import Exchange
from exchange.rate_limits import Priority
from exchange.types import ZERO, ExchangeMs, NewOrder, OrderRef, Side, Stamp, WireRequest
from infrastructure.rows import row_insert, row_new, row_update
from orders.domain.decision.conditions import cover_deadline_ts
from orders.domain.decision.decide import Decision
from orders.domain.decision.steps import (
    Amend,
    Cancel,
    CancelForeign,
    Confirm,
    ConfirmForeign,
    Exit,
    Observe,
    Plan,
    Submit,
)
from orders.domain.enums import LegState, RequestKind, Role, TrioState
from orders.domain.hash_chain import payload_digest
from orders.domain.leg_updates import LegFacts, sent
from orders.domain.rounding import plain, shown
from orders.exchange_data.clock import to_exchange_ms, to_ms
from orders.journal.append import JOURNAL_HEAD, journal_append
from orders.leg_facts import facts_of, facts_put
from orders.models import Leg, Request, TrioOrder
from orders.placement.adoption import foreign_columns, foreign_named, foreign_put
from orders.placement.perform import Call, LookCall, LookForeignCall, ObserveCall, SendCall
from orders.placement.turn_rows import TurnRows
from orders.specs import rungs_of
from orders.story import note

EXIT_PAUSE_MS, EXIT_PAUSE_MAX_MS = 100, 1000
WITNESS_MS = 60_000  # how far before its own time an order's history is searched


def begin(
    rows: TurnRows,
    decision: Decision,
    *,
    exchange: Exchange,
    offset_ms: int,
    asked_by: str,
    changed: Iterable[str] = (),
) -> list[Call]:
    """Commit the rows of a step and return the calls to perform. Runs under the trio's row lock.

    ``changed``: more columns of the trio, saved in the same UPDATE.
    """
    trio, now = rows.trio, rows.now
    at = to_exchange_ms(now, offset_ms)
    beginning = _Beginning(trio, rows, decision, exchange, now, at, asked_by)
    calls = list(beginning.calls())
    trio.wake_at = now + timedelta(milliseconds=settings.PROTECT_TIMEOUT_MS)
    columns = dict.fromkeys((*changed, *foreign_columns(trio)))
    row_update(trio, *columns, "wake_at", "observing_since", *JOURNAL_HEAD, "updated_at")
    return calls


@dataclass(frozen=True, slots=True)
class _Beginning:
    trio: TrioOrder
    rows: TurnRows
    decision: Decision
    exchange: Exchange
    now: datetime
    at: ExchangeMs
    asked_by: str

    def calls(self) -> Iterator[Call]:
        match self.decision.step:
            case Submit(plans, test):
                for plan in plans:
                    yield self._submit(plan, test=test)
            case Exit(plan, cancels):
                yield self._submit(plan, test=False)
                for client_id in cancels:
                    yield self._cancel(client_id)
            case Cancel(client_ids):
                for client_id in client_ids:
                    yield self._cancel(client_id)
            case Amend(client_id, quantity, price):
                yield self._amend(client_id, quantity, price)
            case Confirm(client_id):
                yield self._look(client_id)
            case CancelForeign(client_id):
                yield self._cancel_foreign(client_id)
            case ConfirmForeign(client_id):
                yield self._look_foreign(client_id)
            case Observe():
                self.trio.observing_since = self.now
                yield ObserveCall(self.trio.symbol.symbol, self.at, settings.PROTECT_TIMEOUT_MS)
            case step:
                raise AssertionError(f"nothing to begin for {step}")

    def _submit(self, plan: Plan, *, test: bool) -> SendCall:
        symbol, quantity = self.trio.symbol, plan.order.quantity
        if quantity is not None and symbol.step_size:  # tables keep more decimals than the exchange takes
            quantity = shown(quantity, symbol.step_size)
        order = replace(plan.order, symbol=symbol.symbol, quantity=quantity)
        self._note_fitting(plan, order)
        kind = RequestKind.TEST if test else RequestKind.SUBMIT
        leg = self._leg(plan, order, kind=kind)
        wire = self.exchange.test_request(order) if test else self.exchange.submit_request(order)
        if not test:
            note(self.trio, "request", _sending(plan, order), at=self.now, client_id=order.client_id)
        return self._commit(leg, kind, wire)

    def _note_fitting(self, plan: Plan, order: NewOrder) -> None:
        """Say in the story where a price was fitted to a tick that has changed since the trio was checked."""
        trio = self.trio
        if plan.for_move:
            return
        asked, sent_at = {
            Role.ENTRY: _changed_term((trio.trigger_price, order.trigger_price), (trio.price, order.price)),
            Role.RUNG: (_rung_price(trio, plan.number), order.price),
            Role.STOP_LOSS: (trio.stop_loss, order.trigger_price),
            Role.TAKE_PROFIT: (trio.take_profit, order.trigger_price),
        }.get(plan.role, (None, None))
        if asked is None or sent_at is None or asked == sent_at:
            return
        text = (
            f"{plan.role.words.capitalize()}: {plain(asked)} is not a price of {order.symbol} any more, its tick is "
            f"{plain(trio.symbol.tick_size)} now; {plain(sent_at)} is used."
        )
        note(trio, "fitted", text, at=self.now, asked=plain(asked), used=plain(sent_at))

    def _leg(self, plan: Plan, order: NewOrder, *, kind: RequestKind) -> Leg:
        """Return the order's row: a new one (the database refuses an id twice), or the old one of an order sent again."""
        if plan.again:
            leg = self.rows.leg_named(order.client_id)
            facts_put(leg, self._sent(facts_of(leg), order, kind))
            leg.type = order.type
            leg.retry_at, leg.look_at, leg.looks = None, None, 0
            row_update(leg)
            return leg
        facts = LegFacts(order.type.is_conditional, plan.form, LegState.PLANNED, opens=plan.role.opens)
        first = self._sent(facts, order, kind)
        leg = row_new(
            Leg,
            client_id=order.client_id,
            trio=self.trio,
            role=plan.role,
            generation=plan.generation,
            form=plan.form,
            type=order.type,
            side=order.side,
            quantity=first.quantity,
            price=first.price,
            trigger_price=first.trigger_price,
            state=first.state,
            retry_at=self._next_exit_at() if plan.role is Role.EXIT else None,
            for_move=plan.for_move,
            number=plan.number,
        )
        if plan.role is Role.ADD:  # what it may come to in all; what is not filled of it is subtracted again
            self.trio.quantity += first.quantity
            row_update(self.trio, "quantity")
        row_insert(leg)
        return leg

    def _sent(self, facts: LegFacts, order: NewOrder, kind: RequestKind) -> LegFacts:
        return sent(
            facts,
            kind=kind,
            quantity=order.quantity or ZERO,
            price=order.price,
            trigger_price=order.trigger_price,
        )

    def _next_exit_at(self) -> datetime | None:
        """Return when the exit after this one may go: the second at once, then with growing pauses."""
        vain = self.trio.legs.filter(role=Role.EXIT, filled=0).count()
        if not vain:
            return None
        return self.now + timedelta(milliseconds=min(EXIT_PAUSE_MAX_MS, EXIT_PAUSE_MS * 2 ** min(vain, 8)))

    def _cancel(self, client_id: str) -> SendCall:
        leg = self.rows.leg_named(client_id)
        leg.retry_at = None
        row_update(leg, "retry_at")
        note(
            self.trio, "request", f"Cancelling the {Role(leg.role).words}.", at=self.now, client_id=client_id
        )
        ref = self._ref(leg)
        if leg.is_conditional and Role(leg.role).opens:  # what rests of an entry that triggered is its child
            ref = replace(ref, child=leg.order_id)
        return self._commit(leg, RequestKind.CANCEL, self.exchange.cancel_request(ref))

    def _cancel_foreign(self, client_id: str) -> SendCall:
        """Commit the cancel of somebody else's order; its line hangs on the trio's first order."""
        order = foreign_named(self.trio, client_id)
        note(
            self.trio,
            "request",
            f"Cancelling an order that is not ours, as asked: {order['text']}.",
            at=self.now,
            client_id=client_id,
        )
        wire = self.exchange.cancel_request(self._foreign_ref(client_id))
        call = self._commit(self.rows.first_order, RequestKind.FOREIGN, wire)
        foreign_put(
            self.trio,
            client_id,
            request=call.request_id,
            asked_at=to_ms(self.now),
            looking_since=None,
            look_at=0,
        )
        return call

    def _look_foreign(self, client_id: str) -> LookForeignCall:
        foreign_put(self.trio, client_id, looking_since=to_ms(self.now))
        return LookForeignCall(self._foreign_ref(client_id), self.at, settings.PROTECT_TIMEOUT_MS)

    def _foreign_ref(self, client_id: str) -> OrderRef:
        order = foreign_named(self.trio, client_id)
        return OrderRef(self.trio.symbol.symbol, client_id, order["conditional"])

    def _amend(self, client_id: str, quantity: Decimal, price: Decimal) -> SendCall:
        """What the order is asked to become is kept with it: when it shows that, the change was ours."""
        leg, trio = self.rows.leg_named(client_id), self.trio
        leg.amend_quantity, leg.amend_price = quantity, price
        row_update(leg, "amend_quantity", "amend_price")
        trio.amending_notional = quantity * price
        row_update(trio, "amending_notional")
        text = f"Changing the {Role(leg.role).words} to {plain(quantity)} at {plain(price)}."
        note(trio, "request", text, at=self.now, client_id=client_id)
        wire = self.exchange.amend_request(self._ref(leg), Side(leg.side), quantity=quantity, price=price)
        return self._commit(leg, RequestKind.AMEND, wire)

    def _look(self, client_id: str) -> LookCall:
        leg = self.rows.leg_named(client_id)
        leg.looking_since = self.now
        row_update(leg, "looking_since")
        newest = leg.requests.filter(kind=RequestKind.SUBMIT).order_by("-id").first()
        since = None
        if newest is not None and Role(leg.role).opens:
            sign = (leg.seen_ts or 0) if leg.acknowledged else newest.timestamp + newest.recv_window
            proof = sign + settings.ABSENCE_MARGIN_MS
            since = newest.timestamp - WITNESS_MS if self.at > proof else None
        return LookCall(leg.pk, self._ref(leg), self.at, settings.PROTECT_TIMEOUT_MS, since)

    def _ref(self, leg: Leg) -> OrderRef:
        return OrderRef(self.trio.symbol.symbol, leg.client_id, leg.is_conditional)

    def _commit(self, leg: Leg, kind: RequestKind, wire: WireRequest) -> SendCall:
        payload = dict(wire.params)
        request = row_new(
            Request,
            leg=leg,
            kind=kind,
            method=wire.method,
            path=wire.path,
            payload=payload,
            payload_hash=payload_digest(payload),
            timestamp=self.at,
            recv_window=settings.RECV_WINDOW_MS,
            timeout_ms=self._timeout(Role(leg.role), kind),
            begun_at=self.now,
            asked_by=self.asked_by,
        )
        journal_append(self.trio, request)
        stamp = Stamp(ExchangeMs(request.timestamp), request.recv_window)
        priority = self._priority(Role(leg.role), kind)
        return SendCall(
            request.pk,
            leg.pk,
            kind,
            wire,
            stamp,
            request.timeout_ms,
            priority=priority,
            pledge=self._pledge(Role(leg.role), kind),
        )

    def _priority(self, role: Role, kind: RequestKind) -> Priority:
        """Entries, and the legs that rest before them, take what is left by what protects a position.

        A stop that follows the price waits for its own share: what it replaces covers as long as that takes.
        """
        before = self.decision.trio.state in (TrioState.QUEUED, TrioState.PLACING)
        if self._only_follows(role, kind):
            return Priority.MOVE
        if kind is RequestKind.AMEND and self.trio.is_chasing:
            return Priority.MOVE  # it rests meanwhile where it is
        if kind in (RequestKind.CANCEL, RequestKind.FOREIGN) or not (role.opens or before):
            return Priority.PROTECT
        return Priority.PLACE

    def _only_follows(self, role: Role, kind: RequestKind) -> bool:
        """Is this a stop that follows the price, ours or the exchange's, while another one covers all of the position?"""
        is_stop = role in (Role.STOP_LOSS, Role.TRAIL) and kind is RequestKind.SUBMIT
        held = self.decision.trio.state is TrioState.OPEN and not self.decision.uncovered
        return is_stop and held and self.trio.is_trailing

    def _pledge(self, role: Role, kind: RequestKind) -> int:
        """Return how many legs must still find room in the account's order windows once the entry fills."""
        if role is not Role.ENTRY or kind not in (RequestKind.SUBMIT, RequestKind.AMEND):
            return 0
        spec, legs = self.decision.trio.spec, self.decision.trio.protective_legs
        wanted = (spec.stop_loss is not None) + (spec.take_profit is not None) + len(spec.part_targets)
        return max(0, wanted - sum(leg.live or leg.pending for leg in legs))

    def _timeout(self, role: Role, kind: RequestKind) -> int:
        """The entry may take its time; everything else protects, so its timeout is short and never past the deadline for cover."""
        if role.opens and kind not in (RequestKind.CANCEL, RequestKind.FOREIGN):
            return int(settings.BINANCE_TIMEOUT_MS)
        timeout = int(settings.PROTECT_TIMEOUT_MS)
        if role is Role.STOP_LOSS and self.decision.uncovered and self.decision.trio.state is TrioState.OPEN:
            left = cover_deadline_ts(self.decision.trio) - self.at
            timeout = max(100, min(timeout, left))
        return timeout


def _rung_price(trio: TrioOrder, number: int) -> Decimal | None:
    return next((rung.price for rung in rungs_of(trio) if rung.number == number), None)


def _changed_term(*terms: tuple[Decimal | None, Decimal | None]) -> tuple[Decimal | None, Decimal | None]:
    """Return the first of these pairs whose two sides differ, else the last."""
    return next((pair for pair in terms if pair[0] != pair[1]), terms[-1])


def _sending(plan: Plan, order: NewOrder) -> str:
    what = plan.role.words
    if plan.generation > 1:
        what += f" {plan.generation}"
    how = order.type.value.lower().replace("_", " ")
    amount = "the whole position" if order.close_position else format(order.quantity or 0, "f")
    level = f", trigger {order.trigger_price:f}" if order.trigger_price is not None else ""
    price = f" at {order.price:f}" if order.price is not None else ""
    if order.callback_rate is not None:
        level = f", {order.callback_rate:f} % behind the best price"
    if order.activation_price is not None:
        level += f", from {order.activation_price:f} on"
    return f"Sending the {what}: {order.side} {amount} {how}{price}{level}."

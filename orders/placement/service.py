"""OrderPlacementService: the one mechanism. Everything that happens to a trio goes through ``advance``.

One turn: in one short transaction, lock the trio's row, decide, commit what is about to be sent and
when to look again; send it, with no transaction open; in one short transaction, lock, record what
came of it, and decide again. A committed request is its own claim: whoever committed it sends it, once.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError
from rq.timeouts import BaseTimeoutException

from accounts.errors import AccountsError
from accounts.gateways import Gateway, KeyMark, closure_of, exchange_for
from exchange.errors import ExchangeError
from exchange.port import Exchange
from infrastructure.planned import fetch_planned
from infrastructure.rows import row_update
from infrastructure.writes import send_gathered
from orders.domain.decision.decide import decide
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.decision.steps import AnswerByPolicy, AskPerson, Done, Rest, Step, WithdrawQuestion
from orders.domain.enums import RequestKind, TrioState, Verdict
from orders.domain.operator_questions import Question, QuestionKind
from orders.exchange_data.clock import clock_measure, db_now, from_ms, offset_ms, to_ms
from orders.exchange_data.symbol_sync import symbols_renew
from orders.installation import install_refusal, install_row
from orders.journal.append import JOURNAL_HEAD
from orders.models import Install, Leg, TrioOrder
from orders.placement import finish
from orders.placement.admission import Admission, admit, leave
from orders.placement.begin import begin
from orders.placement.inbox import Inbox
from orders.placement.landing import Landing, is_in_air, landing, quickness
from orders.placement.news import answers_told, take_in
from orders.placement.perform import Answer, Call, SendCall, perform_all, refuse_inside_transaction
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import WHOLE, TurnRows, turn_rows
from orders.story import answers_forget, note, question_answer_by_policy, question_ask, question_withdraw
from orders.trio_lock import locked_read, short_transaction

logger = logging.getLogger(__name__)

INCARNATION = f"{socket.gethostname()[:40]}:{os.getpid()}"
WARN_AGAIN_SECONDS = 60.0
VAIN_SECONDS = 2.0
ROOM_AWAITED_SECONDS = 0.25  # a job behind this one may be about protection
ASK_FOR_ROOM_SECONDS = 0.02
TOGETHER_SECONDS = 0.005  # answers that come so soon after one another are recorded by one turn
ALL_WELL_SECONDS = 0.012  # the same while all that were asked for came to what was wanted
STANDING = """
    SELECT trio.state, trio.account_id, account.environment, account.name, credential.updated_at, clock.offset_ms, clock.stepped_ts,
           install.id, install.token, install.system_identifier,
           ceil(extract(epoch FROM trio.wake_at - clock_timestamp()) * 1000)::bigint,
           coalesce(trio.cancel_wanted_at, trio.close_wanted_at, trio.panic_wanted_at) IS NOT NULL
               OR coalesce(trio.place_before <= clock_timestamp(), false),
           trio.state = 'QUEUED' OR trio.state = 'PLACING' AND NOT EXISTS (
               SELECT FROM orders_leg WHERE trio_id = trio.id AND role IN ('ENTRY', 'RUNG') AND state <> 'PLANNED'),
           trio.state = 'PLACING' AND EXISTS (
               SELECT FROM orders_leg WHERE trio_id = trio.id AND role NOT IN ('ENTRY', 'RUNG') AND state = 'ACCEPTED')
    FROM orders_trioorder trio JOIN accounts_exchangeaccount account ON account.id = trio.account_id
    LEFT JOIN accounts_credential credential ON credential.account_id = account.id
    LEFT JOIN orders_clock clock ON clock.environment = account.environment
    LEFT JOIN LATERAL (SELECT * FROM orders_install ORDER BY id LIMIT 1) install ON true
    WHERE trio.id = %s
"""


class Undecided(RuntimeError):
    """A decision raised: a bug of ours."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class TurnResult:
    """What one decision came to: the step, and the calls it committed."""

    step: Step
    calls: tuple[Call, ...] = ()
    rest_ms: int | None = None  # how long it rests, if it does until a given moment
    left: Landing | None = None  # it is out of the air with this turn
    told: tuple[Leg, ...] = ()  # orders of which it recorded that they were accepted


@dataclass(frozen=True, slots=True)
class TurnContext:
    """What a turn needs besides the trio's rows, read before its transaction opens."""

    exchange: Exchange
    install: Install
    environment: str
    offset_ms: int
    stepped_ts: int | None
    admission: Admission


class TrioStanding(NamedTuple):
    """A trio's state and what every turn of it needs, read in one round trip without a lock."""

    state: str
    account_id: int
    key: KeyMark
    offset_ms: int | None
    stepped_ts: int | None
    install: Install | None
    due_in_ms: int | None  # zero or below: now
    is_leaving: bool  # a person wants it withdrawn, or ``place_before`` has passed
    is_unsent: bool  # its entry has not been sent yet
    is_armed: bool  # a leg of it rests already, before the entry

    @property
    def environment(self) -> str:
        return self.key.environment

    @property
    def is_due(self) -> bool:
        return self.due_in_ms is not None and self.due_in_ms <= 0


def read_standing(trio_id: int) -> TrioStanding:
    row = fetch_planned(STANDING, trio_id)
    if row is None:
        raise TrioOrder.DoesNotExist(f"There is no trio {trio_id}.")
    state, account_id, environment, name, stored_at, offset, stepped, install, token, system, *rest = row
    mark = None if install is None else Install(pk=install, token=token, system_identifier=system)
    return TrioStanding(
        state, account_id, KeyMark(environment, name, stored_at), offset, stepped, mark, *rest
    )


class OrderPlacementService:
    """Carries trios forward. Holds no state of its own: any process may advance any trio at any time."""

    def __init__(self, *, gateway: Gateway = exchange_for, asked_by: str = "") -> None:
        self._gateway = gateway
        self._asked_by = asked_by or INCARNATION

    def advance(
        self,
        trio_id: int,
        *,
        answers: Sequence[Answer] = (),
        news: Inbox | None = None,
        brought: Callable[[], Sequence[Answer]] | None = None,
        later: Callable[[Future[Answer]], None] | None = None,
        again: Callable[[int], None] | None = None,
        if_due: bool = False,
        admitted: Admission | None = None,
    ) -> Step:
        """Carry a trio as far as it will go now. Safe to repeat, at once, from anywhere.

        Returns the step it rests on. ``later`` is handed what may take long (an entry), instead of waiting
        for it; bring its result back in ``answers``, or, while this goes on, in what ``brought`` returns. ``news``: what the event stream says of it, recorded by the same
        turn that decides about it, whether it was due or not; what is put in meanwhile interrupts the wait for
        answers. Whatever becomes of the turn, nothing is left in it that was there at the start. ``again`` is called with the ms after which the trio is due again.
        ``if_due``: do nothing unless the trio is still due; another process may have advanced it already.
        ``admitted``: what was said when a place in the air was asked for; ``None``: it is asked for here.
        Raises TrioOrder.DoesNotExist for an unknown trio.
        """
        refuse_inside_transaction()
        inbox = news or Inbox()
        standing = read_standing(trio_id)
        if_due = if_due and not answers
        idle = standing.state == TrioState.DRAFT or (if_due and inbox.is_empty and not standing.is_due)
        if admitted is Admission.ADMITTED and (idle or not standing.is_unsent):
            leave(trio_id, None)  # another process was quicker: the place that was just taken is not needed
        if standing.state == TrioState.DRAFT:
            inbox.set_down()
            return Rest(None)
        if idle:
            if again is not None and standing.due_in_ms is not None:
                again(standing.due_in_ms)
            return Rest(None)
        admission = self._admission(trio_id, standing, admitted)
        waits = standing.state == TrioState.QUEUED and not standing.is_leaving
        if waits and not admission.may_go:
            inbox.set_down()
            return Rest(None)  # nothing is locked and nothing written: it stays due, and costs nothing
        context = self._context(trio_id, standing, admission)
        if context is None:
            if admission is Admission.ADMITTED:
                leave(trio_id, None)
            inbox.set_down()
            return Rest(None)
        turn = self._carry(trio_id, context, answers, inbox, brought=brought, later=later, if_due=if_due)
        if again is not None and turn.rest_ms is not None:
            again(turn.rest_ms)
        return turn.step

    def place(self, trio_id: int, *, patience_seconds: float = ROOM_AWAITED_SECONDS) -> Step:
        """Carry a queued trio forward as soon as there is room in the air; leave it to others when there is none.

        Raises TrioOrder.DoesNotExist for an unknown trio.
        """
        standing = read_standing(trio_id)
        if standing.state != TrioState.QUEUED:
            return self.advance(trio_id, if_due=True)
        deadline = time.monotonic() + patience_seconds
        while (admission := admit(trio_id, standing.account_id)) is Admission.FULL:
            if time.monotonic() >= deadline:
                break
            time.sleep(ASK_FOR_ROOM_SECONDS)
        if admission is Admission.IN_AIR:  # another process has it
            return Rest(None)
        return self.advance(trio_id, admitted=admission)

    def _carry(
        self,
        trio_id: int,
        context: TurnContext,
        answers: Sequence[Answer],
        inbox: Inbox,
        *,
        brought: Callable[[], Sequence[Answer]] | None,
        later: Callable[[Future[Answer]], None] | None,
        if_due: bool,
    ) -> TurnResult:
        """Take turns until no request is open any more; answers and news that are there together share one."""
        asked: set[Future[Answer]] = set()
        while True:
            if any(known.clock_refused for known in answers):
                context = self._with_clock_measured(context)
            if refused := _off_the_rules(answers):
                self._rules_read_anew(context, refused)
            turn = self._turn(trio_id, context, answers=answers, inbox=inbox, if_due=if_due)
            asked |= perform_all(turn.calls, context.exchange, later)
            for known in answers:
                quickness.note(known)
            if turn.left is not None:
                leave(trio_id, quickness.without(turn.left))
            if not asked:
                return turn
            if_due = False
            done = _awaited(asked, inbox)
            asked -= done
            answers = [*(future.result() for future in done), *(brought() if brought is not None else ())]

    # --- one transaction ----------------------------------------------------------------------

    def _turn(
        self,
        trio_id: int,
        context: TurnContext,
        *,
        answers: Sequence[Answer] = (),
        inbox: Inbox,
        if_due: bool = False,
    ) -> TurnResult:
        """Lock, record ``answers`` and what is in ``inbox``, decide, begin. A lock that cannot be had is tried again.

        When every try fails, the answers are lost; their requests' rows say that the orders must be looked up.
        """
        what = f"trio {trio_id}: a turn"
        try:
            work = partial(self._locked_turn, context, answers, inbox, if_due)
            turn = self._locked(trio_id, work, what)
            inbox.recorded()
            answers_told(turn.told)
            return turn
        except (
            Undecided
        ) as undecided:  # its transaction is undone, and what it recorded with it: that is kept
            error = undecided.error
        logger.error("trio %s: its decision raised; what covers it stays", trio_id, exc_info=error)
        turn = self._locked(trio_id, partial(self._failed, context, answers, inbox, error), what)
        inbox.recorded()
        return turn

    def _locked(self, trio_id: int, work: Callable[[TurnRows], TurnResult], what: str) -> TurnResult:
        """Do ``work`` with what is read after the lock: rows joined to a locked one are as they were before the wait."""
        read = WHOLE.statement
        return locked_read(
            lambda row: work(turn_rows(row)), trio_id=trio_id, read=read, values=[trio_id], what=what
        )

    def _locked_turn(
        self,
        context: TurnContext,
        answers: Sequence[Answer],
        inbox: Inbox,
        if_due: bool,
        rows: TurnRows,
    ) -> TurnResult:
        trio, now = rows.trio, rows.now
        anything_new = [take_in(rows, piece) for piece in inbox.take()]
        if if_due and not any(anything_new) and not (trio.wake_at and trio.wake_at <= now):
            turn = _carried_on_meanwhile(trio, now)
            return replace(turn, left=Landing(None) if context.admission is Admission.ADMITTED else None)
        for answer in answers:
            finish.record(rows, answer, offset_ms=context.offset_ms)
        try:
            turn = self._decide(rows, context)
            send_gathered()  # what the database refuses to write was decided wrongly
            return replace(turn, told=_accepted(rows, answers))
        except (OperationalError, InterfaceError, BaseTimeoutException):
            raise  # a job out of time is no failed decision: another process takes it from here
        except Exception as error:
            raise Undecided(error) from error

    def _decide(self, rows: TurnRows, context: TurnContext) -> TurnResult:
        trio = rows.trio
        was_in_air = is_in_air(trio) or context.admission is Admission.ADMITTED
        for _ in range(4):
            snapshot = snapshot_of(
                trio,
                rows,
                now=rows.now,
                offset_ms=context.offset_ms,
                install=context.install,
                admission=context.admission,
                closure=closure_of(context.environment),
                stepped_ts=context.stepped_ts,
            )
            decision = decide(snapshot)
            changed = finish.settle(trio, decision, rows)
            step = decision.step
            if isinstance(step, AskPerson):
                question_ask(trio, step.question, at=rows.now)
                row_update(trio, *changed, *TrioOrder.QUESTION_FIELDS, "updated_at")
                rows.now = db_now()
                continue
            if isinstance(step, AnswerByPolicy):
                question_answer_by_policy(trio, step.question, step.choice, at=rows.now)
                row_update(trio, *changed, *TrioOrder.QUESTION_FIELDS, "updated_at")
                rows.now = db_now()
                continue
            if isinstance(step, WithdrawQuestion):
                question_withdraw(trio, at=rows.now)
                row_update(trio, *changed, *TrioOrder.QUESTION_FIELDS, "updated_at")
                rows.now = db_now()
                continue
            if isinstance(step, Rest | Done):
                until = step.until if isinstance(step, Rest) else None
                trio.wake_at = None if until is None else from_ms(max(until, snapshot.now + 1))
                if trio.failures and answers_forget(trio, (QuestionKind.FAILURE,)):
                    changed = (*changed, *TrioOrder.QUESTION_FIELDS)
                trio.failures = 0
                row_update(trio, *changed, "wake_at", "failures", *JOURNAL_HEAD, "updated_at")
                rest_ms = None if until is None else max(1, until - snapshot.now)
                return TurnResult(step, rest_ms=rest_ms, left=landing(trio, decision, was_in_air=was_in_air))
            calls = begin(
                rows,
                decision,
                exchange=context.exchange,
                offset_ms=context.offset_ms,
                asked_by=self._asked_by,
                changed=changed,
            )
            return TurnResult(step, tuple(calls), left=landing(trio, decision, was_in_air=was_in_air))
        raise AssertionError("a trio keeps asking the same question")

    def _failed(
        self,
        context: TurnContext,
        answers: Sequence[Answer],
        inbox: Inbox,
        error: Exception,
        rows: TurnRows,
    ) -> TurnResult:
        """Keep the answers and the news, and try again later."""
        trio, now = rows.trio, rows.now
        for piece in inbox.take():
            take_in(rows, piece)
        for answer in answers:
            finish.record(rows, answer, offset_ms=context.offset_ms)
        trio.failures += 1
        pause = min(60, 2 ** min(trio.failures, 6))
        if trio.asked is None:
            question_ask(trio, Question(QuestionKind.FAILURE, {"error": type(error).__name__}), at=now)
        trio.wake_at = now + timedelta(seconds=pause)
        row_update(trio, "failures", *TrioOrder.QUESTION_FIELDS, "wake_at", *JOURNAL_HEAD, "updated_at")
        note(trio, "failure", f"Deciding failed ({type(error).__name__}); tried again in {pause} s.", at=now)
        return TurnResult(Rest(None))

    # --- what has to be there first -----------------------------------------------------------

    def _admission(self, trio_id: int, standing: TrioStanding, admitted: Admission | None) -> Admission:
        """Ask for a place in the air if the trio's entry might go now; what protects asks nobody."""
        if not standing.is_unsent:
            return Admission.IN_AIR
        found = admitted or admit(trio_id, standing.account_id, keeps=True)
        # Its place was given up while its entry was held back. It is covered when that fills: it is passed by nobody.
        return Admission.IN_AIR if standing.is_armed and found is Admission.FULL else found

    def _context(self, trio_id: int, standing: TrioStanding, admission: Admission) -> TurnContext | None:
        """Return what the turns need; nothing when the trio has to wait for it."""
        install = standing.install or install_row()
        if refusal := install_refusal(install):  # another server may be acting on this very trio
            warn_throttled(refusal)
            return None
        try:
            exchange = self._gateway(standing.account_id, standing.key)
        except (AccountsError, ExchangeError) as error:  # unreadable, or no key the exchange would know
            self._unreachable(trio_id, str(error), type(error).__name__)
            return None
        offset = standing.offset_ms
        if offset is None:
            try:
                offset = offset_ms(standing.environment)
            except ExchangeError:
                self._pause(trio_id, seconds=1)
                return None
        return TurnContext(exchange, install, standing.environment, offset, standing.stepped_ts, admission)

    def _with_clock_measured(self, context: TurnContext) -> TurnContext:
        try:
            clock = clock_measure(context.environment)
            return replace(context, offset_ms=clock.offset_ms, stepped_ts=clock.stepped_ts)
        except ExchangeError:
            return context

    def _rules_read_anew(self, context: TurnContext, refused: Sequence[SendCall]) -> None:
        """Orders were off the rules: read them before deciding again, unless that was asked for since these left.

        What a reading does not explain is refused again and again: after one in vain none is made for a while.
        """
        environment, left = context.environment, max(call.stamp.timestamp for call in refused)
        if time.monotonic() - _read_in_vain.get(environment, -VAIN_SECONDS) < VAIN_SECONDS:
            return
        try:
            found = symbols_renew(environment, asked_since=from_ms(left - context.offset_ms))
            if found is not None and not found.is_news:
                _read_in_vain[environment] = time.monotonic()
        except AccountsError as error:
            logger.warning("the symbols' rules could not be read anew: %s", error)

    def _unreachable(self, trio_id: int, why: str, error: str) -> None:
        """The account's key cannot be read: a queued trio is refused; any other asks a person and waits."""
        with short_transaction(trio_id=trio_id) as now:
            trio = TrioOrder.objects.get(pk=trio_id)
            if trio.trio_state is TrioState.QUEUED:
                trio.state = next_state(trio.trio_state, Transition.REFUSED)
                trio.reason, trio.holds_slot = why, False
                trio.ended_at, trio.wake_at = now, None
                trio.save()
                note(trio, "state", f"QUEUED → {trio.state}. {why}")
        facts = {"text": why, "error": error}
        self._pause(trio_id, seconds=5, ask=Question(QuestionKind.ACCOUNT_UNREACHABLE, facts))

    def _pause(self, trio_id: int, *, seconds: int, ask: Question | None = None) -> None:
        """Look at the trio again later; meanwhile it asks a person ``ask``."""
        with short_transaction(trio_id=trio_id) as now:
            trio = TrioOrder.objects.get(pk=trio_id)
            trio.wake_at = None if trio.is_over else now + timedelta(seconds=seconds)
            if ask is not None and not trio.is_over:
                question_ask(trio, ask, at=now)
            trio.save(update_fields=["wake_at", *TrioOrder.QUESTION_FIELDS, "updated_at"])


def _awaited(asked: set[Future[Answer]], inbox: Inbox) -> set[Future[Answer]]:
    """Wait for the first of these answers, or for news; return the answers that are there, and those right behind."""
    awaited: set[Future[Any]] = {*asked, inbox.bell}
    wait(awaited, return_when=FIRST_COMPLETED)
    wait(asked, timeout=TOGETHER_SECONDS)
    done = {future for future in asked if future.done()}
    if done and done != asked and all(future.result().verdict is Verdict.ACCEPTED for future in done):
        others: set[Future[Any]] = {*(asked - done), inbox.bell}
        wait(others, timeout=ALL_WELL_SECONDS, return_when=FIRST_COMPLETED)
        done = {future for future in asked if future.done()}
    return done


def _off_the_rules(answers: Sequence[Answer]) -> list[SendCall]:
    return [known.call for known in answers if known.rules_refused and isinstance(known.call, SendCall)]


def _accepted(rows: TurnRows, answers: Sequence[Answer]) -> tuple[Leg, ...]:
    calls = [known.call for known in answers if known.verdict is Verdict.ACCEPTED]
    return tuple(
        rows.leg(call.leg_id)
        for call in calls
        if isinstance(call, SendCall) and call.kind is RequestKind.SUBMIT
    )


def _carried_on_meanwhile(trio: TrioOrder, now: datetime) -> TurnResult:
    """Another process has advanced this trio meanwhile: rest until its next wake-up."""
    if trio.wake_at is None:
        return TurnResult(Rest(None))
    left = max(1, to_ms(trio.wake_at) - to_ms(now))
    return TurnResult(Rest(to_ms(trio.wake_at)), rest_ms=left)


_warned_at: dict[str, float] = {}
_read_in_vain: dict[
    str, float
] = {}  # by environment: when rules were read that explained no refusal, monotonic


def warn_throttled(what: str) -> None:
    """Log at most once a minute what would otherwise be logged for every trio at every poll."""
    now = time.monotonic()
    if now - _warned_at.get(what, -WARN_AGAIN_SECONDS) >= WARN_AGAIN_SECONDS:
        _warned_at[what] = now
        logger.warning("no trio is carried forward: %s", what)


def service() -> OrderPlacementService:
    """Return the service as every job, command and worker uses it."""
    return OrderPlacementService()

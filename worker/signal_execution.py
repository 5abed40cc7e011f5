"""Executing signals: what each wants, on each of its accounts, by the one OrderExecutor.

Safe to run twice, at once, or never: what is to be done stands in the results, and each is claimed before a trio is
made for it. An account that fails leaves the others. A source's verbs touch its own trios and no others.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import connection

from accounts.errors import AccountsError
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.types import Side
from orders import services
from orders.domain.enums import Role, TrioState
from orders.domain.errors import IllegalTransition, OrdersError
from orders.domain.rounding import plain
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.placement.service import service
from signals.domain.enums import Origin, Outcome, Policy, Verb
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import Terms, TermsError, decimal
from signals.models import HookSource, Signal, SignalResult, SizingRule
from signals.services import result_end, results_pending, signals_end
from worker.order_executor import Execution, Intent, OrderExecutor

logger = logging.getLogger(__name__)

AT_ONCE_MAX = 8  # accounts
BY = "signal"  # who queues, as a trio's story says it
OPENS = frozenset({Verb.ENTER, Verb.REVERSE, Verb.ADD})
CHANGES = frozenset({Verb.ADD, Verb.REDUCE, Verb.MOVE})


def signals_execute(signal_ids: Collection[int]) -> None:
    """Carry out what is still to be done for these signals."""
    by_account: dict[int, list[SignalResult]] = {}
    for result in results_pending(signal_ids):
        by_account.setdefault(result.account_id, []).append(result)
    shares = list(by_account.values())
    if len(shares) > 1:
        with ThreadPoolExecutor(min(AT_ONCE_MAX, len(shares)), thread_name_prefix="signals") as pool:
            list(pool.map(_share_apart, shares))
    else:
        for share in shares:
            _share(share)
    signals_end(signal_ids)


def _share_apart(share: Sequence[SignalResult]) -> None:
    try:
        _share(share)
    finally:
        connection.close()


def _share(share: Sequence[SignalResult]) -> None:
    """Carry out one account's part. Never raises: the other accounts are served, and what is left is found again."""
    try:
        _Share(share[0].account).run(share)
    except Exception:
        logger.exception(
            "signals on %s could not be carried out; they are tried again", share[0].account.name
        )


class _Share:
    """What some signals want on one account, in the order in which they came."""

    def __init__(self, account: ExchangeAccount) -> None:
        self._account = account

    def run(self, results: Iterable[SignalResult]) -> None:
        now = db_now()
        entering: list[SignalResult] = []
        for result in results:
            verb = Verb(result.signal.verb)
            if verb in OPENS and now >= result.signal.act_before:
                self._end_too_late(result, now)
            elif result.trio is not None:  # whoever drafted it is gone, or at it
                self._carry_on(result)
            elif verb in CHANGES:
                self._enter(entering)
                entering = []
                self._change(result, verb)
            elif verb in OPENS:
                if self._may_enter(result):
                    entering.append(result)
            else:
                self._enter(entering)  # what came before it is placed before it
                entering = []
                self._leave(result, verb)
        self._enter(entering)

    # --- closing and cancelling ---------------------------------------------------------------------

    def _leave(self, result: SignalResult, verb: Verb) -> None:
        """Close or cancel the source's own trios on the symbol. Late or not: it only takes risk away."""
        found = [trio for trio in own_trios(result) if verb is Verb.CLOSE or trio.trio_state in CANCELLABLE]
        if result.signal.dry_run:
            planned = {"trios": ", ".join(str(trio.pk) for trio in found)}
            result_end(result.pk, Outcome.DRY_RUN, facts=planned)
            return
        acted = [trio for trio in found if self._end_trio(trio, verb, by=result.signal.trio_source)]
        if not acted:
            self._end_nothing(result)
            return
        outcome = Outcome.CLOSING if verb is Verb.CLOSE else Outcome.CANCELLING
        result_end(result.pk, outcome, facts={"trios": ", ".join(str(trio.pk) for trio in acted)})

    def _end_trio(self, trio: TrioOrder, verb: Verb, *, by: str) -> bool:
        """Wish a trio closed or cancelled and carry it forward; return whether there was one to wish it of."""
        try:
            if verb is Verb.CLOSE:
                services.trio_close(trio_id=trio.pk, by=by)
            else:
                services.trio_cancel(trio_id=trio.pk, by=by)
        except IllegalTransition:  # it has ended meanwhile
            return False
        self._advance(trio)
        return True

    def _advance(self, trio: TrioOrder) -> None:
        try:
            service().advance(trio.pk)
        except Exception:  # the wish is recorded: runworker carries it out
            logger.exception("trio %s: carrying out a wish raised", trio.pk)

    def _end_nothing(self, result: SignalResult) -> None:
        facts = {"verb": result.signal.verb, "symbol": result.signal.symbol}
        result_end(result.pk, Outcome.NOTHING_TO_DO, kind=RefusalKind.NOTHING_THERE, facts=facts)

    # --- changing what is there -----------------------------------------------------------------------

    def _change(self, result: SignalResult, verb: Verb) -> None:
        """Add to, reduce or move the newest open trio of the source on the symbol, on the side that the signal names."""
        signal = result.signal
        found = [
            trio
            for trio in own_trios(result)
            if trio.trio_state is TrioState.OPEN and signal.side in ("", trio.side)
        ]
        if not found:
            self._end_nothing(result)
            return
        trio = found[-1]
        if signal.dry_run:
            result_end(result.pk, Outcome.DRY_RUN, facts={"trios": str(trio.pk)})
            return
        try:
            self._wish(trio, verb, result)
        except SignalRefused as refused:
            result_end(result.pk, Outcome.REFUSED, kind=refused.kind, facts=refused.facts)
            return
        except (OrdersError, ExchangeError, AccountsError) as error:
            facts = {"text": str(error)}
            result_end(result.pk, Outcome.REFUSED, kind=RefusalKind.CHANGE_REFUSED, facts=facts)
            return
        self._advance(trio)
        outcome = Outcome.CLOSING if verb is Verb.REDUCE and the_close_wanted(trio) else Outcome.CHANGING
        result_end(result.pk, outcome, facts={"trios": str(trio.pk)})

    def _wish(self, trio: TrioOrder, verb: Verb, result: SignalResult) -> None:
        """Record the wish, once: it bears the result's number. Raises SignalRefused, OrdersError."""
        terms, by = Terms.from_json(result.signal.terms), result.signal.trio_source
        reference = f"signal {result.pk}"
        if verb is Verb.MOVE:
            self._move(trio, terms, by=by)
            return
        assert terms.size is not None  # a post without one is refused at the door
        quantity = terms.size.value
        if verb is Verb.ADD:
            services.trio_add(trio_id=trio.pk, quantity=quantity, by=by, reference=reference)
        elif quantity >= services.position_of(trio.pk):
            services.trio_close(trio_id=trio.pk, by=by)
        else:
            services.trio_close_part(trio_id=trio.pk, quantity=quantity, by=by, reference=reference)

    def _move(self, trio: TrioOrder, terms: Terms, *, by: str) -> None:
        """Move its levels; a stop-loss only nearer."""
        if terms.stop is not None:
            agreed, level = trio.stop_loss, terms.stop.value
            if agreed is not None and (level < agreed if trio.side == Side.BUY else level > agreed):
                raise SignalRefused(RefusalKind.LOOSER, trio=str(trio.pk), agreed=plain(agreed))
            if level != agreed:
                services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=level, by=by)
        if terms.target is not None and terms.target.value != trio.take_profit:
            services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=terms.target.value, by=by)

    # --- entering -------------------------------------------------------------------------------------

    def _may_enter(self, result: SignalResult) -> bool:
        """Is nothing of this source in the way? By its policy what is goes first, or the signal is let go."""
        signal = result.signal
        opposite = [
            trio for trio in own_trios(result) if trio.side != signal.side and in_the_way(trio, signal)
        ]
        if not opposite:
            return True
        policy, trio = policy_of(signal), opposite[0]
        if policy is Policy.IGNORE or signal.dry_run:
            facts = {"trio": str(trio.pk), "policy": policy.words}
            result_end(result.pk, Outcome.SLOT_TAKEN, kind=RefusalKind.POLICY, facts=facts)
            return False
        for one in opposite:
            if one.close_wanted_at is None:
                self._end_trio(one, Verb.CLOSE, by=signal.trio_source)
        if policy is Policy.CLOSE:
            result_end(result.pk, Outcome.CLOSING, facts={"trios": str(trio.pk)})
            return False
        # It enters once the other is closed and its side is flat; until then this result stays pending.
        return not TrioOrder.objects.filter(pk__in=[one.pk for one in opposite], holds_slot=True).exists()

    def _enter(self, results: Sequence[SignalResult]) -> None:
        intents = []
        for result in results:
            try:
                intents.append(intent_of(result))
            except TermsError as error:
                result_end(
                    result.pk, Outcome.REFUSED, kind=RefusalKind.ORDER_REFUSED, facts={"text": str(error)}
                )
        for execution in OrderExecutor(self._account, by=BY).execute(intents):
            self._end(execution)

    def _end(self, execution: Execution) -> None:
        result_id = execution.intent.result_id
        assert result_id is not None
        refused = execution.refused
        if refused is not None:
            if refused.kind is RefusalKind.CLAIMED:
                return
            result_end(result_id, _outcome_of(refused), kind=refused.kind, facts=refused.facts)
        elif execution.trio_id is None:
            result_end(result_id, Outcome.DRY_RUN, facts=execution.planned)
        else:
            result_end(result_id, Outcome.PLACED)

    def _carry_on(self, result: SignalResult) -> None:
        """Queue and place a draft that was made and left behind."""
        trio = result.trio
        assert trio is not None
        refused = OrderExecutor(self._account, by=BY).carry_on(trio)
        if refused is None:
            result_end(result.pk, Outcome.PLACED)
        else:
            result_end(result.pk, _outcome_of(refused), kind=refused.kind, facts=refused.facts)

    def _end_too_late(self, result: SignalResult, now: datetime) -> None:
        until = result.signal.act_before
        late_ms = (now - until) // timedelta(milliseconds=1)
        facts = {"until": f"{until:%Y-%m-%d %H:%M:%S} UTC", "late_ms": str(late_ms)}
        result_end(result.pk, Outcome.TOO_LATE, kind=RefusalKind.TOO_LATE, facts=facts)


def the_close_wanted(trio: TrioOrder) -> bool:
    return TrioOrder.objects.filter(pk=trio.pk, close_wanted_at__isnull=False).exists()


CANCELLABLE = frozenset({TrioState.QUEUED, TrioState.PLACING, TrioState.WORKING, TrioState.OPEN})


def _outcome_of(refused: SignalRefused) -> Outcome:
    return Outcome.SLOT_TAKEN if refused.kind is RefusalKind.SLOT_TAKEN else Outcome.REFUSED


def own_trios(result: SignalResult) -> list[TrioOrder]:
    """Return the trios of the signal's source on its account and symbol that were there before it, oldest first.

    One that was placed after the signal came is none of its business: the signal may be late.
    """
    signal = result.signal
    trios = TrioOrder.objects.filter(
        account=result.account_id,
        symbol__symbol=signal.symbol,
        source=signal.trio_source,
        holds_slot=True,
        queued_at__lte=signal.received_at,
    )
    return list(trios.order_by("pk"))


def in_the_way(trio: TrioOrder, signal: Signal) -> bool:
    """Does a trio of the other side hold the very slot? In hedge mode both sides have one."""
    hedged = trio.position_side != "BOTH"
    return not hedged or Verb(signal.verb) is Verb.REVERSE


def policy_of(signal: Signal) -> Policy:
    """Return what the signal's source does when its slot is taken."""
    if signal.origin != Origin.WEBHOOK:
        return Policy.IGNORE
    found = HookSource.objects.filter(name=signal.source).values_list("policy", flat=True).first()
    return Policy(found) if found else Policy.IGNORE


def intent_of(result: SignalResult) -> Intent:
    """Return what a result's signal wants on its account. Raises TermsError."""
    signal = result.signal
    atr = signal.figures.get("atr")
    terms = Terms.from_json(signal.terms)
    if terms.size is None:
        rule = SizingRule.objects.filter(account=result.account_id).first()
        terms = replace(terms, size=None if rule is None else rule.size)
    return Intent(
        symbol=signal.symbol,
        side=Side(signal.side),
        terms=terms,
        atr=decimal("atr", atr) if atr else None,
        source=signal.trio_source,
        place_before=signal.act_before,
        result_id=result.pk,
        dry_run=signal.dry_run,
    )

"""Executing signals: what each wants, on each of its accounts, by the one OrderExecutor.

Safe to run twice, at once, or never: what is to be done stands in the results, and each is claimed before a trio is
made for it. An account that fails leaves the others.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from django.db import connection

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders import services
from orders.domain.enums import TrioState
from orders.exchange_data.clock import db_now
from orders.placement.service import service
from signals.domain.enums import Outcome, Verb
from signals.domain.refusals import RefusalKind
from signals.domain.terms import Terms, TermsError, decimal
from signals.models import SignalResult
from signals.services import result_end, results_pending, signals_end
from worker.order_executor import Execution, Intent, OrderExecutor

logger = logging.getLogger(__name__)

AT_ONCE_MAX = 8  # accounts


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
    """What some signals want on one account."""

    def __init__(self, account: ExchangeAccount) -> None:
        self._account = account

    def run(self, results: Iterable[SignalResult]) -> None:
        now = db_now()
        entering: list[SignalResult] = []
        for result in results:
            if now >= result.signal.act_before:
                self._end_too_late(result, now)
            elif result.trio is not None:  # whoever drafted it is gone, or at it
                self._queue(result)
            elif Verb(result.signal.verb) is Verb.ENTER:
                entering.append(result)
            else:
                result_end(
                    result.pk,
                    Outcome.NOT_SUPPORTED,
                    kind=RefusalKind.NOT_SUPPORTED,
                    facts={"verb": result.signal.verb},
                )
        self._enter(entering)

    def _enter(self, results: Sequence[SignalResult]) -> None:
        intents = []
        for result in results:
            try:
                intents.append(intent_of(result))
            except TermsError as error:
                result_end(
                    result.pk, Outcome.REFUSED, kind=RefusalKind.ORDER_REFUSED, facts={"text": str(error)}
                )
        for execution in OrderExecutor(self._account, by="signal").execute(intents):
            self._end(execution)

    def _end(self, execution: Execution) -> None:
        result_id = execution.intent.result_id
        assert result_id is not None
        refused = execution.refused
        if refused is not None:
            if refused.kind is RefusalKind.CLAIMED:
                return
            taken = refused.kind is RefusalKind.SLOT_TAKEN
            outcome = Outcome.SLOT_TAKEN if taken else Outcome.REFUSED
            result_end(result_id, outcome, kind=refused.kind, facts=refused.facts)
        elif execution.trio_id is None:
            result_end(result_id, Outcome.DRY_RUN, facts=execution.planned)
        else:
            result_end(result_id, Outcome.PLACED)

    def _queue(self, result: SignalResult) -> None:
        """Queue and place a draft that was made and left behind."""
        trio = result.trio
        assert trio is not None
        if trio.trio_state is TrioState.DRAFT:
            (queued,) = services.trios_queue([trio.pk], by="signal")
            if queued.error is not None:
                result_end(
                    result.pk,
                    Outcome.REFUSED,
                    kind=RefusalKind.ORDER_REFUSED,
                    facts={"text": str(queued.error)},
                )
                return
            service().advance(trio.pk)
        result_end(result.pk, Outcome.PLACED)

    def _end_too_late(self, result: SignalResult, now: datetime) -> None:
        until = result.signal.act_before
        late_ms = (now - until) // timedelta(milliseconds=1)
        facts = {"until": f"{until:%Y-%m-%d %H:%M:%S} UTC", "late_ms": str(late_ms)}
        result_end(result.pk, Outcome.TOO_LATE, kind=RefusalKind.TOO_LATE, facts=facts)


def intent_of(result: SignalResult) -> Intent:
    """Return what a result's signal wants on its account. Raises TermsError."""
    signal = result.signal
    atr = signal.figures.get("atr")
    return Intent(
        symbol=signal.symbol,
        side=Side(signal.side),
        terms=Terms.from_json(signal.terms),
        atr=decimal("atr", atr) if atr else None,
        source=signal.trio_source,
        place_before=signal.act_before,
        result_id=result.pk,
        dry_run=signal.dry_run,
    )

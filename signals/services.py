"""The verbs on signals: record one, claim its work on an account, note what became of it.

Each is one short transaction. Inserting a signal is the claim on its bar or post; a result that is PENDING and names
no trio is the claim on an account's part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts.models import ExchangeAccount
from exchange.types import Side
from infrastructure.rows import row_insert, row_insert_once
from orders.domain.enums import TrioState
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from signals.domain.enums import Origin, Outcome, Status, Verb
from signals.domain.refusals import Facts, RefusalKind
from signals.domain.terms import Terms
from signals.models import Signal, SignalResult

ENDED = """
    UPDATE signals_signal signal SET status = 'DONE', done_at = clock_timestamp()
    WHERE signal.id = ANY (%s) AND signal.status = 'WAITING' AND NOT EXISTS (
        SELECT FROM signals_signalresult WHERE signal_id = signal.id AND outcome = 'PENDING')
"""

WAITING = """
    SELECT id FROM signals_signal
    WHERE status = 'WAITING' AND received_at <= clock_timestamp() - %s * interval '1 second'
    ORDER BY id LIMIT 200
"""


def signal_record(
    *,
    origin: Origin,
    source: str,
    key: str,
    symbol: str,
    accounts: Collection[ExchangeAccount],
    act_before: datetime,
    verb: Verb = Verb.ENTER,
    side: Side | None = None,
    terms: Terms | None = None,
    reason: str = "",
    figures: Mapping[str, str] | None = None,
    timeframe: str = "",
    bar_open_ts: int | None = None,
    dry_run: bool = False,
) -> tuple[Signal, bool]:
    """Record a decision with a pending result for each account; return it, and whether it is new.

    The same key of the same source again returns the first one and changes nothing.
    """
    signal = Signal(
        origin=origin,
        source=source,
        key=key,
        symbol=symbol,
        verb=verb,
        side=side or "",
        terms=(terms or Terms()).as_json(),
        reason=reason,
        figures=dict(figures or {}),
        timeframe=timeframe,
        bar_open_ts=bar_open_ts,
        dry_run=dry_run,
        received_at=db_now(),
        act_before=act_before,
    )
    if not accounts:  # there is nothing to wait for
        signal.status, signal.done_at = Status.DONE, signal.received_at
    with transaction.atomic():
        if not row_insert_once(signal):
            return Signal.objects.get(origin=origin, source=source, key=key), False
        for account in accounts:
            row_insert(SignalResult(signal=signal, account=account))
    return signal, True


def drafts_claim(drafts: Mapping[int, TrioOrder]) -> set[int]:
    """Save the draft of each of these results and name it there, in one transaction; return those that were free.

    A result that has ended, or that names a trio, is somebody else's: its draft is not saved.
    """
    with transaction.atomic():
        free = set(
            SignalResult.objects.select_for_update()
            .filter(pk__in=drafts, outcome=Outcome.PENDING, trio=None)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
        TrioOrder.objects.bulk_create([draft for result, draft in drafts.items() if result in free])
        named = [SignalResult(pk=result, trio=draft) for result, draft in drafts.items() if result in free]
        SignalResult.objects.bulk_update(named, ["trio"])
    return free


def result_end(
    result_id: int, outcome: Outcome, *, kind: RefusalKind | None = None, facts: Facts | None = None
) -> Outcome:
    """Note what became of a signal on an account; return what stands there now. A result ends once.

    Where its trio is still a draft and the outcome is none that keeps it, the draft goes in the same transaction. Where
    another process has placed that trio, it is placed, whatever this one has to say.
    """
    with transaction.atomic():
        result = SignalResult.objects.select_for_update().get(pk=result_id)
        if result.outcome != Outcome.PENDING:
            return Outcome(result.outcome)
        trio = None
        if result.trio_id is not None:
            trio = TrioOrder.objects.select_for_update().get(pk=result.trio_id)
        if trio is not None and trio.state == TrioState.DRAFT and outcome is not Outcome.PLACED:
            result.trio = None
        elif trio is not None and trio.state != TrioState.DRAFT:
            outcome = _outcome_of(trio)
            kind, facts = None, None
            if outcome is Outcome.REFUSED:
                kind, facts = RefusalKind.ORDER_REFUSED, {"text": trio.reason}
        result.outcome = outcome
        result.refusal = kind.value if kind is not None else ""
        result.facts = dict(facts or {})
        result.at = db_now()
        result.save()
        if trio is not None and result.trio_id is None:
            trio.delete()
    return outcome


def result_superseded(result_id: int, *, by: Signal, facts: Facts | None = None) -> bool:
    """End a result because a later signal of its source undoes it; return whether it is ended, with nothing placed for it.

    Where a trio was made of it meanwhile it goes on. ``facts``: what was done all the same.
    """
    with transaction.atomic():
        result = SignalResult.objects.select_for_update().get(pk=result_id)
        if result.trio_id is not None or result.outcome != Outcome.PENDING:
            return result.trio_id is None
        result.outcome, result.refusal = Outcome.NOTHING_TO_DO, RefusalKind.SUPERSEDED.value
        result.facts, result.at = {"signal": str(by.pk), "verb": by.verb, **(facts or {})}, db_now()
        result.save()
    return True


def _outcome_of(trio: TrioOrder) -> Outcome:
    """What a trio that is no draft any more means for its signal."""
    match trio.trio_state:
        case TrioState.REFUSED:
            return Outcome.REFUSED
        case TrioState.DRY_RUN:
            return Outcome.DRY_RUN
        case _:
            return Outcome.PLACED


def signals_end(signal_ids: Iterable[int]) -> None:
    """Mark those of these signals as done whose accounts all have an outcome."""
    with connection.cursor() as cursor:
        cursor.execute(ENDED, [list(signal_ids)])


def signals_waiting(*, for_seconds: float = 0) -> list[int]:
    """Return the signals that wait for so long to be executed, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING, [for_seconds])
        return [signal_id for (signal_id,) in cursor.fetchall()]


def results_pending(signal_ids: Collection[int]) -> list[SignalResult]:
    """Return what is still to be done for these signals, oldest first, with signal, account and trio.

    What their sources wanted before of the same symbol and account comes with it: it is carried out first.
    """
    pending: Any = SignalResult.objects.filter(outcome=Outcome.PENDING)
    same: Any = {
        name: OuterRef(name) for name in ("account", "signal__origin", "signal__source", "signal__symbol")
    }
    asked = pending.filter(signal__in=signal_ids, signal_id__gte=OuterRef("signal_id"), **same)
    found = pending.filter(Exists(asked), signal__status=Status.WAITING)
    return list(found.select_related("signal", "account", "trio").order_by("signal_id", "id"))

"""One verb on many trios: begun from rows, some at a time, so that it can be watched and stopped, and outlives who asked.

Each trio's part is claimed in a statement of its own before anything of it is done. Stopping claims what is left the same
way: each part is either begun or taken back, never both. A part whose process died is begun again; what it had asked stands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from django.db import InterfaceError, OperationalError, connection, transaction

from infrastructure.rows import fetch_all
from orders import services
from orders.domain.enums import BulkEnd, BulkVerb, TrioState
from orders.domain.errors import OrdersError, RuleBroken, TrioRefused
from orders.exchange_data.clock import db_now
from orders.models import BulkItem, BulkRun, TrioOrder
from orders.queueing.queue import QueueResult

logger = logging.getLogger(__name__)

AT_ONCE: Final = 10  # what goes on although somebody stops it in that moment
GIVEN_UP_SECONDS: Final = 30  # whoever had begun it by then is gone
FAULT: Final = (
    "A fault of ours kept it from being carried out; the log says which. Look at it, then ask for it again."
)
EXITS: Final = (BulkVerb.CLOSE, BulkVerb.CANCEL)
DUE: Final = """
    SELECT run.id FROM orders_bulkrun run JOIN (
        SELECT DISTINCT item.run_id FROM orders_bulkitem item
        WHERE item."end" = '' AND (item.begun_at IS NULL OR item.begun_at < clock_timestamp() - %s * interval '1 second')
    ) open ON open.run_id = run.id
    WHERE run.verb = ANY (%s) ORDER BY run.verb = 'PLACE', run.id LIMIT 100
"""
CLAIM: Final = """
    WITH open AS MATERIALIZED (
        SELECT id FROM orders_bulkitem WHERE run_id = %s AND "end" = ''
          AND (begun_at IS NULL OR begun_at < clock_timestamp() - %s * interval '1 second')
        ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
    )
    UPDATE orders_bulkitem item SET begun_at = clock_timestamp(), tries = tries + 1 FROM open WHERE item.id = open.id
    RETURNING item.id
"""
GIVEN_BACK: Final = """
    UPDATE orders_bulkitem SET begun_at = NULL, tries = tries - 1 WHERE id = ANY (%s) AND "end" = ''
"""
LEFT: Final = """
    UPDATE orders_bulkitem SET "end" = 'TAKEN_BACK', ended_at = clock_timestamp()
    WHERE run_id = %s AND "end" = '' AND begun_at IS NULL
"""


def bulk_begin(
    verb: BulkVerb,
    trio_ids: Iterable[int],
    *,
    by: str,
    person_id: int | None = None,
    seen: Mapping[int, Mapping[str, str]] | None = None,
    refused: Mapping[int, OrdersError] | None = None,
) -> BulkRun:
    """Record what is asked of these trios; nothing of it is done yet (``bulk_carry``).

    ``seen``: drafts as the person saw them who places them (``spec_shown``). ``refused``: of which it is known already.
    """
    seen, refused = seen or {}, refused or {}
    now = db_now()
    with transaction.atomic():
        run = BulkRun.objects.create(verb=verb, wanted_at=now, wanted_by=by, person_id=person_id)
        items = [BulkItem(run=run, trio_id=trio_id, seen=seen.get(trio_id)) for trio_id in trio_ids]
        for item in items:
            if item.trio_id in refused:
                _refuse(item, refused[item.trio_id])
                item.ended_at = now
        BulkItem.objects.bulk_create(items)
    return run


def bulks_due(verbs: Collection[BulkVerb] = tuple(BulkVerb)) -> list[int]:
    """Return the runs of which something is to be done: first those that take risk away."""
    return [row[0] for row in fetch_all(DUE, GIVEN_UP_SECONDS, [verb.value for verb in verbs])]


def bulk_carry(
    run_id: int, *, for_seconds: float | None = None, stopping: Callable[[], bool] = lambda: False
) -> None:
    """Do what is left of a run, some trios at a time, unless it is stopped; ``for_seconds``: claim nothing after that.

    Any number of processes may do this at once. ``stopping``: whether this one is about to end; what it has claimed and not
    begun is then anybody's again.
    """
    until = None if for_seconds is None else time.monotonic() + for_seconds
    while not stopping() and (items := _claimed(run_id)):
        _do(BulkRun.objects.get(pk=run_id), items, stopping)
        if until is not None and time.monotonic() >= until:
            return


def bulk_stop(run_id: int, *, by: str) -> BulkRun:
    """Take back what is not begun: parts of the run, and trios of it that wait to be placed. What lives stays as it is."""
    with transaction.atomic():
        run = BulkRun.objects.select_for_update().get(pk=run_id)
        if run.stopped_at is None:
            run.stopped_at, run.stopped_by = db_now(), by
            run.save(update_fields=["stopped_at", "stopped_by"])
        with connection.cursor() as cursor:
            cursor.execute(LEFT, [run_id])
    _waiting_taken_back(run)
    return run


def _claimed(run_id: int) -> list[BulkItem]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [run_id, GIVEN_UP_SECONDS, AT_ONCE])
        ids = [row[0] for row in cursor.fetchall()]
    return list(BulkItem.objects.filter(pk__in=ids).select_related("trio").order_by("pk"))


def _do(run: BulkRun, items: Sequence[BulkItem], stopping: Callable[[], bool]) -> None:
    verb = BulkVerb(run.verb)
    again = [item for item in items if item.tries > 1 and _stands_already(verb, item.trio)]
    for item in again:
        _end(item, BulkEnd.ASKED)
    rest = [item for item in items if item not in again]
    if run.stopped_at is not None:  # nothing was done with them yet
        for item in rest:
            _end(item, BulkEnd.TAKEN_BACK)
        return
    if verb is BulkVerb.PLACE:
        _place(run, rest)
        run.refresh_from_db(fields=["stopped_at", "stopped_by"])
        if run.stopped_at is not None:
            _waiting_taken_back(run)
        return
    ask: Callable[..., TrioOrder] = {
        BulkVerb.CANCEL: services.trio_cancel,
        BulkVerb.CLOSE: services.trio_close,
    }[verb]
    for place, item in enumerate(rest):
        if stopping():
            _give_back(rest[place:])
            return
        try:
            ask(trio_id=item.trio_id, by=run.wanted_by)
        except InterfaceError:  # there is no database to write to
            raise
        except Exception as error:
            _refuse(item, error)
            _end(item, BulkEnd.REFUSED)
        else:
            _end(item, BulkEnd.ASKED)


def _give_back(items: Sequence[BulkItem]) -> None:
    """Let others begin at once what this process has claimed and not begun."""
    with connection.cursor() as cursor:
        cursor.execute(GIVEN_BACK, [[item.pk for item in items]])


def _stands_already(verb: BulkVerb, trio: TrioOrder) -> bool:
    """Was it asked by the process that had begun it, and is gone?"""
    if verb is BulkVerb.PLACE:
        return trio.queued_at is not None
    wanted_at = trio.cancel_wanted_at if verb is BulkVerb.CANCEL else trio.close_wanted_at
    return wanted_at is not None or trio.is_over


def _place(run: BulkRun, items: Sequence[BulkItem]) -> None:
    """Queue these as one set: what it needs of the exchange is read once. Where that meets a fault of ours, each by itself."""
    seen = {item.trio_id: item.seen or {} for item in items}
    try:
        results = services.trios_queue([item.trio_id for item in items], by=run.wanted_by, seen=seen)
    except (InterfaceError, OperationalError):  # there is no database to write to
        raise
    except Exception as error:
        if len(items) > 1:
            logger.exception("bulk run %s: a set could not be queued; each is tried by itself", run.pk)
            for item in items:
                _place(run, [item])
            return
        (item,) = items
        if _stands_already(BulkVerb.PLACE, TrioOrder.objects.get(pk=item.trio_id)):
            _end(item, BulkEnd.ASKED)
            return
        results = [QueueResult(item.trio_id, error=error)]
    for item, result in zip(items, results, strict=True):
        if result.error is None:
            _end(item, BulkEnd.ASKED)
        else:
            _refuse(item, result.error)
            _end(item, BulkEnd.REFUSED)


def _waiting_taken_back(run: BulkRun) -> None:
    """Withdraw the trios that this run has queued and that nobody has begun to place."""
    if run.verb != BulkVerb.PLACE:
        return
    begun = run.items.filter(begun_at__isnull=False, trio__state=TrioState.QUEUED)
    for item in begun.exclude(end__in=(BulkEnd.REFUSED, BulkEnd.TAKEN_BACK)):
        if services.trio_take_back(trio_id=item.trio_id, by=run.stopped_by):
            BulkItem.objects.filter(pk=item.pk).update(end=BulkEnd.TAKEN_BACK, ended_at=db_now())


def _refuse(item: BulkItem, error: Exception) -> None:
    if isinstance(error, OperationalError):
        error = TrioRefused("Somebody else holds it now. Nothing was done with it: try again.")
    elif not isinstance(error, OrdersError):
        logger.error("bulk run %s: trio %s met a fault", item.run_id, item.trio_id, exc_info=error)
        error = TrioRefused(FAULT)
    item.end, item.refused_text = BulkEnd.REFUSED, str(error)
    item.refused_field = error.field if isinstance(error, RuleBroken) else ""


def _end(item: BulkItem, end: BulkEnd) -> None:
    """Write how a part ended, unless it was taken back meanwhile."""
    item.end, item.ended_at = end, db_now()
    BulkItem.objects.filter(pk=item.pk, end="").update(
        end=item.end,
        ended_at=item.ended_at,
        refused_field=item.refused_field,
        refused_text=item.refused_text,
    )

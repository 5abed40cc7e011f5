"""Queue a set of trios: read once for all, decide for each, write all in one transaction.

What the exchange is asked is asked before that transaction. In it the trios' rows are locked in the order of their
ids, and everything our books say is read anew: a decision rests on nothing that may have changed meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import Error, IntegrityError, OperationalError, connection
from psycopg2 import errors

from accounts.errors import AccountsError
from accounts.symbol_settings import symbol_settings_apply
from exchange.types import ZERO
from infrastructure import job_queue
from infrastructure.rows import Read, fetch_all
from orders import jobs, risk_gates
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.errors import OrdersError, SlotTaken, TrioRefused
from orders.models import Slot, TrioOrder
from orders.queueing.check import (
    draft_check,
    gates_check,
    limits_check,
    rules_check,
    setting_problem,
    slot_check,
    slot_of,
)
from orders.queueing.market import Funds, Prices, Reading, readings
from orders.queueing.surroundings import Surroundings, surroundings
from orders.specs import FILTERS
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction

PLACE_BEFORE_SECONDS = 60
SET_WAITS_SECONDS = 1  # then each of the set waits for itself
IN_A_JOB = 8  # of a set: a job costs more than placing one of its trios does
JOB_HEAD_START_MS = 500
AT_ONCE_MAX = 50  # so that a transaction is never idle for long while it decides
QUEUEING: Final = 0x7472_7175  # the family of our advisory locks on accounts whose margin is being promised
MARGIN_STEP: Final = Decimal("1E-8")
READ = """
    SELECT {trio}, {account}, {symbol} FROM orders_trioorder trio
    JOIN accounts_exchangeaccount account ON account.id = trio.account_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    WHERE trio.id = ANY (%s)
"""
COLUMNS_READ: Final = {
    "account": {
        *("name", "environment", "is_active", "can_trade", "position_mode", "multi_assets_since"),
        *("setting_change", "setting_changed_at"),
        *("restriction", "restriction_code", "restriction_text", "restricted_at", "held_at", "held_by"),
    },
    "symbol": {"environment", "symbol", "status", "margin_asset", *FILTERS},
}
DRAFTS = Read(TrioOrder, READ, only=COLUMNS_READ)
# Accounts first, so that nobody else promises the same margin meanwhile; then the rows, in one order everywhere.
LOCK = """
    SELECT pg_advisory_xact_lock(%s, account_id::int) FROM (
        SELECT DISTINCT account_id FROM orders_trioorder WHERE id = ANY (%s) ORDER BY account_id
    ) AS accounts;
    SELECT FROM orders_trioorder WHERE id = ANY (%s) ORDER BY id FOR UPDATE;
"""
LOCKED = Read(TrioOrder, LOCK + READ, only=COLUMNS_READ)
WRITE = """
    WITH queued AS (
        UPDATE orders_trioorder trio
        SET state = %(state)s, slot_id = new.slot_id, holds_slot = true, margin_promised = new.margin, checked_mark = new.mark,
            queued_at = %(now)s, place_before = coalesce(trio.place_before, %(place_before)s), wake_at = %(wake_at)s, updated_at = %(now)s
        FROM unnest(%(trios)s::bigint[], %(slots)s::bigint[], %(margins)s::numeric[], %(marks)s::numeric[])
            AS new (id, slot_id, margin, mark)
        WHERE trio.id = new.id
    )
    INSERT INTO orders_trioevent (trio_id, at, kind, text, data)
    SELECT id, %(now)s, 'state', %(text)s, %(data)s::jsonb FROM unnest(%(trios)s::bigint[]) AS new (id)
"""
SLOTS = """
    SELECT slot.id, slot.account_id, slot.symbol, slot.position_side FROM orders_slot slot
    JOIN unnest(%s::bigint[], %s::text[], %s::text[]) AS wanted (account_id, symbol, position_side)
      USING (account_id, symbol, position_side)
"""
SlotKey = tuple[int, str, str]
Purse = tuple[int, str]  # account and asset; one for all assets in multi-assets mode


@dataclass(frozen=True, slots=True)
class QueueResult:
    """What became of one trio of a set: it is queued, or ``error`` says why not."""

    trio_id: int
    trio: TrioOrder | None = None  # as it was queued
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft that may be placed as far as the gates go, with what the exchange was asked for it."""

    draft: TrioOrder
    reading: Reading


@dataclass(frozen=True, slots=True)
class Accepted:
    """A trio that is to be queued, in its slot, with the margin it is promised."""

    trio: TrioOrder
    slot_id: int | None
    margin: Decimal
    mark: Decimal | None  # the price it was checked at
    now: datetime  # the database's clock, read after its row was locked

    @property
    def key(self) -> SlotKey:
        return self.trio.account_id, self.trio.symbol.symbol, self.trio.position_side

    @property
    def purse(self) -> Purse:
        return purse_of(self.trio)


def trios_queue(
    trio_ids: Iterable[int],
    *,
    by: str,
    seen: Mapping[int, Mapping[str, str]] | None = None,
    known: Mapping[int, Reading] | None = None,
    funds: Mapping[int, Funds] | None = None,
    prices: Mapping[str, Prices] | None = None,
) -> list[QueueResult]:
    """Accept drafts for placement and ring the queue once for all; return in their order what became of each.

    One that is refused stops no other. Margin is promised from trio to trio, in their order.
    ``seen``: drafts as the person saw them who places them (``spec_shown``). ``known``: what was read for a trio
    already; ``funds``: what an account has; ``prices``: mark prices that were read already, by environment. Raises only what concerns all of them: no database.
    """
    queueing = _Queueing(by, seen or {}, prices or {})
    return queueing.run(list(dict.fromkeys(trio_ids)), known or {}, funds or {})


class _Queueing:
    """One set on its way."""

    def __init__(self, by: str, seen: Mapping[int, Mapping[str, str]], prices: Mapping[str, Prices]) -> None:
        self._by = by
        self._seen = seen
        self._prices = prices
        self._results: dict[int, QueueResult] = {}
        self._reserved: dict[Purse, Decimal] = {}  # by those that are queued
        self._queued: set[int] = set()

    def run(
        self, trio_ids: Sequence[int], known: Mapping[int, Reading], funds: Mapping[int, Funds]
    ) -> list[QueueResult]:
        candidates = self._candidates(trio_ids, known, funds)
        for start in range(0, len(candidates), AT_ONCE_MAX):
            some = candidates[start : start + AT_ONCE_MAX]
            wait_seconds = PERSON_WAITS_SECONDS if len(candidates) == 1 else SET_WAITS_SECONDS
            try:
                self._queue(some, wait_seconds=wait_seconds)
            except (IntegrityError, OperationalError) as error:
                if not (_slot_was_taken(error) or _lock_was_held(error)):
                    raise
                self._one_by_one(some, error, alone=len(candidates) == 1)
        return [self._results[trio_id] for trio_id in trio_ids]

    def _refuse(self, trio_id: int, error: Exception) -> None:
        self._results[trio_id] = QueueResult(trio_id, error=error)

    def _passing(self, drafts: Iterable[TrioOrder], check: Callable[[TrioOrder], object]) -> list[TrioOrder]:
        """Return the drafts that pass a check; note the refusals of the others."""
        found = []
        for draft in drafts:
            try:
                check(draft)
            except OrdersError as error:
                self._refuse(draft.pk, error)
            else:
                found.append(draft)
        return found

    # --- before the transaction -------------------------------------------------------------------

    def _candidates(
        self, trio_ids: Sequence[int], known: Mapping[int, Reading], funds: Mapping[int, Funds]
    ) -> list[Candidate]:
        """Return the drafts that pass the gates, with what the exchange says; it is asked for no other."""
        found = {trio.pk: trio for trio in DRAFTS.all(list(trio_ids))}
        for trio_id in trio_ids:
            if trio_id not in found:
                self._refuse(trio_id, _no_trio(trio_id))
        drafts = [found[trio_id] for trio_id in trio_ids if trio_id in found]
        drafts = self._passing(drafts, lambda draft: draft_check(draft, self._seen.get(draft.pk)))
        if not drafts:
            return []
        near = dict(zip(drafts, surroundings(drafts), strict=True))
        self._apply_settings(near)
        drafts = [draft for draft in drafts if draft.pk not in self._results]
        drafts = self._passing(drafts, lambda draft: gates_check(draft, near[draft]))
        unread = [draft for draft in drafts if draft.pk not in known]
        around = [near[draft] for draft in unread]
        read = readings(unread, around, funds=funds, prices=self._prices) if unread else []
        said = {**known, **{draft.pk: reading for draft, reading in zip(unread, read, strict=True)}}
        candidates = []
        for draft in drafts:
            reading = said[draft.pk]
            if isinstance(reading, Reading):
                candidates.append(Candidate(draft, reading))
            else:
                self._refuse(draft.pk, reading)
        return candidates

    def _apply_settings(self, near: Mapping[TrioOrder, Surroundings]) -> None:
        """Set the leverage and margin type that are wanted, before a symbol's first trio."""
        tried: dict[tuple[int, str], TrioRefused | None] = {}
        for draft, around in near.items():
            # Never while something is open: the gates refuse the mismatch.
            if around.is_lived_on or not setting_problem(draft, around):
                continue
            key = draft.account_id, draft.symbol.symbol
            if key not in tried:
                tried[key] = _settings_applied(draft)
            if (refusal := tried[key]) is not None:
                self._refuse(draft.pk, refusal)

    # --- in one transaction -----------------------------------------------------------------------

    def _queue(self, candidates: Sequence[Candidate], *, wait_seconds: int) -> None:
        """Lock, read anew, decide, write. Nothing is queued when it raises."""
        ids = [candidate.draft.pk for candidate in candidates]
        with short_transaction(wait_seconds=wait_seconds):
            trios = {trio.pk: trio for trio in LOCKED.all(QUEUEING, ids, ids, ids)}
            standing = []
            for candidate in candidates:
                if candidate.draft.pk in trios:
                    standing.append(candidate)
                else:
                    self._refuse(candidate.draft.pk, _no_trio(candidate.draft.pk))
            accepted = self._decided(standing, trios)
            if accepted:
                self._write(accepted)
        for one in accepted:
            self._reserved[one.purse] = self._reserved.get(one.purse, ZERO) + one.margin
            self._queued.add(one.trio.pk)

    def _decided(self, candidates: Sequence[Candidate], trios: Mapping[int, TrioOrder]) -> list[Accepted]:
        """Decide about each, in their order, by what stands in the database now that their rows are locked."""
        if not candidates:
            return []
        locked = [trios[candidate.draft.pk] for candidate in candidates]
        counted = self._queued.union(*(candidate.reading.counted for candidate in candidates))
        near = surroundings(locked, counted=counted)
        reserved = dict(self._reserved)
        holders: dict[SlotKey, TrioOrder] = {}
        accepted: list[Accepted] = []
        for candidate, trio, around in zip(candidates, locked, near, strict=True):
            try:
                margin = self._checked(candidate, trio, around, reserved=reserved.get(purse_of(trio), ZERO))
                chosen = Accepted(
                    trio,
                    around.slot_id,
                    margin.quantize(MARGIN_STEP),
                    candidate.reading.mark_price,
                    around.now,
                )
                slot_check(trio, around, holders.get(chosen.key))
            except OrdersError as error:
                self._refuse(trio.pk, error)
                continue
            trio.state = next_state(trio.trio_state, Transition.QUEUED)
            reserved[chosen.purse] = reserved.get(chosen.purse, ZERO) + chosen.margin
            holders[chosen.key] = trio
            accepted.append(chosen)
        return accepted

    def _checked(
        self, candidate: Candidate, trio: TrioOrder, around: Surroundings, *, reserved: Decimal
    ) -> Decimal:
        """Return the margin it needs. Raises OrdersError when it may not be placed."""
        draft_check(trio, self._seen.get(trio.pk))
        draft = candidate.draft
        if (trio.updated_at, trio.quantity) != (draft.updated_at, draft.quantity):
            raise TrioRefused("The draft was changed while it was being checked. Look at it, then place it.")
        gates_check(trio, around)
        margin = rules_check(trio, around, candidate.reading, reserved=reserved)
        limits_check(trio, around, candidate.reading)
        if not around.worker_alive:
            raise TrioRefused(risk_gates.NO_WORKER)
        return margin

    def _write(self, accepted: Sequence[Accepted]) -> None:
        now = accepted[0].now
        slots = {one.key: one.slot_id for one in accepted if one.slot_id is not None}
        slots |= _slots_made([one.trio for one in accepted if one.slot_id is None])
        place_before = now + timedelta(seconds=PLACE_BEFORE_SECONDS)
        # The job is at it; if it got lost, runworker is. Of many, runworker takes its part at once.
        wake_at = now + timedelta(milliseconds=JOB_HEAD_START_MS if len(accepted) <= IN_A_JOB else 0)
        for one in accepted:
            trio = one.trio
            trio.slot_id, trio.holds_slot, trio.margin_promised = slots[one.key], True, one.margin
            trio.checked_mark = one.mark
            trio.queued_at = trio.updated_at = now
            trio.place_before = trio.place_before or place_before  # a signal's draft has one already
            trio.wake_at = wake_at
            self._results[trio.pk] = QueueResult(trio.pk, trio)
        values: dict[str, Any] = {
            "state": accepted[0].trio.state,
            "now": now,
            "place_before": place_before,
            "wake_at": wake_at,
            "trios": [one.trio.pk for one in accepted],
            "slots": [one.trio.slot_id for one in accepted],
            "margins": [one.margin for one in accepted],
            "marks": [one.mark for one in accepted],
            "text": f"DRAFT → QUEUED by {self._by}.",
            "data": json.dumps({"by": self._by}),
        }
        with connection.cursor() as cursor:
            cursor.execute(WRITE, values)
        ids = [one.trio.pk for one in accepted]
        job_queue.ring_all(
            jobs.place, [tuple(ids[start : start + IN_A_JOB]) for start in range(0, len(ids), IN_A_JOB)]
        )

    def _one_by_one(self, candidates: Sequence[Candidate], error: Error, *, alone: bool) -> None:
        """Queue each for itself, so that the one whose row or slot somebody else has keeps no other waiting."""
        for candidate in candidates:
            if not alone:
                try:
                    self._queue([candidate], wait_seconds=PERSON_WAITS_SECONDS)
                    continue
                except (IntegrityError, OperationalError) as own:
                    error = own
            draft = candidate.draft
            if _slot_was_taken(error):
                sentence = f"{slot_of(draft)} is taken by another trio. Wait until that one has ended."
                self._refuse(draft.pk, SlotTaken(sentence))
            elif not _lock_was_held(error):
                raise error
            elif alone:
                self._refuse(draft.pk, error)
            else:
                sentence = "Somebody else holds it now. Nothing was placed: try again."
                self._refuse(draft.pk, TrioRefused(sentence))


def purse_of(trio: TrioOrder) -> Purse:
    """Return what pays for a trio's margin."""
    return trio.account_id, trio.symbol.margin_asset if trio.account.multi_assets_since is None else ""


def _no_trio(trio_id: int) -> TrioOrder.DoesNotExist:
    return TrioOrder.DoesNotExist(f"There is no trio {trio_id}.")


def _settings_applied(draft: TrioOrder) -> TrioRefused | None:
    """Set what is wanted for a draft's symbol; return why that could not be done, if so."""
    try:
        symbol_settings_apply(draft.account, draft.symbol.symbol)
    except AccountsError as error:
        refusal = TrioRefused(f"{error} Nothing was placed.")
        refusal.__cause__ = error
        return refusal
    return None


def _slots_made(trios: Collection[TrioOrder]) -> dict[SlotKey, int]:
    """Make the slots of these trios, which are not there yet, and return them."""
    if not trios:
        return {}
    Slot.objects.bulk_create([slot_of(trio) for trio in trios], ignore_conflicts=True)
    wanted: list[list[Any]] = [
        [trio.account_id for trio in trios],
        [trio.symbol.symbol for trio in trios],
        [trio.position_side for trio in trios],
    ]
    return {(account, symbol, side): slot_id for slot_id, account, symbol, side in fetch_all(SLOTS, *wanted)}


def _slot_was_taken(error: Error) -> bool:
    """Did somebody else take the slot in the same moment, without the account's lock?"""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) == "slot_held_once"


def _lock_was_held(error: Error) -> bool:
    return isinstance(error.__cause__, errors.LockNotAvailable)

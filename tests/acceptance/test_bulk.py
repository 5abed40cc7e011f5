"""Many trios at once: what is in the air stays small enough to be covered in time, and the rest waits.

``BULK=84x6`` in the environment says how many trios over how many accounts; ``BULK_WORKERS=2`` how many runworkers.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from django.conf import settings

from accounts.models import ExchangeAccount
from accounts.services import paper_account_ensure
from infrastructure import job_queue
from orders import jobs, services
from orders.exchange_data.clock import db_now
from orders.models import Symbol, TrioOrder
from orders.placement import admission
from tests.acceptance.conftest import Stack, watched
from tests.builders import until

D = Decimal
TRIOS, ACCOUNTS = (int(number) for number in os.environ.get("BULK", "24x3").split("x"))
WORKERS: Final = int(os.environ.get("BULK_WORKERS", "1"))
PROTECTION: Final = os.environ.get("BULK_PROTECTION", "ON_FIRST_FILL")
PLACED: Final = ("OPEN", "WORKING", "CLOSED", "ROLLED_BACK", "REFUSED", "EXPIRED", "CANCELLED")


def accounts_made(stack: Stack) -> list[ExchangeAccount]:
    first = stack.account("bulk-0")
    rest = [paper_account_ensure(name=f"bulk-{number}") for number in range(1, ACCOUNTS)]
    return [first, *rest]


def drafts_made(stack: Stack, accounts: list[ExchangeAccount]) -> list[TrioOrder]:
    """Return drafts of market trios, each on a symbol and account of its own, all symbols at a price of 100."""
    wanted = -(-TRIOS // ACCOUNTS)
    fine = Symbol.objects.filter(
        environment="PAPER",
        status="TRADING",
        margin_asset="USDT",
        step_size__lte=1,
        tick_size__lte=D("0.1"),
        quantity_min__lte=2,
        market_quantity_min__lte=2,
        orders_max__gt=1,
    )
    symbols = list(fine.order_by("pk")[:wanted])
    for symbol in symbols:
        stack.price(symbol.symbol, "100")
    drafts = []
    for symbol, account in itertools.islice(itertools.product(symbols, accounts), TRIOS):
        draft = services.trio_draft(
            account=account, symbol=symbol, side="BUY", quantity=D(2), stop_loss=D(95), take_profit=D(110),
            protection=PROTECTION,
        )  # fmt: skip
        draft.save()
        drafts.append(draft)
    assert len(drafts) == TRIOS
    return drafts


def test_a_bulk_at_once_stays_inside_the_bound(stack: Stack, redis_queue: Any) -> None:
    # Given workers, and drafts over several accounts
    accounts = accounts_made(stack)
    drafts = drafts_made(stack, accounts)
    for number in range(WORKERS):
        stack.start_worker(f"runworker-{number}")
    stack.start_rqworker()
    until(lambda: all(map(watched, accounts)), seconds=60, why=stack.logs)
    readings = {draft.symbol_id: services.market_read(draft.account, draft.symbol) for draft in drafts}

    # When all are placed at once
    rung: list[int] = []
    ours = TrioOrder.objects.filter(pk__in=[draft.pk for draft in drafts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_queue, "ring_all", lambda job, calls: rung.extend(itertools.chain(*calls)))
        known = {draft.pk: readings[draft.symbol_id] for draft in drafts}
        results = services.trios_queue(known, by="bulk", known=known)
        assert [result.error for result in results if result.error is not None] == []
        ours.update(wake_at=None)
    now = db_now()
    began = time.monotonic()
    ours.update(
        wake_at=now + timedelta(milliseconds=500),
        place_before=now + timedelta(seconds=services.PLACE_BEFORE_SECONDS),
    )
    job_queue.ring_all(jobs.place, [(trio_id,) for trio_id in rung])
    limits = []

    def all_placed() -> bool:
        limits.append(admission.room())
        return ours.filter(state__in=PLACED).count() == TRIOS

    until(all_placed, seconds=120, every=0.5, why=stack.logs)
    took = time.monotonic() - began
    until(lambda: not ours.exclude(uncovered_known_at=None).exists(), why=stack.logs, every=0.2)

    # Then each was covered in time
    states = Counter(ours.values_list("state", flat=True))
    naked = sorted(ours.values_list("uncovered_longest_ms", flat=True))
    verdict = stack.ask("GET", "/sim/verdict")
    gaps = [gap["ms"] for gap in verdict["uncovered"] + verdict["uncovered_refused_by_us"]]
    refused = Counter(ours.exclude(state__in=("OPEN", "WORKING")).values_list("reason", flat=True))
    print(
        f"{TRIOS} trios, {ACCOUNTS} accounts: placed in {took:.1f} s ({TRIOS / took:.1f}/s), "
        f"naked p50 {statistics.median(naked)} max {naked[-1]} ms, over the bound "
        f"{sum(ms > settings.NAKED_LIMIT_MS for ms in naked)}, exchange's gaps {len(gaps)} "
        f"max {max(gaps, default=0)}, {dict(states)}, {dict(refused)}, room {min(limits):.1f} … {max(limits):.1f}"
    )
    assert max(gaps, default=0) <= settings.NAKED_LIMIT_MS
    assert states["EXPIRED"] == 0

"""One ticket for several accounts: a person's signal, each account sized and checked by itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from accounts.models import ExchangeAccount
from exchange.types import Side
from infrastructure import job_queue
from orders.exchange_data.clock import db_now
from signals.domain.enums import Origin
from signals.domain.terms import Terms
from signals.hooks import EXECUTE
from signals.models import Signal
from signals.services import signal_record

ACT_WITHIN: Final = timedelta(seconds=60)
NAME_MAX: Final = 48


def ticket_record(
    *,
    token: str,
    by: str,
    accounts: Collection[ExchangeAccount],
    symbol: str,
    side: Side,
    terms: Terms,
    dry_run: bool = False,
) -> tuple[Signal, bool]:
    """Record a ticket and ring for it; return it, and whether it is new.

    ``token`` stands for the form that was opened: sent twice, it is one ticket.
    """
    signal, is_new = signal_record(
        origin=Origin.TICKET,
        source=by[:NAME_MAX],
        key=token,
        symbol=symbol,
        side=side,
        terms=terms,
        accounts=accounts,
        act_before=db_now() + ACT_WITHIN,
        reason=f"Ticket of {by}.",
        dry_run=dry_run,
    )
    if is_new:
        job_queue.ring(EXECUTE, signal.pk)
    return signal, is_new

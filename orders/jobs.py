"""RQ entry points: an id in, nothing out. Safe to run twice, or never: runworker finds what is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings

from infrastructure.rows import fetch_all
from orders.models import TrioOrder

logger = logging.getLogger(__name__)

DUE_AND_WATCHED: Final = """
    SELECT trio.id FROM orders_trioorder trio JOIN orders_watch watch ON watch.account_id = trio.account_id
    WHERE trio.id = ANY (%s) AND trio.state = 'QUEUED' AND trio.wake_at <= clock_timestamp()
      AND watch.beat >= clock_timestamp() - %s * interval '1 millisecond'
"""


def place(*trio_ids: int) -> None:
    """Carry queued trios onto the exchange, if there is room in the air for them before long; else runworker does.

    Of a large set, which is due at once, runworker places all itself, where there is one that watches their accounts:
    what it hears of them it need not take in twice.
    """
    from orders.placement.service import ROOM_AWAITED_SECONDS, service

    watched = {trio_id for (trio_id,) in fetch_all(DUE_AND_WATCHED, list(trio_ids), settings.TAKEOVER_MS)}
    patience = ROOM_AWAITED_SECONDS
    for trio_id in trio_ids:
        if trio_id in watched:
            continue
        began = time.monotonic()
        try:
            service().place(trio_id, patience_seconds=patience)
        except TrioOrder.DoesNotExist:
            logger.warning("job for trio %s, which does not exist", trio_id)
        patience = max(0.0, patience - (time.monotonic() - began))


def advance(trio_id: int) -> None:
    """Carry one trio as far as it will go now."""
    from orders.placement.service import service

    try:
        service().advance(trio_id)
    except TrioOrder.DoesNotExist:
        logger.warning("job for trio %s, which does not exist", trio_id)


def sync_symbols(environment: str) -> None:
    """Read the exchange's symbols into our table."""
    from orders.exchange_data.symbol_sync import symbols_sync

    symbols_sync(environment)


# Nothing else in the queue is run, whoever wrote it there: the worker holds the keys.
LISTED: Final[dict[str, Callable[..., Any]]] = {
    f"{function.__module__}.{function.__name__}": function for function in (place, advance, sync_symbols)
}

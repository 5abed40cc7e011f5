"""RQ entry points: an id in, nothing out. Safe to run twice, or never: runworker finds what is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from orders.models import TrioOrder

logger = logging.getLogger(__name__)


def place(*trio_ids: int) -> None:
    """Carry queued trios onto the exchange, if there is room in the air for them before long; else runworker does."""
    from orders.placement.service import ROOM_AWAITED_SECONDS, service

    patience = ROOM_AWAITED_SECONDS
    for trio_id in trio_ids:
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

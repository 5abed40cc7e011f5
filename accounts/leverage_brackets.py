"""Leverage brackets as the exchange has them for an account: kept, so that checking a trio asks for none.

They change rarely, and serve an estimate (where a position would be liquidated): a day old is young enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from accounts.models import ExchangeAccount, LeverageBrackets
from exchange.types import LeverageBracket


def brackets_store(account_id: int, brackets: Mapping[str, Sequence[LeverageBracket]]) -> None:
    """Store what one reading of all symbols showed, and forget the symbols it did not show."""
    now = timezone.now()
    shown = {symbol: [_as_text(step) for step in steps] for symbol, steps in sorted(brackets.items())}
    ours = LeverageBrackets.objects.filter(account_id=account_id)
    known = dict(ours.values_list("symbol", "steps"))
    changed = [
        LeverageBrackets(account_id=account_id, symbol=symbol, steps=steps, read_at=now)
        for symbol, steps in shown.items()
        if known.get(symbol) != steps
    ]
    with transaction.atomic():
        # One at a time, or two would wait for each other's rows. What refers to the account goes on.
        ExchangeAccount.objects.select_for_update(no_key=True).get(pk=account_id)
        ours.exclude(symbol__in=shown).delete()
        ours.update(read_at=now)
        LeverageBrackets.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["account", "symbol"],
            update_fields=["steps", "read_at"],
        )


def brackets_read_at(account_id: int) -> datetime | None:
    """Return when an account's brackets were read; ``None``: never, or there were none."""
    found: datetime | None = LeverageBrackets.objects.filter(account_id=account_id).aggregate(
        at=Min("read_at")
    )["at"]
    return found


@lru_cache(maxsize=1024)
def brackets_of(steps: str) -> tuple[LeverageBracket, ...]:
    """Return brackets from the text of their column: the same few symbols are checked over and over."""
    return tuple(LeverageBracket(*(Decimal(number) for number in step)) for step in json.loads(steps))


def _as_text(step: LeverageBracket) -> list[str]:
    return [str(number) for number in (step.cap, step.maintenance_rate, step.maintenance_amount)]

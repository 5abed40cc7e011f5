"""A panic: the accounts are held first, then everything that lives on them is closed at market."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import OperationalError

from accounts.hold import accounts_hold
from accounts.models import ExchangeAccount
from orders.domain.errors import IllegalTransition
from orders.models import TrioOrder
from orders.reversal import reversals_drop
from orders.selectors import LIVING_STATES
from orders.services import trio_panic


@dataclass(slots=True)
class Panicked:
    """What came of a panic. ``left``: another process held the rows of these too long; ask again."""

    held: list[ExchangeAccount]  # that were not held before
    closing: list[TrioOrder] = field(default_factory=list)
    ended: list[TrioOrder] = field(default_factory=list)  # by themselves, meanwhile
    left: list[TrioOrder] = field(default_factory=list)


def living_trios(account_id: int | None = None) -> list[TrioOrder]:
    """Return the trios that a panic would close: of one account, or of all."""
    living = TrioOrder.objects.filter(state__in=LIVING_STATES).select_related("account", "symbol")
    return list((living if account_id is None else living.filter(account=account_id)).order_by("pk"))


def panic(*, by: str, account_id: int | None = None) -> Panicked:
    """Hold one account, or all that are in use, and have whatever lives there then closed at market.

    What begins while a person still thinks about it is closed, too. A row that cannot be had holds up no other: it is
    tried again after them.
    """
    done = Panicked(accounts_hold(by=by, account_id=account_id))
    left = _each(living_trios(account_id), done, by=by)
    done.left = _each(left, done, by=by)
    reversals_drop(by=by, account_id=account_id)
    return done


def _each(trios: Iterable[TrioOrder], done: Panicked, *, by: str) -> list[TrioOrder]:
    """Have these closed; return those whose rows could not be had."""
    left = []
    for trio in trios:
        try:
            trio_panic(trio_id=trio.pk, by=by)
        except IllegalTransition:
            done.ended.append(trio)
        except OperationalError:
            left.append(trio)
        else:
            done.closing.append(trio)
    return left

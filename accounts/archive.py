"""Accounts that are not used any more: out of sight where something is chosen, their trios and journal where they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.errors import AccountInUse
from accounts.models import ExchangeAccount

# This app knows no trios and no positions: the app that keeps them registers here what an account must not have.
_held: list[Callable[[int], QuerySet[Any]]] = []


def register_held(rows: Callable[[int], QuerySet[Any]]) -> None:
    """Register how to find what lives on an account, by its id: rows whose text says what each is."""
    _held.append(rows)


def account_archive(account: ExchangeAccount) -> None:
    """Put an account away: nothing new is opened on it, and it is offered nowhere. Raises AccountInUse while something lives there.

    Its credentials stay, encrypted, so that it can be taken out again.
    """
    with transaction.atomic():
        locked = ExchangeAccount.objects.select_for_update().get(pk=account.pk)
        living = [str(row) for rows in _held for row in rows(account.pk)[:3]]
        if living:
            raise AccountInUse(
                f"{account.name} is in use: {', '.join(living[:3])}. Close what is open on it, then archive it. Nothing was changed."
            )
        if locked.archived_at is None:
            locked.archived_at, locked.is_active = timezone.now(), False
            locked.save(update_fields=["archived_at", "is_active", "updated_at"])
    account.refresh_from_db()


def account_unarchive(account: ExchangeAccount) -> None:
    """Take an account out again. It stays switched off until somebody switches it on."""
    with transaction.atomic():
        locked = ExchangeAccount.objects.select_for_update().get(pk=account.pk)
        locked.archived_at = None
        locked.save(update_fields=["archived_at", "updated_at"])
    account.refresh_from_db()

"""Accounts that a panic holds: nothing new is opened on them until a person releases them."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ExchangeAccount


def accounts_hold(*, by: str, account_id: int | None = None) -> list[ExchangeAccount]:
    """Hold one account, or all that are in use. Return those that were not held before; the first panic keeps its name."""
    wanted = ExchangeAccount.objects.filter(archived_at=None, held_at=None)
    wanted = wanted if account_id is None else wanted.filter(pk=account_id)
    found = list(wanted.order_by("name"))
    ExchangeAccount.objects.filter(pk__in=[account.pk for account in found], held_at=None).update(
        held_at=timezone.now(), held_by=by
    )
    return found


def accounts_release(*, account_id: int | None = None) -> list[ExchangeAccount]:
    """Let new trios be opened again, on one account or on all. Return those that were held."""
    wanted = accounts_held()
    found = list(wanted if account_id is None else wanted.filter(pk=account_id))
    ExchangeAccount.objects.filter(pk__in=[account.pk for account in found]).update(held_at=None, held_by="")
    return found


def accounts_held() -> QuerySet[ExchangeAccount]:
    """Return the accounts that are held, by name."""
    return ExchangeAccount.objects.exclude(held_at=None).order_by("name")


def hold_sentence(account: ExchangeAccount) -> str:
    """Say who holds an account since when, and how it is released."""
    assert account.held_at is not None
    return (
        f"A panic requested by {account.held_by} at {account.held_at:%Y-%m-%d %H:%M:%S} UTC holds {account.name}: nothing new is "
        "opened on it until somebody releases it (Panic, Progress, or “manage.py panic --release”)."
    )

"""An account's modes on the exchange: position mode and multi-assets mode. Both can be switched in its app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Exists, QuerySet
from django.utils import timezone

from accounts.models import ExchangeAccount, SettingChange
from exchange.types import PositionMode

# This app knows no trios: the app that keeps them registers here how to find the open ones.
_in_use: list[Callable[[], QuerySet[Any]]] = []


def register_use(living: Callable[[], QuerySet[Any]]) -> None:
    """Register how to find what is open under an account's modes: rows of the account ``OuterRef("pk")``."""
    _in_use.append(living)


def modes_take_in(
    account: ExchangeAccount, *, position_mode: PositionMode, multi_assets: bool
) -> SettingChange | None:
    """Store the modes that the exchange reports for an account; return what forbids new risk there now, if anything.

    While trios are open, the account keeps the position mode they were placed in, because their orders name position
    sides that exist only in it. Nothing new is opened until they have ended. Each change keeps the time it was seen.
    """
    ours = ExchangeAccount.objects.filter(pk=account.pk)
    if position_mode.value != account.position_mode:
        unused = ours
        for living in _in_use:
            unused = unused.filter(~Exists(living()))
        unused.update(position_mode=position_mode.value)
    account.refresh_from_db(
        fields=["position_mode", "setting_change", "setting_changed_at", "multi_assets_since"]
    )
    if multi_assets != (account.multi_assets_since is not None):
        account.multi_assets_since = timezone.now() if multi_assets else None
        ours.update(multi_assets_since=account.multi_assets_since)
    change: SettingChange | None = None
    if position_mode.value != account.position_mode:
        change = SettingChange.POSITION_MODE
    if (change or "") != account.setting_change:
        account.setting_change = change or ""
        account.setting_changed_at = timezone.now() if change else None
        ours.update(setting_change=account.setting_change, setting_changed_at=account.setting_changed_at)
    return change


def change_sentence(account: ExchangeAccount) -> str:
    """Say why nothing new may be opened while a mode does not fit the account's open trios; empty when it fits."""
    if not account.setting_change:
        return ""
    seen = (
        f" (Seen {account.setting_changed_at:%Y-%m-%d %H:%M:%S} UTC.)" if account.setting_changed_at else ""
    )
    match SettingChange(account.setting_change):
        case SettingChange.POSITION_MODE:
            placed_in = PositionMode(account.position_mode)
            return (
                f"“{account.name}” was switched to {placed_in.other.words} on the exchange, but its open trios were"
                f" placed in {placed_in.words}. Nothing new is opened until it is switched back, or those trios have"
                f" ended.{seen}"
            )

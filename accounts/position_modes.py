"""How an account is set at the exchange: position mode, multi-assets mode. A person may switch both in its app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Exists, QuerySet
from django.utils import timezone

from accounts.models import ExchangeAccount, SettingChange
from exchange.types import PositionMode

# What lives on an account is not this app's to know: whoever keeps it says here how to find it.
_in_use: list[Callable[[], QuerySet[Any]]] = []


def register_use(living: Callable[[], QuerySet[Any]]) -> None:
    """Name what was placed under an account's modes: rows of the account ``OuterRef("pk")`` that still live."""
    _in_use.append(living)


def modes_take_in(
    account: ExchangeAccount, *, position_mode: PositionMode, multi_assets: bool
) -> SettingChange | None:
    """Take in how the exchange shows an account; return what forbids new risk there now, if anything.

    The position mode that living orders were placed under stays theirs until they have ended: their orders name
    sides that only exist in it. Until then nothing new is opened. Each change has its own time.
    """
    ours = ExchangeAccount.objects.filter(pk=account.pk)
    if position_mode.value != account.position_mode:
        unused = ours
        for living in _in_use:
            unused = unused.filter(~Exists(living()))
        unused.update(position_mode=position_mode.value)
    account.refresh_from_db(fields=["position_mode", "setting_change", "setting_changed_at"])
    change: SettingChange | None = None
    if multi_assets:
        change = SettingChange.MULTI_ASSETS
    elif position_mode.value != account.position_mode:
        change = SettingChange.POSITION_MODE
    if (change or "") != account.setting_change:
        account.setting_change = change or ""
        account.setting_changed_at = timezone.now() if change else None
        ours.update(setting_change=account.setting_change, setting_changed_at=account.setting_changed_at)
    return change


def change_sentence(account: ExchangeAccount) -> str:
    """Say why nothing new may be opened while a setting differs from what lives on the account; or nothing."""
    if not account.setting_change:
        return ""
    seen = (
        f" (Seen {account.setting_changed_at:%Y-%m-%d %H:%M:%S} UTC.)" if account.setting_changed_at else ""
    )
    match SettingChange(account.setting_change):
        case SettingChange.MULTI_ASSETS:
            return (
                f"Multi-assets mode was switched on for “{account.name}” on the exchange: its liquidation prices are"
                f" not those reckoned with here. Switch it off in the exchange's app; nothing new is opened before.{seen}"
            )
        case SettingChange.POSITION_MODE:
            placed_in = PositionMode(account.position_mode)
            return (
                f"“{account.name}” was switched to {placed_in.other.words} on the exchange, but what lives there was"
                f" placed in {placed_in.words}. Nothing new is opened until it is switched back, or all of that has"
                f" ended.{seen}"
            )

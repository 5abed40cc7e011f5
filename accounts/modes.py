"""How an account is set at the exchange: position mode, multi-assets mode. A person may switch both in its app."""

from __future__ import annotations

from accounts.models import ExchangeAccount
from exchange.types import AccountConfig, PositionMode

WORDS = {PositionMode.ONE_WAY.value: "one-way mode", PositionMode.HEDGE.value: "hedge mode"}
SWITCHED = "The account's settings were changed on the exchange"


def modes_take_in(account: ExchangeAccount, config: AccountConfig) -> str:
    """Take in how the exchange shows an account; return what forbids new risk there now, or nothing.

    The position mode that living trios were placed under stays theirs until they have ended: their orders name
    sides that only exist in it. Until then nothing new is opened.
    """
    shown = config.position_mode.value
    changes: dict[str, str] = {}
    differs = ""
    if config.multi_assets:
        differs = (
            f"{SWITCHED}: multi-assets mode is on for “{account.name}”, under which liquidation prices are not"
            " what is reckoned with here. Nothing new is opened until it is off again; what lives stays covered."
        )
    if shown != account.position_mode:
        # Of what holds a slot, a QUEUED trio alone has sent nothing yet.
        if account.trios.filter(holds_slot=True).exclude(state="QUEUED").exists():
            differs = differs or (
                f"{SWITCHED}: “{account.name}” is in {WORDS[shown]} now, but what lives there was placed in"
                f" {WORDS[account.position_mode]}. Nothing new is opened until it is switched back or all has"
                " ended; what rests on the exchange stays there."
            )
        else:
            changes["position_mode"] = shown
    if differs != account.differs:
        changes["differs"] = differs
    if changes:
        ExchangeAccount.objects.filter(pk=account.pk).update(**changes)
        for name, value in changes.items():
            setattr(account, name, value)
    return differs

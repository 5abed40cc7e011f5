"""How an account is set at the exchange: position mode, multi-assets mode. A person may switch both in its app."""

from __future__ import annotations

from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import ExchangeAccount
from exchange.types import PositionMode

WORDS = {PositionMode.ONE_WAY.value: "one-way mode", PositionMode.HEDGE.value: "hedge mode"}
SWITCHED = "The account's settings were changed on the exchange"


def modes_take_in(account: ExchangeAccount, *, position_mode: PositionMode, multi_assets: bool) -> str:
    """Take in how the exchange shows an account; return what forbids new risk there now, or nothing.

    The position mode that living trios were placed under stays theirs until they have ended: their orders name
    sides that only exist in it. Until then nothing new is opened. The sentence says since when, so that each
    change has its own.
    """
    ours = ExchangeAccount.objects.filter(pk=account.pk)
    # Of what holds a slot, a QUEUED trio alone has sent nothing yet.
    lives = account.trios.model.objects.filter(account=OuterRef("pk"), holds_slot=True).exclude(
        state="QUEUED"
    )
    if position_mode.value != account.position_mode:
        ours.filter(~Exists(lives)).update(position_mode=position_mode.value)
    account.refresh_from_db(fields=["position_mode", "differs"])
    what = ""
    if multi_assets:
        what = (
            f"{SWITCHED}: multi-assets mode is on for “{account.name}”, under which liquidation prices are not"
            " what is reckoned with here. Nothing new is opened until it is off again; what lives stays covered."
        )
    elif position_mode.value != account.position_mode:
        what = (
            f"{SWITCHED}: “{account.name}” is in {WORDS[position_mode.value]} now, but what lives there was placed"
            f" in {WORDS[account.position_mode]}. Nothing new is opened until it is switched back or all has"
            " ended; what rests on the exchange stays there."
        )
    differs = what
    if what and account.differs.startswith(what):
        differs = account.differs  # as said before, with its time
    elif what:
        differs = f"{what} (Seen {timezone.now():%Y-%m-%d %H:%M:%S} UTC.)"
    if differs != account.differs:
        ours.update(differs=differs)
        account.differs = differs
    return differs

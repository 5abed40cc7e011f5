"""The slot book: what the exchange holds in each slot."""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from accounts.models import ExchangeAccount
from exchange.types import PositionSide
from orders.models.fields import amount


class Slot(models.Model):
    """One place for a position: (account, symbol) in one-way mode, and each position side in hedge mode.

    ``quantity`` is signed as the exchange shows it. ``as_of`` is the exchange time (ms) this was true:
    when a look-up was *sent*, or the event's own time. Older reports never replace newer ones.
    """

    account = models.ForeignKey(ExchangeAccount, on_delete=models.PROTECT, related_name="slots")
    symbol = models.CharField(max_length=40)
    position_side = models.CharField(
        max_length=5, choices=[(s.value, s.value) for s in PositionSide], default=PositionSide.BOTH.value
    )
    quantity = amount(default=Decimal(0))
    entry_price = amount(null=True)
    liquidation_price = amount(null=True)
    as_of = models.BigIntegerField(default=0)
    from_event = models.BooleanField(default=False)
    flat_since = models.BigIntegerField(null=True)
    flat_event_ts = models.BigIntegerField(null=True)
    mark_price = amount(null=True)
    mark_as_of = models.BigIntegerField(default=0)
    strangers = models.JSONField(default=list)
    stranger_orders = models.JSONField(default=list)  # the same: client_id, conditional, text
    strangers_as_of = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("account", "symbol", "position_side")
        constraints = (
            models.UniqueConstraint(fields=("account", "symbol", "position_side"), name="slot_once"),
        )

    def __str__(self) -> str:
        side = "" if self.position_side == PositionSide.BOTH.value else f" {self.position_side}"
        return f"{self.account} {self.symbol}{side}"

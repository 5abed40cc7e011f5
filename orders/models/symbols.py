"""Trading rules of the exchange, one row per environment and symbol."""

from __future__ import annotations

from django.db import models

from accounts.models import Environment
from orders.models.fields import amount


class Symbol(models.Model):
    """One contract with all its filters as columns; testnet and production rules differ, so each has its own."""

    environment = models.CharField(max_length=8, choices=Environment.choices)
    symbol = models.CharField(max_length=40)
    status = models.CharField(max_length=24)
    contract_type = models.CharField(max_length=32, blank=True)
    base_asset = models.CharField(max_length=24)
    quote_asset = models.CharField(max_length=24)
    margin_asset = models.CharField(max_length=24)
    price_precision = models.PositiveSmallIntegerField()
    quantity_precision = models.PositiveSmallIntegerField()
    tick_size = amount(null=True)
    price_min = amount(null=True)
    price_max = amount(null=True)
    step_size = amount(null=True)
    quantity_min = amount(null=True)
    quantity_max = amount(null=True)
    market_step_size = amount(null=True)
    market_quantity_min = amount(null=True)
    market_quantity_max = amount(null=True)
    notional_min = amount(null=True)
    multiplier_up = amount(null=True)
    multiplier_down = amount(null=True)
    trigger_protect = amount(null=True)
    market_take_bound = amount(null=True)
    liquidation_fee = amount(null=True)
    orders_max = models.PositiveIntegerField(null=True)
    raw = models.JSONField(default=dict)
    status_since = models.DateTimeField(null=True, help_text="When its status was first seen as it is.")
    synced_at = models.DateTimeField()
    first_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("environment", "symbol")
        constraints = (
            models.UniqueConstraint(fields=("environment", "symbol"), name="symbol_once_per_environment"),
        )

    def __str__(self) -> str:
        return f"{self.symbol} ({self.environment})"

    @property
    def is_trading(self) -> bool:
        return self.status == "TRADING"

"""What an account, or one source on it, may open."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import ExchangeAccount
from orders.models.fields import amount

ABOVE_ZERO = [MinValueValidator(Decimal("1E-16"), "must be greater than zero")]


class RiskLimit(models.Model):
    """Limits on new risk, checked again in the transaction that commits a trio's first request.

    With ``source`` empty they hold for everything on the account together, else for the trios of that source
    (``hook:NAME``, ``strategy:NAME`` …). What is empty is not limited. The row is locked while a trio is checked
    against it, so that two that begin at once count each other.
    """

    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="risk_limits")
    source = models.CharField(
        max_length=64,
        blank=True,
        help_text="As trios name it: “hook:NAME”, “strategy:NAME”, “file:csv”, “admin”. Empty: all of the account.",
    )
    is_active = models.BooleanField("active", default=True)
    notional_order = amount(
        null=True, blank=True, validators=ABOVE_ZERO, help_text="The most that one entry may be worth."
    )
    notional_open = amount(
        null=True, blank=True, validators=ABOVE_ZERO, help_text="The most that may be open together."
    )
    trios_open = models.PositiveIntegerField("open trios", null=True, blank=True)
    orders_minute = models.PositiveIntegerField("entries a minute", null=True, blank=True)
    daily_loss = amount(
        null=True,
        blank=True,
        validators=ABOVE_ZERO,
        help_text="Realised, fees included, since midnight UTC: once that much is lost, nothing new is opened.",
    )
    collar_percent = models.DecimalField(
        "price collar",
        max_digits=6,
        decimal_places=3,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.001"))],
        help_text="Maximum distance of a LIMIT entry from the mark price, in percent.",
    )
    duplicate_seconds = models.PositiveIntegerField(
        "duplicate guard",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="An equal trio within so many seconds is refused.",
    )
    symbols = models.TextField(
        "allowed symbols", blank=True, help_text="With commas, as in BTCUSDT,ETHUSDT. Empty: all."
    )
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ("account__name", "source")
        verbose_name = "limit"
        constraints = (
            models.UniqueConstraint(fields=("account", "source"), name="limit_once_per_account_and_source"),
        )

    def __str__(self) -> str:
        return f"Limits of {self.source} on {self.account}" if self.source else f"Limits of {self.account}"

"""Files of trios, and how each account sizes what says no size of its own."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import ExchangeAccount
from signals.domain.terms import Size, SizeKind


class TrioFile(models.Model):
    """A file of trios as it was uploaded. Its rows are placed once, when somebody has confirmed what was shown."""

    name = models.CharField(max_length=120)
    content = models.BinaryField()
    digest = models.CharField(max_length=64)
    rows = models.PositiveIntegerField(default=0)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    uploaded_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "file of trios"
        verbose_name_plural = "files of trios"

    def __str__(self) -> str:
        return f"{self.name} ({self.digest[:8]})"


class SizingRule(models.Model):
    """How large a trio of an account is where neither the signal nor its source says so."""

    account = models.OneToOneField(ExchangeAccount, on_delete=models.CASCADE, related_name="sizing_rule")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in SizeKind])
    value = models.DecimalField(
        max_digits=38,
        decimal_places=16,
        validators=[MinValueValidator(Decimal("1E-16"), "must be greater than zero")],
        help_text="EQUITY and RISK are percent.",
    )
    cap = models.BooleanField(default=False, help_text="Reduce it if free margin is too low.")
    slippage = models.DecimalField(
        max_digits=6,
        decimal_places=3,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(10)],
        help_text="Percent, at entry and stop; counted by RISK.",
    )

    history = HistoricalRecords()

    class Meta:
        ordering = ("account__name",)

    def __str__(self) -> str:
        return f"Sizing of {self.account}"

    @property
    def size(self) -> Size:
        return Size(SizeKind(self.kind), self.value, self.cap, self.slippage)

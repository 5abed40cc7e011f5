"""A strategy as somebody has set it up, where it stands on each symbol, and what has happened to it."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import ExchangeAccount
from orders.models.fields import amount
from signals.domain.faults import Fault, sentence
from signals.domain.terms import SizeKind
from signals.models.signal import Signal

HISTORY_MAX = 1000
NAME = RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "lower-case letters, digits and dashes")


class Strategy(models.Model):
    """One strategy at work: which code (by its name in the settings), where, how large, within which bounds.

    ``code`` is a name from ``STRATEGIES`` or of an installed package: nobody can name code to run here. ``holder`` is
    the worker that runs it, and ``beat`` when it last said so.
    """

    name = models.CharField(max_length=40, unique=True, validators=[NAME])
    code = models.CharField(max_length=60)
    parameters = models.JSONField(default=dict, blank=True)
    accounts = models.ManyToManyField(ExchangeAccount, related_name="strategies")
    symbols = models.TextField(
        blank=True, help_text="With commas, as in BTCUSDT,ETHUSDT. Empty: those of WORKER_SYMBOLS."
    )
    timeframe = models.CharField(max_length=4, blank=True, help_text="Empty: that of TIMEFRAME.")
    history_bars = models.PositiveIntegerField(
        default=500,
        validators=[MinValueValidator(1), MaxValueValidator(HISTORY_MAX)],
        help_text="How many closed bars it is given.",
    )
    size_kind = models.CharField(
        max_length=8, choices=[(k.value, k.value) for k in SizeKind], default=SizeKind.RISK.value
    )
    size_value = amount(
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("1E-8"))],
        help_text="Base asset (QUANTITY), quote asset (NOTIONAL), percent of the equity (EQUITY, RISK).",
    )
    size_cap = models.BooleanField(
        default=False,
        help_text="Make it smaller where the free margin does not suffice, instead of refusing it.",
    )
    slippage = amount(
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text="Percent, each way, for RISK.",
    )
    cooldown_bars = models.PositiveIntegerField(
        default=0, help_text="After a signal on a symbol, so many bars pass without another one."
    )
    deadline_seconds = models.PositiveIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(60)],
        help_text="For its answer to a bar.",
    )
    memory_mb = models.PositiveIntegerField(
        default=512, validators=[MinValueValidator(64), MaxValueValidator(8192)]
    )
    dry_run = models.BooleanField(default=False, help_text="Plan and check, place nothing.")
    enabled = models.BooleanField(default=False)
    fault = models.CharField(max_length=12, blank=True, choices=[(f.value, f.value) for f in Fault])
    fault_detail = models.CharField(max_length=300, blank=True)
    fault_at = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=120, blank=True)
    beat = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    history = HistoricalRecords(excluded_fields=["holder", "beat"])

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "strategies"

    def __str__(self) -> str:
        return self.name

    @property
    def fault_sentence(self) -> str:
        """Why it was disabled, for people; nothing when it was not."""
        return sentence(Fault(self.fault), self.fault_detail) if self.fault else ""


class StrategyBar(models.Model):
    """Where a strategy stands on one symbol: the newest bar it has decided about, and how.

    A bar is decided about once: this row moves on in the transaction that records the signal.
    """

    class Decision(models.TextChoices):
        NOTHING = "NOTHING"
        SIGNAL = "SIGNAL"
        COOLDOWN = "COOLDOWN"
        SEEDED = "SEEDED"  # there before it began to run: nothing was asked

    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="bars")
    symbol = models.CharField(max_length=40)
    timeframe = models.CharField(max_length=4)
    bar_open_ts = models.BigIntegerField()
    bar_close_ts = models.BigIntegerField()
    close = amount()
    decision = models.CharField(max_length=8, choices=Decision.choices)
    signal = models.ForeignKey(Signal, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    signal_open_ts = models.BigIntegerField(null=True, help_text="The bar of its last signal.")
    bars_since_signal = models.PositiveIntegerField(default=0)
    bars_count = models.PositiveBigIntegerField(default=0)
    missed_count = models.PositiveBigIntegerField(
        default=0, help_text="Bars that were too far back to be read."
    )
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ("strategy", "symbol")
        constraints = (
            models.UniqueConstraint(fields=("strategy", "symbol", "timeframe"), name="strategy_bar_once"),
        )

    def __str__(self) -> str:
        return f"{self.strategy} on {self.symbol} {self.timeframe}"


class StrategyEvent(models.Model):
    """Something that happened to a strategy: it was started, stopped, disabled."""

    class Kind(models.TextChoices):
        STOPPED = "STOPPED"
        DISABLED = "DISABLED"
        ENABLED = "ENABLED"

    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    fault = models.CharField(max_length=12, blank=True)
    detail = models.CharField(max_length=300, blank=True)
    by = models.CharField(max_length=120, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.kind} {self.strategy}"

    @property
    def sentence(self) -> str:
        return sentence(Fault(self.fault), self.detail) if self.fault else self.detail

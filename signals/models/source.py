"""Webhook sources, their secrets, and each post that came with one."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from simple_history.models import HistoricalRecords

from accounts.models import ExchangeAccount
from signals.domain.enums import Policy
from signals.domain.posts import Defaults
from signals.domain.terms import Level, LevelKind, Size, SizeKind
from signals.models.signal import Signal

POSITIVE = [MinValueValidator(Decimal("1E-16"), "must be greater than zero")]
NAME = RegexValidator(r"^[a-z0-9][a-z0-9_-]{0,31}$", "Small letters, digits, - and _; 32 at most.")
LEVELS = [(kind.value, kind.value) for kind in LevelKind]


class HookSource(models.Model):
    """One sender of posts: whose secret it is, what it may do, on which accounts.

    ``mapping`` says at which dotted path of a post each field stands; a field that is not named there stands under
    its own name. Posts without the secret are not stored.
    """

    name = models.CharField(
        max_length=32, unique=True, validators=[NAME], help_text="Part of its address: /hooks/NAME/."
    )
    is_active = models.BooleanField("active", default=True)
    dry_run = models.BooleanField(
        default=False, help_text="Worked out, checked and shown for each account; nothing is placed."
    )
    accounts = models.ManyToManyField(ExchangeAccount, blank=True, related_name="hook_sources")
    symbols = models.TextField("allowed symbols", help_text="With commas, as in BTCUSDT,ETHUSDT.")
    policy = models.CharField(
        "when the slot is taken",
        max_length=8,
        choices=[(p.value, p.words) for p in Policy],
        default=Policy.IGNORE.value,
        help_text="By a trio of this source on the other side. What others hold is never touched.",
    )
    size_kind = models.CharField(
        "size",
        max_length=8,
        blank=True,
        choices=[(k.value, k.value) for k in SizeKind],
        help_text="Overrides the post's. EQUITY and RISK are percent.",
    )
    size_value = models.DecimalField(
        max_digits=38, decimal_places=16, null=True, blank=True, validators=POSITIVE
    )
    size_cap = models.BooleanField("cap", default=False, help_text="Reduce it if free margin is too low.")
    slippage = models.DecimalField(
        max_digits=6,
        decimal_places=3,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(10)],
        help_text="Percent, at entry and stop; counted by RISK.",
    )
    stop_kind = models.CharField("stop", max_length=8, blank=True, choices=LEVELS)
    stop_value = models.DecimalField(
        max_digits=38, decimal_places=16, null=True, blank=True, validators=POSITIVE
    )
    target_kind = models.CharField("target", max_length=8, blank=True, choices=LEVELS)
    target_value = models.DecimalField(
        max_digits=38, decimal_places=16, null=True, blank=True, validators=POSITIVE
    )
    mapping = models.JSONField(default=dict, blank=True)
    addresses = models.TextField(
        "allowed addresses", blank=True, help_text="Addresses or networks, with commas. Empty: any."
    )
    from_tradingview = models.BooleanField(
        "TradingView's addresses", default=False, help_text="Allow TradingView's published ones (too)."
    )
    posts_minute = models.PositiveIntegerField(
        "posts a minute", default=60, validators=[MinValueValidator(1)]
    )
    window_seconds = models.PositiveIntegerField(
        "replay window",
        default=60,
        validators=[MinValueValidator(1)],
        help_text="How many seconds its time may differ from now.",
    )
    time_required = models.BooleanField(default=False, help_text="Refuse a post without a time.")
    repeat_seconds = models.PositiveIntegerField(
        "repeat window",
        default=600,
        validators=[MinValueValidator(1)],
        help_text="The same post, without an id of its own, within so many seconds is a repeat and gets the first answer.",
    )
    notes = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    history = HistoricalRecords()

    class Meta:
        ordering = ("name",)
        verbose_name = "webhook source"

    def __str__(self) -> str:
        return self.name

    @property
    def defaults(self) -> Defaults:
        return Defaults(
            size=Size(SizeKind(self.size_kind), self.size_value, self.size_cap, self.slippage)
            if self.size_kind and self.size_value is not None
            else None,
            stop=_level(self.stop_kind, self.stop_value),
            target=_level(self.target_kind, self.target_value),
            cap=self.size_cap,
            slippage=self.slippage,
        )


class HookSecret(models.Model):
    """A secret of a source, as its SHA-256: it is long and random. Several, so that one can be replaced."""

    source = models.ForeignKey(HookSource, on_delete=models.CASCADE, related_name="secrets")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    label = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        verbose_name = "secret"

    def __str__(self) -> str:
        return f"secret {self.digest[:8]} of {self.source}"


class HookPost(models.Model):
    """One post that came with the secret, and what it was answered. A repeat gets the same answer."""

    source = models.ForeignKey(HookSource, on_delete=models.CASCADE, related_name="posts")
    key = models.CharField(max_length=160)
    at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    payload = models.JSONField(default=dict, blank=True)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField(default=dict)
    refusal = models.CharField(max_length=24, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    signal = models.ForeignKey(Signal, null=True, blank=True, on_delete=models.SET_NULL, related_name="posts")

    class Meta:
        ordering = ("-id",)
        verbose_name = "post"
        constraints = (models.UniqueConstraint(fields=("source", "key"), name="post_once"),)
        indexes = (models.Index(fields=("source", "at"), name="post_of_minute"),)

    def __str__(self) -> str:
        return f"post {self.pk} of {self.source}"


def _level(kind: str, value: Decimal | None) -> Level | None:
    return Level(LevelKind(kind), value) if kind and value is not None else None

"""Exchange accounts, their keys (in a table of their own), and leverage and margin type per symbol."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from accounts.fields import SecretTextField
from exchange.secret import revealed
from exchange.types import MarginType, PositionMode

PERMISSIONS_UNAVAILABLE = "not available here"


class Environment(models.TextChoices):
    PAPER = "PAPER", "Paper"
    TESTNET = "TESTNET", "Testnet"
    LIVE = "LIVE", "Live"


class PositionModeChoice(models.TextChoices):
    ONE_WAY = PositionMode.ONE_WAY.value, "One-way"
    HEDGE = PositionMode.HEDGE.value, "Hedge"


class MarginTypeChoice(models.TextChoices):
    CROSSED = MarginType.CROSSED.value, "Crossed"
    ISOLATED = MarginType.ISOLATED.value, "Isolated"


class SettingChange(models.TextChoices):
    """A setting that was switched on the exchange while trios were open under the old one."""

    POSITION_MODE = "POSITION_MODE", "position mode switched"


class ExchangeAccount(models.Model):
    """One account of the exchange, added once. Holds no secret."""

    name = models.CharField(max_length=64, unique=True)
    environment = models.CharField(max_length=8, choices=Environment.choices)
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="New trios are accepted. Open trios are protected either way.",
    )
    position_mode = models.CharField(
        max_length=8, choices=PositionModeChoice.choices, help_text="As read from the exchange."
    )
    account_alias = models.CharField(
        max_length=64, blank=True, help_text="The exchange's own name for this account."
    )
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_fingerprint = models.CharField("key fingerprint", max_length=8, editable=False)
    can_trade = models.BooleanField(default=True)
    permissions = models.JSONField(default=dict, blank=True)
    permissions_note = models.CharField("permissions", max_length=200, blank=True)
    last_checked_at = models.DateTimeField("last check", null=True, blank=True)
    notes = models.TextField(blank=True)
    setting_change = models.CharField(
        "changed on the exchange",
        max_length=16,
        blank=True,
        editable=False,
        choices=SettingChange.choices,
        help_text="A setting on the exchange no longer fits the open trios; nothing new is opened meanwhile.",
    )
    setting_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    wallet_asset = models.CharField(
        "largest balance",
        max_length=24,
        blank=True,
        editable=False,
        help_text="The asset with the largest balance.",
    )
    multi_assets_since = models.DateTimeField(
        "multi-assets mode seen since", null=True, blank=True, editable=False
    )
    # What the exchange said when it refused this account itself; nothing new is opened meanwhile.
    restriction = models.CharField(max_length=24, blank=True, editable=False)
    restriction_code = models.IntegerField(default=0, editable=False)
    restriction_text = models.TextField(blank=True, editable=False)
    restricted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # A panic closed what was open here; nothing new is opened until a person releases it.
    held_at = models.DateTimeField("held since", null=True, blank=True, editable=False)
    held_by = models.CharField(max_length=150, blank=True, editable=False)
    archived_at = models.DateTimeField("archived since", null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["environment", "account_alias"],
                condition=~Q(account_alias=""),
                name="account_alias_once_per_environment",
            ),
            models.CheckConstraint(
                condition=Q(archived_at__isnull=True) | Q(is_active=False), name="archived_is_off"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_environment_display()})"


class Credential(models.Model):
    """An account's API key and secret, encrypted. Only ``accounts.credentials`` decrypts them."""

    account = models.OneToOneField(
        ExchangeAccount, on_delete=models.CASCADE, primary_key=True, related_name="credential"
    )
    api_key = SecretTextField()
    api_secret = SecretTextField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"credential of account {self.account_id}"


class SymbolSetting(models.Model):
    """Leverage and margin type of one symbol on one account: as read, and as wanted."""

    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="symbol_settings")
    symbol = models.CharField(max_length=32)
    leverage = models.PositiveSmallIntegerField(null=True, blank=True, help_text="As read from the exchange.")
    margin_type = models.CharField(max_length=8, choices=MarginTypeChoice.choices, blank=True)
    margin_type_was = models.CharField(
        max_length=8,
        blank=True,
        editable=False,
        help_text="The margin type before a change that open trios have not asked about yet.",
    )
    leverage_was = models.PositiveSmallIntegerField(
        null=True,
        editable=False,
        help_text="The leverage before a change that open trios have not asked about yet.",
    )
    wanted_leverage = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(125)]
    )
    wanted_margin_type = models.CharField(
        max_length=8, choices=MarginTypeChoice.choices, null=True, blank=True, default=None
    )
    read_at = models.DateTimeField("as read since", null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["symbol"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "symbol"], name="setting_once_per_account_and_symbol"),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} on account {self.account_id}"


class LeverageBrackets(models.Model):
    """The notional brackets of one symbol, as the exchange has them for one account: it may adjust them for one."""

    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="leverage_brackets")
    symbol = models.CharField(max_length=40)
    # [cap, maintenance rate, maintenance amount] of each step, as text, in the exchange's order.
    steps = models.JSONField(default=list)
    read_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["symbol"]
        verbose_name_plural = "leverage brackets"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "symbol"], name="brackets_once_per_account_and_symbol"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.symbol} on account {self.account_id}"


class EgressLimits(models.Model):
    """What the exchange allows an address we send from, and for how long it does not serve it."""

    environment = models.CharField(max_length=8, choices=Environment.choices)
    egress = models.CharField("address", max_length=40, help_text="As EGRESS names it.")
    weight_1m = models.PositiveIntegerField(default=2400)
    orders_10s = models.PositiveIntegerField(default=300)
    orders_1m = models.PositiveIntegerField(default=1200)
    read_at = models.DateTimeField(null=True, blank=True, help_text="When the exchange last published them.")
    closed_until = models.DateTimeField(null=True, blank=True)
    closed_cause = models.CharField(max_length=16, blank=True)

    class Meta:
        verbose_name_plural = "egress limits"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["environment", "egress"], name="limits_once_per_egress"),
        ]

    def __str__(self) -> str:
        return f"{self.environment} from {self.egress}"

    @property
    def closure(self) -> str:
        """Say why the exchange does not serve this address, until when, and what that means."""
        why = "has barred" if self.closed_cause == "BANNED" else "does not serve"
        return (
            f"{self.environment}: the exchange {why} the address “{self.egress}” until "
            f"{self.closed_until:%Y-%m-%d %H:%M:%S} UTC, for too many requests. Nothing is sent from it until then; "
            "what has no stop then asks on its page."
        )


def key_hash(environment: str, api_key: str) -> str:
    """Identify a key without holding it. API keys are random and long, so no salt is needed."""
    return hashlib.sha256(f"{environment}:{revealed(api_key)}".encode()).hexdigest()


def key_fingerprint(api_key: str) -> str:
    """Eight hex digits a person can compare."""
    return hashlib.sha256(revealed(api_key).encode()).hexdigest()[:8]


def permissions_as_json(permissions: Any) -> dict[str, Any]:
    """Return a key's permissions as they are stored; ``{}`` where the exchange did not report any."""
    if permissions is None:
        return {}
    return {
        "reading": permissions.reading,
        "futures": permissions.futures,
        "withdrawals": permissions.withdrawals,
        "ip_restricted": permissions.ip_restricted,
    }

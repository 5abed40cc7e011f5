"""Who is told, where, of what, and what came of each delivery."""

from __future__ import annotations

import zoneinfo
from decimal import Decimal

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.fields import SecretTextField
from accounts.models import Environment
from exchange.types import PriceKind
from notices.domain.failures import Failure, FailureKind
from notices.domain.kinds import FORMS, Kind, Mode, Severity, sentence
from notices.domain.timing import DIGEST_AT, Hours
from notices.domain.urls import PLAIN, SERVICES
from orders.domain.rounding import plain
from orders.models.fields import amount


def check_zone(name: str) -> None:
    """Raises ValidationError when there is no such time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValidationError(
            f"“{name[:40]}” is no time zone: write one such as Europe/Paris, or UTC."
        ) from None


class Recipient(models.Model):
    """A person who is told, and how: kinds, quiet hours, digest, and who comes next when nobody acknowledges."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notice_recipient"
    )
    is_active = models.BooleanField("is told", default=True)
    # Kinds of which this person wants to be told otherwise than usual: {kind: mode}.
    modes = models.JSONField(default=dict, blank=True)
    zone = models.CharField("time zone", max_length=64, default="UTC", validators=[check_zone])
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    digest_at = models.TimeField(default=DIGEST_AT)
    escalate_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="Who is notified next if nobody acknowledges an urgent notice.",
    )
    escalate_minutes = models.PositiveIntegerField(
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
        help_text="After so many minutes.",
    )

    class Meta:
        ordering = ("user__username",)

    def __str__(self) -> str:
        return f"notices of {self.user}"

    @property
    def hours(self) -> Hours:
        return Hours(self.zone, self.quiet_from, self.quiet_until, self.digest_at)

    def mode_of(self, kind: Kind) -> Mode:
        return Mode(self.modes.get(kind.value, FORMS[kind].mode.value))


class Destination(models.Model):
    """Where a person is told. Its URL is a secret, in a table of its own."""

    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE, related_name="destinations")
    name = models.CharField(max_length=64)
    scheme = models.CharField(max_length=16, editable=False)
    is_active = models.BooleanField("active", default=True)
    # Of the newest attempt. ``failures``: in a row, since anything was delivered last.
    failures = models.PositiveIntegerField(default=0, editable=False)
    failure = models.CharField(
        max_length=16, blank=True, editable=False, choices=[(k.value, k.value) for k in FailureKind]
    )
    failure_facts = models.JSONField(default=dict, blank=True, editable=False)
    failed_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField("last delivered", null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("recipient", "name")
        constraints = (
            models.UniqueConstraint(fields=("recipient", "name"), name="destination_named_once_per_person"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.service}) of {self.recipient.user}"

    @property
    def service(self) -> str:
        """The service it belongs to, as people call it."""
        found = {**SERVICES, **PLAIN}.get(self.scheme)
        return found.title if found else self.scheme

    @property
    def problem(self) -> str:
        """Why the newest attempt failed; nothing when it did not."""
        return Failure(FailureKind(self.failure), self.failure_facts).sentence if self.failure else ""


class DestinationUrl(models.Model):
    """A destination's URL, encrypted. Only ``notices.credentials`` decrypts it."""

    destination = models.OneToOneField(
        Destination, on_delete=models.CASCADE, primary_key=True, related_name="sealed"
    )
    url = SecretTextField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"URL of destination {self.destination_id}"


class Notice(models.Model):
    """Something that a person is told of: once for each person, kind and cause.

    ``due_at`` is when it is to be handed over for delivery (after quiet hours, with the digest), ``queued_at`` when it
    was. ``over_at``: what it is about is over, so nobody needs to be told any more.
    """

    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20, choices=[(k.value, FORMS[k].title) for k in Kind])
    severity = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Severity])
    cause = models.CharField(max_length=120)
    facts = models.JSONField(default=dict)
    made_at = models.DateTimeField()
    due_at = models.DateTimeField()
    queued_at = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    over_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    escalated_from = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="escalations"
    )

    class Meta:
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("recipient", "kind", "cause"), name="notice_once"),)
        indexes = (
            models.Index(fields=("due_at",), condition=models.Q(queued_at=None), name="notice_due"),
            models.Index(
                fields=("made_at",),
                condition=models.Q(severity="URGENT", acknowledged_at=None, over_at=None),
                name="notice_unanswered",
            ),
            models.Index(fields=("kind", "cause"), name="notice_of_cause"),
        )

    def __str__(self) -> str:
        return f"notice {self.pk}: {self.title}"

    @property
    def title(self) -> str:
        return FORMS[Kind(self.kind)].title

    @property
    def sentence(self) -> str:
        return sentence(Kind(self.kind), self.facts)

    @property
    def is_urgent(self) -> bool:
        return self.severity == Severity.URGENT.value

    @property
    def is_waiting(self) -> bool:
        """Does it wait for somebody to acknowledge it?"""
        return self.is_urgent and self.acknowledged_at is None and self.over_at is None


class Delivery(models.Model):
    """One message to one destination, with one notice or several; tried until it is taken, or given up.

    ``next_at`` is when it is tried (again). While somebody tries, that lies past the longest that trying takes.
    """

    class State(models.TextChoices):
        WAITING = "WAITING"
        SENT = "SENT"
        GIVEN_UP = "GIVEN_UP"

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    notices = models.ManyToManyField(Notice, related_name="deliveries")
    urgent = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField()
    next_at = models.DateTimeField()
    failure = models.CharField(max_length=16, blank=True, choices=[(k.value, k.value) for k in FailureKind])
    failure_facts = models.JSONField(default=dict, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(fields=("next_at",), condition=models.Q(state="WAITING"), name="delivery_waiting"),
        )

    def __str__(self) -> str:
        return f"delivery {self.pk} to {self.destination.name}: {self.state}"

    @property
    def problem(self) -> str:
        return Failure(FailureKind(self.failure), self.failure_facts).sentence if self.failure else ""


class Condition(models.Model):
    """Something that goes on for a while, such as an account that cannot be watched: told once, until it is over and comes back."""

    key = models.CharField(max_length=80, unique=True)
    since = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key} since {self.since:%Y-%m-%d %H:%M:%S}"


class PriceAlert(models.Model):
    """A price that a person waits for. Told once, when the market is there; ``level`` and ``fired_price`` in the quote asset."""

    class Side(models.TextChoices):
        ABOVE = "ABOVE", "at or above"
        BELOW = "BELOW", "at or below"

    recipient = models.ForeignKey(Recipient, on_delete=models.CASCADE, related_name="alerts")
    environment = models.CharField(max_length=8, choices=Environment.choices, default=Environment.LIVE.value)
    symbol = models.CharField(max_length=40)
    side = models.CharField(max_length=5, choices=Side.choices)
    level = amount(validators=[MinValueValidator(Decimal("1E-16"), "must be greater than zero")])
    kind = models.CharField(
        "price",
        max_length=4,
        choices=[(PriceKind.MARK.value, "mark price"), (PriceKind.LAST.value, "last price")],
        default=PriceKind.MARK.value,
    )
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    fired_at = models.DateTimeField(null=True, blank=True, editable=False)
    fired_price = amount(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("environment",), condition=models.Q(fired_at=None), name="alert_waiting"),
        )

    def __str__(self) -> str:
        return f"{self.symbol} {self.get_side_display()} {plain(self.level)}"

    def reached_by(self, price: Decimal) -> bool:
        return price >= self.level if self.side == self.Side.ABOVE else price <= self.level


class Progress(models.Model):
    """How far the rows of other rooms have been looked at, one row for each of their tables. Its lock is the right to look."""

    source = models.CharField(max_length=32, unique=True)
    position = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "progress"

    def __str__(self) -> str:
        return f"{self.source} up to {self.position}"

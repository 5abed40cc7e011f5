"""The journal: every request that may change something, what came of it, what was seen, every execution.

Requests, outcomes, sightings and anchors are append-only: the database itself refuses to change or delete
them. Requests, outcomes and sightings of one trio form one chain of hashes; ``orders/journal/append.py`` alone
writes them.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.domain.enums import RequestKind, Source, Verdict
from orders.models.fields import amount
from orders.models.trio import Leg, TrioOrder


class Line(models.Model):
    """One line of a trio's journal: its place in the trio's chain, and what ties it to the line before."""

    position = models.PositiveIntegerField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        abstract = True


class Request(Line):
    """One request exactly as it is sent, committed before it is. Its existence is the claim to send it.

    ``timestamp`` is exchange time and ``recv_window`` its window, both ms; ``payload`` are the wire
    parameters without them and without the signature.
    """

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="requests", db_index=False)
    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="requests")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in RequestKind])
    method = models.CharField(max_length=6)
    path = models.CharField(max_length=60)
    payload = models.JSONField()
    payload_hash = models.CharField(max_length=64)
    timestamp = models.BigIntegerField()
    recv_window = models.PositiveIntegerField()
    timeout_ms = models.PositiveIntegerField()
    begun_at = models.DateTimeField()
    asked_by = models.CharField(max_length=80)

    class Meta:
        ordering = ("id",)
        verbose_name = "exchange call"
        constraints = (models.UniqueConstraint(fields=("trio", "position"), name="request_line_once"),)

    def __str__(self) -> str:
        return f"{self.method} {self.path} for {self.leg}"


class Outcome(Line):
    """The outcome of one request: the answer, when it came in, and the trio's state then."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="outcomes", db_index=False)
    request = models.OneToOneField(Request, on_delete=models.PROTECT, related_name="outcome")
    verdict = models.CharField(max_length=12, choices=[(v.value, v.value) for v in Verdict])
    status = models.PositiveIntegerField(default=0)
    code = models.IntegerField(default=0)
    message = models.TextField(blank=True)
    latency_ms = models.PositiveIntegerField(default=0)
    trio_state = models.CharField(max_length=12, blank=True)
    received_ts = models.BigIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("trio", "position"), name="outcome_line_once"),)

    def __str__(self) -> str:
        return f"{self.verdict} {self.code or ''}".strip()


class Sighting(Line):
    """What the exchange showed of one order, where that changed what we know of it.

    ``facts`` are the order as it was shown. For ABSENCE they say when the look-up was asked; for BOOKS
    they are the leg as the books had it when the journal began to keep sightings; for ADOPTED the position
    that stands for the entry.
    """

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="sightings", db_index=False)
    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="sightings")
    source = models.CharField(max_length=8, choices=[(s.value, s.value) for s in Source])
    certain = models.BooleanField(default=False)
    facts = models.JSONField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("trio", "position"), name="sighting_line_once"),)

    def __str__(self) -> str:
        return f"{self.source} of {self.leg}"


class JournalAnchor(models.Model):
    """One minute's word on all journals: the heads that changed since the anchor before, chained to it.

    ``trios`` and ``rows`` count all that is anchored up to here.
    """

    number = models.PositiveBigIntegerField(unique=True)
    minute = models.DateTimeField(unique=True)
    trios = models.PositiveBigIntegerField()
    rows = models.PositiveBigIntegerField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ("number",)

    def __str__(self) -> str:
        return f"anchor {self.number}, {self.minute:%Y-%m-%d %H:%M}"


class AnchoredHead(models.Model):
    """How long a trio's journal was at an anchor, and the hash of its last line then.

    ``trio`` is a plain number: an anchor must neither wait for a trio's row nor vanish with it.
    ``start`` is the length at the anchor that named the trio before, 0 if none did.
    """

    anchor = models.ForeignKey(JournalAnchor, on_delete=models.PROTECT, related_name="heads")
    trio = models.BigIntegerField()
    start = models.PositiveIntegerField()
    length = models.PositiveIntegerField()
    head = models.CharField(max_length=64)

    class Meta:
        ordering = ("anchor", "trio")
        constraints = (models.UniqueConstraint(fields=("trio", "length"), name="head_anchored_once"),)

    def __str__(self) -> str:
        return f"trio {self.trio}, {self.length} rows"


class Fill(models.Model):
    """One execution of one of our orders."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="fills")
    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="fills")
    account = models.ForeignKey(ExchangeAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    symbol = models.CharField(max_length=40)
    trade_id = models.BigIntegerField()
    order_id = models.BigIntegerField()
    side = models.CharField(max_length=4, choices=[(s.value, s.value) for s in Side])
    price = amount()
    quantity = amount()
    commission = amount(default=Decimal(0))
    commission_asset = models.CharField(max_length=24, blank=True)
    realized_pnl = amount(default=Decimal(0))
    maker = models.BooleanField(default=False)
    time_ts = models.BigIntegerField()

    class Meta:
        ordering = ("time_ts", "trade_id")
        constraints = (
            models.UniqueConstraint(fields=("account", "symbol", "trade_id"), name="fill_booked_once"),
        )
        indexes = (
            models.Index(fields=("account", "time_ts"), name="fill_of_day"),
            models.Index(fields=("trade_id",), name="fill_trade_id"),
        )

    def __str__(self) -> str:
        return f"{self.side} {self.quantity.normalize():f} at {self.price.normalize():f}"


class TrioEvent(models.Model):
    """One line of a trio's story, in words a person can read."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=24)
    text = models.TextField()
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.text

"""The journal: every request that may change something, what came of it, every execution, every turn.

Requests and outcomes are append-only; the database itself refuses to change or delete them.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.domain.words import RequestKind, Verdict
from orders.models.fields import amount
from orders.models.trio import Leg, TrioOrder


class Request(models.Model):
    """One request exactly as it is sent, committed before it is. Its existence is the claim to send it.

    ``timestamp`` is exchange time and ``recv_window`` its window, both ms; ``payload`` are the wire
    parameters without them and without the signature.
    """

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="requests")
    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="requests")
    kind = models.CharField(max_length=6, choices=[(k.value, k.value) for k in RequestKind])
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

    def __str__(self) -> str:
        return f"{self.method} {self.path} for {self.leg}"


class Outcome(models.Model):
    """What came of one request."""

    request = models.OneToOneField(Request, on_delete=models.PROTECT, related_name="outcome")
    verdict = models.CharField(max_length=12, choices=[(v.value, v.value) for v in Verdict])
    status = models.PositiveIntegerField(default=0)
    code = models.IntegerField(default=0)
    message = models.TextField(blank=True)
    latency_ms = models.PositiveIntegerField(default=0)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.verdict} {self.code or ''}".strip()


class Fill(models.Model):
    """One execution of one of our orders."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="fills")
    leg = models.ForeignKey(Leg, on_delete=models.PROTECT, related_name="fills")
    account = models.ForeignKey(ExchangeAccount, on_delete=models.PROTECT, related_name="+")
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

"""A signal, and what became of it on each account."""

from __future__ import annotations

from django.db import models

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.models import TrioOrder
from signals.domain.enums import Origin, Outcome, Status, Verb


class Signal(models.Model):
    """One decision of a source. Inserting it is the claim: a bar or a post is acted on once.

    ``terms`` are what is wanted (entry, levels, size), ``figures`` what the decision rests on; decimals are text.
    ``bar_open_ts`` is the exchange's open time of the bar that it is about, in exchange milliseconds.
    Past ``act_before`` nothing new is opened for it.
    """

    origin = models.CharField(max_length=8, choices=[(o.value, o.value) for o in Origin])
    source = models.CharField(max_length=48)
    key = models.CharField(max_length=160)
    symbol = models.CharField(max_length=40)
    verb = models.CharField(
        max_length=8, choices=[(v.value, v.value) for v in Verb], default=Verb.ENTER.value
    )
    side = models.CharField(max_length=4, choices=[(s.value, s.value) for s in Side], blank=True)
    terms = models.JSONField(default=dict, blank=True)
    reason = models.TextField(blank=True)
    figures = models.JSONField(default=dict, blank=True)
    timeframe = models.CharField(max_length=4, blank=True)
    bar_open_ts = models.BigIntegerField(null=True, blank=True)
    dry_run = models.BooleanField(default=False)
    received_at = models.DateTimeField()
    act_before = models.DateTimeField()
    status = models.CharField(
        max_length=8, choices=[(s.value, s.value) for s in Status], default=Status.WAITING.value
    )
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("origin", "source", "key"), name="signal_once"),)
        indexes = (
            models.Index(fields=("id",), condition=models.Q(status="WAITING"), name="signal_waiting"),
            models.Index(fields=("origin", "source", "-id"), name="signal_of_source"),
        )

    def __str__(self) -> str:
        return f"{self.trio_source} {self.verb} {self.side} {self.symbol}".replace("  ", " ")

    @property
    def trio_source(self) -> str:
        """How its trios name where they come from."""
        return f"{Origin(self.origin).prefix}:{self.source}"


class SignalResult(models.Model):
    """What became of one signal on one account. It is made with the signal, PENDING, and ends once.

    A draft trio is made in the transaction that names it here, so that a kill in between neither loses nor
    doubles it. ``refusal`` is the kind of what was wrong, and ``facts`` what that kind is about.
    """

    signal = models.ForeignKey(Signal, on_delete=models.CASCADE, related_name="results")
    account = models.ForeignKey(ExchangeAccount, on_delete=models.CASCADE, related_name="signal_results")
    outcome = models.CharField(
        max_length=16, choices=[(o.value, o.value) for o in Outcome], default=Outcome.PENDING.value
    )
    refusal = models.CharField(max_length=24, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    trio = models.ForeignKey(
        TrioOrder, null=True, blank=True, on_delete=models.PROTECT, related_name="signal_results"
    )
    at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("signal", "account"), name="signal_result_once"),)

    def __str__(self) -> str:
        return f"{self.outcome} of {self.signal} on {self.account}"

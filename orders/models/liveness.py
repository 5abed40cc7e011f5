"""Who is alive, whose clock says what, and which installation this is."""

from __future__ import annotations

from django.db import models

from accounts.models import Environment, ExchangeAccount


class Watch(models.Model):
    """One account's stream and sweeps, held by one incarnation of one process at a time.

    Beaten every 250 ms; may be taken by a conditional update once the beat is stale.
    ``swept_ts`` is the exchange time at which the last sweep of all positions was asked, 0 before one was;
    ``full_at`` when all orders were last listed, and ``stranger_conditionals`` how many conditional ones were not
    ours then. ``interval_ms`` is how often it is swept at present. ``failures`` in a row, the last one's time and
    ``retry_at`` are kept here so that no other process tries a dead key anew.
    """

    account = models.OneToOneField(ExchangeAccount, on_delete=models.CASCADE, related_name="watch")
    incarnation = models.CharField(max_length=64, blank=True)
    holder = models.CharField(max_length=80, blank=True)
    beat = models.DateTimeField(null=True)
    stream_since = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)
    swept_ts = models.BigIntegerField(default=0)
    full_at = models.DateTimeField(null=True)
    interval_ms = models.PositiveIntegerField(default=0)
    stranger_conditionals = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ("account",)
        verbose_name_plural = "watches"

    def __str__(self) -> str:
        return f"watch of {self.account}"


class Heartbeat(models.Model):
    """One living ``runworker``. ``note``: what it cannot reach at present, as a sentence for people.

    ``shares``: it shares the accounts with others of its kind; one that will soon end does not.
    """

    process = models.CharField(max_length=80, unique=True)
    started_at = models.DateTimeField()
    beat = models.DateTimeField()
    note = models.TextField(blank=True)
    shares = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ("-beat",)

    def __str__(self) -> str:
        return self.process


class Clock(models.Model):
    """Exchange time of an environment is the database's ``clock_timestamp()`` plus this offset (ms).

    ``stepped_ts``: when, by its new time, it was last noticed that the exchange's clock had been set back.
    """

    environment = models.CharField(max_length=8, choices=Environment.choices, unique=True)
    offset_ms = models.IntegerField()
    round_trip_ms = models.PositiveIntegerField()
    measured_at = models.DateTimeField()
    stepped_ts = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"{self.environment}: {self.offset_ms:+d} ms"


class Install(models.Model):
    """This installation's mark in every client id, made on first use, one row.

    Kept beside PostgreSQL's system identifier, so that a restored copy notices that it is one. The head of
    the chain of anchors is here too: how many there are, and the newest one's hash.
    """

    token = models.CharField(max_length=4)
    system_identifier = models.CharField(max_length=32)
    anchors = models.PositiveBigIntegerField(default=0)
    anchor_head = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.token

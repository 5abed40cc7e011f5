"""One thing that a person asks of many trios at once, and what became of it trio by trio."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from orders.domain.enums import BulkEnd, BulkVerb
from orders.models.trio import TrioOrder


class BulkRun(models.Model):
    """A verb on a selection, who asked for it, and who stopped it. What was not begun by then is taken back."""

    verb = models.CharField(max_length=6, choices=[(v.value, v.value) for v in BulkVerb])
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=150)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    stopped_at = models.DateTimeField(null=True)
    stopped_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "bulk run"

    def __str__(self) -> str:
        return f"Bulk run {self.pk}"


class BulkItem(models.Model):
    """One trio of a run. ``tries``: how often it was begun; again only where the process that had begun it is gone."""

    run = models.ForeignKey(BulkRun, on_delete=models.PROTECT, related_name="items")
    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="bulk_items")
    seen = models.JSONField(null=True, help_text="The terms that the person saw who placed it.")
    begun_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    end = models.CharField(max_length=10, blank=True, choices=[(e.value, e.value) for e in BulkEnd])
    ended_at = models.DateTimeField(null=True)
    # Why it was refused, and the field of the ticket that it is about, where there is one.
    refused_field = models.CharField(max_length=32, blank=True)
    refused_text = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("run", "trio"), name="trio_once_a_run"),)
        indexes = (models.Index(fields=("run",), condition=models.Q(end=""), name="bulk_open"),)

    def __str__(self) -> str:
        return f"Trio {self.trio_id} of bulk run {self.run_id}"

"""A replay that was run, with its whole report."""

from __future__ import annotations

from django.db import models


class ReplayRun(models.Model):
    """What came of replaying a strategy over recorded bars. Equal hashes: the same decisions, to the last digit."""

    at = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=120, blank=True)
    code = models.CharField(max_length=60)
    symbols = models.CharField(max_length=200)
    hash = models.CharField(max_length=64)
    report = models.JSONField()

    class Meta:
        ordering = ("-id",)
        verbose_name = "replay"

    def __str__(self) -> str:
        return f"Replay {self.pk} of {self.code} on {self.symbols}"

"""Tickets that people keep to use again."""

from __future__ import annotations

from django.db import models


class TicketTemplate(models.Model):
    """A ticket as it was typed: by field, in plain text, so that “1% risk” and “2%” are worked out anew each time."""

    name = models.CharField(max_length=60, unique=True)
    terms = models.JSONField(default=dict)
    saved_at = models.DateTimeField()
    saved_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("name",)
        verbose_name = "ticket template"

    def __str__(self) -> str:
        return self.name

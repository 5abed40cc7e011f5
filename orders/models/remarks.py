"""What people say about trios: tags to find and compare them by, and notes. Nothing here changes what a trio does."""

from __future__ import annotations

from django.db import models

from orders.models.trio import TrioOrder


class TrioTag(models.Model):
    """One tag of one trio, in lower case."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="tags")
    name = models.CharField(max_length=32)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("trio", "name"), name="tag_once_a_trio"),)
        indexes = (models.Index(fields=("name", "trio"), name="tag_name"),)

    def __str__(self) -> str:
        return self.name


class TrioNote(models.Model):
    """What somebody wrote about a trio; it stays as it was written."""

    trio = models.ForeignKey(TrioOrder, on_delete=models.PROTECT, related_name="notes")
    text = models.TextField()
    written_at = models.DateTimeField()
    written_by = models.CharField(max_length=150)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return self.text[:60]

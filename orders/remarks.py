"""What people say about trios: tags and notes. Nothing that trades reads them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import transaction

from orders.domain.errors import RuleBroken
from orders.domain.tags import tags_read
from orders.exchange_data.clock import db_now
from orders.models import TrioNote, TrioTag

NOTE_MAX: Final = 2000


def trio_tags_set(trio_id: int, text: str) -> tuple[str, ...]:
    """Have a trio have these tags and no others; return them. Raises RuleBroken."""
    wanted = tags_read(text)
    with transaction.atomic():
        TrioTag.objects.filter(trio=trio_id).exclude(name__in=wanted).delete()
        TrioTag.objects.bulk_create(
            [TrioTag(trio_id=trio_id, name=name) for name in wanted], ignore_conflicts=True
        )
    return wanted


def trio_note_add(trio_id: int, text: str, *, by: str) -> TrioNote:
    """Write a note about a trio. Raises RuleBroken for one that is empty or too long."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise RuleBroken("note", "The note is empty: write something, then keep it.")
    if len(text) > NOTE_MAX:
        raise RuleBroken("note", f"The note has {len(text)} characters; {NOTE_MAX} are the most.")
    return TrioNote.objects.create(trio_id=trio_id, text=text, written_at=db_now(), written_by=by)


def tags_of(trio_ids: Collection[int]) -> dict[int, list[str]]:
    """Return the tags of these trios, in order."""
    found: dict[int, list[str]] = {}
    for trio_id, name in (
        TrioTag.objects.filter(trio__in=trio_ids).order_by("name").values_list("trio", "name")
    ):
        found.setdefault(trio_id, []).append(name)
    return found


def tags_known(limit: int) -> list[str]:
    """Return the tags that trios have, in order."""
    return list(TrioTag.objects.order_by("name").values_list("name", flat=True).distinct()[:limit])

"""Anchors: each minute one row that fixes how far every journal had come.

A trio's chain alone does not show that its end was cut off together with its head, nor that the whole
trio is gone. An anchor does: it names the heads that changed since the one before, and is chained to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Max

from orders.domain.hash_chain import BEGINNING, digest
from orders.exchange_data.clock import db_now
from orders.installation import install_row
from orders.journal.append import anchor_content
from orders.models import AnchoredHead, Install, JournalAnchor, TrioOrder
from orders.trio_lock import short_transaction

# A line is dated when it is written and seen when it is committed. No transaction of ours lasts this long.
OVERLAP: Final = timedelta(minutes=10)
BATCH: Final = 1000


def anchor_write() -> JournalAnchor | None:
    """Write this minute's anchor; nothing when it is there, or when another process is just writing it."""
    with short_transaction():
        install = install_row()  # read first: who sees its number as it is now sees its anchor too
        minute = db_now().replace(second=0, microsecond=0)
        if JournalAnchor.objects.filter(minute__gte=minute).exists():
            return None
        last = JournalAnchor.objects.order_by("-number").first()
        heads = list(_changed_heads(None if last is None else last.minute - OVERLAP))
        anchor = JournalAnchor(
            number=install.anchors + 1,
            minute=minute,
            trios=(last.trios if last else 0) + sum(head.start == 0 for head in heads),
            rows=(last.rows if last else 0) + sum(head.length - head.start for head in heads),
            previous_hash=install.anchor_head or BEGINNING,
        )
        anchor.hash = digest(anchor_content(anchor, heads), previous=anchor.previous_hash)
        mine = Install.objects.filter(pk=install.pk, anchors=install.anchors)
        if not mine.update(anchors=anchor.number, anchor_head=anchor.hash):
            return None
        anchor.save(force_insert=True)
        for head in heads:
            head.anchor = anchor
        AnchoredHead.objects.bulk_create(heads, batch_size=BATCH)
    return anchor


def _changed_heads(since: datetime | None) -> Iterator[AnchoredHead]:
    """Return the heads that no anchor has named yet, by trio. Locks nothing."""
    trios = TrioOrder.objects.filter(journal_length__gt=0)
    if since is not None:
        trios = trios.filter(journal_at__gte=since)
    found = list(trios.order_by("pk").values_list("pk", "journal_length", "journal_head"))
    for first in range(0, len(found), BATCH):
        some = found[first : first + BATCH]
        named = AnchoredHead.objects.filter(trio__in=[pk for pk, _, _ in some])
        starts = dict(named.order_by().values_list("trio").annotate(Max("length")))
        for pk, length, head in some:
            if length > starts.get(pk, 0):
                yield AnchoredHead(trio=pk, start=starts.get(pk, 0), length=length, head=head)

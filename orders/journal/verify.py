"""Is the journal whole? Walks every chain and every anchor once, in constant memory, from one snapshot."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet

from orders.domain.hash_chain import BEGINNING, digest, payload_digest
from orders.journal.append import Row, anchor_content, row_content
from orders.models import AnchoredHead, Install, JournalAnchor, Outcome, Request, Sighting, TrioOrder

CHUNK: Final = 1000
BREAKS_LISTED_MAX: Final = 100

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the journal is not what was written, in a sentence. ``trio`` is 0 for the anchors."""

    sentence: str
    trio: int = 0
    row: int = 0


@dataclass
class Verdict:
    """What a walk over the journal found."""

    trios: int = 0
    rows: int = 0
    anchors: int = 0
    newest: JournalAnchor | None = None
    broken: int = 0
    breaks: list[Break] = field(default_factory=list)

    def add(self, found: Break | None) -> None:
        if found is not None:
            self.broken += 1
            if len(self.breaks) < BREAKS_LISTED_MAX:
                self.breaks.append(found)


@contextlib.contextmanager
def one_instant() -> Iterator[None]:
    """Open a transaction that reads everything as of one instant, locks nothing and writes nothing."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def journal_verify(
    *, trio_id: int | None = None, noted: str = "", progress: Progress = lambda trios, rows: None
) -> Verdict:
    """Walk the journal, of one trio or of all with the anchors.

    ``noted``: the hash of an anchor that somebody wrote down elsewhere; it must be among them.
    """
    with one_instant():  # others go on writing meanwhile
        verdict = Verdict()
        _verify_trios(verdict, trio_id, progress)
        if trio_id is None:
            _verify_anchors(verdict, noted)
        return verdict


# --- the chains of the trios --------------------------------------------------------------------


def rows_of(trio_id: int | None = None) -> Iterator[Row]:
    """Return the lines of one journal or of all, by trio and place, as a stream."""
    tables: tuple[QuerySet[Any], ...] = (
        Request.objects.select_related("leg"),
        Outcome.objects.select_related("request"),
        Sighting.objects.select_related("leg"),
    )
    chosen = tables if trio_id is None else tuple(table.filter(trio=trio_id) for table in tables)
    streams = [table.order_by("trio_id", "position").iterator(CHUNK) for table in chosen]
    return heapq.merge(*streams, key=lambda row: (row.trio_id, row.position))


def _verify_trios(verdict: Verdict, trio_id: int | None, progress: Progress) -> None:
    trios: QuerySet[TrioOrder] = TrioOrder.objects.filter(journal_length__gt=0).order_by("pk")
    heads: QuerySet[AnchoredHead] = AnchoredHead.objects.order_by("trio", "length")
    if trio_id is not None:
        trios, heads = trios.filter(pk=trio_id), heads.filter(trio=trio_id)
    tops = trios.only("pk", "journal_length", "journal_head").iterator(CHUNK)
    for pk, rows, top, anchored in _together(rows_of(trio_id), tops, heads.iterator(CHUNK)):
        chain = _Chain(pk)
        verdict.add(chain.verify(rows, top, anchored))
        verdict.trios += 1
        verdict.rows += chain.rows
        progress(verdict.trios, verdict.rows)


def _together(
    rows: Iterator[Row], tops: Iterator[TrioOrder], heads: Iterator[AnchoredHead]
) -> Iterator[tuple[int, Iterable[Row], TrioOrder | None, Iterable[AnchoredHead]]]:
    """Bring together, by trio, its lines, the head its own row keeps, and the heads that anchors kept."""
    by_trio = groupby(rows, key=attrgetter("trio_id"))
    by_anchor = groupby(heads, key=attrgetter("trio"))
    lines, top, anchored = next(by_trio, None), next(tops, None), next(by_anchor, None)
    while lines or top or anchored:
        pk = min(
            ([lines[0]] if lines else []) + ([top.pk] if top else []) + ([anchored[0]] if anchored else [])
        )
        yield (
            pk,
            lines[1] if lines and lines[0] == pk else (),
            top if top and top.pk == pk else None,
            anchored[1] if anchored and anchored[0] == pk else (),
        )
        lines = next(by_trio, None) if lines and lines[0] == pk else lines
        top = next(tops, None) if top and top.pk == pk else top
        anchored = next(by_anchor, None) if anchored and anchored[0] == pk else anchored


class _Chain:
    """One trio's chain, walked from its first line to its last; the first fault is reported."""

    def __init__(self, trio: int) -> None:
        self.trio = trio
        self.rows = 0
        self._last = BEGINNING

    def verify(
        self, rows: Iterable[Row], top: TrioOrder | None, anchored: Iterable[AnchoredHead]
    ) -> Break | None:
        promised = iter(anchored)
        due = next(promised, None)
        for row in rows:
            if found := self._line(row):
                return found
            self.rows, self._last = row.position, row.hash
            while due is not None and due.length == row.position:
                if due.head != row.hash:
                    return self._broken(
                        row.position,
                        f"{_name(row)} is not the row that was there when the journal was anchored.",
                    )
                due = next(promised, None)
        return self._end(top, due)

    def _line(self, row: Row) -> Break | None:
        place = self.rows + 1
        if isinstance(row, Request) and row.payload_hash != payload_digest(row.payload):
            return self._broken(
                row.position, f"{_name(row)} was changed: its parameters are not those that were sent."
            )
        if row.hash != digest(row_content(row), previous=row.previous_hash):
            return self._broken(row.position, f"{_name(row)} was changed after it was written.")
        if row.position > place:
            return self._broken(place, f"it is missing; after it comes {_name(row)}.")
        if row.position < place:
            return self._broken(row.position, f"{_name(row)} was put in: the place was taken already.")
        if row.previous_hash != self._last:
            return self._broken(
                row.position,
                f"{_name(row)} does not follow on the row before it: one of the two was replaced.",
            )
        return None

    def _end(self, top: TrioOrder | None, due: AnchoredHead | None) -> Break | None:
        if top is None and self.rows:
            return self._broken(
                self.rows, "the trio itself knows of no journal, though rows of it are there."
            )
        if top is None:
            return self._broken(
                1,
                f"all is missing; there were {due.length if due else 0} rows when the journal was anchored.",
            )
        if self.rows < top.journal_length:
            return self._broken(
                self.rows + 1,
                f"it is missing; the trio had {top.journal_length} rows when it was last written.",
            )
        if due is not None:
            return self._broken(
                self.rows + 1, f"it is missing; there were {due.length} rows when the journal was anchored."
            )
        if self.rows > top.journal_length or self._last != top.journal_head:
            return self._broken(self.rows, "it was put in: the trio's own last row is another.")
        return None

    def _broken(self, row: int, what: str) -> Break:
        return Break(f"Trio {self.trio}, row {row} of its journal: {what}", self.trio, row)


def _name(row: Row) -> str:
    match row:
        case Request():
            return f"the {row.kind} request of {row.leg.client_id} ({Request._meta.db_table} {row.pk})"
        case Outcome():
            return f"the {row.verdict} outcome ({Outcome._meta.db_table} {row.pk})"
        case Sighting():
            return f"the {row.source} sighting of {row.leg.client_id} ({Sighting._meta.db_table} {row.pk})"


# --- the anchors --------------------------------------------------------------------------------


def _verify_anchors(verdict: Verdict, noted: str) -> None:
    install = Install.objects.order_by("pk").first()
    due, newest = (install.anchors, install.anchor_head) if install else (0, "")
    heads = groupby(
        AnchoredHead.objects.order_by("anchor__number", "trio").select_related("anchor").iterator(CHUNK),
        key=lambda head: head.anchor.number,
    )
    ahead = next(heads, None)
    last, known = BEGINNING, not noted
    trios = rows = 0
    for anchor in JournalAnchor.objects.order_by("number").iterator(CHUNK):
        named: list[AnchoredHead] = []
        if ahead is not None and ahead[0] == anchor.number:
            named, ahead = list(ahead[1]), next(heads, None)
        trios += sum(head.start == 0 for head in named)
        rows += sum(head.length - head.start for head in named)
        verdict.add(_anchor(anchor, named, number=verdict.anchors + 1, last=last, totals=(trios, rows)))
        verdict.anchors, verdict.newest = anchor.number, anchor
        last, trios, rows = anchor.hash, anchor.trios, anchor.rows
        known |= anchor.hash == noted
    if verdict.anchors < due:
        verdict.add(Break(f"Anchor {verdict.anchors + 1} is missing: {due} were written."))
    elif verdict.anchors > due or (due and last != newest):
        verdict.add(
            Break(f"Anchor {verdict.anchors} was put in: the newest one that was written is another.")
        )
    if not known:
        verdict.add(
            Break(f"No anchor has the hash {noted}: the anchor it was noted from is gone or replaced.")
        )


def _anchor(
    anchor: JournalAnchor, heads: list[AnchoredHead], *, number: int, last: str, totals: tuple[int, int]
) -> Break | None:
    name = f"Anchor {anchor.number} ({anchor.minute:%Y-%m-%d %H:%M} UTC)"
    if anchor.hash != digest(anchor_content(anchor, heads), previous=anchor.previous_hash):
        return Break(f"{name}: it, or what it says of a trio, was changed after it was written.")
    if anchor.number != number:
        return Break(f"Anchor {number} is missing; after it comes {name[0].lower()}{name[1:]}.")
    if anchor.previous_hash != last or totals != (anchor.trios, anchor.rows):
        return Break(f"{name} does not follow on the one before it: one of the two was replaced.")
    return None

"""A trio's story, its wake-ups, and the questions it asks: what a person reads afterwards."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from django.db import connection

from infrastructure.rows import row_insert, row_update
from orders.domain.operator_questions import Question
from orders.exchange_data.clock import db_now
from orders.models import TrioEvent, TrioOrder
from orders.trio_lock import locked

WAKE = "UPDATE orders_trioorder SET wake_at = %s WHERE id = %s"


WAKE_WITH_HEAD = "UPDATE orders_trioorder SET wake_at = %s, journal_head = %s, journal_length = %s, journal_at = %s WHERE id = %s"


def note(trio: TrioOrder, kind: str, text: str, *, at: datetime | None = None, **data: Any) -> None:
    """Add one line to a trio's story."""
    row_insert(TrioEvent(trio=trio, at=at or db_now(), kind=kind, text=text, data=data))


def wake(trio_id: int, now: datetime) -> None:
    """Have a trio looked at now."""
    with connection.cursor() as cursor:
        cursor.execute(WAKE, [now, trio_id])


def wake_with_head(trio: TrioOrder, now: datetime) -> None:
    """Have a trio looked at now, and save its journal's head in the same UPDATE."""
    with connection.cursor() as cursor:
        cursor.execute(
            WAKE_WITH_HEAD, [now, trio.journal_head, trio.journal_length, trio.journal_at, trio.pk]
        )


class Put(enum.Enum):
    """Whether a question was put to a person."""

    ASKED = "asked now"
    KNOWN = "was asked before, or the trio has ended"
    LATER = "something else is being asked"


def question_note(trio: TrioOrder, question: Question, *, at: datetime) -> None:
    """Add to a trio's story what it asks now."""
    note(trio, "question", question.sentence, at=at, question=question.kind.value, facts=dict(question.facts))


def question_put(trio_id: int, question: Question) -> Put:
    """Have a trio ask a person about a change on its account or symbol, once for each change."""

    def put(now: datetime) -> Put:
        trio = TrioOrder.objects.get(pk=trio_id)
        known = trio.events.filter(
            kind="question", data__question=question.kind.value, data__facts=dict(question.facts)
        )
        if trio.is_over or known.exists():
            return Put.KNOWN
        if trio.question_kind:  # that one comes first; this one is asked with the next look
            return Put.LATER
        trio.asked = question
        row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")
        question_note(trio, question, at=now)
        wake(trio_id, now)
        return Put.ASKED

    return locked(put, trio_id=trio_id, what=f"trio {trio_id}: a question")

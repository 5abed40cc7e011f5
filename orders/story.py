"""A trio's story, its wake-ups, and the questions it asks: what a person reads afterwards."""

from __future__ import annotations

import enum
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from infrastructure.rows import row_append, row_insert, row_new, row_update
from orders.domain.drift import SETTINGS_QUESTIONS, Response
from orders.domain.enums import Role
from orders.domain.operator_questions import ASKED_ONCE, Choice, Kept, Question, QuestionKind
from orders.domain.rounding import plain
from orders.domain.snapshot import ChangeEnd, MoveEnd, SizeEnd
from orders.exchange_data.clock import db_now
from orders.models import DriftChoices, EntryChangeWish, LevelMove, SizeChange, TrioEvent, TrioOrder
from orders.models.drift import drift_policy
from orders.trio_lock import locked

BY_POLICY = "drift policy"  # who answers, where no person does
WAKE = "UPDATE orders_trioorder SET wake_at = %s WHERE id = %s"


WAKE_WITH_HEAD = "UPDATE orders_trioorder SET wake_at = %s, journal_head = %s, journal_length = %s, journal_at = %s WHERE id = %s"


def note(trio: TrioOrder, kind: str, text: str, *, at: datetime | None = None, **data: Any) -> None:
    """Add one line to a trio's story."""
    row_append(row_new(TrioEvent, trio=trio, at=at or db_now(), kind=kind, text=text, data=data))


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


def move_sentence(move: LevelMove) -> str:
    """Say how a wish for another level ended."""
    what, level = Role(move.role).words.capitalize(), plain(move.level)
    match MoveEnd(move.end):
        case MoveEnd.DONE:
            return f"{what} moved from {plain(move.level_before)} to {level}."
        case MoveEnd.REPLACED:
            return f"{what}: the move to {level} was replaced by a later one."
        case MoveEnd.DROPPED:
            return f"{what}: not moved to {level}, the trio is being closed."
        case MoveEnd.REFUSED:
            code = f" (code {move.refused_code})" if move.refused_code else ""
            said = f"the exchange refused it: {move.refused_text.rstrip('.') or 'no reason given'}{code}"
            if not (move.refused_code or move.refused_text):
                said = "its order does not rest on the exchange"
            near = "" if move.nearest is None else f" The nearest valid level is {plain(move.nearest)}."
            return f"{what} stays at {plain(move.level_before)}, not moved to {level}; {said}.{near}"


def size_sentence(change: SizeChange) -> str:
    """Say how a wish for another size ended."""
    role, quantity = Role(change.role), plain(change.quantity)
    verb = "added" if role is Role.ADD else "closed"
    match SizeEnd(change.end):
        case SizeEnd.DONE:
            return f"{plain(change.filled)} of {quantity} {verb}."
        case SizeEnd.DROPPED:
            return f"{quantity} not {verb}: the trio is being closed."
        case SizeEnd.REFUSED:
            code = f" (code {change.refused_code})" if change.refused_code else ""
            why = change.refused_text.rstrip(".") or "nothing of its order executed"
            return f"{quantity} not {verb}: {why}{code}."


def change_sentence(change: EntryChangeWish) -> str:
    """Say how a wish for other terms of the entry ended."""
    before = f"{plain(change.quantity_before)} at {plain(change.price_before)}"
    wanted = f"{plain(change.quantity)} at {plain(change.price)}"
    match ChangeEnd(change.end):
        case ChangeEnd.DONE if change.is_about_time_alone:
            return f"Good-till changed from {_till(change.good_till_before)} to {_till(change.good_till)}."
        case ChangeEnd.DONE if wanted == before:
            return f"Entry stays {wanted}."
        case ChangeEnd.DONE:
            return f"Entry changed from {before} to {wanted}."
        case ChangeEnd.CANCELLED:
            return f"Entry: {plain(change.quantity)} or more of it has filled, so what was unfilled is cancelled instead."
        case ChangeEnd.REPLACED:
            return f"Entry: the change to {wanted} was replaced by a later one."
        case ChangeEnd.DROPPED:
            return f"Entry: not changed to {wanted}, it has ended or is being taken back."
        case ChangeEnd.OVERDUE:
            why = f" {change.refused_text}" if change.refused_text else ""
            return f"Entry: not changed to {wanted}, it could not be sent in time.{why}"
        case ChangeEnd.REFUSED:
            code = f" (code {change.refused_code})" if change.refused_code else ""
            return (
                f"Entry: not changed from {before} to {wanted}; it was refused{code}: {change.refused_text}"
            )


def _till(moment: datetime | None) -> str:
    return "none" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


class Put(enum.Enum):
    """Whether a question was put to a person."""

    ASKED = "asked now"
    KNOWN = "was asked before, or the trio has ended"
    LATER = "something else is being asked"


def question_ask(trio: TrioOrder, question: Question, *, at: datetime) -> bool:
    """Have a trio ask a person, unless it does already or that was answered; return whether it asks anew.

    The caller holds its row and saves ``QUESTION_FIELDS``. What this pushes aside is asked again afterwards, by
    its rule or, where no rule would, from what is kept.
    """
    asked, kept = trio.asked, trio.kept
    if asked is not None and question.same_as(asked):
        return False
    if any(question.same_as(known.question) for known in kept if known.answered):
        return False
    if asked is not None and asked.kind in ASKED_ONCE:
        trio.kept = [*kept, Kept(question_number(trio, at=at), asked, answered=False)]
    trio.asked = question
    trio.question_number = _question_note(trio, question, at=at)
    return True


def question_number(trio: TrioOrder, *, at: datetime) -> int:
    """Return the number of the question that is asked now. One asked by an earlier version is given its line here."""
    assert trio.asked is not None
    if trio.question_number is None:
        trio.question_number = _question_note(trio, trio.asked, at=at)
    return trio.question_number


def question_shown(trio: TrioOrder) -> str:
    """Return by what a screen says which question it showed. One asked by an earlier version has no number yet."""
    return str(trio.question_number or 0)


def question_over(trio: TrioOrder, *, at: datetime, answered: bool) -> None:
    """Take the question off: it was answered, or its reason is gone. What had to make way for it is asked again.

    The caller holds the trio's row and saves ``QUESTION_FIELDS``.
    """
    asked, kept = trio.asked, trio.kept
    if asked is not None and answered:
        kept = (*kept, Kept(question_number(trio, at=at), asked, answered=True))
    waiting = next((known for known in kept if not known.answered), None)
    trio.kept = [known for known in kept if known is not waiting]
    trio.asked = None if waiting is None else waiting.question
    trio.question_number = None if waiting is None else waiting.number


def question_answer_by_policy(trio: TrioOrder, question: Question, choice: Choice, *, at: datetime) -> None:
    """Write down a question with the answer that the drift policy gives. It sticks like a person's; the caller saves ``QUESTION_FIELDS``."""
    if trio.asked is not None and question.same_as(trio.asked):
        number = question_number(trio, at=at)
        question_over(trio, at=at, answered=True)
    else:
        number = _question_note(trio, question, at=at)
        trio.kept = [*trio.kept, Kept(number, question, answered=True)]
    text = f"“{question.sentence}”: {choice.words.lower()}, by the {BY_POLICY}."
    note(
        trio, "answer", text, at=at, by=BY_POLICY, choice=choice, question=question.kind.value,
        facts=dict(question.facts), number=number,
    )  # fmt: skip


def question_withdraw(trio: TrioOrder, *, at: datetime) -> None:
    """Ask a person no more: what the question is about is over. The caller saves ``QUESTION_FIELDS``."""
    note(trio, "question", f"Not asked any more, for it is over: {trio.question}", at=at)
    question_over(trio, at=at, answered=False)


def question_take_back(trio_id: int, kind: QuestionKind) -> bool:
    """Withdraw a trio's question of this kind; return whether there was one."""

    def take_back(now: datetime) -> bool:
        trio = TrioOrder.objects.get(pk=trio_id)
        if trio.question_kind != kind:
            return False
        question_withdraw(trio, at=now)
        row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")
        wake(trio_id, now)  # what had to make way is asked, or found out, again
        return True

    return locked(take_back, trio_id=trio_id, what=f"trio {trio_id}: a question")


def answers_forget(trio: TrioOrder, kinds: Collection[QuestionKind]) -> bool:
    """Forget answers about what is over, so that it is asked when it comes back; return whether there were any."""
    kept = trio.kept
    left = [known for known in kept if not (known.answered and known.question.kind in kinds)]
    if len(left) == len(kept):
        return False
    trio.kept = left
    return True


def _question_note(trio: TrioOrder, question: Question, *, at: datetime) -> int:
    """Write the question's line into the story; return the line's number."""
    data = {"question": question.kind.value, "facts": dict(question.facts)}
    line = row_new(TrioEvent, trio=trio, at=at, kind="question", text=question.sentence, data=data)
    row_insert(line)
    return line.pk


def _closes(trio: TrioOrder, question: Question) -> bool:
    """Does the trio's drift policy answer this with a close?"""
    if question.kind not in SETTINGS_QUESTIONS:
        return False
    rows = DriftChoices.objects.filter(Q(trio=None) | Q(trio=trio), account=trio.account_id)
    return drift_policy(list(rows)).settings_changed is Response.CLOSE


def question_put(trio_id: int, question: Question) -> Put:
    """Have a trio ask a person about a change on its account or symbol, once for each change.

    Something that is being asked comes first, unless the drift policy answers this one with a close.
    """

    def put(now: datetime) -> Put:
        trio = TrioOrder.objects.get(pk=trio_id)
        known = trio.events.filter(
            kind="question", data__question=question.kind.value, data__facts=dict(question.facts)
        )
        if trio.is_over or known.exists():
            return Put.KNOWN
        if trio.question_kind and not _closes(
            trio, question
        ):  # that one comes first; this one is asked with the next look
            return Put.LATER
        question_ask(trio, question, at=now)
        row_update(trio, *TrioOrder.QUESTION_FIELDS, "updated_at")
        wake(trio_id, now)
        return Put.ASKED

    return locked(put, trio_id=trio_id, what=f"trio {trio_id}: a question")

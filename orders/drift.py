"""What people choose about drifts, for an account or one trio, and what follows a position that was turned round outside.

The choices are rows that every decision reads. A reversed position is nobody's trio any more: it is adopted by an answer,
or where the policy says so by any ``runworker``, which finds the question on the trio that ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Q

from accounts.models import ExchangeAccount
from infrastructure import job_queue
from infrastructure.rows import fetch_all
from orders import jobs
from orders.adoption import position_adopt
from orders.domain.adoption import HUNDRED, Level
from orders.domain.drift import DRIFTS_WITH_CHOICE, Drift, DriftPolicy, Response
from orders.domain.enums import Role, TrioState
from orders.domain.errors import IllegalTransition, MarketUnread, RuleBroken, SlotTaken, TrioRefused
from orders.domain.operator_questions import Choice, Question, QuestionKind
from orders.exchange_data.clock import to_ms
from orders.models import DriftChoices, TrioOrder
from orders.models.drift import drift_policy
from orders.selectors import entry_cost
from orders.story import BY_POLICY, note, question_number, question_over, question_take_back
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction

AGAIN_SECONDS: Final = 5.0
UNPROTECTED_MINUTES_MAX: Final = 24 * 60
# Ended trios that ask about a reversed position: of which it is gone, or has a trio of its own, or is to be adopted.
DUE: Final = """
    SELECT trio.id, trio.question_facts ->> 'policy' = 'ADOPT' AND slot.quantity <> 0 AND holder.id IS NULL
        AND (slot.quantity < 0) = (trio.side = 'BUY')
    FROM orders_trioorder trio JOIN orders_slot slot ON slot.id = trio.slot_id
    LEFT JOIN orders_trioorder holder ON holder.slot_id = slot.id AND holder.holds_slot
    WHERE trio.question_kind = 'POSITION_REVERSED' AND (
        trio.question_facts ->> 'policy' = 'ADOPT' OR holder.id IS NOT NULL OR slot.quantity = 0
        OR (slot.quantity > 0) = (trio.side = 'BUY'))
    ORDER BY trio.id LIMIT 100
"""


# --- what is chosen -----------------------------------------------------------------------------


def drift_rows(account: ExchangeAccount, trio: TrioOrder | None = None) -> list[DriftChoices]:
    """Return what was chosen for an account, and for a trio on it."""
    return list(DriftChoices.objects.filter(Q(trio=None) | Q(trio=trio), account=account))


def drift_policy_of(account: ExchangeAccount, trio: TrioOrder | None = None) -> DriftPolicy:
    """Return what holds for an account, or for a trio on it."""
    return drift_policy(drift_rows(account, trio))


def drift_choose(
    *, account: ExchangeAccount, chosen: Mapping[str, str], by: str, trio_id: int | None = None
) -> DriftChoices:
    """Choose responses for an account, or for one trio on it, by the drift's field; an empty one takes the choice back.

    What is left out stays. It holds at once, also for what is open. Raises RuleBroken for a response that a drift does
    not have, IllegalTransition for a trio that has ended.
    """
    for field, response in chosen.items():
        _allowed_check(field, response)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = None if trio_id is None else TrioOrder.objects.get(pk=trio_id)
        if trio is not None and trio.is_over:
            raise IllegalTransition(
                f"Trio {trio_id} has ended ({trio.state}): no policy matters to it any more."
            )
        row = DriftChoices.objects.filter(account=account, trio=trio).first()
        row = row or DriftChoices(account=account, trio=trio)
        for field, response in chosen.items():
            setattr(row, field, response)
        row.updated_by = by
        row.save()
        if trio is not None:
            said = ", ".join(f"{Drift(f.upper()).words}: {r or 'as the account'}" for f, r in chosen.items())
            note(trio, "wish", f"Drift policy chosen by {by}: {said}.", at=now, by=by, drift=dict(chosen))
            trio.wake_at = now if trio.trio_state is not TrioState.DRAFT else None
            trio.save(update_fields=["wake_at", "updated_at"])
    drift_holds(row)
    return row


def drift_holds(row: DriftChoices) -> None:
    """Have what is open looked at, now that other choices hold."""
    living = TrioOrder.objects.filter(account=row.account_id, holds_slot=True)
    if row.trio_id is not None:
        living = living.filter(pk=row.trio_id)
    for trio_id in living.order_by("id").values_list("pk", flat=True):
        with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
            TrioOrder.objects.filter(pk=trio_id, holds_slot=True).update(wake_at=now)
            job_queue.ring(jobs.advance, trio_id)


def _allowed_check(field: str, response: str) -> None:
    drift = next((drift for drift in DRIFTS_WITH_CHOICE if drift.field == field), None)
    if drift is None:
        raise RuleBroken(field, f"“{field}” is no drift with a choice.")
    if response and response not in drift.responses:
        words = ", ".join(drift.responses)
        raise RuleBroken(field, f"“{response}” is no response when {drift.words}: choose {words}.")


# --- left unprotected -----------------------------------------------------------------------------


def unprotected_words(trio_id: int) -> str:
    """Return what a person types to leave a trio unprotected."""
    return f"unprotected {trio_id}"


def trio_leave_unprotected(*, trio_id: int, minutes: int, typed: str, by: str) -> TrioOrder:
    """Have a stop that is cancelled outside not placed again, for so many minutes; nothing of ours is cancelled by this.

    ``typed``: the confirmation (``unprotected_words``). Raises RuleBroken for a time beyond a day or another confirmation,
    IllegalTransition when the trio is not open, or something moves its stop.
    """
    if not 1 <= minutes <= UNPROTECTED_MINUTES_MAX:
        raise RuleBroken(
            "minutes", f"{minutes} minutes cannot be: from 1 to {UNPROTECTED_MINUTES_MAX}, which is a day."
        )
    if typed.strip().lower() != unprotected_words(trio_id):
        raise RuleBroken("typed", f"Type “{unprotected_words(trio_id)}” to confirm. It stays protected.")
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        closing = trio.close_wanted_at or trio.panic_wanted_at
        if trio.trio_state is not TrioState.OPEN or trio.is_entry_only or closing:
            raise IllegalTransition(
                f"Trio {trio_id} is {trio.state}: only one that is open can be left unprotected."
            )
        if trio.is_followed or trio.moves_wanted:
            raise IllegalTransition(
                "Something moves its stop-loss or its entry: end the trail, the break-even, the chase or the move first. It stays "
                "protected."
            )
        until = now + timedelta(minutes=minutes)
        said = {"by": by, "since": to_ms(now), "until": to_ms(until)}
        trio.outside = {**trio.outside, "unprotected": said}
        trio.wake_at = now
        trio.save(update_fields=["outside", "wake_at", "updated_at"])
        text = f"Left unprotected until {until:%Y-%m-%d %H:%M:%S} UTC by {by}: a stop-loss that is cancelled outside is not placed again."
        note(trio, "unprotected", text, at=now, by=by, until=said["until"])
        job_queue.ring(jobs.advance, trio_id)
    return trio


def trio_protect_again(*, trio_id: int, by: str) -> TrioOrder:
    """End the time for which a trio was left unprotected. Raises IllegalTransition when it is not."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        said = trio.outside.get("unprotected")
        if said is None:
            raise IllegalTransition(f"Trio {trio_id} is not left unprotected: it is protected as always.")
        trio.outside = {**trio.outside, "unprotected": {**said, "until": to_ms(now)}}
        trio.wake_at = now
        trio.save(update_fields=["outside", "wake_at", "updated_at"])
        note(trio, "unprotected", f"To be protected again, by {by}.", at=now, by=by)
        job_queue.ring(jobs.advance, trio_id)
    return trio


# --- a position that was turned round outside -----------------------------------------------------

_again_at: dict[int, float] = {}  # when this process tries again what the exchange did not answer


def reversed_due() -> list[tuple[int, bool]]:
    """Return the ended trios whose reversed position is to be seen to; and of each whether it is to be adopted."""
    now = time.monotonic()
    return [(pk, bool(adopts)) for pk, adopts in fetch_all(DUE) if _again_at.get(pk, now) <= now]


def reversed_carry(trio_id: int, *, adopts: bool) -> None:
    """Adopt a reversed position by policy; where it is gone, or held by another trio, ask no more. Safe to repeat."""
    if not adopts:
        question_take_back(trio_id, QuestionKind.POSITION_REVERSED)
        return
    try:
        reversed_adopt(trio_id, by=BY_POLICY)
    except SlotTaken:
        return  # another process was quicker
    except MarketUnread:
        _again_at[trio_id] = time.monotonic() + AGAIN_SECONDS
    except TrioRefused as error:
        _left_to_person(trio_id, str(error))


def reversed_adopt(trio_id: int, *, by: str) -> TrioOrder:
    """Make a trio of the position that is there now that this one was turned round, with its first distances in percent.

    Raises TrioRefused where it may not be adopted; the question stays then.
    """
    trio = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
    stop, target = _distances(trio)
    made = position_adopt(account=trio.account, symbol=trio.symbol, stop=stop, target=target, by=by)
    if made.trio_state is TrioState.DRY_RUN:
        raise TrioRefused(made.reason)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        if (question := trio.asked) is not None and question.kind is QuestionKind.POSITION_REVERSED:
            note(
                trio, "answer", f"“{question.sentence}”: adopted as trio {made.pk} by {by}.", at=now, by=by,
                choice=Choice.ADOPT, question=question.kind.value, facts=dict(question.facts),
                number=question_number(trio, at=now), adopted=made.pk,
            )  # fmt: skip
            question_over(trio, at=now, answered=True)
            trio.save(update_fields=[*TrioOrder.QUESTION_FIELDS, "updated_at"])
    return made


def _distances(trio: TrioOrder) -> tuple[Level, Level]:
    """Return how far the trio's first stop and target were from its entry, in percent."""
    cost = entry_cost(trio)
    first = {}
    for role, level in ((Role.STOP_LOSS, trio.stop_loss), (Role.TAKE_PROFIT, trio.take_profit)):
        moved = trio.level_moves.filter(role=role).order_by("id").first()
        first[role] = level if moved is None else moved.level_before
    stop, target = first[Role.STOP_LOSS], first[Role.TAKE_PROFIT]
    if cost is None or stop is None or target is None:
        raise TrioRefused(
            "What its entry cost, or its levels, are not known: adopt the position on its slot's page."
        )
    return _percent(stop, cost.average), _percent(target, cost.average)


def _percent(level: Decimal, entry: Decimal) -> Level:
    return Level(abs(level - entry) / entry * HUNDRED, is_percent=True)


def _left_to_person(trio_id: int, why: str) -> None:
    """Leave the question to a person, with the reason why the policy could not answer it."""
    with short_transaction(trio_id=trio_id) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        question = trio.asked
        if question is None or question.kind is not QuestionKind.POSITION_REVERSED:
            return
        facts = {**question.facts, "policy": Response.ASK.value, "refused": f" It was not adopted: {why}"}
        number = question_number(trio, at=now)
        trio.asked = Question(question.kind, facts)
        trio.question_number = number
        note(trio, "outside", f"The drift policy could not adopt the reversed position: {why}", at=now)
        trio.save(update_fields=[*TrioOrder.QUESTION_FIELDS, "updated_at"])

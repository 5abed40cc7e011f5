"""The verbs on trios. Each is one short transaction that records a wish and rings the queue, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from accounts.models import Environment, ExchangeAccount
from exchange.types import OrderType, PositionMode, PositionSide, Side
from infrastructure import job_queue
from orders import jobs, limits, risk_gates
from orders.adoption import ForeignOrders, position_adopt, position_find
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.entry_terms import new_risk_check, opens_more, resting_entry, terms_check
from orders.domain.enums import Protection, Role, TrioState
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken, TrioRefused
from orders.domain.level_moves import (
    is_looser,
    level_check,
    seen_check,
    standing_check,
)
from orders.domain.moments import moment_problem
from orders.domain.operator_questions import Choice, Question
from orders.domain.rounding import plain, shown
from orders.domain.shares import part_targets_problems
from orders.domain.size_changes import add_standing_check, part_close_quantity, size_standing_check
from orders.domain.snapshot import ChangeEnd, LegView, SizeWish, Stranger, TrioSnapshot
from orders.drift import (
    drift_choose,
    drift_holds,
    drift_policy_of,
    drift_rows,
    reversed_adopt,
    trio_leave_unprotected,
    trio_protect_again,
    unprotected_words,
)
from orders.exchange_data.clock import to_ms
from orders.follow_verbs import (
    break_even_after_target,
    break_even_reached,
    chase_ended_by_change,
    chase_step,
    trail_step,
    trail_target_step,
    trio_break_even_arm,
    trio_break_even_off,
    trio_chase,
    trio_chase_off,
    trio_trail,
    trio_trail_off,
)
from orders.installation import install_row
from orders.models import (
    Clock,
    EntryChangeWish,
    LevelMove,
    SizeChange,
    Symbol,
    TrioOrder,
)
from orders.placement.adoption import foreign_add
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read
from orders.queueing.check import add_check, margin_needed, market_of, trio_check, trios_check
from orders.queueing.market import Funds, Reading, funds_read, market_read, marks_read
from orders.queueing.queue import PLACE_BEFORE_SECONDS, QueueResult, trios_queue
from orders.queueing.surroundings import surroundings
from orders.reversal import reversal_sentence, trio_reverse
from orders.selectors import unprotected_sentence
from orders.specs import part_targets_of, part_targets_read, part_targets_text, rungs_of
from orders.story import change_sentence, note, question_number, question_over, question_shown
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction
from orders.wishes import EntryTerms, break_even_of, change_recorded, change_row, move_recorded, seen_now

__all__ = [  # what else callers of the verbs need; its rooms are below
    "PLACE_BEFORE_SECONDS",
    "ForeignOrders",
    "Funds",
    "QueueResult",
    "Reading",
    "break_even_after_target",
    "break_even_reached",
    "chase_step",
    "drift_choose",
    "drift_holds",
    "drift_policy_of",
    "drift_rows",
    "funds_read",
    "margin_needed",
    "market_read",
    "marks_read",
    "position_adopt",
    "position_find",
    "reversal_sentence",
    "trail_step",
    "trail_target_step",
    "trio_break_even_arm",
    "trio_break_even_off",
    "trio_chase",
    "trio_chase_off",
    "trio_check",
    "trio_leave_unprotected",
    "trio_protect_again",
    "trio_reverse",
    "trio_trail",
    "trio_trail_off",
    "trios_check",
    "trios_queue",
    "unprotected_sentence",
    "unprotected_words",
]


def protection_default(environment: str) -> Protection:
    """Armed before the entry on PAPER; on first fill where the exchange's answer to that is not proved."""
    return Protection.PRE_ARMED if environment == Environment.PAPER else Protection.ON_FIRST_FILL


def symbol_get(environment: str, name: str) -> Symbol:
    """Return a symbol by name. Raises RuleBroken with what to do when there is none."""
    found = Symbol.objects.filter(environment=environment, symbol=name.strip().upper()).first()
    if found is not None:
        return found
    if not Symbol.objects.filter(environment=environment).exists():
        raise RuleBroken(
            "symbol",
            f"No symbols of {environment} are known yet: run “manage.py sync_symbols --environment {environment}”.",
        )
    raise RuleBroken(
        "symbol", f"{name} is not a symbol of {environment}. Check its spelling, or sync the symbols."
    )


def trio_draft(*, account: ExchangeAccount, symbol: Symbol, side: str, **fields: Any) -> TrioOrder:
    """Return an unsaved draft, its position side and protection filled in where they were not given."""
    trio = TrioOrder(account=account, symbol=symbol, side=side, **fields)
    trio_complete(trio)
    return trio


def trio_complete(trio: TrioOrder) -> None:
    """Fill in what a person may leave out: the position side (by the account's mode) and the protection."""
    hedge = trio.account.position_mode == PositionMode.HEDGE
    if hedge and trio.position_side in ("", PositionSide.BOTH):
        trio.position_side = PositionSide.LONG if trio.side == Side.BUY else PositionSide.SHORT
    elif not trio.position_side:
        trio.position_side = PositionSide.BOTH
    if trio.rungs and trio.price is None:
        trio.price = rungs_of(trio)[0].price
    if not trio.protection:
        trio.protection = protection_default(trio.account.environment)


# --- the verbs --------------------------------------------------------------------------------


def trio_queue(
    *, trio_id: int, by: str, reading: Reading | None = None, seen: Mapping[str, str] | None = None
) -> TrioOrder:
    """Accept a draft for placement and ring the queue: a set of one (``trios_queue``).

    ``seen``: the draft as the person saw it who places it (``spec_shown``). Raises TrioRefused (a rule, limit
    or gate, or not what was seen; the draft stays as it was) or IllegalTransition (it is no draft any more: a
    trio is placed once).
    """
    (result,) = trios_queue(
        [trio_id],
        by=by,
        seen=None if seen is None else {trio_id: seen},
        known=None if reading is None else {trio_id: reading},
    )
    if result.error is not None:
        raise result.error
    assert result.trio is not None
    return result.trio


def trio_cancel(*, trio_id: int, by: str) -> TrioOrder:
    """Withdraw the unfilled part; never touches cover. Raises IllegalTransition on an ended trio."""
    return _wish(trio_id, "cancel_wanted_at", by=by, verb="Cancel")


def trio_take_back(*, trio_id: int, by: str) -> bool:
    """Withdraw a trio that waits to be placed; one whose placing has begun is left alone. Returns whether it was withdrawn."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        if trio.trio_state is not TrioState.QUEUED:
            return False
        _wished(trio, "cancel_wanted_at", by=by, verb="Cancel", now=now)
    return True


def trio_close(*, trio_id: int, by: str) -> TrioOrder:
    """Close at market what is filled and withdraw the unfilled part. Raises IllegalTransition on an ended trio."""
    return _wish(trio_id, "close_wanted_at", by=by, verb="Close")


def trio_panic(*, trio_id: int, by: str) -> TrioOrder:
    """Close at market as part of a panic."""
    return _wish(trio_id, "panic_wanted_at", by=by, verb="Panic")


def trio_refresh(*, trio_id: int, by: str) -> TrioOrder:
    """Have every open order of this trio looked up again."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        if trio.trio_state is TrioState.DRAFT:
            raise IllegalTransition("A draft has nothing on the exchange to refresh.")
        trio.legs.filter(state__in=("SUBMITTED", "ACCEPTED", "PARTIALLY_FILLED", "TRIGGERED")).update(
            look_at=now
        )
        trio.wake_at = now
        trio.save(update_fields=["wake_at", "updated_at"])
        note(trio, "wish", f"Refresh requested by {by}.", at=now, by=by)
        job_queue.ring(jobs.advance, trio_id)
    return trio


def trio_answer(
    *, trio_id: int, by: str, choice: Choice = Choice.LEAVE, shown: str | None = None
) -> TrioOrder:
    """Answer a trio's question with one of its safe choices; who answered what becomes part of its story.

    The answer sticks: that question is not asked again until a fact on which it rests has changed. ``shown``: the
    number of the question that a screen showed (``question_shown``). Raises IllegalTransition when there is no open
    question, when it is not the one that was shown, or when it has no such answer; TrioRefused where a position may not
    be adopted.
    """
    if choice is Choice.ADOPT:
        _question_checked(TrioOrder.objects.get(pk=trio_id), choice, shown)
        reversed_adopt(trio_id, by=by)
        return TrioOrder.objects.get(pk=trio_id)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        question = _question_checked(trio, choice, shown)
        came_of = {
            Choice.LEAVE: "left as it is",
            Choice.CLOSE: "closed at market, as answered",
            Choice.CANCEL: "those orders are cancelled, as answered",
        }[choice]
        note(
            trio, "answer", f"“{question.sentence}”: {came_of} by {by}.", at=now,
            by=by, choice=choice, question=question.kind.value, facts=dict(question.facts),
            number=question_number(trio, at=now),
        )  # fmt: skip
        question_over(trio, at=now, answered=True)
        trio.wake_at = now
        if choice is Choice.CLOSE:
            trio.close_wanted_at = trio.close_wanted_at or now
        elif choice is Choice.CANCEL:
            foreign_add(trio, (Stranger(**order) for order in question.facts["found"]))
        trio.save(
            update_fields=[*TrioOrder.QUESTION_FIELDS, "outside", "wake_at", "close_wanted_at", "updated_at"]
        )
        job_queue.ring(jobs.advance, trio_id)
    return trio


def _question_checked(trio: TrioOrder, choice: Choice, shown: str | None) -> Question:
    """Return what the trio asks. Raises IllegalTransition when this is no answer to it."""
    question = trio.asked
    if question is None:
        raise IllegalTransition(f"Trio {trio.pk} has no open question (any more).")
    if shown == "":
        raise IllegalTransition(
            "This request does not say which question it answers. Open the trio and answer what it asks. "
            "Nothing was answered."
        )
    if shown is not None and shown != question_shown(trio):
        raise IllegalTransition(
            f"Trio {trio.pk} asks something else now: {question.sentence} Nothing was answered."
        )
    if choice not in question.choices:
        raise IllegalTransition(
            f"“{choice.words}” is not an answer to what trio {trio.pk} asks: {question.sentence}"
        )
    return question


def trio_place_again(*, trio_id: int, by: str) -> TrioOrder:
    """Return a new draft with the terms with which a trio, living or ended, was placed. Raises IllegalTransition for a draft.

    Levels that were moved since are the first ones again, and a time that has passed is left out. Nothing is placed.
    """
    with short_transaction() as now:
        trio = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
        if trio.trio_state is TrioState.DRAFT:
            raise IllegalTransition(f"Trio {trio_id} is a draft: place it, it was not placed yet.")
        if trio.is_entry_only:
            raise IllegalTransition(
                f"Trio {trio_id} was an entry-only check, which “manage.py smoke_order” makes anew."
            )
        terms = {name: getattr(trio, name) for name in TrioOrder.SPEC_FIELDS}
        for moved in trio.level_moves.order_by("-id"):
            terms[Role(moved.role).value.lower()] = moved.level_before
        for name in ("good_till", "flat_at"):
            terms[name] = terms[name] if terms[name] and terms[name] > now else None
        draft = TrioOrder(**terms, source="place_again")
        draft.save()
        note(
            draft,
            "again",
            f"A draft with the terms of trio {trio_id}, made by {by}.",
            at=now,
            by=by,
            again=trio_id,
        )
    return draft


def trio_move(*, trio_id: int, role: Role, level: Decimal, by: str, seen: Decimal | None = None) -> LevelMove:
    """Wish for another level of a trio's stop or target; the old order stays until one at the new level is acknowledged.

    A later wish takes the place of one that is not fulfilled yet. ``seen``: where it was when a person was asked. Raises
    IllegalTransition when no level of this trio can be moved now, RuleBroken when not to this one (with the nearest that
    can), TrioRefused when it has gone elsewhere than was seen, or a stop that loses more meets a switch or limit, as new
    risk does.
    """
    return _level_wish(trio_id, role, lambda trio: level, by=by, seen=seen)


def trio_break_even(*, trio_id: int, by: str, offset_ticks: int = 0, of_trio: bool = False) -> LevelMove:
    """Wish for the stop where it loses nothing, the entry's fees and its own included, or ``offset_ticks`` better.

    Of what is open alone, or with ``of_trio`` of the whole trio, what its parts have earned counted. Raises as ``trio_move``,
    and IllegalTransition when the stop is there already or better, or what the entry cost is not known yet.
    """
    level_of = partial(break_even_of, offset_ticks=offset_ticks, of_trio=of_trio)
    return _level_wish(trio_id, Role.STOP_LOSS, level_of, by=by)


def trio_change_entry(
    *,
    trio_id: int,
    by: str,
    price: Decimal | None = None,
    quantity: Decimal | None = None,
    good_till: datetime | None = None,
) -> EntryChangeWish:
    """Wish for other terms of the entry that rests; what is left out stays. It keeps its id, and loses its place in the queue.

    A larger quantity is covered before it goes out. A quantity that has filled already cancels the unfilled part. ``good_till`` is
    ours alone: it changes at once. A later wish takes the place of one that is not fulfilled yet. Raises IllegalTransition
    when no entry rests, RuleBroken when it may not have these terms (with the nearest that it may), TrioRefused when new risk
    meets a switch, a limit (LimitBroken) or a stranger's position.
    """
    if price is None and quantity is None and good_till is None:
        raise RuleBroken("price", "Say what is to change: the price, the quantity or the good-till time.")
    reading = None
    if price is not None or quantity is not None:
        asked = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
        reading = market_read(asked.account, asked.symbol)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
        if good_till is not None and (problem := moment_problem(good_till, now=now)):
            raise RuleBroken("good_till", problem.says())
        clock = Clock.objects.filter(environment=trio.account.environment).first()
        offset = clock.offset_ms if clock else 0
        seen = snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())
        entry = resting_entry(seen)
        assert entry.price is not None  # a LIMIT entry that rests has one
        terms = EntryTerms(
            shown(entry.quantity if quantity is None else quantity, trio.symbol.step_size),
            shown(entry.price if price is None else price, trio.symbol.tick_size),
        )
        wish = change_row(trio, entry, terms, good_till, by=by, now=now)
        if reading is None:
            _good_till_changed(trio, wish, now=now)
        elif terms.quantity <= entry.filled:
            _rest_cancelled(trio, wish, now=now)
        else:
            _change_checked(trio, seen, entry, terms, reading)
            chase_ended_by_change(trio, by=by, now=now)
            change_recorded(
                trio, wish, opens=opens_more(entry, quantity=terms.quantity, price=terms.price), now=now
            )
        job_queue.ring(jobs.advance, trio_id)
    return wish


def _change_checked(
    trio: TrioOrder, seen: TrioSnapshot, entry: LegView, terms: EntryTerms, reading: Reading
) -> None:
    """Raise what forbids these terms. Gates and limits are asked once more in the transaction that commits the request."""
    quantity, price = terms
    if (quantity, price) == (entry.quantity, entry.price) and seen.change is None:
        raise RuleBroken("price", f"The entry is for {plain(quantity)} at {plain(price)} already.")
    (around,) = surroundings([trio])
    terms_check(seen, entry, market_of(trio, around, reading), quantity=quantity, price=price)
    if not opens_more(entry, quantity=quantity, price=price):
        return
    dry_run = "DRY_RUN_MODE is on: nothing new is opened." if risk_gates.is_dry_run(trio) else ""
    new_risk_check(seen, risk_gates.new_risk_refusal(trio) or dry_run)
    now_ts = around.exchange_ms(trio.account.environment)
    found = limits.breach_of(
        trio, limited=around.is_limited, mark=reading.mark_price, now_ts=now_ts, lock=False, terms=terms
    )
    if found is not None:
        raise LimitBroken(found)


def _good_till_changed(trio: TrioOrder, wish: EntryChangeWish, *, now: datetime) -> None:
    """Nothing on the exchange changes with it: the wish is done as it is written."""
    wish.end, wish.ended_at = ChangeEnd.DONE, now
    wish.save()
    trio.good_till, trio.wake_at = wish.good_till, now
    trio.save(update_fields=["good_till", "wake_at", "updated_at"])
    note(trio, "wish", change_sentence(wish)[:-1] + f" by {wish.wanted_by}.", at=now, by=wish.wanted_by)


def _rest_cancelled(trio: TrioOrder, wish: EntryChangeWish, *, now: datetime) -> None:
    """So much has filled already: the unfilled part is cancelled, as by the verb."""
    wish.end, wish.ended_at = ChangeEnd.CANCELLED, now
    wish.save()
    trio.cancel_wanted_at, trio.wake_at = trio.cancel_wanted_at or now, now
    trio.save(update_fields=["cancel_wanted_at", "wake_at", "updated_at"])
    by = wish.wanted_by
    text = f"Change of the entry to {plain(wish.quantity)} requested by {by}. {change_sentence(wish)}"
    note(trio, "wish", text, at=now, by=by, verb="Cancel")


def _level_wish(
    trio_id: int,
    role: Role,
    level_of: Callable[[TrioOrder], Decimal],
    *,
    by: str,
    seen: Decimal | None = None,
) -> LevelMove:
    """Record a wish for the level that ``level_of`` says once the trio's row is locked."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, stands = seen_now(trio_id, now)
        standing_check(stands, role)
        level = shown(level_of(trio), trio.symbol.tick_size)  # as many decimals as the exchange takes
        level_check(stands, role, level)
        seen_check(stands, role, level, seen)
        if is_looser(stands, role, level) and (refusal := risk_gates.new_risk_refusal(trio)):
            raise TrioRefused(f"A stop-loss that risks more is new risk. {refusal}")
        move = move_recorded(trio, role, level, before=stands.level(role), by=by, now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


def trio_close_part(
    *,
    trio_id: int,
    by: str,
    quantity: Decimal | None = None,
    percent: Decimal | None = None,
    notional: Decimal | None = None,
    reference: str | None = None,
) -> SizeChange:
    """Wish to take part of a position off at market: so much in the base asset, in percent of it, or in the quote asset.

    What is rounded is rounded down. ``reference``: names the wish; asked for again, the one that is known is returned. Raises
    IllegalTransition when nothing of this trio can be taken off now, RuleBroken when not so much (with the nearest that can).
    """
    if (known := size_known(reference)) is not None:
        return known
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = seen_now(trio_id, now)
        size_standing_check(seen)
        wanted = part_close_quantity(seen, quantity=quantity, percent=percent, notional=notional)
        return _size_recorded(trio, Role.PART_CLOSE, wanted, by=by, now=now, reference=reference)


def trio_reduce(*, trio_id: int, by: str, quantity: Decimal, reference: str) -> None:
    """Wish to take so much off at market; where no more than that is there, to close the trio.

    ``reference``: names the wish, which is made once: what is there is compared in the transaction that makes it. Raises
    IllegalTransition when nothing of this trio can be taken off now, RuleBroken when not so much.
    """
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        if size_known(reference) is not None:
            return
        trio, seen = seen_now(trio_id, now)
        if trio.is_over:
            raise IllegalTransition(f"The trio has ended ({trio.state}): there is nothing to change.")
        if quantity >= seen.position:
            _wished(trio, "close_wanted_at", by=by, verb="Close", now=now)
            return
        size_standing_check(seen)
        wanted = part_close_quantity(seen, quantity=quantity, percent=None, notional=None)
        _size_recorded(trio, Role.PART_CLOSE, wanted, by=by, now=now, reference=reference)


def size_known(reference: str | None) -> SizeChange | None:
    """Return the wish for another size that was made under this reference, if any."""
    return None if reference is None else SizeChange.objects.filter(reference=reference).first()


def trio_add(*, trio_id: int, by: str, quantity: Decimal, reference: str | None = None) -> SizeChange:
    """Wish to add to an open position at market, under the same stop and targets. It is checked as new risk.

    ``reference``: names the wish; asked for again, the one that is known is returned. Raises IllegalTransition when nothing can be added to this trio now, TrioRefused (RuleBroken, LimitBroken) when not
    so much.
    """
    if (known := size_known(reference)) is not None:
        return known
    trio = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
    if trio.trio_state is TrioState.OPEN:
        add_check(trio, quantity)  # asks the exchange, so before the row is locked
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = seen_now(trio_id, now)
        size_standing_check(seen)
        add_standing_check(seen)
        return _size_recorded(trio, Role.ADD, quantity, by=by, now=now, reference=reference)


def _size_recorded(
    trio: TrioOrder, role: Role, quantity: Decimal, *, by: str, now: datetime, reference: str | None
) -> SizeChange:
    change = SizeChange.objects.create(
        trio=trio, role=role, quantity=quantity, wanted_at=now, wanted_by=by, reference=reference
    )
    trio.sizes_put([*trio.sizes_wanted, SizeWish(change.pk, role, quantity, to_ms(now))])
    trio.wake_at = now
    trio.save(update_fields=["moves", "wake_at", "updated_at"])
    verb = "Adding" if role is Role.ADD else "Closing"
    text = f"{verb} {plain(quantity)} at market requested by {by}."
    note(trio, "wish", text, at=now, by=by, role=role, quantity=plain(quantity))
    job_queue.ring(jobs.advance, trio.pk)
    return change


def trio_targets(*, trio_id: int, by: str, text: str, follow: str | None = None) -> TrioOrder:
    """Set the part targets of an open trio anew: “62000:50, 63000:25”, nearest first; empty for none. Those that have
    executed stay spent. The take-profit itself is moved by ``trio_move``.

    Shares are of what remains. Raises IllegalTransition when the trio is not open, RuleBroken with what is wrong.
    """
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = seen_now(trio_id, now)
        size_standing_check(seen, waits=False)
        before = part_targets_text(trio) or "none"
        last = max((row["number"] for row in trio.part_targets), default=0)
        last = max(last, *(leg.number for leg in seen.every(Role.PART_TARGET)), 0)
        trio.part_targets = part_targets_read(text, after=last)
        if follow is not None:
            trio.follow = follow
        spec = replace(
            seen.spec, quantity=seen.position, part_targets=part_targets_of(trio), entry_type=OrderType.MARKET
        )
        for problem in part_targets_problems(spec, seen.rules, seen.slot.mark_price):
            raise problem
        trio.moves = trio.moves | {"followed": 0}
        trio.wake_at = now
        trio.save(update_fields=["part_targets", "follow", "moves", "wake_at", "updated_at"])
        after = part_targets_text(trio) or "none"
        note(
            trio,
            "wish",
            f"Part targets changed from {before} to {after} by {by}.",
            at=now,
            by=by,
            before=before,
            after=after,
        )
        job_queue.ring(jobs.advance, trio_id)
    return trio


def _wish(trio_id: int, field: str, *, by: str, verb: str) -> TrioOrder:
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        if trio.is_over:
            raise IllegalTransition(
                f"Trio {trio_id} has ended ({trio.state}); there is nothing to {verb.lower()}."
            )
        if trio.trio_state is TrioState.DRAFT:
            trio.state = next_state(trio.trio_state, Transition.WITHDRAWN)
            trio.reason, trio.ended_at = "Withdrawn as a draft.", now
            trio.save()
            note(trio, "state", f"DRAFT → CANCELLED by {by}.", at=now, by=by)
            return trio
        _wished(trio, field, by=by, verb=verb, now=now)
    return trio


def _wished(trio: TrioOrder, field: str, *, by: str, verb: str, now: datetime) -> None:
    if getattr(trio, field) is None:
        setattr(trio, field, now)
    trio.wake_at = now
    trio.save(update_fields=[field, "wake_at", "updated_at"])
    note(trio, "wish", f"{verb} requested by {by}.", at=now, by=by, verb=verb)
    job_queue.ring(jobs.advance, trio.pk)

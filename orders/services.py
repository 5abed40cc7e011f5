"""The verbs on trios. Each is one short transaction that records a wish and rings the queue, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import partial
from typing import Any, NamedTuple, TypeVar

from accounts.gateways import refusal_of
from accounts.models import Environment, ExchangeAccount
from exchange.refusals import Refusal
from exchange.types import OrderType, PositionMode, PositionSide, PriceKind, PriceTick, Side
from infrastructure import job_queue
from orders import jobs, limits, risk_gates
from orders.adoption import ForeignOrders, position_adopt, position_find
from orders.domain.chasing import ChaseTerms, chase_check, is_spent, next_price, step_check
from orders.domain.decision.amendments import amend_open
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.entry_terms import new_risk_check, opens_more, resting_entry, terms_check
from orders.domain.enums import Protection, Role, TrioState
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken, TrioRefused
from orders.domain.level_moves import (
    MARK_AGE_MS,
    break_even_level,
    is_looser,
    level_check,
    standing_check,
    stands_alone,
)
from orders.domain.operator_questions import Choice
from orders.domain.rounding import on_grid, plain, shown, to_grid
from orders.domain.shares import part_targets_problems
from orders.domain.size_changes import add_standing_check, part_close_quantity, size_standing_check
from orders.domain.snapshot import ChangeEnd, EntryChange, LegView, Move, MoveEnd, SizeWish, TrioSnapshot
from orders.domain.trailing import (
    FollowEnd,
    TrailTerms,
    TrailUnit,
    best_of,
    next_stop,
    r_level,
    reached,
    trail_check,
)
from orders.exchange_data.clock import to_ms
from orders.exchange_data.true_range import atr_read
from orders.followers import BREAK_EVEN, CHASE, TINY, TRAIL, Kind
from orders.installation import install_row
from orders.models import (
    BreakEvenTrigger,
    Chase,
    Clock,
    EntryChangeWish,
    LevelMove,
    SizeChange,
    Symbol,
    Trail,
    TrioOrder,
)
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read
from orders.queueing.check import add_check, margin_needed, market_of, trio_check, trios_check
from orders.queueing.market import Funds, Reading, funds_read, market_read, marks_read
from orders.queueing.queue import PERSON_WAITS_SECONDS, PLACE_BEFORE_SECONDS, QueueResult, trios_queue
from orders.queueing.surroundings import surroundings
from orders.reversal import reversal_sentence, reversals_drop, trio_reverse
from orders.selectors import entry_cost, trio_cost
from orders.specs import part_targets_of, part_targets_read, part_targets_text
from orders.story import change_sentence, move_sentence, note, question_number, question_over, question_shown
from orders.trio_lock import short_transaction

_Follower = TypeVar("_Follower", Trail, BreakEvenTrigger, Chase)
BY_CHASE = "chase"  # who wishes for the entry's next price

__all__ = [  # what else callers of the verbs need; its rooms are below
    "PLACE_BEFORE_SECONDS",
    "ForeignOrders",
    "Funds",
    "QueueResult",
    "Reading",
    "funds_read",
    "margin_needed",
    "market_read",
    "marks_read",
    "position_adopt",
    "position_find",
    "reversal_sentence",
    "reversals_drop",
    "trio_check",
    "trio_reverse",
    "trios_check",
    "trios_queue",
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
    """Withdraw what is unfilled; never touches cover. Raises IllegalTransition on an ended trio."""
    return _wish(trio_id, "cancel_wanted_at", by=by, verb="Cancel")


def trio_close(*, trio_id: int, by: str) -> TrioOrder:
    """Close at market what is filled and withdraw the rest. Raises IllegalTransition on an ended trio."""
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
    question, when it is not the one that was shown, or when it has no such answer.
    """
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.get(pk=trio_id)
        question = trio.asked
        if question is None:
            raise IllegalTransition(f"Trio {trio_id} has no open question (any more).")
        if shown == "":
            raise IllegalTransition(
                "This request does not say which question it answers. Open the trio and answer what it asks. "
                "Nothing was answered."
            )
        if shown is not None and shown != question_shown(trio):
            raise IllegalTransition(
                f"Trio {trio_id} asks something else by now: {question.sentence} Nothing was answered."
            )
        if choice not in question.choices:
            raise IllegalTransition(
                f"“{choice.words}” is not an answer to what trio {trio_id} asks: {question.sentence}"
            )
        came_of = {Choice.LEAVE: "left as it is", Choice.CLOSE: "closed at market, as answered"}[choice]
        note(
            trio, "answer", f"“{question.sentence}”: {came_of} by {by}.", at=now,
            by=by, choice=choice, question=question.kind.value, facts=dict(question.facts),
            number=question_number(trio, at=now),
        )  # fmt: skip
        question_over(trio, at=now, answered=True)
        trio.wake_at = now
        if choice is Choice.CLOSE:
            trio.close_wanted_at = trio.close_wanted_at or now
        trio.save(update_fields=[*TrioOrder.QUESTION_FIELDS, "wake_at", "close_wanted_at", "updated_at"])
        job_queue.ring(jobs.advance, trio_id)
    return trio


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


def trio_move(*, trio_id: int, role: Role, level: Decimal, by: str) -> LevelMove:
    """Wish for another level of a trio's stop or target; the old order stays until one at the new level is acknowledged.

    A later wish takes the place of one that is not fulfilled yet. Raises IllegalTransition when no level of this trio
    can be moved now, RuleBroken when not to this one (with the nearest that can), TrioRefused when a stop that loses
    more meets a switch or limit, as new risk does.
    """
    return _level_wish(trio_id, role, lambda trio: level, by=by)


def trio_break_even(*, trio_id: int, by: str, offset_ticks: int = 0, of_trio: bool = False) -> LevelMove:
    """Wish for the stop where it loses nothing, the entry's fees and its own included, or ``offset_ticks`` better.

    Of what is open alone, or with ``of_trio`` of the whole trio, what its parts have earned counted. Raises as ``trio_move``,
    and IllegalTransition when the stop is there already or better, or what the entry cost is not known yet.
    """
    level_of = partial(_break_even, offset_ticks=offset_ticks, of_trio=of_trio)
    return _level_wish(trio_id, Role.STOP_LOSS, level_of, by=by)


def _break_even(trio: TrioOrder, *, offset_ticks: int, of_trio: bool = False) -> Decimal:
    cost = trio_cost(trio) if of_trio else entry_cost(trio)
    if cost is None:
        raise IllegalTransition(
            "What its entry cost is not known yet: try again in a moment. Nothing was moved."
        )
    level = break_even_level(
        Side(trio.side),
        cost.average,
        fee_each=cost.fee_each,
        tick=trio.symbol.tick_size or TINY,
        offset_ticks=offset_ticks,
    )
    agreed = trio.stop_loss
    if agreed is not None and (agreed >= level if trio.side == Side.BUY else agreed <= level):
        raise IllegalTransition(
            f"The stop-loss at {plain(agreed)} loses nothing already: break-even is {plain(level)}. It was not moved."
        )
    return level


def trio_change_entry(
    *,
    trio_id: int,
    by: str,
    price: Decimal | None = None,
    quantity: Decimal | None = None,
    good_till: datetime | None = None,
) -> EntryChangeWish:
    """Wish for other terms of the entry that rests; what is left out stays. It keeps its id, and loses its place in the queue.

    A larger quantity is covered before it goes out. A quantity that has filled already cancels the rest. ``good_till`` is
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
        if good_till is not None and good_till <= now:
            raise RuleBroken("good_till", "This time has passed already: choose a later one.")
        clock = Clock.objects.filter(environment=trio.account.environment).first()
        offset = clock.offset_ms if clock else 0
        seen = snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())
        entry = resting_entry(seen)
        assert entry.price is not None  # a LIMIT entry that rests has one
        terms = EntryTerms(
            shown(entry.quantity if quantity is None else quantity, trio.symbol.step_size),
            shown(entry.price if price is None else price, trio.symbol.tick_size),
        )
        wish = _change_row(trio, entry, terms, good_till, by=by, now=now)
        if reading is None:
            _good_till_changed(trio, wish, now=now)
        elif terms.quantity <= entry.filled:
            _rest_cancelled(trio, wish, now=now)
        else:
            _change_checked(trio, seen, entry, terms, reading)
            _change_recorded(
                trio, wish, opens=opens_more(entry, quantity=terms.quantity, price=terms.price), now=now
            )
        job_queue.ring(jobs.advance, trio_id)
    return wish


class EntryTerms(NamedTuple):
    """What an entry is to have; the price is in the quote asset."""

    quantity: Decimal
    price: Decimal


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


def _change_row(
    trio: TrioOrder, entry: LegView, terms: EntryTerms, good_till: datetime | None, *, by: str, now: datetime
) -> EntryChangeWish:
    """Return the wish as it is written, unsaved."""
    return EntryChangeWish(
        trio=trio,
        quantity=terms.quantity,
        quantity_before=entry.quantity,
        price=terms.price,
        price_before=entry.price or terms.price,
        good_till=good_till or trio.good_till,
        good_till_before=trio.good_till,
        wanted_at=now,
        wanted_by=by,
    )


def _good_till_changed(trio: TrioOrder, wish: EntryChangeWish, *, now: datetime) -> None:
    """Nothing on the exchange changes with it: the wish is done as it is written."""
    wish.end, wish.ended_at = ChangeEnd.DONE, now
    wish.save()
    trio.good_till, trio.wake_at = wish.good_till, now
    trio.save(update_fields=["good_till", "wake_at", "updated_at"])
    note(trio, "wish", change_sentence(wish)[:-1] + f" by {wish.wanted_by}.", at=now, by=wish.wanted_by)


def _rest_cancelled(trio: TrioOrder, wish: EntryChangeWish, *, now: datetime) -> None:
    """So much has filled already: what is unfilled is cancelled, as by the verb."""
    wish.end, wish.ended_at = ChangeEnd.CANCELLED, now
    wish.save()
    trio.cancel_wanted_at, trio.wake_at = trio.cancel_wanted_at or now, now
    trio.save(update_fields=["cancel_wanted_at", "wake_at", "updated_at"])
    by = wish.wanted_by
    text = f"Change of the entry to {plain(wish.quantity)} requested by {by}. {change_sentence(wish)}"
    note(trio, "wish", text, at=now, by=by, verb="Cancel")


def _change_recorded(trio: TrioOrder, wish: EntryChangeWish, *, opens: bool, now: datetime) -> None:
    """Write the wish, and the end of the one it replaces."""
    for replaced in trio.entry_changes.filter(end=""):
        replaced.end, replaced.ended_at = ChangeEnd.REPLACED, now
        replaced.save(update_fields=["end", "ended_at"])
        note(trio, "change", change_sentence(replaced), at=now, end=replaced.end)
    wish.save()
    trio.change_wanted = EntryChange(wish.pk, wish.quantity, wish.price, to_ms(now), opens)
    trio.good_till, trio.wake_at = wish.good_till, now
    trio.save(update_fields=["entry_change", "good_till", "wake_at", "updated_at"])
    before = f"{plain(wish.quantity_before)} at {plain(wish.price_before)}"
    text = f"Change of the entry from {before} to {plain(wish.quantity)} at {plain(wish.price)} requested by {wish.wanted_by}."
    note(
        trio, "wish", text, at=now, by=wish.wanted_by, quantity=plain(wish.quantity), price=plain(wish.price),
        quantity_before=plain(wish.quantity_before), price_before=plain(wish.price_before),
    )  # fmt: skip


def _level_wish(trio_id: int, role: Role, level_of: Callable[[TrioOrder], Decimal], *, by: str) -> LevelMove:
    """Record a wish for the level that ``level_of`` says once the trio's row is locked."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
        standing_check(seen, role)
        level = shown(level_of(trio), trio.symbol.tick_size)  # as many decimals as the exchange takes
        level_check(seen, role, level)
        if is_looser(seen, role, level) and (refusal := risk_gates.new_risk_refusal(trio)):
            raise TrioRefused(f"A stop-loss that risks more is new risk. {refusal}")
        move = _move_recorded(trio, role, level, before=seen.level(role), by=by, now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


def _seen(trio_id: int, now: datetime) -> tuple[TrioOrder, TrioSnapshot]:
    """Return a trio whose row is locked, and what a decision about it would see."""
    trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
    clock = Clock.objects.filter(environment=trio.account.environment).first()
    offset = clock.offset_ms if clock else 0
    return trio, snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())


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
    if (known := _size_known(reference)) is not None:
        return known
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
        size_standing_check(seen)
        wanted = part_close_quantity(seen, quantity=quantity, percent=percent, notional=notional)
        return _size_recorded(trio, Role.PART_CLOSE, wanted, by=by, now=now, reference=reference)


def position_of(trio_id: int) -> Decimal:
    """Return how much of a trio is open, as far as anybody knows, in the base asset."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        _, seen = _seen(trio_id, now)
    return seen.position


def _size_known(reference: str | None) -> SizeChange | None:
    return None if reference is None else SizeChange.objects.filter(reference=reference).first()


def trio_add(*, trio_id: int, by: str, quantity: Decimal, reference: str | None = None) -> SizeChange:
    """Wish to add to an open position at market, under the same stop and targets. It is checked as new risk.

    ``reference``: names the wish; asked for again, the one that is known is returned. Raises IllegalTransition when nothing can be added to this trio now, TrioRefused (RuleBroken, LimitBroken) when not
    so much.
    """
    if (known := _size_known(reference)) is not None:
        return known
    trio = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
    if trio.trio_state is TrioState.OPEN:
        add_check(trio, quantity)  # asks the exchange, so before the row is locked
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
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
    verb = "Adding" if role is Role.ADD else "Taking off"
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
        trio, seen = _seen(trio_id, now)
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


def _move_recorded(
    trio: TrioOrder, role: Role, level: Decimal, *, before: Decimal | None, by: str, now: datetime
) -> LevelMove:
    """Write the wish, and the end of the one it replaces."""
    assert before is not None  # a trio has both levels, or is an entry-only order
    for replaced in trio.level_moves.filter(role=role, end=""):
        replaced.end, replaced.ended_at = MoveEnd.REPLACED, now
        replaced.save(update_fields=["end", "ended_at"])
        note(trio, "move", move_sentence(replaced), at=now, role=role, end=replaced.end)
    move = LevelMove.objects.create(
        trio=trio, role=role, level=level, level_before=before, wanted_at=now, wanted_by=by
    )
    others = (other for other in trio.moves_wanted if other.role is not role)
    trio.moves_put([*others, Move(move.pk, role, level, to_ms(now))], trio.roles_moved)
    trio.wake_at = now
    trio.save(update_fields=["moves", "wake_at", "updated_at"])
    text = f"Move of the {role.words} from {plain(before)} to {plain(level)} requested by {by}."
    note(trio, "wish", text, at=now, by=by, role=role, level=plain(level), before=plain(before))
    return move


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
        if getattr(trio, field) is None:
            setattr(trio, field, now)
        trio.wake_at = now
        trio.save(update_fields=[field, "wake_at", "updated_at"])
        note(trio, "wish", f"{verb} requested by {by}.", at=now, by=by, verb=verb)
        job_queue.ring(jobs.advance, trio_id)
    return trio


# --- what follows the price -------------------------------------------------------------------

# After a refusal the trail asks again, soon where only the price was in the way.
ASK_AGAIN_SECONDS = {True: 1, False: 30}


def trio_trail(
    *,
    trio_id: int,
    by: str,
    distance: Decimal | None = None,
    percent: Decimal | None = None,
    atr: Decimal | None = None,
    timeframe: str = "",
    activation: Decimal | None = None,
    step: Decimal | None = None,
    watches: PriceKind = PriceKind.MARK,
) -> Trail:
    """Have a trio's stop follow the price, at a ``distance`` in the quote asset or in ``percent`` of the best price.

    Or at ``atr`` times the average true range of ``timeframe``, as its closed bars have it now; that distance stays.

    From the moment on at which the price has reached ``activation`` (``None``: at once), in moves of at least ``step`` (one
    tick). The stop only ever becomes tighter, so no switch and no limit on new risk stops it. It takes the place of the
    trail there is. Raises IllegalTransition when the stop of this trio cannot be moved now, RuleBroken for terms that
    cannot be, with the nearest that can.
    """
    if sum(way is not None for way in (distance, percent, atr)) != 1:
        raise RuleBroken(
            "distance",
            "Say how far behind the price: by a distance, by a percentage or by a multiple of the ATR, one of them.",
        )
    measured = "" if atr is None else f" ({plain(atr)} × ATR of {timeframe})"
    if atr is not None:
        distance = _atr_distance(trio_id, atr, timeframe)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
        standing_check(seen, Role.STOP_LOSS)
        tick = trio.symbol.tick_size or TINY
        away = distance if percent is None else percent
        assert away is not None
        terms = TrailTerms(
            side=Side(trio.side),
            distance=away,
            tick=tick,
            step=tick if step is None else step,
            unit=TrailUnit.PRICE if percent is None else TrailUnit.PERCENT,
            activation=activation,
            watches=watches,
        )
        trail_check(seen, terms)
        before = _follower_ended(trio, TRAIL, FollowEnd.REPLACED, by=by, now=now)
        trail = Trail.objects.create(
            trio=trio,
            distance=terms.distance,
            unit=terms.unit,
            watches=terms.watches,
            activation=terms.activation,
            step=terms.step,
            since_ts=seen.now_ts,
            heard_ts=seen.now_ts,
            wanted_at=now,
            wanted_by=by,
        )
        _follows(trio, TRAIL, True)
        text = f"Trailing stop: {terms.words}{measured}, requested by {by}."
        note(trio, "wish", text, at=now, by=by, trail=terms.words, before=before)
    return trail


def _atr_distance(trio_id: int, multiple: Decimal, timeframe: str) -> Decimal:
    """Return so many average true ranges of a trio's symbol, to the tick. Raises as ``atr_read``, and TrioOrder.DoesNotExist."""
    if not multiple.is_finite() or multiple <= 0:
        raise RuleBroken(
            "atr", f"So many ATR behind the price, not {multiple}: a number above zero, such as 2."
        )
    symbol = TrioOrder.objects.select_related("symbol").get(pk=trio_id).symbol
    tick = symbol.tick_size or TINY
    away = to_grid(multiple * atr_read(symbol.environment, symbol.symbol, timeframe), tick, ROUND_CEILING)
    return max(away, tick)


def trio_trail_off(*, trio_id: int, by: str) -> Trail:
    """End a trio's trail; its stop stays where it is. Raises IllegalTransition when there is none."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        return _follower_off(trio_id, TRAIL, Trail, "Its stop follows no price", by=by, now=now)


def trio_break_even_arm(
    *,
    trio_id: int,
    by: str,
    at_price: Decimal | None = None,
    at_r: Decimal | None = None,
    after_first_target: bool = False,
    offset_ticks: int = 0,
) -> BreakEvenTrigger:
    """Have a trio's stop go to break-even when the mark price reaches ``at_price``, or so many R, or its first target fills.

    R is the way from the entry's average to where the stop was first. It takes the place of the break-even that waits
    already. Raises as ``trio_break_even``, and RuleBroken for a price that was reached, or at which the stop would
    trigger at once, with the nearest that will do.
    """
    if (at_price is not None) + (at_r is not None) + after_first_target != 1:
        raise RuleBroken(
            "at_price", "Say when: at a price, at a multiple of R, or after the first target; one of them."
        )
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
        standing_check(seen, Role.STOP_LOSS)
        level = _break_even(trio, offset_ticks=offset_ticks)
        if at_r is not None and at_r <= 0:
            raise RuleBroken(
                "at_r", f"So many R must be won, not {plain(at_r)}: a number above zero, such as 1."
            )
        if at_r is not None:
            at_price = _price_at_r(trio, at_r)
        if at_price is not None:
            _awaited_check(seen, at_price, level, "at_price" if at_r is None else "at_r")
        before = _follower_ended(trio, BREAK_EVEN, FollowEnd.REPLACED, by=by, now=now)
        waiting = BreakEvenTrigger.objects.create(
            trio=trio,
            at_price=at_price,
            at_r=at_r,
            after_first_target=after_first_target,
            offset_ticks=offset_ticks,
            since_ts=seen.now_ts,
            heard_ts=seen.now_ts,
            wanted_at=now,
            wanted_by=by,
        )
        _follows(trio, BREAK_EVEN, True)
        text = f"Break-even at {plain(level)} waits for {waiting.words}, requested by {by}."
        note(trio, "wish", text, at=now, by=by, break_even=waiting.words, before=before)
    return waiting


def trio_break_even_off(*, trio_id: int, by: str) -> BreakEvenTrigger:
    """Have break-even wait for nothing any more. Raises IllegalTransition when it does not."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        return _follower_off(
            trio_id, BREAK_EVEN, BreakEvenTrigger, "No break-even of it waits", by=by, now=now
        )


def trio_chase(
    *, trio_id: int, by: str, bound: Decimal, distance: Decimal | None = None, step: Decimal | None = None
) -> Chase:
    """Have a trio's resting LIMIT entry follow the last price, ``distance`` behind it (one tick), up to ``bound``.

    In changes of at least ``step`` (one tick), each a wish like a person's. It takes the place of the chase there is. Raises
    IllegalTransition when no entry rests, RuleBroken for terms that cannot be, with the nearest that can, TrioRefused
    when new risk meets a switch, a limit (at the bound: LimitBroken) or a stranger's position.
    """
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = _seen(trio_id, now)
        entry = resting_entry(seen)
        tick = trio.symbol.tick_size or TINY
        terms = ChaseTerms(Side(trio.side), bound, distance or tick, step or tick, tick)
        chase_check(seen, entry, terms)
        refusal = risk_gates.new_risk_refusal(trio)
        if not refusal and risk_gates.is_dry_run(trio):
            refusal = "DRY_RUN_MODE is on: nothing new is opened."
        new_risk_check(seen, refusal)
        found = limits.breach_of(
            trio,
            limited=limits.is_limited(trio.account_id),
            mark=_fresh_mark(seen) or trio.checked_mark,
            now_ts=seen.now_ts,
            lock=False,
            terms=(entry.quantity, bound),
        )
        if found is not None:
            raise LimitBroken(found)
        before = _follower_ended(trio, CHASE, FollowEnd.REPLACED, by=by, now=now)
        if not amend_open(entry):
            _chase_wish_dropped(trio, ChangeEnd.REPLACED, now=now)
        chase = Chase.objects.create(
            trio=trio,
            bound=terms.bound,
            distance=terms.distance,
            step=terms.step,
            since_ts=seen.now_ts,
            heard_ts=seen.now_ts,
            wanted_at=now,
            wanted_by=by,
        )
        _follows(trio, CHASE, True)
        text = f"Entry chases the price: {terms.words}, requested by {by}."
        note(trio, "wish", text, at=now, by=by, chase=terms.words, before=before)
    return chase


def trio_chase_off(*, trio_id: int, by: str) -> Chase:
    """End a chase; the entry stays where it is, or where a change that is on its way puts it. Raises IllegalTransition when there is none."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        chase = _follower_off(trio_id, CHASE, Chase, "Its entry follows no price", by=by, now=now)
        trio, seen = _seen(trio_id, now)
        if seen.entry is not None and not amend_open(seen.entry):
            _chase_wish_dropped(trio, ChangeEnd.DROPPED, now=now)
    return chase


def chase_step(*, chase_id: int, trio_id: int, last: Decimal) -> EntryChangeWish | None:
    """Wish for the next price of an entry that chases, the newest trade at ``last``; ``None``: not now, or never again.

    One change at a time: while the fate of the last one is open, nothing is wished. Switches and limits are asked in the
    transaction that commits the request, like those of any change.
    """
    with short_transaction(trio_id=trio_id) as now:
        chase = Chase.objects.filter(pk=chase_id, trio_id=trio_id, end="").first()
        if chase is None:
            return None
        trio, seen = _seen(trio_id, now)
        try:
            entry = resting_entry(seen)
        except IllegalTransition as reason:
            _chase_over(trio, seen, str(reason), now=now)
            return None
        if amend_open(entry) or _change_refused_lately(trio, now=now):
            return None
        waiting = trio.entry_changes.filter(end="").first()
        if waiting is not None and waiting.wanted_by != BY_CHASE:
            return None
        assert entry.price is not None  # a LIMIT entry that rests has one
        terms = chase.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        price = next_price(terms, price=entry.price, last=last)
        if waiting is not None and waiting.price != price:  # by another price than today's, and not sent yet
            _chase_wish_dropped(trio, ChangeEnd.REPLACED, now=now)
        elif waiting is not None:
            return None
        if price is None:
            return None
        if is_spent(changes := _changes_of(chase)):
            _chase_spent(trio, changes, now=now)
            return None
        try:
            step_check(seen, entry, price, mark=_fresh_mark(seen))
        except RuleBroken:
            return None  # the next price decides
        wanted = EntryTerms(shown(entry.quantity, trio.symbol.step_size), shown(price, trio.symbol.tick_size))
        wish = _change_row(trio, entry, wanted, None, by=BY_CHASE, now=now)
        _change_recorded(trio, wish, opens=True, now=now)
        job_queue.ring(jobs.advance, trio_id)
    return wish


def _chase_wish_dropped(trio: TrioOrder, end: ChangeEnd, *, now: datetime) -> bool:
    """End what a chase has wished for; return whether there was such a wish. To be asked while none of its requests is open."""
    wish = trio.entry_changes.filter(end="", wanted_by=BY_CHASE).first()
    if wish is None:
        return False
    wish.end, wish.ended_at = end, now
    wish.save(update_fields=["end", "ended_at"])
    note(trio, "change", change_sentence(wish), at=now, end=wish.end)
    trio.change_wanted = None
    trio.save(update_fields=["entry_change", "updated_at"])
    return True


def _chase_over(trio: TrioOrder, seen: TrioSnapshot, reason: str, *, now: datetime) -> None:
    """End a chase whose entry has ended or is taken back."""
    entry = seen.entry
    if entry is not None and not entry.state.is_final and not trio.cancel_wanted_at:
        return  # what it did is not known yet
    _follower_ended(trio, CHASE, FollowEnd.DONE, by="", now=now)
    _follows(trio, CHASE, False)
    note(trio, "follow", f"Chase: {reason}", at=now)


def _changes_of(chase: Chase) -> int:
    """Return how many changes a chase wished for so far; it is the only one of its trio since it began."""
    return chase.trio.entry_changes.filter(wanted_by=BY_CHASE, wanted_at__gte=chase.wanted_at).count()


def _chase_spent(trio: TrioOrder, changes: int, *, now: datetime) -> None:
    """End a chase that has made as many changes as one may; the entry stays where it is."""
    _follower_ended(trio, CHASE, FollowEnd.DONE, by="", now=now)
    _follows(trio, CHASE, False)
    text = f"Chase: it made {changes} changes, as many as one may. The entry stays where it is."
    note(trio, "follow", text, at=now, changes=changes)


def _change_refused_lately(trio: TrioOrder, *, now: datetime) -> bool:
    """Was the last change of the entry refused, and is it too soon to ask again?"""
    last = trio.entry_changes.order_by("-id").first()
    if last is None or last.end not in (ChangeEnd.REFUSED, ChangeEnd.OVERDUE) or last.ended_at is None:
        return False
    return now - last.ended_at < timedelta(seconds=ASK_AGAIN_SECONDS[False])


def trail_step(
    *, trail_id: int, trio_id: int, best: Decimal, best_ts: int, mark: PriceTick | None = None
) -> LevelMove | None:
    """Wish for the next level of a trail whose best price is known to be ``best``; ``None``: not now.

    One move of a trio at a time: while its stop is on the way to the last level, nothing is wished. ``mark``: the newest
    mark price, which may be younger than the one that is stored.
    """
    with short_transaction(trio_id=trio_id) as now:
        trail = Trail.objects.filter(pk=trail_id, trio_id=trio_id, end="").first()
        if trail is None:
            return None
        trio, seen = _seen(trio_id, now)
        terms = trail.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        _best_kept(trio, trail, terms, best, best_ts, now=now)
        seen = _with_mark(seen, mark)
        agreed = seen.level(Role.STOP_LOSS)
        if agreed is None or not stands_alone(seen, Role.STOP_LOSS) or _refused_lately(trio, now=now):
            return None
        level = next_stop(terms, best=trail.best, stop=agreed, price=_fresh_mark(seen))
        if level is None:
            return None
        try:
            standing_check(seen, Role.STOP_LOSS)
            level_check(seen, Role.STOP_LOSS, level)
        except (IllegalTransition, RuleBroken):
            return None  # it is on its way out, or the price has just passed: the next price decides
        move = _move_recorded(trio, Role.STOP_LOSS, level, before=agreed, by="trail", now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


def break_even_reached(
    *, waiting_id: int, trio_id: int, reached_ts: int, mark: PriceTick | None = None
) -> LevelMove | None:
    """Wish for break-even, whose price was reached at ``reached_ts``; ``None``: not now, or not needed any more."""
    with short_transaction(trio_id=trio_id) as now:
        waiting = BreakEvenTrigger.objects.filter(pk=waiting_id, trio_id=trio_id, end="").first()
        if waiting is None:
            return None
        trio, seen = _seen(trio_id, now)
        return _break_even_now(trio, _with_mark(seen, mark), waiting, reached_ts, now=now)


def break_even_after_target(trio_id: int) -> LevelMove | None:
    """Wish for break-even where it waits for the first target, which has filled. For whoever notices that."""
    with short_transaction(trio_id=trio_id) as now:
        waiting = BreakEvenTrigger.objects.filter(trio_id=trio_id, after_first_target=True, end="").first()
        if waiting is None:
            return None
        trio, seen = _seen(trio_id, now)
        return _break_even_now(trio, seen, waiting, seen.now_ts, now=now)


def _break_even_now(
    trio: TrioOrder, seen: TrioSnapshot, waiting: BreakEvenTrigger, reached_ts: int, *, now: datetime
) -> LevelMove | None:
    if waiting.reached_ts is None:
        waiting.reached_ts = reached_ts
        waiting.save(update_fields=["reached_ts"])
        note(trio, "follow", f"Break-even: {waiting.words} was reached.", at=now)
    agreed = seen.level(Role.STOP_LOSS)
    if agreed is None or not stands_alone(seen, Role.STOP_LOSS) or _refused_lately(trio, now=now):
        return None
    try:
        standing_check(seen, Role.STOP_LOSS)
        level = shown(_break_even(trio, offset_ticks=waiting.offset_ticks), trio.symbol.tick_size)
        level_check(seen, Role.STOP_LOSS, level)
    except RuleBroken:
        return None  # the price has come back below it: it is asked for again when it is not
    except IllegalTransition as reason:
        if trio.trio_state is TrioState.OPEN and not trio.close_wanted_at:
            _follower_ended(trio, BREAK_EVEN, FollowEnd.DONE, by="", now=now)
            _follows(trio, BREAK_EVEN, False)
            note(trio, "follow", f"Break-even: {reason}", at=now)
        return None
    move = _move_recorded(trio, Role.STOP_LOSS, level, before=agreed, by="break_even", now=now)
    _follower_ended(trio, BREAK_EVEN, FollowEnd.DONE, by="", now=now)
    _follows(trio, BREAK_EVEN, False)
    job_queue.ring(jobs.advance, trio.pk)
    return move


def _best_kept(
    trio: TrioOrder, trail: Trail, terms: TrailTerms, best: Decimal, best_ts: int, *, now: datetime
) -> None:
    """Keep the best price in the trail's row; that it became active is part of the story."""
    known = best_of(terms, trail.best, best)
    if known is None or known == trail.best:
        return
    if trail.active_ts is None:
        trail.active_ts = best_ts
        note(trio, "follow", f"Trailing stop: active at {plain(best)}.", at=now)
    trail.best, trail.best_ts = known, best_ts
    trail.save(update_fields=["best", "best_ts", "active_ts"])


def _with_mark(seen: TrioSnapshot, mark: PriceTick | None) -> TrioSnapshot:
    if mark is None or mark.time <= seen.slot.mark_as_of:
        return seen
    return replace(seen, slot=replace(seen.slot, mark_price=mark.price, mark_as_of=mark.time))


def _fresh_mark(seen: TrioSnapshot) -> Decimal | None:
    return seen.slot.mark_price if abs(seen.now_ts - seen.slot.mark_as_of) <= MARK_AGE_MS else None


def _refused_lately(trio: TrioOrder, *, now: datetime) -> bool:
    """Was the last move of the stop refused, and is it too soon to ask again?"""
    last = trio.level_moves.filter(role=Role.STOP_LOSS).order_by("-id").first()
    if last is None or last.end != MoveEnd.REFUSED or last.ended_at is None:
        return False
    passed = bool(last.refused_code) and refusal_of(last.refused_code) is Refusal.LEVEL_PASSED
    return now - last.ended_at < timedelta(seconds=ASK_AGAIN_SECONDS[passed])


def _price_at_r(trio: TrioOrder, multiple: Decimal) -> Decimal:
    entry = trio.legs.filter(role=Role.ENTRY).order_by("-generation").first()
    assert entry is not None  # what it cost is known by now
    assert entry.average_price is not None
    first_move = trio.level_moves.filter(role=Role.STOP_LOSS).order_by("id").first()
    first = trio.stop_loss if first_move is None else first_move.level_before
    assert first is not None
    tick = trio.symbol.tick_size or TINY
    return r_level(
        Side(trio.side), average=entry.average_price, first_stop=first, multiple=multiple, tick=tick
    )


def _awaited_check(seen: TrioSnapshot, price: Decimal, level: Decimal, field: str) -> None:
    """Raise RuleBroken for a price that was reached, or at which a stop at ``level`` would trigger at once."""
    side, tick = seen.spec.side, seen.rules.tick_size or TINY
    one = tick if side is Side.BUY else -tick
    if not on_grid(price, tick):
        near = to_grid(price, tick, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)
        raise RuleBroken(field, f"The price must be in ticks of {plain(tick)}: {plain(near)} would be.")
    mark = _fresh_mark(seen)
    if mark is not None and reached(side, price, mark):
        raise RuleBroken(
            field,
            f"The mark price {plain(mark)} has reached {plain(price)} already: leave it out to move the stop now, or name a "
            f"price {'above' if side is Side.BUY else 'below'} it.",
        )
    if not reached(side, level + one, price):
        raise RuleBroken(
            field,
            f"At {plain(price)} a stop at break-even ({plain(level)}) would trigger at once: {plain(level + one)} is the "
            "nearest valid level.",
        )


_FOLLOWERS: dict[Kind, type[Trail] | type[BreakEvenTrigger] | type[Chase]] = {
    TRAIL: Trail,
    BREAK_EVEN: BreakEvenTrigger,
    CHASE: Chase,
}
_ENDED_BY_PERSON: dict[Kind, str] = {
    TRAIL: "Trailing stop ended by {by}; the stop stays where it is.",
    BREAK_EVEN: "Break-even ended by {by}; the stop stays where it is.",
    CHASE: "Chase ended by {by}; the entry stays where it is.",
}


def _follower_ended(trio: TrioOrder, kind: Kind, end: FollowEnd, *, by: str, now: datetime) -> str:
    """End what follows the price, if anything; return its terms in words."""
    found = _FOLLOWERS[kind].objects.filter(trio=trio, end="").first()
    if found is None:
        return ""
    found.end, found.ended_at, found.ended_by = end, now, by
    found.save(update_fields=["end", "ended_at", "ended_by"])
    if isinstance(found, BreakEvenTrigger):
        return found.words
    return found.terms(side=trio.side, tick=trio.symbol.tick_size or TINY).words


def _follows(trio: TrioOrder, kind: Kind, follows: bool) -> None:
    trio.follows_put(kind, follows)
    trio.save(update_fields=["moves", "updated_at"])


def _follower_off(
    trio_id: int, kind: Kind, model: type[_Follower], none: str, *, by: str, now: datetime
) -> _Follower:
    trio = TrioOrder.objects.select_related("symbol").get(pk=trio_id)
    found = model._default_manager.filter(trio=trio, end="").first()
    if found is None:
        ended = f" The trio has ended ({trio.state})." if trio.is_over else ""
        raise IllegalTransition(f"{none}: there is nothing to end.{ended}")
    before = _follower_ended(trio, kind, FollowEnd.OFF, by=by, now=now)
    _follows(trio, kind, False)
    note(trio, "wish", _ENDED_BY_PERSON[kind].format(by=by), at=now, by=by, before=before)
    found.refresh_from_db()
    return found

"""The verbs on trios. Each is one short transaction that records a wish and rings the queue, or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from accounts.models import Environment, ExchangeAccount
from exchange.types import PositionMode, PositionSide, Side
from infrastructure import job_queue
from orders import jobs, limits, risk_gates
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.entry_terms import new_risk_check, opens_more, resting_entry, terms_check
from orders.domain.enums import Protection, Role, TrioState
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken, TrioRefused
from orders.domain.level_moves import break_even_level, is_looser, level_check, standing_check
from orders.domain.operator_questions import Choice
from orders.domain.rounding import plain, shown
from orders.domain.snapshot import ChangeEnd, EntryChange, LegView, Move, MoveEnd, TrioSnapshot
from orders.exchange_data.clock import to_ms
from orders.installation import install_row
from orders.models import Clock, EntryChangeWish, LevelMove, Symbol, TrioOrder
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read
from orders.queueing.check import margin_needed, market_of, trio_check, trios_check
from orders.queueing.market import Funds, Reading, funds_read, market_read, marks_read
from orders.queueing.queue import PERSON_WAITS_SECONDS, PLACE_BEFORE_SECONDS, QueueResult, trios_queue
from orders.queueing.surroundings import surroundings
from orders.selectors import entry_fee_each
from orders.story import change_sentence, move_sentence, note, question_number, question_over, question_shown
from orders.trio_lock import short_transaction

TINY = Decimal("1E-16")  # the tick of a symbol that states none: what tables keep

__all__ = [  # what else callers of the verbs need; its rooms are below
    "PLACE_BEFORE_SECONDS",
    "Funds",
    "QueueResult",
    "Reading",
    "funds_read",
    "margin_needed",
    "market_read",
    "marks_read",
    "trio_check",
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


def trio_move(*, trio_id: int, role: Role, level: Decimal, by: str) -> LevelMove:
    """Wish for another level of a trio's stop or target; the old order stays until one at the new level is acknowledged.

    A later wish takes the place of one that is not fulfilled yet. Raises IllegalTransition when no level of this trio
    can be moved now, RuleBroken when not to this one (with the nearest that can), TrioRefused when a stop that loses
    more meets a switch or limit, as new risk does.
    """
    return _level_wish(trio_id, role, lambda trio: level, by=by)


def trio_break_even(*, trio_id: int, by: str, offset_ticks: int = 0) -> LevelMove:
    """Wish for the stop where it loses nothing, the entry's fees and its own included, or ``offset_ticks`` better.

    Of the whole trio: what its entry cost, and nothing it has earned meanwhile. Raises as ``trio_move``, and IllegalTransition
    when the stop is there already or better, or what the entry cost is not known yet.
    """
    return _level_wish(trio_id, Role.STOP_LOSS, partial(_break_even, offset_ticks=offset_ticks), by=by)


def _break_even(trio: TrioOrder, *, offset_ticks: int) -> Decimal:
    entry = trio.legs.filter(role=Role.ENTRY).order_by("-generation").first()
    if entry is None or not entry.average_price:
        raise IllegalTransition(
            "What its entry cost is not known yet: try again in a moment. Nothing was moved."
        )
    level = break_even_level(
        Side(trio.side),
        entry.average_price,
        fee_each=entry_fee_each(entry, margin_asset=trio.symbol.margin_asset),
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
        trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
        clock = Clock.objects.filter(environment=trio.account.environment).first()
        offset = clock.offset_ms if clock else 0
        seen = snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())
        standing_check(seen, role)
        level = shown(level_of(trio), trio.symbol.tick_size)  # as many decimals as the exchange takes
        level_check(seen, role, level)
        if is_looser(seen, role, level) and (refusal := risk_gates.new_risk_refusal(trio)):
            raise TrioRefused(f"A stop-loss that risks more is new risk. {refusal}")
        move = _move_recorded(trio, role, level, before=seen.level(role), by=by, now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


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

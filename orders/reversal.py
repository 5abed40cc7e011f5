"""Reverse: close a trio, and once its side is verified flat open another the other way, checked as new risk then.

The wish is a row. What is left of it is carried out by any ``runworker``: the second trio is made in the transaction that
names it in that row, and queued like any other, so it goes out once or not at all. Past its time it is dropped; the
close stays in any case.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from accounts.errors import AccountsError
from exchange.errors import ExchangeError
from exchange.types import PositionMode, PositionSide, Side
from infrastructure import job_queue
from infrastructure.rows import fetch_all
from orders import jobs, risk_gates
from orders.domain import validation
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.enums import ReversalEnd, TrioState
from orders.domain.errors import IllegalTransition, MarketUnread, OrdersError, TrioRefused
from orders.domain.reversal import FirstTrio, Follow, follow
from orders.domain.rounding import plain
from orders.domain.snapshot import TrioSnapshot
from orders.installation import install_row
from orders.models import Clock, Reversal, TrioOrder
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read
from orders.queueing.check import slot_check
from orders.queueing.market import marks_read
from orders.queueing.queue import PLACE_BEFORE_SECONDS, trios_queue
from orders.queueing.surroundings import surroundings
from orders.specs import rules_of, spec_of
from orders.story import note
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction

# Open wishes of which something is to be done: their trio has ended, or their time is over, or they were taken back.
DUE: Final = """
    SELECT reversal.trio_id FROM orders_reversal reversal JOIN orders_trioorder trio ON trio.id = reversal.trio_id
    WHERE reversal."end" = '' AND (
        trio.ended_at IS NOT NULL OR reversal.place_before <= clock_timestamp()
        OR trio.panic_wanted_at IS NOT NULL OR trio.cancel_wanted_at >= reversal.wanted_at)
    ORDER BY reversal.id LIMIT 100
"""


def trio_reverse(
    *, trio_id: int, stop_loss: Decimal, take_profit: Decimal, by: str, quantity: Decimal | None = None
) -> Reversal:
    """Wish for a trio to be closed and for another, the other way, to follow; ``quantity``: as large, unless it is given.

    What already says that the second could not be placed refuses the wish, and nothing is closed: its levels, by a mark
    price of now, and the gates of new risk. Everything is checked again, limits and margin too, when the first is
    closed; a refusal then leaves it closed. Raises MarketUnread, IllegalTransition when this trio cannot be reversed now, RuleBroken or
    TrioRefused.
    """
    mark = _mark_read(TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id))
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
        clock = Clock.objects.filter(environment=trio.account.environment).first()
        offset = clock.offset_ms if clock else 0
        seen = snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())
        _standing_check(trio, seen)
        wish = Reversal(
            trio=trio,
            quantity=seen.position if quantity is None else quantity,
            stop_loss=stop_loss,
            take_profit=take_profit,
            wanted_at=now,
            wanted_by=by,
            place_before=now + timedelta(seconds=PLACE_BEFORE_SECONDS),
        )
        _wish_check(wish, mark)
        wish.save()
        trio.close_wanted_at = trio.wake_at = now
        trio.save(update_fields=["close_wanted_at", "wake_at", "updated_at"])
        side, terms = Side(trio.side).opposite, _terms(wish)
        text = f"Reverse requested by {by}: close, then {side} {terms}."
        note(trio, "wish", text, at=now, by=by, verb="Close", **_figures(wish))
        job_queue.ring(jobs.advance, trio_id)
    return wish


def _standing_check(trio: TrioOrder, seen: TrioSnapshot) -> None:
    """Raise IllegalTransition when there is nothing to reverse."""
    state = trio.trio_state
    if state.is_end:
        raise IllegalTransition(
            f"Trio {trio.pk} has ended ({state}): there is nothing to reverse. Place a new trio."
        )
    if trio.close_wanted_at or trio.panic_wanted_at or state in (TrioState.EXITING, TrioState.ROLLING_BACK):
        raise IllegalTransition(
            f"Trio {trio.pk} is being closed already: wait until it has ended, then place a new trio."
        )
    if state is not TrioState.OPEN or seen.position <= 0:
        raise IllegalTransition(
            f"Nothing of trio {trio.pk} is filled yet ({state}): cancel it, and place one the other way."
        )


def _mark_read(trio: TrioOrder) -> Decimal | None:
    """Return the mark price of now, by which the second trio's levels are judged; none for a trio that has ended."""
    if trio.is_over:
        return None
    name = trio.symbol.symbol
    try:
        return marks_read(trio.account.environment, {name}).get(name)
    except (ExchangeError, AccountsError) as error:
        raise MarketUnread(f"{name} could not be asked about: {error} Nothing was closed.") from error


def _wish_check(wish: Reversal, mark: Decimal | None) -> None:
    """Raise RuleBroken or TrioRefused when the second trio certainly could not be placed."""
    draft = _successor(wish)
    if refusal := risk_gates.new_risk_refusal(draft, settings_as_wanted=False):
        raise TrioRefused(f"The trio the other way would be refused: {refusal} Nothing was closed.")
    validation.check(spec_of(draft), rules_of(draft.symbol), validation.Market(mark_price=mark))
    if draft.position_side != wish.trio.position_side:  # in hedge mode the other side is another slot
        (around,) = surroundings([draft])
        try:
            slot_check(draft, around, None)
        except TrioRefused as error:
            raise TrioRefused(
                f"The trio the other way would be refused: {error} Nothing was closed."
            ) from None


def _successor(wish: Reversal) -> TrioOrder:
    """Return the second trio as a draft, unsaved: the first one's terms the other way, at market."""
    first = wish.trio
    side = Side(first.side).opposite
    hedge = first.account.position_mode == PositionMode.HEDGE
    hedged = PositionSide.LONG if side is Side.BUY else PositionSide.SHORT
    return TrioOrder(
        account=first.account,
        symbol=first.symbol,
        side=side,
        position_side=hedged if hedge else PositionSide.BOTH,
        quantity=wish.quantity,
        stop_loss=wish.stop_loss,
        take_profit=wish.take_profit,
        protection=first.protection,
        target_policy=first.target_policy,
        hold_seconds=first.hold_seconds,
        flat_at=first.flat_at,
        place_before=wish.place_before,
        source="reverse",
    )


# --- carrying it out ------------------------------------------------------------------------------


def reversals_due() -> list[int]:
    """Return the trios whose reversal has something left to do now, oldest first."""
    return [row[0] for row in fetch_all(DUE)]


def reversal_carry(trio_id: int) -> Reversal:
    """Do what is due of a trio's reversal. Safe to repeat, at once, from anywhere; what cannot be done yet stays due."""
    wish, successor_id = _made(trio_id)
    if successor_id is None:
        return wish
    (result,) = trios_queue([successor_id], by=wish.wanted_by)
    error = result.error
    if isinstance(error, MarketUnread) or (error is not None and not isinstance(error, OrdersError)):
        return wish  # it could not be checked: again, until its time is over
    return _ended(trio_id, error)


def _made(trio_id: int) -> tuple[Reversal, int | None]:
    """Make the second trio if it is time, or drop the wish; return the draft that is to be queued, if any."""
    with short_transaction(trio_id=trio_id) as now:
        wish = Reversal.objects.select_related("trio__account", "trio__symbol", "successor").get(trio=trio_id)
        if wish.end:
            return wish, None
        if wish.successor is not None and wish.successor.trio_state is not TrioState.DRAFT:
            return _end(wish, ReversalEnd.QUEUED, "", now=now), None
        what, why = follow(_first(wish), is_overdue=now >= wish.place_before)
        if what is Follow.DROP:
            return _end(wish, ReversalEnd.DROPPED, why, now=now), None
        if what is Follow.WAIT:
            return wish, None
        if wish.successor is None:
            wish.successor = _successor(wish)
            wish.successor.save()
            wish.save(update_fields=["successor"])
            text = f"Made to reverse trio {trio_id}, as requested by {wish.wanted_by}."
            note(wish.successor, "reversal", text, at=now, by=wish.wanted_by, reverses=trio_id)
        return wish, wish.successor.pk


def _first(wish: Reversal) -> FirstTrio:
    trio, taken_back = wish.trio, ""
    if trio.panic_wanted_at is not None:
        taken_back = "a panic was requested."
    elif trio.cancel_wanted_at is not None and trio.cancel_wanted_at >= wish.wanted_at:
        taken_back = "it was taken back with Cancel."
    return FirstTrio(trio.trio_state, trio.result, taken_back)


def _ended(trio_id: int, error: Exception | None) -> Reversal:
    """Write what queueing came to, unless somebody else has: the second trio's own state has the last word."""
    with short_transaction(trio_id=trio_id) as now:
        wish = Reversal.objects.select_related("trio", "successor").get(trio=trio_id)
        if wish.end:
            return wish
        assert wish.successor is not None
        if error is None or wish.successor.trio_state is not TrioState.DRAFT:
            return _end(wish, ReversalEnd.QUEUED, "", now=now)
        return _end(wish, ReversalEnd.REFUSED, str(error), now=now)


def reversals_drop(*, by: str, account_id: int | None = None) -> list[int]:
    """Drop every open reversal, of one account or of all: nothing follows any more. Return their trios."""
    found = Reversal.objects.filter(end="")
    if account_id is not None:
        found = found.filter(trio__account=account_id)
    dropped = []
    for trio_id in found.order_by("pk").values_list("trio_id", flat=True):
        with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
            wish = Reversal.objects.select_related("trio", "successor").get(trio=trio_id)
            if not wish.end:
                _end(wish, ReversalEnd.DROPPED, f"a panic was requested by {by}.", now=now)
                dropped.append(trio_id)
    return dropped


def _end(wish: Reversal, end: ReversalEnd, why: str, *, now: datetime) -> Reversal:
    """Write how the wish ended; a draft that is not placed any more is withdrawn. The first trio's row is locked."""
    successor = wish.successor
    if successor is not None and end is not ReversalEnd.QUEUED:
        successor = TrioOrder.objects.select_for_update(of=("self",)).get(pk=successor.pk)
        if successor.trio_state is not TrioState.DRAFT:  # it was queued in this very moment
            return _end(wish, ReversalEnd.QUEUED, "", now=now)
        successor.state = next_state(successor.trio_state, Transition.WITHDRAWN)
        successor.reason, successor.ended_at = f"Not placed: {why}", now
        successor.save(update_fields=["state", "reason", "ended_at", "updated_at"])
        note(successor, "state", f"DRAFT → {successor.state}. {successor.reason}", at=now)
    wish.end, wish.reason, wish.ended_at = end, why, now
    wish.save(update_fields=["end", "reason", "ended_at"])
    note(wish.trio, "reversal", reversal_sentence(wish), at=now, end=end)
    return wish


def reversal_sentence(wish: Reversal) -> str:
    """Say how a reversal stands."""
    match wish.end:
        case ReversalEnd.QUEUED:
            return f"Reversed: trio {wish.successor_id} was queued."
        case ReversalEnd.REFUSED:
            return f"Closed, and not reversed: the trio the other way was refused. {wish.reason}"
        case ReversalEnd.DROPPED:
            return f"Not reversed: {wish.reason}"
        case _:
            until = f"{wish.place_before:%H:%M:%S} UTC"
            return f"To be reversed: {_terms(wish)} follow once it is closed, by {until} or not at all."


def _terms(wish: Reversal) -> str:
    return f"{plain(wish.quantity)} at market, stop-loss {plain(wish.stop_loss)}, take-profit {plain(wish.take_profit)}"


def _figures(wish: Reversal) -> dict[str, str]:
    return {name: plain(getattr(wish, name)) for name in ("quantity", "stop_loss", "take_profit")}

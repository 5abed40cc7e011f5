"""The verbs of what follows the price: a trailing stop, a break-even that waits, a chase; and the steps each of them takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TypeVar

from accounts.gateways import refusal_of
from exchange.rate_limits import CONDITIONALS_MAX
from exchange.refusals import Refusal
from exchange.types import PriceKind, PriceTick, Side, WorkingType
from infrastructure import job_queue
from orders import jobs, limits, risk_gates
from orders.domain.average import entered
from orders.domain.chasing import ChaseTerms, chase_check, is_spent, next_price, step_check
from orders.domain.coverage import would_cover
from orders.domain.decision.amendments import amend_open
from orders.domain.decision.transitions import CONDITIONALS_KEPT_FREE
from orders.domain.entry_terms import new_risk_check, resting_entry
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, LimitBroken, RuleBroken, TrioRefused
from orders.domain.level_moves import (
    MARK_AGE_MS,
    level_check,
    standing_check,
    stands_alone,
)
from orders.domain.rounding import TINY, on_grid, plain, shown, to_grid
from orders.domain.snapshot import ChangeEnd, ExchangeTrail, MoveEnd, TrioSnapshot
from orders.domain.trailing import (
    FollowEnd,
    TrailTerms,
    TrailUnit,
    best_of,
    first_target_check,
    next_stop,
    next_target,
    r_level,
    reached,
    trail_check,
)
from orders.exchange_data.true_range import atr_read
from orders.follow_rows import BREAK_EVEN, CHASE, TRAIL, Kind
from orders.models import (
    BreakEvenTrigger,
    Chase,
    EntryChangeWish,
    LevelMove,
    Trail,
    TrioOrder,
)
from orders.placement.snapshot_loader import conditionals_beside
from orders.selectors import entry_cost
from orders.story import change_sentence, note
from orders.trio_lock import PERSON_WAITS_SECONDS, short_transaction
from orders.wishes import (
    EntryTerms,
    break_even_known,
    break_even_of,
    change_recorded,
    change_row,
    loses_nothing,
    move_recorded,
    seen_now,
)

_Follower = TypeVar("_Follower", Trail, BreakEvenTrigger, Chase)
BY_CHASE = "chase"  # who wishes for the entry's next price
ASK_AGAIN_SECONDS = 30  # after a refusal
PRICE_PASSED_SECONDS = 1  # … where only the price was in the way


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
    let_run: bool = False,
    by_exchange: bool = False,
) -> Trail:
    """Have a trio's stop follow the price, at a ``distance`` in the quote asset or in ``percent`` of the best price.

    Or at ``atr`` times the average true range of ``timeframe``, as its closed bars have it now; that distance stays.

    From the moment on at which the price has reached ``activation`` (``None``: at once), in moves of at least ``step`` (one
    tick). The stop only ever becomes tighter, so no switch and no limit on new risk stops it. It takes the place of the
    trail there is. ``let_run``: once the price has come so near, and the stop loses nothing, the take-profit makes way,
    again and again (``trail_target_step``).

    ``by_exchange``: its own trailing order follows, in percent alone, beside the stop-loss, which stays. Raises IllegalTransition when the stop of this trio cannot be moved now, RuleBroken for terms that
    cannot be, with the nearest that can.
    """
    if sum(way is not None for way in (distance, percent, atr)) != 1:
        raise RuleBroken(
            "distance",
            "Say how far behind the price: by a distance, by a percentage or by a multiple of the ATR, one of them.",
        )
    if by_exchange:
        _exchange_check(percent=percent, step=step, let_run=let_run)
    measured = "" if atr is None else f" ({plain(atr)} × ATR of {timeframe})"
    if atr is not None:
        distance = _atr_distance(trio_id, atr, timeframe)
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trio, seen = seen_now(trio_id, now)
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
            run_from=seen.level(Role.TAKE_PROFIT) if let_run else None,
            by_exchange=by_exchange,
        )
        trail_check(seen, terms, break_even=break_even_known(trio, offset_ticks=0) if let_run else None)
        if by_exchange:
            _room_check(trio, seen)
        before = _follower_ended(trio, TRAIL, FollowEnd.REPLACED, by=by, now=now)
        trail = Trail.objects.create(
            trio=trio,
            distance=terms.distance,
            unit=terms.unit,
            watches=terms.watches,
            activation=terms.activation,
            step=terms.step,
            run_from=terms.run_from,
            by_exchange=by_exchange,
            since_ts=seen.now_ts,
            heard_ts=seen.now_ts,
            wanted_at=now,
            wanted_by=by,
        )
        if by_exchange:
            working = WorkingType.MARK_PRICE if watches is PriceKind.MARK else WorkingType.CONTRACT_PRICE
            trio.exchange_trail_put(ExchangeTrail(trail.pk, terms.distance, activation, working))
        _follows(trio, TRAIL, True)
        _woken(trio, now=now)
        text = f"Trailing stop: {terms.words}{measured}, requested by {by}."
        note(trio, "wish", text, at=now, by=by, trail=terms.words, before=before)
    return trail


def _exchange_check(*, percent: Decimal | None, step: Decimal | None, let_run: bool) -> None:
    """Raise RuleBroken for what the exchange's own trailing order does not know."""
    if percent is None:
        raise RuleBroken("percent", "The exchange's own trailing order follows by a percentage: name one.")
    if step is not None:
        raise RuleBroken("step", "The exchange's own trailing order moves by itself: leave the step out.")
    if let_run:
        raise RuleBroken(
            "let_run", "Only a trail of ours has the take-profit make way: leave out one of the two."
        )


def _room_check(trio: TrioOrder, seen: TrioSnapshot) -> None:
    """Raise TrioRefused where the exchange would not take one conditional order more for this account."""
    ours, theirs = conditionals_beside(trio)
    if ours + theirs + seen.spec.legs_wanted + 1 <= CONDITIONALS_MAX - CONDITIONALS_KEPT_FREE:
        return
    raise TrioRefused(
        f"The exchange takes {CONDITIONALS_MAX} conditional orders of an account, and {CONDITIONALS_KEPT_FREE} are kept free "
        "for protection: its own trailing order would not fit. Let the stop be moved by us instead."
    )


def _woken(trio: TrioOrder, *, now: datetime) -> None:
    trio.wake_at = now
    trio.save(update_fields=["wake_at", "updated_at"])
    job_queue.ring(jobs.advance, trio.pk)


def _atr_distance(trio_id: int, multiple: Decimal, timeframe: str) -> Decimal:
    """Return this multiple of the average true range of a trio's symbol, to the tick. Raises as ``atr_read``, and TrioOrder.DoesNotExist."""
    if not multiple.is_finite() or multiple <= 0:
        raise RuleBroken(
            "atr", f"{multiple} is not a multiple of the ATR: give a number above zero, such as 2."
        )
    symbol = TrioOrder.objects.select_related("symbol").get(pk=trio_id).symbol
    tick = symbol.tick_size or TINY
    away = to_grid(multiple * atr_read(symbol.environment, symbol.symbol, timeframe), tick, ROUND_CEILING)
    return max(away, tick)


def trio_trail_off(*, trio_id: int, by: str) -> Trail:
    """End a trio's trail; its stop stays where it is. Raises IllegalTransition when there is none."""
    with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
        trail = _follower_off(trio_id, TRAIL, Trail, "Its stop follows no price", by=by, now=now)
        _woken(TrioOrder.objects.get(pk=trio_id), now=now)  # the exchange's own order is taken back
        return trail


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
        trio, seen = seen_now(trio_id, now)
        standing_check(seen, Role.STOP_LOSS)
        level = break_even_of(trio, offset_ticks=offset_ticks)
        if at_r is not None and at_r <= 0:
            raise RuleBroken(
                "at_r", f"{plain(at_r)} is not a multiple of R: give a number above zero, such as 1."
            )
        if at_r is not None:
            at_price = _price_at_r(trio, at_r)
        if at_price is not None:
            _awaited_check(seen, at_price, level, "at_price" if at_r is None else "at_r")
        if after_first_target:
            first_target_check(seen)
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
        trio, seen = seen_now(trio_id, now)
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
        trio, seen = seen_now(trio_id, now)
        if seen.entry is not None and not amend_open(seen.entry):
            _chase_wish_dropped(trio, ChangeEnd.DROPPED, now=now)
    return chase


def chase_ended_by_change(trio: TrioOrder, *, by: str, now: datetime) -> None:
    """End the chase of an entry that a person changes by hand: what was named last holds. The trio's lock is held."""
    before = _follower_ended(trio, CHASE, FollowEnd.OFF, by=by, now=now)
    if not before:
        return
    _follows(trio, CHASE, False)
    text = f"Chase ended: {by} changes the entry by hand. It was {before}."
    note(trio, "wish", text, at=now, by=by, before=before)


def chase_step(*, chase_id: int, trio_id: int, last: Decimal) -> EntryChangeWish | None:
    """Wish for the next price of an entry that chases, the newest trade at ``last``; ``None``: not now, or never again.

    One change at a time: while the fate of the last one is open, nothing is wished. Switches and limits are asked in the
    transaction that commits the request, like those of any change.
    """
    with short_transaction(trio_id=trio_id) as now:
        chase = Chase.objects.filter(pk=chase_id, trio_id=trio_id, end="").first()
        if chase is None:
            return None
        trio, seen = seen_now(trio_id, now)
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
        wish = change_row(trio, entry, wanted, None, by=BY_CHASE, now=now)
        change_recorded(trio, wish, opens=True, now=now)
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
    return now - last.ended_at < timedelta(seconds=ASK_AGAIN_SECONDS)


def trail_step(
    *, trail_id: int, trio_id: int, best: Decimal, best_ts: int, mark: PriceTick | None = None
) -> LevelMove | None:
    """Wish for the next level of a trail whose best price is known to be ``best``; ``None``: not now.

    One move of a trio at a time: while its stop is on the way to the last level, nothing is wished. ``mark``: the newest
    mark price, which may be younger than the one that is stored.
    """
    with short_transaction(trio_id=trio_id) as now:
        trail = Trail.objects.filter(pk=trail_id, trio_id=trio_id, end="", by_exchange=False).first()
        if trail is None:
            return None
        trio, seen = seen_now(trio_id, now)
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
        move = move_recorded(trio, Role.STOP_LOSS, level, before=agreed, by="trail", now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


def trail_target_step(
    *, trail_id: int, trio_id: int, best: Decimal, best_ts: int, mark: PriceTick | None = None
) -> LevelMove | None:
    """Wish for the take-profit of a trail to make way, the best price known to be ``best``; ``None``: not now.

    Only once the exchange has acknowledged a stop that loses nothing: what leaves is replaced by what is there. Until then,
    and while the move is under way, the take-profit rests where it is, and executes there if the price is faster.
    """
    with short_transaction(trio_id=trio_id) as now:
        trail = Trail.objects.filter(pk=trail_id, trio_id=trio_id, end="").first()
        if trail is None:
            return None
        trio, seen = seen_now(trio_id, now)
        terms = trail.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        _best_kept(trio, trail, terms, best, best_ts, now=now)
        target, cost = seen.level(Role.TAKE_PROFIT), entry_cost(trio)
        if target is None or cost is None or not stands_alone(seen, Role.TAKE_PROFIT):
            return None
        if not _stop_loses_nothing(trio, seen) or _refused_lately(trio, Role.TAKE_PROFIT, now=now):
            return None
        level = next_target(terms, best=trail.best, target=target, average=cost.average)
        if level is None:
            return None
        try:
            standing_check(seen, Role.TAKE_PROFIT)
            level_check(_with_mark(seen, mark), Role.TAKE_PROFIT, level)
        except (IllegalTransition, RuleBroken):
            return None  # it is on its way out, or the exchange takes none so far away
        move = move_recorded(trio, Role.TAKE_PROFIT, level, before=target, by="trail", now=now)
        job_queue.ring(jobs.advance, trio_id)
    return move


def _stop_loses_nothing(trio: TrioOrder, seen: TrioSnapshot) -> bool:
    """Is there a stop for all of the position, acknowledged at its agreed level, and does it lose nothing there?"""
    level = break_even_known(trio, offset_ticks=0)
    if level is None or not loses_nothing(trio, level):
        return False
    agreed = seen.level(Role.STOP_LOSS)
    there = [leg for leg in seen.of(Role.STOP_LOSS) if leg.trigger_price == agreed]
    return would_cover(seen, there, seen.position)


def break_even_reached(
    *, waiting_id: int, trio_id: int, reached_ts: int, mark: PriceTick | None = None
) -> LevelMove | None:
    """Wish for break-even, whose price was reached at ``reached_ts``; ``None``: not now, or not needed any more."""
    with short_transaction(trio_id=trio_id) as now:
        waiting = BreakEvenTrigger.objects.filter(pk=waiting_id, trio_id=trio_id, end="").first()
        if waiting is None:
            return None
        trio, seen = seen_now(trio_id, now)
        return _break_even_now(trio, _with_mark(seen, mark), waiting, reached_ts, now=now)


def break_even_after_target(trio_id: int) -> LevelMove | None:
    """Wish for break-even where it waits for the first target, which has filled. For whoever notices that."""
    with short_transaction(trio_id=trio_id) as now:
        waiting = BreakEvenTrigger.objects.filter(trio_id=trio_id, after_first_target=True, end="").first()
        if waiting is None:
            return None
        trio, seen = seen_now(trio_id, now)
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
        known = break_even_known(trio, offset_ticks=waiting.offset_ticks)
        if known is None:
            return None
        level = shown(known, trio.symbol.tick_size)
        if why := loses_nothing(trio, level):
            _follower_ended(trio, BREAK_EVEN, FollowEnd.DONE, by="", now=now)
            _follows(trio, BREAK_EVEN, False)
            note(trio, "follow", f"Break-even: {why}", at=now)
            return None
        level_check(seen, Role.STOP_LOSS, level)
    except (IllegalTransition, RuleBroken):
        # Something is being added, say, or the price has come back below it: it is asked for again when that is over.
        return None
    move = move_recorded(trio, Role.STOP_LOSS, level, before=agreed, by="break_even", now=now)
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


def _refused_lately(trio: TrioOrder, role: Role = Role.STOP_LOSS, *, now: datetime) -> bool:
    """Was the last move of the stop or target refused, and is it too soon to ask again?"""
    last = trio.level_moves.filter(role=role).order_by("-id").first()
    if last is None or last.end != MoveEnd.REFUSED or last.ended_at is None:
        return False
    passed = bool(last.refused_code) and refusal_of(last.refused_code) is Refusal.LEVEL_PASSED
    return now - last.ended_at < timedelta(seconds=PRICE_PASSED_SECONDS if passed else ASK_AGAIN_SECONDS)


def _price_at_r(trio: TrioOrder, multiple: Decimal) -> Decimal:
    entry = entered(trio.legs.all())
    assert entry is not None  # what it cost is known by now
    _, average = entry
    first_move = trio.level_moves.filter(role=Role.STOP_LOSS).order_by("id").first()
    first = trio.stop_loss if first_move is None else first_move.level_before
    assert first is not None
    tick = trio.symbol.tick_size or TINY
    return r_level(Side(trio.side), average=average, first_stop=first, multiple=multiple, tick=tick)


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
    if kind is TRAIL:
        trio.exchange_trail_put(None)
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

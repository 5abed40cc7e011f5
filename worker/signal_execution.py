"""Executing signals: what each wants, on each of its accounts, by the one OrderExecutor.

Safe to run twice, at once, or never: what is to be done stands in the results, and each is claimed before a trio is
made for it. An account that fails leaves the others. A source's verbs touch its own trios and no others.

What takes risk away is carried out whatever becomes of the rest of a post, and waits for nothing that opens.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection
from django.db.models import Exists, OuterRef, Q

from accounts.errors import AccountsError
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.types import PositionSide, Side
from orders import services
from orders.domain.enums import Role, TrioState
from orders.domain.errors import IllegalTransition, OrdersError
from orders.domain.level_moves import level_on_tick
from orders.domain.rounding import plain, quantity_down
from orders.exchange_data.clock import db_now
from orders.models import TrioOrder
from orders.placement.service import service
from orders.specs import grid_of
from signals.domain.enums import TIME, Origin, Outcome, Policy, Verb
from signals.domain.refusals import RefusalKind, SignalRefused
from signals.domain.terms import Level, Terms, TermsError, decimal
from signals.models import HookSource, Signal, SignalResult, SizingRule
from signals.services import result_end, result_superseded, results_pending, signals_end
from worker.order_executor import Execution, Intent, OrderExecutor

logger = logging.getLogger(__name__)

Matter = tuple[str, str]  # a source, and a symbol

AT_ONCE_MAX = 8  # accounts
BY = "signal"  # who queues, as a trio's story says it
LOOKED_BACK = timedelta(minutes=10)  # for a post that came before one which it follows
OPENS = frozenset({Verb.ENTER, Verb.REVERSE, Verb.ADD})
CHANGES = frozenset({Verb.ADD, Verb.REDUCE, Verb.MOVE})
TURNS = OPENS - CHANGES  # what of the other side is in the way is closed first, by the source's policy
LEAVES = frozenset({Verb.CLOSE, Verb.CANCEL})


def signals_execute(signal_ids: Collection[int]) -> None:
    """Carry out what is still to be done for these signals, and before them what is for earlier ones of their sources."""
    by_account: dict[int, list[SignalResult]] = {}
    carried = set(signal_ids)
    for result in results_pending(signal_ids):
        by_account.setdefault(result.account_id, []).append(result)
        carried.add(result.signal_id)
    shares = list(by_account.values())
    if len(shares) > 1:
        with ThreadPoolExecutor(min(AT_ONCE_MAX, len(shares)), thread_name_prefix="signals") as pool:
            list(pool.map(_share_apart, shares))
    else:
        for share in shares:
            _share(share)
    signals_end(carried)


def _share_apart(share: Sequence[SignalResult]) -> None:
    try:
        _share(share)
    finally:
        connection.close()


def _share(share: Sequence[SignalResult]) -> None:
    """Carry out one account's part. Never raises: the other accounts are served, and what is left is found again."""
    try:
        _Share(share[0].account).run(share)
    except Exception:
        logger.exception(
            "signals on %s could not be carried out; they are tried again", share[0].account.name
        )


class _Share:
    """What some signals want on one account, in the order in which they came.

    What a source wants of a symbol waits for what it wanted of it before: where that is in another process' hands, or waits
    itself, the later result stays pending and is found again. A close or cancel passes what waits; it waits only for an
    entry that another process is about to place, which it could not see yet.
    """

    def __init__(self, account: ExchangeAccount) -> None:
        self._account = account
        self._elsewhere: set[Matter] = set()  # another process is placing an entry
        self._waiting: set[Matter] = set()  # for a close, or for what is to be changed

    def run(self, results: Sequence[SignalResult]) -> None:
        entering: list[SignalResult] = []
        for place, result in enumerate(results):
            matter, verb = matter_of(result), Verb(result.signal.verb)
            own = [one for one in entering if matter_of(one) == matter]
            if any(verb not in TURNS or one.signal.side != result.signal.side for one in own):
                self._enter(entering)  # what came before it is placed before it, and may be in its way
                entering = []
            if matter in self._elsewhere or self._let_go(result, results[place + 1 :]):
                continue
            if verb in LEAVES:
                self._leave(result, verb)
            elif matter in self._waiting and result.trio is None:
                self._make_way(result)
            elif self._is_out_of_date(result):
                continue
            elif result.trio is not None:  # whoever drafted it is gone, or at it
                self._carry_on(result)
            elif verb in CHANGES:
                self._change(result, verb)
            elif self._may_enter(result):
                entering.append(result)
        self._enter(entering)

    def _let_go(self, result: SignalResult, later: Sequence[SignalResult]) -> bool:
        """Let go what a later post closes or cancels before anything came of it; return whether that is done with."""
        word = next((one.signal for one in later if _is_ended_by(result, one)), None)
        if word is None or services.size_known(_reference(result)) is not None:
            return False
        if result_superseded(result.pk, by=word, facts=closed_facts(self._make_way(result))):
            return True
        if result.trio is not None:  # a draft that was left behind: it is carried on, then closed
            return False
        self._elsewhere.add(matter_of(result))  # a trio was made of it this instant
        return True

    def _is_out_of_date(self, result: SignalResult) -> bool:
        """End what would open too late, or after a post that follows it came; return whether it did."""
        if Verb(result.signal.verb) not in OPENS:
            return False
        now = db_now()
        if now >= result.signal.act_before:
            self._end_too_late(result, now)
        elif result.trio is None and (word := overtaken_by(result)) is not None:
            facts = {"signal": str(word.pk)} | closed_facts(self._make_way(result))
            result_end(result.pk, Outcome.NOTHING_TO_DO, kind=RefusalKind.OVERTAKEN, facts=facts)
        else:
            return False
        return True

    # --- closing and cancelling ---------------------------------------------------------------------

    def _leave(self, result: SignalResult, verb: Verb) -> None:
        """Close or cancel the source's own trios on the symbol, of the side that the signal names.

        Late or not: it only takes risk away.
        """
        found = [
            trio
            for trio in own_trios(result)
            if result.signal.side in ("", trio.side)
            and (verb is Verb.CLOSE or trio.trio_state in CANCELLABLE)
        ]
        if result.signal.dry_run:
            planned = {"trios": ", ".join(str(trio.pk) for trio in found)}
            result_end(result.pk, Outcome.DRY_RUN, facts=planned)
            return
        acted = [trio for trio in found if self._end_trio(trio, verb, by=result.signal.trio_source)]
        if not acted:
            self._end_nothing(result)
            return
        outcome = Outcome.CLOSING if verb is Verb.CLOSE else Outcome.CANCELLING
        result_end(result.pk, outcome, facts={"trios": ", ".join(str(trio.pk) for trio in acted)})

    def _end_trio(self, trio: TrioOrder, verb: Verb, *, by: str) -> bool:
        """Wish a trio closed or cancelled and carry it forward; return whether there was one to wish it of."""
        try:
            if verb is Verb.CLOSE:
                services.trio_close(trio_id=trio.pk, by=by)
            else:
                services.trio_cancel(trio_id=trio.pk, by=by)
        except IllegalTransition:  # it has ended meanwhile
            return False
        self._advance(trio)
        return True

    def _advance(self, trio: TrioOrder) -> None:
        try:
            service().advance(trio.pk)
        except Exception:  # the wish is recorded: runworker carries it out
            logger.exception("trio %s: carrying out a wish raised", trio.pk)

    def _end_nothing(self, result: SignalResult) -> None:
        facts = {"verb": result.signal.verb, "symbol": result.signal.symbol}
        result_end(result.pk, Outcome.NOTHING_TO_DO, kind=RefusalKind.NOTHING_THERE, facts=facts)

    # --- changing what is there -----------------------------------------------------------------------

    def _change(self, result: SignalResult, verb: Verb) -> None:
        """Add to, reduce or move the newest open trio of the source on the symbol, on the side that the signal names."""
        signal = result.signal
        if (made := services.size_known(_reference(result))) is not None:  # by a process that is gone
            result_end(result.pk, Outcome.CHANGING, facts={"trios": str(made.trio_id)})
            return
        own = [trio for trio in own_trios(result) if signal.side in ("", trio.side)]
        own = [trio for trio in own if trio.close_wanted_at is None]  # of one that is closed nothing is left
        found = [trio for trio in own if trio.trio_state is TrioState.OPEN]
        if not found and any(trio.trio_state in COMING for trio in own) and db_now() < signal.act_before:
            self._waiting.add(matter_of(result))  # what it changes is being placed
            return
        if not found:
            self._end_nothing(result)
            return
        trio = found[-1]
        if signal.dry_run:
            result_end(result.pk, Outcome.DRY_RUN, facts={"trios": str(trio.pk)})
            return
        if verb is not Verb.MOVE and trio.sizes_wanted:
            self._waiting.add(matter_of(result))  # one change of its size at a time; that one ends soon
            return
        try:
            self._wish(trio, verb, result)
        except SignalRefused as refused:
            result_end(result.pk, Outcome.REFUSED, kind=refused.kind, facts=refused.facts)
            return
        except (OrdersError, ExchangeError, AccountsError) as error:
            facts = {"text": str(error)}
            result_end(result.pk, Outcome.REFUSED, kind=RefusalKind.CHANGE_REFUSED, facts=facts)
            return
        self._advance(trio)
        outcome = Outcome.CLOSING if verb is Verb.REDUCE and the_close_wanted(trio) else Outcome.CHANGING
        result_end(result.pk, outcome, facts={"trios": str(trio.pk)})

    def _wish(self, trio: TrioOrder, verb: Verb, result: SignalResult) -> None:
        """Record the wish, once: it bears the result's number. Raises SignalRefused, OrdersError."""
        terms, by = Terms.from_json(result.signal.terms), result.signal.trio_source
        if verb is Verb.MOVE:
            self._move(trio, terms, by=by)
            return
        assert terms.size is not None  # a post without one is refused at the door
        quantity = terms.size.value
        change = services.trio_add if verb is Verb.ADD else services.trio_reduce
        if verb is Verb.ADD:  # less than a step is refused as it was said
            quantity = quantity_down(quantity, step=grid_of(trio.symbol).step) or quantity
        change(trio_id=trio.pk, quantity=quantity, by=by, reference=_reference(result))

    def _move(self, trio: TrioOrder, terms: Terms, *, by: str) -> None:
        """Move its levels, on the tick; a stop-loss only nearer."""
        stop = _level_of(trio, Role.STOP_LOSS, terms.stop)
        target = _level_of(trio, Role.TAKE_PROFIT, terms.target)
        agreed = trio.stop_loss
        moves_stop = stop is not None and stop != agreed
        if stop is not None and moves_stop:
            if agreed is not None and (stop < agreed if trio.side == Side.BUY else stop > agreed):
                raise SignalRefused(RefusalKind.LOOSER, trio=str(trio.pk), agreed=plain(agreed))
            services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=stop, by=by)
        if target is None or target == trio.take_profit:
            return
        try:
            services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=target, by=by)
        except OrdersError as error:
            if not moves_stop:
                raise
            text = f"{error} Its stop-loss goes to {plain(stop)} all the same."
            raise SignalRefused(RefusalKind.CHANGE_REFUSED, text=text) from error

    # --- entering -------------------------------------------------------------------------------------

    def _may_enter(self, result: SignalResult) -> bool:
        """Is nothing of this source in the way? By its policy what is goes first, or the signal is let go."""
        signal = result.signal
        opposite = in_the_way(result)
        if not opposite:
            return True
        policy, trio = policy_of(signal), opposite[0]
        if policy is Policy.IGNORE or signal.dry_run:
            facts = {"trio": str(trio.pk), "policy": policy.words}
            result_end(result.pk, Outcome.SLOT_TAKEN, kind=RefusalKind.POLICY, facts=facts)
            return False
        self._make_way(result)
        if policy is Policy.CLOSE:
            result_end(result.pk, Outcome.CLOSING, facts={"trios": str(trio.pk)})
            return False
        # It enters once the other is closed and its side is flat; until then this result stays pending.
        if TrioOrder.objects.filter(pk__in=[one.pk for one in opposite], holds_slot=True).exists():
            self._waiting.add(matter_of(result))
            return False
        return True

    def _make_way(self, result: SignalResult) -> list[TrioOrder]:
        """Close what of its source stands on the other side, where its policy closes that; return it.

        Whatever becomes of its entry: this only takes risk away. But nothing is closed that a later post wants held.
        """
        signal = result.signal
        if Verb(signal.verb) not in TURNS or signal.dry_run or policy_of(signal) is Policy.IGNORE:
            return []
        opposite = in_the_way(result)
        if not opposite or any(is_other_side(word, signal) for word in posts_that_follow(result)):
            return []
        for trio in opposite:
            if trio.close_wanted_at is None:
                self._end_trio(trio, Verb.CLOSE, by=signal.trio_source)
        return opposite

    def _enter(self, results: Sequence[SignalResult]) -> None:
        intents = []
        by_id = {result.pk: result for result in results}
        for result in results:
            try:
                intents.append(intent_of(result))
            except TermsError as error:
                result_end(
                    result.pk, Outcome.REFUSED, kind=RefusalKind.ORDER_REFUSED, facts={"text": str(error)}
                )
        for execution in OrderExecutor(self._account, by=BY).execute(intents):
            result_id = execution.intent.result_id
            assert result_id is not None
            self._end(execution, by_id[result_id])

    def _end(self, execution: Execution, result: SignalResult) -> None:
        result_id, refused = result.pk, execution.refused
        if refused is not None:
            if refused.kind is RefusalKind.CLAIMED:
                self._elsewhere.add(matter_of(result))
                return
            result_end(result_id, _outcome_of(refused), kind=refused.kind, facts=refused.facts)
        elif execution.trio_id is None:
            result_end(result_id, Outcome.DRY_RUN, facts=execution.planned)
        else:
            result_end(result_id, Outcome.PLACED)

    def _carry_on(self, result: SignalResult) -> None:
        """Queue and place a draft that was made and left behind."""
        trio = result.trio
        assert trio is not None
        refused = OrderExecutor(self._account, by=BY).carry_on(trio)
        if refused is None:
            result_end(result.pk, Outcome.PLACED)
        else:
            result_end(result.pk, _outcome_of(refused), kind=refused.kind, facts=refused.facts)

    def _end_too_late(self, result: SignalResult, now: datetime) -> None:
        until = result.signal.act_before
        late_ms = (now - until) // timedelta(milliseconds=1)
        facts = {"until": f"{until:%Y-%m-%d %H:%M:%S} UTC", "late_ms": str(late_ms)}
        facts |= closed_facts(self._make_way(result))
        result_end(result.pk, Outcome.TOO_LATE, kind=RefusalKind.TOO_LATE, facts=facts)


def matter_of(result: SignalResult) -> Matter:
    """Return what a result is about: its source, and the symbol on its account."""
    return result.signal.trio_source, result.signal.symbol


def _level_of(trio: TrioOrder, role: Role, level: Level | None) -> Decimal | None:
    """Return where a post wants a level, on the tick; ``None``: it does not say."""
    if level is None:
        return None
    return level_on_tick(level.value, role, side=Side(trio.side), tick=grid_of(trio.symbol).tick)


def _reference(result: SignalResult) -> str:
    """Return by what a wish for another size is known that was made for this result."""
    return f"signal {result.pk}"


def _is_ended_by(result: SignalResult, later: SignalResult) -> bool:
    """Would a later signal undo at once what this one wants? One that is dated before it is about something else.

    A close undoes what opens or changes, a cancel only what opens.
    """
    if later.signal.figures.get(TIME, "9") < result.signal.figures.get(TIME, ""):
        return False
    undone = {Verb.CLOSE: OPENS | CHANGES, Verb.CANCEL: OPENS}.get(Verb(later.signal.verb), frozenset())
    if Verb(result.signal.verb) not in undone:
        return False
    return matter_of(later) == matter_of(result) and later.signal.side in ("", result.signal.side)


def the_close_wanted(trio: TrioOrder) -> bool:
    return TrioOrder.objects.filter(pk=trio.pk, close_wanted_at__isnull=False).exists()


COMING = frozenset({TrioState.QUEUED, TrioState.PLACING})
CANCELLABLE = frozenset({TrioState.QUEUED, TrioState.PLACING, TrioState.WORKING, TrioState.OPEN})


def _outcome_of(refused: SignalRefused) -> Outcome:
    return Outcome.SLOT_TAKEN if refused.kind is RefusalKind.SLOT_TAKEN else Outcome.REFUSED


def own_trios(result: SignalResult) -> list[TrioOrder]:
    """Return the trios of the signal's source on its account and symbol that were there before it, oldest first.

    One that was placed after the signal came is none of its business, unless an earlier signal wanted it: either may be
    late.
    """
    signal = result.signal
    earlier = SignalResult.objects.filter(trio=OuterRef("pk"), signal_id__lt=signal.pk)
    trios = TrioOrder.objects.filter(
        Q(queued_at__lte=signal.received_at) | Exists(earlier),
        account=result.account_id,
        symbol__symbol=signal.symbol,
        source=signal.trio_source,
        holds_slot=True,
    )
    found = trios.order_by("pk").prefetch_related("signal_results__signal")
    return [trio for trio in found if not _opened_by_later_word(trio, signal)]


def _opened_by_later_word(trio: TrioOrder, signal: Signal) -> bool:
    """Did a post open it that is dated later than this one? They came in the wrong order."""
    dated = signal.figures.get(TIME)
    return bool(dated) and any(
        result.signal.figures.get(TIME, "") > dated for result in trio.signal_results.all()
    )


def overtaken_by(result: SignalResult) -> Signal | None:
    """Return the post that came before this one and is about what follows it, so that this one is out of date."""
    return next(iter(posts_that_follow(result)), None)


def posts_that_follow(result: SignalResult) -> list[Signal]:
    """Return the posts that came before this one and are about what follows it, the last first.

    Each leaves the side that this one would open, and is dated later; or at the same time, and it closed what was not
    there, or turned a position that was not there yet.
    """
    signal = result.signal
    if not (dated := signal.figures.get(TIME)):
        return []
    before = SignalResult.objects.filter(
        account=result.account_id,
        signal__origin=signal.origin,
        signal__source=signal.source,
        signal__symbol=signal.symbol,
        signal_id__lt=signal.pk,
        signal__received_at__gt=signal.received_at - LOOKED_BACK,
    )
    before = before.select_related("signal").order_by("-signal_id")
    return [one.signal for one in before if _follows(one, signal, dated=dated)]


def _follows(earlier: SignalResult, signal: Signal, *, dated: str) -> bool:
    """Is what came earlier about what follows this signal, which is dated so?"""
    other, verb = earlier.signal, Verb(earlier.signal.verb)
    word = other.figures.get(TIME, "")
    if word < dated:
        return False
    if verb is Verb.CLOSE and other.side in ("", signal.side):
        return bool(word > dated or earlier.refusal == RefusalKind.NOTHING_THERE)
    if is_other_side(other, signal):
        return word > dated or verb is Verb.REVERSE
    return False


def is_other_side(other: Signal, signal: Signal) -> bool:
    """Does another signal enter the side that this one would leave?"""
    return Verb(other.verb) in TURNS and other.side != signal.side


def in_the_way(result: SignalResult) -> list[TrioOrder]:
    """Return the trios of its source that hold the very slot on the other side. In hedge mode both sides have one."""
    signal = result.signal
    turned = Verb(signal.verb) is Verb.REVERSE
    return [
        trio
        for trio in own_trios(result)
        if trio.side != signal.side and (turned or trio.position_side == PositionSide.BOTH)
    ]


def closed_facts(closed: Sequence[TrioOrder]) -> dict[str, str]:
    """Return what a refusal says of trios that were closed although its signal enters nothing."""
    return {"closed": ", ".join(str(trio.pk) for trio in closed)} if closed else {}


def policy_of(signal: Signal) -> Policy:
    """Return what the signal's source does when its slot is taken."""
    if signal.origin != Origin.WEBHOOK:
        return Policy.IGNORE
    found = HookSource.objects.filter(name=signal.source).values_list("policy", flat=True).first()
    return Policy(found) if found else Policy.IGNORE


def intent_of(result: SignalResult) -> Intent:
    """Return what a result's signal wants on its account. Raises TermsError."""
    signal = result.signal
    atr = signal.figures.get("atr")
    terms = Terms.from_json(signal.terms)
    if terms.size is None:
        rule = SizingRule.objects.filter(account=result.account_id).first()
        terms = replace(terms, size=None if rule is None else rule.size)
    return Intent(
        symbol=signal.symbol,
        side=Side(signal.side),
        terms=terms,
        atr=decimal("atr", atr) if atr else None,
        source=signal.trio_source,
        place_before=signal.act_before,
        result_id=result.pk,
        dry_run=signal.dry_run,
    )

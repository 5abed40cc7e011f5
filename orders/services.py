"""The verbs on trios. Each is one short transaction that records a wish and rings the queue, or a clear refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import IntegrityError
from django.db.models import Sum

from accounts.errors import AccountsError
from accounts.gateways import exchange_for, public_exchange
from accounts.models import Environment, ExchangeAccount, SymbolSetting
from accounts.symbol_settings import symbol_setting_problem, symbol_settings_apply
from exchange.deadlines import PERSON_MS, answers_within
from exchange.errors import ExchangeError, OrderRejected
from exchange.port import Exchange
from exchange.rate_limits import Priority, spending
from exchange.types import ZERO, BalanceView, LeverageBracket, MarginType, PositionMode, PositionSide, Side
from infrastructure import job_queue
from orders import jobs, risk_gates
from orders.domain import validation
from orders.domain.decision.lifecycle import Transition, next_state
from orders.domain.enums import Protection, TrioState
from orders.domain.errors import IllegalTransition, MarketUnread, RuleBroken, TrioRefused
from orders.domain.operator_questions import Choice
from orders.domain.rounding import plain
from orders.exchange_data.clock import exchange_now_ms
from orders.models import Slot, Symbol, TrioOrder, Watch
from orders.specs import rules_of, spec_changes, spec_of
from orders.story import note, question_number, question_over, question_shown
from orders.trio_lock import short_transaction

PLACE_BEFORE_SECONDS = 60
UNKNOWN_THERE = (TrioState.QUEUED, TrioState.PLACING)  # the margin of their entries is not set apart yet
PERSON_WAITS_SECONDS = 10  # for a row that somebody else has locked


@dataclass(frozen=True, slots=True)
class Reading:
    """What the market and the account looked like when a trio was checked."""

    mark_price: Decimal | None
    wallet: Decimal | None = None
    brackets: Sequence[LeverageBracket] = ()
    available: Decimal | None = None
    counted: frozenset[int] = frozenset()  # trios whose margin is taken off ``available`` already


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


# --- checking ---------------------------------------------------------------------------------


def market_read(account: ExchangeAccount, symbol: Symbol, *, funds: BalanceView | None = None) -> Reading:
    """Ask the exchange for what checking needs; for the balance only where ``funds`` does not say it.

    Raises TrioRefused with a sentence when it cannot be read.
    """
    with spending(Priority.PLACE):
        return _market_read(account, symbol, funds)


def _market_read(account: ExchangeAccount, symbol: Symbol, funds: BalanceView | None) -> Reading:
    name = symbol.symbol
    try:
        marks = public_exchange(account.environment).mark_prices(name)
        exchange = exchange_for(account.pk)
        brackets = _brackets(exchange, account, name)
        if funds is None:
            funds = funds_read(account, exchange, [symbol.margin_asset]).get(symbol.margin_asset)
    except (ExchangeError, AccountsError) as error:
        raise MarketUnread(
            f"{name} could not be asked about ({account.environment}): {error} Nothing was placed."
        ) from error
    mark = next((m.mark for m in marks if m.symbol == name), None)
    return Reading(
        mark_price=mark,
        wallet=None if funds is None else funds.balance,
        brackets=brackets,
        available=None if funds is None else funds.available,
    )


def funds_read(
    account: ExchangeAccount, exchange: Exchange, assets: Iterable[str] = ()
) -> dict[str, BalanceView]:
    """Return what each asset of an account has, and what of it is free for margin.

    In multi-assets mode the whole account's margin stands behind every asset, also behind one it does not hold.
    Raises ExchangeError.
    """
    at = exchange_now_ms(account.environment)
    if account.multi_assets_since is None:
        return {view.asset: view for view in exchange.balances(at=at)}
    totals = exchange.account_totals(at=at)
    names = {
        *assets,
        *Symbol.objects.filter(environment=account.environment).values_list("margin_asset", flat=True),
    }
    return {asset: BalanceView("", asset, totals.margin_balance, totals.available) for asset in names}


def _brackets(exchange: Exchange, account: ExchangeAccount, symbol: str) -> Sequence[LeverageBracket]:
    """Return the leverage brackets; none where this exchange has none, and then no liquidation price is estimated."""
    try:
        return exchange.leverage_brackets(symbol, at=exchange_now_ms(account.environment))
    except OrderRejected:
        return ()


def trio_check(trio: TrioOrder, reading: Reading | None = None) -> Reading:
    """Raise TrioRefused (RuleBroken names the field) when the trio could not be placed as it is."""
    if refusal := risk_gates.new_risk_refusal(trio, settings_as_wanted=_settings_are_fixed(trio)):
        raise TrioRefused(refusal)
    if reading is None:
        with answers_within(PERSON_MS):
            reading = market_read(trio.account, trio.symbol)
    validation.check(spec_of(trio), rules_of(trio.symbol), _market_of(trio, reading))
    return reading


def margin_needed(trio: TrioOrder, reading: Reading) -> str | None:
    """Return what a trio's entry takes of the free margin, as people read it; None: not known."""
    needed = validation.margin_needed(spec_of(trio), _market_of(trio, reading))
    return None if needed is None else plain(needed.quantize(Decimal("0.01")))


def _market_of(trio: TrioOrder, reading: Reading) -> validation.Market:
    setting = SymbolSetting.objects.filter(account=trio.account, symbol=trio.symbol.symbol).first()
    return validation.Market(
        mark_price=reading.mark_price,
        leverage=setting.leverage if setting else None,
        isolated=bool(setting and setting.margin_type == MarginType.ISOLATED),
        wallet=reading.wallet,
        brackets=reading.brackets,
        available=reading.available,
        promised=ZERO if reading.available is None else _promised(trio, reading),
        margin_asset=trio.symbol.margin_asset,
        portfolio=trio.account.multi_assets_since is not None,
    )


def _promised(trio: TrioOrder, reading: Reading) -> Decimal:
    """Return what other trios of the account need whose entries the exchange does not know yet."""
    on_their_way = TrioOrder.objects.filter(
        account=trio.account, holds_slot=True, state__in=UNKNOWN_THERE
    ).exclude(pk__in=[trio.pk or 0, *reading.counted])
    if trio.account.multi_assets_since is None:
        on_their_way = on_their_way.filter(symbol__margin_asset=trio.symbol.margin_asset)
    return on_their_way.aggregate(total=Sum("margin_promised"))["total"] or ZERO


# --- the verbs --------------------------------------------------------------------------------


def trio_queue(
    *, trio_id: int, by: str, reading: Reading | None = None, seen: Mapping[str, str] | None = None
) -> TrioOrder:
    """Accept a draft for placement and ring the queue.

    ``seen``: the draft as the person saw it who places it (``spec_shown``). Raises TrioRefused (a rule, limit
    or gate, or not what was seen; the draft stays as it was) or IllegalTransition (it is no draft any more: a
    trio is placed once).
    """
    draft = TrioOrder.objects.select_related("account", "symbol").get(pk=trio_id)
    if draft.trio_state is not TrioState.DRAFT:
        raise IllegalTransition(
            f"Trio {trio_id} was placed already (it is {draft.state}); it is never placed twice."
        )
    if seen is not None and (changes := spec_changes(draft, seen)):
        raise TrioRefused(
            f"The draft was changed since you saw it: {'; '.join(changes)}. Look at it, then place it. "
            "Nothing was placed."
        )
    _apply_settings(draft)
    reading = trio_check(draft, reading)
    needed = validation.margin_needed(spec_of(draft), _market_of(draft, reading))
    if not risk_gates.worker_alive():
        raise TrioRefused(risk_gates.NO_WORKER)
    slot, _ = Slot.objects.get_or_create(
        account=draft.account, symbol=draft.symbol.symbol, position_side=draft.position_side
    )
    _slot_free(draft, slot)
    try:
        with short_transaction(trio_id=trio_id, wait_seconds=PERSON_WAITS_SECONDS) as now:
            trio = TrioOrder.objects.get(pk=trio_id)
            queued = next_state(trio.trio_state, Transition.QUEUED)
            if (trio.updated_at, trio.quantity) != (draft.updated_at, draft.quantity):
                raise TrioRefused(
                    "The draft was changed while it was being checked. Look at it, then place it."
                )
            trio.state, trio.slot, trio.holds_slot = queued, slot, True
            trio.margin_promised = (needed or ZERO).quantize(Decimal("1E-8"))
            trio.queued_at, trio.place_before = now, now + timedelta(seconds=PLACE_BEFORE_SECONDS)
            trio.wake_at = now + timedelta(milliseconds=500)  # the job is at it; if it got lost, runworker is
            trio.save()
            note(trio, "state", f"DRAFT → QUEUED by {by}.", at=now, by=by)
            job_queue.ring(jobs.place, trio_id)
    except IntegrityError as error:
        if _broken_constraint(error) != "slot_held_once":
            raise
        _slot_free(draft, slot)
        raise TrioRefused(f"{slot} is taken by another trio. Wait until that one has ended.") from None
    return trio


def _broken_constraint(error: IntegrityError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def _settings_are_fixed(draft: TrioOrder) -> bool:
    """Does a trio live on this symbol, so that leverage and margin type must stay as they are?"""
    return TrioOrder.objects.filter(account=draft.account, symbol=draft.symbol, holds_slot=True).exists()


def _apply_settings(draft: TrioOrder) -> None:
    """Set the leverage and margin type that are wanted, before the symbol's first trio."""
    account, symbol = draft.account, draft.symbol.symbol
    if symbol_setting_problem(account, symbol) is None:
        return
    if _settings_are_fixed(draft):
        return  # never while something is open: the check refuses the mismatch
    try:
        with answers_within(PERSON_MS):
            symbol_settings_apply(account, symbol)
    except AccountsError as error:
        raise TrioRefused(f"{error} Nothing was placed.") from error


def _slot_free(draft: TrioOrder, slot: Slot) -> None:
    holder = TrioOrder.objects.filter(slot=slot, holds_slot=True).exclude(pk=draft.pk).first()
    if holder is not None:
        raise TrioRefused(
            f"{slot} is taken by trio {holder.pk} ({holder.state}): one trio at a time. "
            "Cancel or close that one, or wait until it has ended."
        )
    watch = Watch.objects.filter(account=draft.account).first()
    if watch is not None and slot.quantity:
        raise TrioRefused(
            f"{slot} already holds a position of {plain(slot.quantity)} that is not ours. "
            "Close it, then place the trio."
        )
    if slot.strangers:
        raise TrioRefused(
            f"{slot} already holds an order that is not ours ({', '.join(slot.strangers[:3])}). "
            "Cancel it, then place the trio."
        )


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

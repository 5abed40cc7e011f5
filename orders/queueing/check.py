"""May this trio be placed? The gates, the exchange's rules and the slot, decided from what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from decimal import Decimal

from accounts.symbol_settings import setting_mismatch
from exchange.types import ZERO, MarginType
from orders import limits, risk_gates
from orders.domain import validation
from orders.domain.enums import TrioState
from orders.domain.errors import (
    IllegalTransition,
    LimitBroken,
    MarketUnread,
    OrdersError,
    SlotTaken,
    TrioRefused,
)
from orders.domain.rounding import plain
from orders.models import Slot, TrioOrder
from orders.queueing.market import Reading, reading_of, readings
from orders.queueing.surroundings import Surroundings, surroundings
from orders.specs import rules_of, spec_changes, spec_of


def trio_check(trio: TrioOrder, reading: Reading | None = None) -> Reading:
    """Raise TrioRefused (RuleBroken names the field) when the trio could not be placed as it is."""
    (around,) = surroundings([trio], counted=() if reading is None else reading.counted)
    gates_check(trio, around)
    reading = reading or reading_of(trio, around)
    rules_check(trio, around, reading)
    limits_check(trio, around, reading)
    return reading


def add_check(trio: TrioOrder, quantity: Decimal) -> None:
    """Raise TrioRefused when so much could not be added to an open trio at market: it is checked as new risk."""
    added = copy(trio)
    added.quantity, added.entry_type, added.price, added.trigger_price = quantity, "MARKET", None, None
    added.part_targets, added.rungs = [], []
    (around,) = surroundings([added])
    if not around.worker_alive:
        raise TrioRefused(risk_gates.NO_WORKER)
    gates_check(added, around)
    reading = reading_of(added, around)
    rules_check(added, around, reading)
    if not around.is_limited and limits.without_limits(trio) is None:
        return
    now_ts = around.exchange_ms(trio.account.environment)
    found = limits.breach_of(
        trio,
        limited=around.is_limited,
        mark=reading.mark_price,
        now_ts=now_ts,
        lock=False,
        adds=quantity,
    )
    if found is not None:
        raise LimitBroken(found)


def trios_check(trios: Sequence[TrioOrder]) -> list[OrdersError | None]:
    """Say of each of these drafts, saved or not, why it could not be placed with those before it; None: it could.

    The exchange is asked once for all of an account.
    """
    if not trios:
        return []
    near = surroundings(trios)
    read = readings(trios, near)
    reserved: dict[tuple[int, str], Decimal] = {}
    holders: dict[tuple[int, str, str], TrioOrder] = {}
    found: list[OrdersError | None] = []
    for trio, around, reading in zip(trios, near, read, strict=True):
        purse = trio.account_id, trio.symbol.margin_asset if trio.account.multi_assets_since is None else ""
        slot = trio.account_id, trio.symbol.symbol, trio.position_side
        try:
            gates_check(trio, around)
            if isinstance(reading, MarketUnread):
                raise reading
            margin = rules_check(trio, around, reading, reserved=reserved.get(purse, ZERO))
            limits_check(trio, around, reading)
            slot_check(trio, around, None)
            if slot in holders:
                raise SlotTaken(f"{slot_of(trio)} is wanted by another one before it: one trio at a time.")
        except OrdersError as error:
            found.append(error)
            continue
        reserved[purse] = reserved.get(purse, ZERO) + margin
        holders[slot] = trio
        found.append(None)
    return found


def margin_needed(trio: TrioOrder, reading: Reading) -> str | None:
    """Return what a trio's entry takes of the free margin, as people read it; None: not known."""
    (around,) = surroundings([trio])
    needed = validation.margin_needed(spec_of(trio), market_of(trio, around, reading))
    return None if needed is None else plain(needed.quantize(Decimal("0.01")))


def draft_check(trio: TrioOrder, seen: Mapping[str, str] | None) -> None:
    """Raise IllegalTransition when it is no draft any more, TrioRefused when it is not what was ``seen``."""
    if trio.trio_state is not TrioState.DRAFT:
        raise IllegalTransition(
            f"Trio {trio.pk} was placed already (it is {trio.state}); it is never placed twice."
        )
    if seen is not None and (changes := spec_changes(trio, seen)):
        raise TrioRefused(
            f"The draft was changed since you saw it: {'; '.join(changes)}. Look at it, then place it. "
            "Nothing was placed."
        )


def setting_problem(trio: TrioOrder, around: Surroundings) -> str:
    """Say how the symbol's leverage and margin type differ from what is wanted; empty when they do not."""
    return "" if around.setting is None else setting_mismatch(around.setting, trio.account) or ""


def gates_check(trio: TrioOrder, around: Surroundings) -> None:
    """Raise TrioRefused when this trio may not open anything, by what is in the database."""
    refusal = risk_gates.new_risk_refusal(trio, install=around.install, settings_as_wanted=False)
    if not refusal and around.is_lived_on:  # else placing sets what is wanted first
        refusal = setting_problem(trio, around)
    if refusal:
        raise TrioRefused(refusal)


def rules_check(
    trio: TrioOrder, around: Surroundings, reading: Reading, *, reserved: Decimal = ZERO
) -> Decimal:
    """Return the margin that a trio needs, zero where that is not known. Raises RuleBroken.

    ``reserved``: for trios of the same set, before it.
    """
    spec, market = spec_of(trio), market_of(trio, around, reading, reserved=reserved)
    validation.check(spec, rules_of(trio.symbol), market)
    return validation.margin_needed(spec, market) or ZERO


def limits_check(trio: TrioOrder, around: Surroundings, reading: Reading) -> None:
    """Raise LimitBroken when a limit would be broken as things stand; it is checked again when its placing begins."""
    if not around.is_limited and limits.without_limits(trio) is None:
        return
    now_ts = around.exchange_ms(trio.account.environment)
    found = limits.breach_of(
        trio, limited=around.is_limited, mark=reading.mark_price, now_ts=now_ts, lock=False
    )
    if found is not None:
        raise LimitBroken(found)


def market_of(
    trio: TrioOrder, around: Surroundings, reading: Reading, *, reserved: Decimal = ZERO
) -> validation.Market:
    setting = around.setting
    return validation.Market(
        mark_price=reading.mark_price,
        leverage=setting.leverage if setting else None,
        isolated=bool(setting and setting.margin_type == MarginType.ISOLATED),
        wallet=reading.wallet,
        brackets=reading.brackets,
        available=reading.available,
        promised=ZERO if reading.available is None else around.promised + reserved,
        margin_asset=trio.symbol.margin_asset,
        portfolio=trio.account.multi_assets_since is not None,
    )


def slot_check(trio: TrioOrder, around: Surroundings, holder: TrioOrder | None) -> None:
    """Raise TrioRefused unless the slot is empty. ``holder``: a trio of the same set that takes it."""
    held_by, state = (around.holder_id, around.holder_state) if holder is None else (holder.pk, holder.state)
    if held_by is not None:
        raise SlotTaken(
            f"{slot_of(trio)} is taken by trio {held_by} ({state}): one trio at a time. "
            "Cancel or close that one, or wait until it has ended."
        )
    if around.is_watched and around.slot_quantity:
        raise TrioRefused(
            f"{slot_of(trio)} already holds a position of {plain(around.slot_quantity)} that is not ours. "
            "Close it, then place the trio."
        )
    if around.strangers:
        raise TrioRefused(
            f"{slot_of(trio)} already holds an order that is not ours ({', '.join(around.strangers[:3])}). "
            "Cancel it, then place the trio."
        )


def slot_of(trio: TrioOrder) -> Slot:
    """Return where a trio goes, as a row that need not exist yet."""
    return Slot(account=trio.account, symbol=trio.symbol.symbol, position_side=trio.position_side)

"""Which positions their stops covered, and when: what the exchange itself can say about it.

Cover of a stop: closePosition covers the whole position; a one-way leg its quantity, at most the position; a hedge
leg its quantity if that is not more than the position, else nothing. A triggered stop counts for ``NAKED_LIMIT_MS``;
while its child is open, what is left of the child is its quantity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulator.engine.decimals import ZERO, plain
from simulator.engine.exchange import Exchange
from simulator.engine.records import NAKED_LIMIT_MS, STOPS, Algo, Slot, UncoveredInterval


def stem_of(client_id: str) -> tuple[str, str] | None:
    """Split a client id of the form install-trio-role+generation into its stem and role."""
    parts = client_id.split("-")
    if len(parts) != 3 or not parts[2] or parts[2][0] not in "espxtcar" or not parts[2][1:].isdigit():
        return None
    return f"{parts[0]}-{parts[1]}", parts[2][0]


@dataclass(slots=True)
class CoverHistory:
    """The uncovered intervals so far, and what is needed to go on with them."""

    intervals: list[UncoveredInterval] = field(default_factory=list)
    open: dict[Slot, UncoveredInterval] = field(default_factory=dict)  # those that last
    lapses_at: dict[Slot, int] = field(default_factory=dict)  # when a triggered stop stops counting
    sign: dict[Slot, int] = field(default_factory=dict)  # of the position: 1, -1, 0
    flat_since: dict[Slot, int] = field(default_factory=dict)
    reversals: list[dict[str, Any]] = field(default_factory=list)  # positions that changed side in one fill


# -- covered or not -------------------------------------------------------------------------------------------


def refresh(ex: Exchange, cover: CoverHistory, now: int) -> None:
    """Assess every slot whose position or stops changed, or whose triggered stop has had its time."""
    if cover.lapses_at:
        for slot, moment in list(cover.lapses_at.items()):
            if moment <= now:
                _assess(ex, cover, slot, moment)
    if ex.cover_changed:
        slots, ex.cover_changed = ex.cover_changed, set()
        for slot in sorted(slots):
            _assess(ex, cover, slot, now)


def _assess(ex: Exchange, cover: CoverHistory, slot: Slot, now: int) -> None:
    account, symbol, side = slot
    amount = ex.book(account).amount(symbol, side)
    _note_sign(cover, slot, amount, now)
    cover.lapses_at.pop(slot, None)
    missing = ZERO
    if amount:
        covered, until = _covered(ex, slot, amount, now)
        missing = abs(amount) - covered
        if until:
            cover.lapses_at[slot] = until
    if missing:
        _note_uncovered(ex, cover, slot, missing, now)
    elif slot in cover.open:
        _end_interval(ex, cover, slot, now)


def _covered(ex: Exchange, slot: Slot, amount: Decimal, now: int) -> tuple[Decimal, int]:
    """How much of a position open stops cover, and when a triggered one ceases to count (0: never)."""
    size, exit_side = abs(amount), "SELL" if amount > 0 else "BUY"
    total, until = ZERO, 0
    for algo in ex.book(slot[0]).open_algos.values():
        if algo.slot != slot or algo.side != exit_side or algo.type not in STOPS:
            continue
        if algo.type == "TRAILING_STOP_MARKET" and not algo.active:
            continue  # before its activation it protects nothing
        if algo.status != "NEW":
            lapses_at = algo.trigger_time + NAKED_LIMIT_MS
            if now >= lapses_at:
                continue
            until = min(until, lapses_at) if until else lapses_at
        if algo.close_position:
            return size, until
        total += _covered_by(ex, algo, size)
    return min(total, size), until


def _covered_by(ex: Exchange, algo: Algo, size: Decimal) -> Decimal:
    child = ex.orders.get(algo.child) if algo.child else None
    quantity = child.remaining if child else algo.quantity
    if algo.reduce_only or algo.position_side == "BOTH":
        return min(quantity, size)
    # A hedge leg larger than the position is refused at its trigger; one that has a child has passed that.
    return quantity if quantity <= size or algo.child else ZERO


def _note_sign(cover: CoverHistory, slot: Slot, amount: Decimal, now: int) -> None:
    sign = 0 if not amount else 1 if amount > 0 else -1
    before = cover.sign.get(slot, 0)
    if sign and sign == -before:
        account, symbol, side = slot
        cover.reversals.append(
            {"account": account, "symbol": symbol, "side": side, "ms": now, "amount": plain(amount)}
        )
    if not sign and before:
        cover.flat_since[slot] = now
    cover.sign[slot] = sign


# -- intervals ------------------------------------------------------------------------------------------------


def _note_uncovered(ex: Exchange, cover: CoverHistory, slot: Slot, missing: Decimal, now: int) -> None:
    interval = cover.open.get(slot)
    if interval is None:
        interval = UncoveredInterval(ex.next_id("interval"), *slot, now, 0, missing)
        cover.open[slot] = interval
        cover.intervals.append(interval)
        ex.mark_changed(interval)
    elif missing > interval.worst:
        interval.worst = missing
        ex.mark_changed(interval)


def _end_interval(ex: Exchange, cover: CoverHistory, slot: Slot, now: int) -> None:
    interval = cover.open.pop(slot)
    interval.end = now
    if interval.end == interval.start:  # filled and covered in the same millisecond: never uncovered
        cover.intervals.remove(interval)
        ex.mark_removed(interval)
    else:
        ex.mark_changed(interval)


def note_refusal(ex: Exchange, cover: CoverHistory, slot: Slot, reason: str) -> None:
    """The simulator refused or lost a protective request: the uncovered time is not the client's alone."""
    interval = cover.open.get(slot)
    if interval is not None:
        interval.refusals.append(reason)
        interval.first_after = 0
        ex.mark_changed(interval)


def note_success(ex: Exchange, cover: CoverHistory, slot: Slot, now: int) -> None:
    """A protective request was accepted: from here on the uncovered time is the client's."""
    interval = cover.open.get(slot)
    if interval is not None and interval.refusals and not interval.first_after:
        interval.first_after = now
        ex.mark_changed(interval)

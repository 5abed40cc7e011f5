"""What the exchange itself knows about cover: when a position was not protected, and whose doing that was.

Cover of a stop: closePosition covers the whole position; a one-way reduce-only leg its quantity, at most the
position; a hedge quantity leg its quantity if that is not more than the position, else nothing. A triggered stop
counts for ``NAKED_LIMIT_MS``; its child is the stop then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulator.engine.account_book import Book
from simulator.engine.decimals import ZERO, plain
from simulator.engine.exchange import Exchange
from simulator.engine.records import NAKED_LIMIT_MS, STOPS, Interval

Slot = tuple[str, str, str]


def stem_of(client_id: str) -> tuple[str, str] | None:
    """Split a client id of the form install-trio-role+generation into its stem and role."""
    parts = client_id.split("-")
    if len(parts) != 3 or not parts[2] or parts[2][0] not in "espx" or not parts[2][1:].isdigit():
        return None
    return f"{parts[0]}-{parts[1]}", parts[2][0]


@dataclass(slots=True)
class Cover:
    """The running account of uncovered time, refused protection, stems and flat sides."""

    open: dict[Slot, Interval] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)
    lapse: dict[Slot, int] = field(default_factory=dict)  # when a triggered stop stops counting
    flat_since: dict[Slot, int] = field(default_factory=dict)
    reversed: list[dict[str, Any]] = field(default_factory=list)
    sign: dict[Slot, int] = field(default_factory=dict)


def covered(ex: Exchange, book: Book, symbol: str, side: str, now: int) -> tuple[Decimal, int]:
    """How much of a position live stops cover, and when a triggered one ceases to count (0: never)."""
    amount = book.amount(symbol, side)
    size = abs(amount)
    exit_side = "SELL" if amount > 0 else "BUY"
    total, until = ZERO, 0
    for algo in book.open_algos.values():
        if (
            algo.symbol != symbol
            or algo.position_side != side
            or algo.side != exit_side
            or algo.type not in STOPS
        ):
            continue
        if algo.status != "NEW":
            lapses = algo.trigger_time + NAKED_LIMIT_MS
            if now >= lapses:
                continue
            until = min(until, lapses) if until else lapses
        if algo.close_position:
            return size, until
        quantity = algo.quantity
        if algo.child and (child := ex.orders.get(algo.child)):
            quantity = child.remaining
        if algo.reduce_only or side == "BOTH":
            total += min(quantity, size)
        elif quantity <= size or algo.child:
            total += quantity
    return min(total, size), until


def refresh(ex: Exchange, cover: Cover, now: int) -> None:
    """Look again at every slot whose position or stops changed, or whose triggered stop has had its time."""
    if cover.lapse:
        for slot, moment in list(cover.lapse.items()):
            if moment <= now:
                _look(ex, cover, slot, moment)
    if ex.exposed:
        slots, ex.exposed = ex.exposed, set()
        for slot in sorted(slots):
            _look(ex, cover, slot, now)


def _look(ex: Exchange, cover: Cover, slot: Slot, now: int) -> None:
    account, symbol, side = slot
    book = ex.book(account)
    amount = book.amount(symbol, side)
    _note_sign(cover, slot, amount, now)
    cover.lapse.pop(slot, None)
    lasting = cover.open.get(slot)
    missing = ZERO
    if amount:
        protected, until = covered(ex, book, symbol, side, now)
        missing = abs(amount) - protected
        if until:
            cover.lapse[slot] = until
    if missing and lasting is None:
        lasting = Interval(ex.next_id("interval"), account, symbol, side, now, 0, missing)
        cover.open[slot] = lasting
        cover.intervals.append(lasting)
        ex.touch(lasting)
    elif missing and lasting is not None and missing > lasting.worst:
        lasting.worst = missing
        ex.touch(lasting)
    elif not missing and lasting is not None:
        lasting.end = now
        del cover.open[slot]
        if lasting.end == lasting.start:  # filled and covered in one instant: never naked
            cover.intervals.remove(lasting)
            ex.forget(lasting.KIND, lasting.key)
        else:
            ex.touch(lasting)


def _note_sign(cover: Cover, slot: Slot, amount: Decimal, now: int) -> None:
    sign = 0 if not amount else 1 if amount > 0 else -1
    before = cover.sign.get(slot, 0)
    if sign == -before and sign:
        cover.reversed.append({"account": slot[0], "symbol": slot[1], "side": slot[2], "ms": now,
                               "amount": plain(amount)})  # fmt: skip
    if not sign and before:
        cover.flat_since[slot] = now
    cover.sign[slot] = sign


def note_refusal(ex: Exchange, cover: Cover, account: str, symbol: str, side: str, text: str) -> None:
    """A protective request of this slot was refused or lost by us: the uncovered time is not the customer's alone."""
    lasting = cover.open.get((account, symbol, side))
    if lasting is not None:
        lasting.refusals.append(text)
        lasting.first_after = 0
        ex.touch(lasting)


def note_success(ex: Exchange, cover: Cover, account: str, symbol: str, side: str, now: int) -> None:
    lasting = cover.open.get((account, symbol, side))
    if lasting is not None and lasting.refusals and not lasting.first_after:
        lasting.first_after = now
        ex.touch(lasting)

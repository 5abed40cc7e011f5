"""A trio as scripts read it. The form is a contract: other people's tools rely on it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from exchange.types import ZERO
from orders.domain.enums import Role, TrioState
from orders.domain.rounding import on_grid, plain, shown, signed
from orders.models import EntryChangeWish, Leg, LevelMove, TrioOrder
from orders.placement.uncovered import uncovered_now
from orders.selectors import NetPnl, net_pnl
from orders.story import change_sentence, move_sentence


def trio_document(trio: TrioOrder) -> dict[str, Any]:
    """Return a trio with all its orders, oldest first; numbers are plain text in the symbol's own decimals."""
    step, tick = trio.symbol.step_size, trio.symbol.tick_size
    legs = list(trio.legs.order_by("id"))
    return {
        "trio": trio.pk,
        "state": trio.state,
        "result": trio.result or None,
        "reason": trio.reason or None,
        "filled": decimals(_filled(legs), step),
        "uncovered_ms": uncovered_now(trio).total,
        "question": trio.question or None,
        "net_pnl": [_pnl_document(result) for result in net_pnl([trio.pk]).get(trio.pk, ())],
        "legs": [_leg_document(leg, step=step, tick=tick) for leg in legs],
        "moves": [_move_document(move, tick=tick) for move in trio.level_moves.all()],
        "changes": [_change_document(change, tick=tick, step=step) for change in trio.entry_changes.all()],
    }


def _pnl_document(result: NetPnl) -> dict[str, str]:
    """One asset's part of what a trio brought. ``net`` is the figure: realised less fees."""
    return {
        "asset": result.asset,
        "net": plain(result.net),
        "realized": plain(result.realized),
        "fees": plain(result.fees),
    }


def trio_sentence(trio: TrioOrder) -> str:
    """Say in one or two sentences what a trio is and where it stands."""
    step = trio.symbol.step_size
    state = f"{trio.state} by {trio.result}" if trio.result else trio.state
    how = "at market" if trio.price is None else f"at {decimals(trio.price, trio.symbol.tick_size)}"
    filled = _filled(trio.legs.all())
    words = [
        f"Trio {trio.pk} ({trio.side} {decimals(trio.quantity, step)} {trio.symbol.symbol} {how}"
        f" on “{trio.account.name}”) is {state}, {decimals(filled, step) if filled else 'nothing'} filled."
    ]
    if trio.reason:
        words.append(trio.reason)
    words += [pnl_sentence(result) for result in net_pnl([trio.pk]).get(trio.pk, ())]
    if (gaps := uncovered_now(trio)).total:
        refused = f", {gaps.refused} ms of it while the exchange refused or lost a stop or exit"
        words.append(f"Uncovered for {gaps.total} ms in all{refused if gaps.refused else ''}.")
    if trio.asked is not None:
        words.append(f"It asks a person: {trio.question}")
    elif trio.trio_state is TrioState.QUEUED:
        words.append("Its orders are sent as soon as its account is watched.")
    return " ".join(words)


def pnl_sentence(result: NetPnl) -> str:
    """Say what came of a trio in one asset: the net, and its parts."""
    return f"Net PnL {signed(result.net)} {result.asset} (realised {signed(result.realized)}, fees {plain(result.fees)})."


def decimals(value: Decimal | None, grid: Decimal | None) -> str:
    """Return a number as plain text with as many decimals as the grid (a tick or step) has."""
    if value is None or not grid or not on_grid(value, grid):
        return plain(value)
    return format(shown(value, grid), "f")


def _filled(legs: Any) -> Decimal:
    return sum((leg.filled for leg in legs if leg.role == Role.ENTRY), ZERO)


def _move_document(move: LevelMove, *, tick: Decimal | None) -> dict[str, Any]:
    """One wish for another level, and how it ended (``null``: it has not yet)."""
    return {
        "role": move.role,
        "level": decimals(move.level, tick),
        "before": decimals(move.level_before, tick),
        "by": move.wanted_by,
        "at": move.wanted_at.isoformat(timespec="milliseconds"),
        "end": move.end or None,
        "ended_at": None if move.ended_at is None else move.ended_at.isoformat(timespec="milliseconds"),
        "reason": move_sentence(move) if move.end else None,
        "nearest": None if move.nearest is None else decimals(move.nearest, tick),
    }


def _change_document(
    change: EntryChangeWish, *, tick: Decimal | None, step: Decimal | None
) -> dict[str, Any]:
    """One wish for other terms of the entry, and how it ended (``null``: it has not yet)."""
    return {
        "quantity": decimals(change.quantity, step),
        "quantity_before": decimals(change.quantity_before, step),
        "price": decimals(change.price, tick),
        "price_before": decimals(change.price_before, tick),
        "good_till": _moment(change.good_till),
        "good_till_before": _moment(change.good_till_before),
        "by": change.wanted_by,
        "at": _moment(change.wanted_at),
        "end": change.end or None,
        "ended_at": _moment(change.ended_at),
        "reason": change_sentence(change) if change.end else None,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds")


def _leg_document(leg: Leg, *, step: Decimal | None, tick: Decimal | None) -> dict[str, Any]:
    return {
        "role": leg.role,
        "client_id": leg.client_id,
        "state": leg.state,
        "quantity": decimals(leg.quantity, step),  # 0 for closePosition: the whole position, whatever it is
        "filled": decimals(leg.filled, step),
        "trigger_price": None if leg.trigger_price is None else decimals(leg.trigger_price, tick),
        "price": None if leg.price is None else decimals(leg.price, tick),
    }

"""A trio as scripts read it. The form is a contract: other people's tools rely on it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange.types import ZERO
from orders.adoption import FoundPosition, order_text
from orders.domain.enums import Role, TrioState
from orders.domain.rounding import on_grid, plain, shown, signed
from orders.exchange_data.clock import from_ms
from orders.models import Leg, LevelMove, Reversal, TrioOrder
from orders.placement.uncovered import uncovered_now
from orders.reversal import reversal_sentence
from orders.selectors import NetPnl, net_pnl
from orders.story import move_sentence


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
        "adopted": None if trio.adoption is None else _adoption_document(trio.adoption),
        "reversal": _reversal_document(trio),
        "reverses": _reverses(trio),
        "moves": [_move_document(move, tick=tick) for move in trio.level_moves.all()],
    }


def _adoption_document(adoption: dict[str, Any]) -> dict[str, Any]:
    """Who adopted the position, what it was, and what became of somebody else's orders (``end`` null: not gone yet)."""
    return {
        "by": adoption["by"],
        "at": from_ms(adoption["at"]).isoformat(timespec="milliseconds"),
        "quantity": adoption["quantity"],
        "entry_price": adoption["entry_price"],
        "foreign": [
            {"client_id": order["client_id"], "order": order["text"], "end": order["end"] or None}
            for order in adoption["orders"]
        ],
    }


def found_document(found: FoundPosition) -> dict[str, Any]:
    """Return a position as the exchange shows it, and the orders beside it that are not ours."""
    view, tick = found.view, found.symbol.tick_size
    return {
        "account": found.account.name,
        "symbol": found.symbol.symbol,
        "position_side": view.position_side.value,
        "side": found.side.value,
        "quantity": decimals(found.quantity, found.symbol.step_size),
        "entry_price": plain(view.entry_price),
        "mark_price": plain(view.mark_price) if view.mark_price else None,
        "liquidation_price": decimals(view.liquidation_price, tick) if view.liquidation_price else None,
        "foreign": [{"client_id": order.client_id, "order": order_text(order)} for order in found.orders],
    }


def _reversal_document(trio: TrioOrder) -> dict[str, Any] | None:
    """The wish to open a trio the other way once this one is closed, and what became of it (``end`` null: open)."""
    wish = Reversal.objects.filter(trio=trio).first()
    if wish is None:
        return None
    return {
        "trio": wish.successor_id,
        "by": wish.wanted_by,
        "at": wish.wanted_at.isoformat(timespec="milliseconds"),
        "place_before": wish.place_before.isoformat(timespec="milliseconds"),
        "end": wish.end or None,
        "reason": reversal_sentence(wish),
    }


def _reverses(trio: TrioOrder) -> int | None:
    return Reversal.objects.filter(successor=trio).values_list("trio_id", flat=True).first()


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
    if trio.is_adopted:
        words.append("Its entry was adopted: what that cost in fees is in no figure here.")
    if (wish := Reversal.objects.filter(trio=trio).first()) is not None:
        words.append(reversal_sentence(wish))
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

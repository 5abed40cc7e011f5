"""A trio as scripts read it. The form is a contract: other people's tools rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import ExchangeAccount
from exchange.types import ZERO
from orders.adoption import FoundPosition, order_text
from orders.domain.drift import DRIFTS_WITH_CHOICE
from orders.domain.enums import Role, TrioState
from orders.domain.ladder import rung_quantities
from orders.domain.rounding import on_grid, plain, shown, signed
from orders.domain.shares import last_share
from orders.domain.trailing import TrailUnit
from orders.drift import drift_policy_of, drift_rows
from orders.exchange_data.clock import from_ms
from orders.follow_rows import following
from orders.models import (
    BreakEvenTrigger,
    Chase,
    EntryChangeWish,
    Leg,
    LevelMove,
    Reversal,
    SizeChange,
    Trail,
    TrioOrder,
)
from orders.models.trio import PriceFollower
from orders.placement.uncovered import uncovered_now
from orders.reversal import reversal_sentence
from orders.selectors import NetPnl, net_converted, net_pnl, unprotected_sentence
from orders.specs import part_targets_of, rules_of, rungs_of, spec_of
from orders.story import change_sentence, move_sentence, size_sentence


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
        "net_pnl": [pnl_document(result) for result in net_pnl([trio.pk]).get(trio.pk, ())],
        "net_converted": _converted_document(trio),
        "legs": [_leg_document(leg, step=step, tick=tick) for leg in legs],
        "rungs": _rungs_document(trio, legs, step=step, tick=tick),
        "targets": _targets_document(trio, legs, step=step, tick=tick),
        "size_changes": [_size_document(change, step=step, tick=tick) for change in trio.size_changes.all()],
        "adopted": None if trio.adoption is None else _adoption_document(trio.adoption),
        "reversal": _reversal_document(trio),
        "reverses": _reverses(trio),
        "moves": [_move_document(move, tick=tick) for move in trio.level_moves.all()],
        "trail": _trail_document(trio.trails.last(), tick=tick),
        "chase": _chase_document(trio.chases.last(), tick=tick),
        "break_even": _break_even_document(trio.break_evens.last(), tick=tick),
        "drift_policy": drift_document(trio.account, trio)["holds"],
        "unprotected": _unprotected_document(trio),
        "changes": [_change_document(change, tick=tick, step=step) for change in trio.entry_changes.all()],
    }


def drift_document(account: ExchangeAccount, trio: TrioOrder | None = None) -> dict[str, Any]:
    """What holds when somebody acts outside, by drift: what was chosen here, what holds, what could be chosen."""
    rows = drift_rows(account, trio)
    chosen = next((row.chosen for row in rows if row.trio_id == (None if trio is None else trio.pk)), {})
    policy = drift_policy_of(account, trio)
    return {
        "account": account.name,
        "trio": None if trio is None else trio.pk,
        "chosen": chosen,
        "holds": {drift.field: policy.of(drift).value for drift in DRIFTS_WITH_CHOICE},
        "choices": {drift.field: list(drift.responses) for drift in DRIFTS_WITH_CHOICE},
    }


def _unprotected_document(trio: TrioOrder) -> dict[str, str] | None:
    """Who has the trio left unprotected, and until when; null where nobody does."""
    said = trio.outside.get("unprotected")
    if said is None or trio.is_over:
        return None
    times = {name: _iso(from_ms(said[name])) for name in ("since", "until")}
    return {"by": said["by"], **times}


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


def pnl_document(result: NetPnl) -> dict[str, str]:
    """One asset's part of what a trio brought. ``net`` is the figure: realised less fees, plus funding."""
    return {
        "asset": result.asset,
        "net": plain(result.net),
        "realized": plain(result.realized),
        "fees": plain(result.fees),
        "funding": plain(result.funding),
    }


def _converted_document(trio: TrioOrder) -> dict[str, str | None] | None:
    """The net in one asset where fees were paid in others, at what those were worth then; ``net`` null: not yet known."""
    found = net_converted([trio.pk]).get(trio.pk)
    if found is None:
        return None
    return {"asset": found.asset, "net": None if found.net is None else plain(found.net)}


def trio_sentence(trio: TrioOrder) -> str:
    """Say in one or two sentences what a trio is and where it stands."""
    step = trio.symbol.step_size
    state = f"{trio.state} by {trio.result}" if trio.result else trio.state
    tick = trio.symbol.tick_size
    how = "at market" if trio.price is None else f"at {decimals(trio.price, tick)}"
    if rungs := rungs_of(trio):
        how = f"in {len(rungs)} rungs from {decimals(rungs[0].price, tick)} to {decimals(rungs[-1].price, tick)}"
    if trio.trigger_price is not None:
        how = f"stop {how}, trigger {decimals(trio.trigger_price, trio.symbol.tick_size)}"
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
    words += [found.sentence for found in net_converted([trio.pk]).values()]
    if (gaps := uncovered_now(trio)).total:
        refused = f", {gaps.refused} ms of it while the exchange refused or lost a stop or exit"
        words.append(f"Uncovered for {gaps.total} ms in all{refused if gaps.refused else ''}.")
    words += following(trio)
    if unprotected := unprotected_sentence(trio):
        words.append(unprotected)
    if trio.asked is not None:
        words.append(f"It asks a person: {trio.question}")
    elif trio.trio_state is TrioState.QUEUED:
        words.append("Its orders are sent as soon as its account is watched.")
    return " ".join(words)


def pnl_sentence(result: NetPnl) -> str:
    """Say what came of a trio in one asset: the net, and its parts."""
    parts = f"realised {signed(result.realized)}, fees {plain(result.fees)}"
    if result.funding:
        parts += f", funding {signed(result.funding)}"
    return f"Net PnL {signed(result.net)} {result.asset} ({parts})."


def decimals(value: Decimal | None, grid: Decimal | None) -> str:
    """Return a number as plain text with as many decimals as the grid (a tick or step) has."""
    if value is None or not grid or not on_grid(value, grid):
        return plain(value)
    return format(shown(value, grid), "f")


def _filled(legs: Any) -> Decimal:
    return sum((leg.filled for leg in legs if Role(leg.role).opens), ZERO)


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


def _size_document(change: SizeChange, *, step: Decimal | None, tick: Decimal | None) -> dict[str, Any]:
    """One wish to take part of the position off, or to add to it, and how it ended (``null``: it has not yet)."""
    return {
        "kind": change.role,
        "quantity": decimals(change.quantity, step),
        "filled": decimals(change.filled, step),
        "by": change.wanted_by,
        "at": change.wanted_at.isoformat(timespec="milliseconds"),
        "end": change.end or None,
        "ended_at": None if change.ended_at is None else change.ended_at.isoformat(timespec="milliseconds"),
        "reason": size_sentence(change) if change.end else None,
    }


def _rungs_document(
    trio: TrioOrder, legs: Sequence[Leg], *, step: Decimal | None, tick: Decimal | None
) -> list[dict[str, Any]]:
    """The rungs of an entry ladder, nearest to the market first; empty where the entry is one order."""
    made = {leg.number or 1: leg for leg in legs if leg.role in (Role.ENTRY, Role.RUNG)}
    rungs = rungs_of(trio)
    planned = rung_quantities(spec_of(trio), rules_of(trio.symbol)) if rungs else ()
    return [
        {
            "price": decimals(rung.price, tick),
            "share": plain(rung.share),
            "quantity": decimals(leg.quantity if leg is not None else quantity, step),
            "filled": decimals(ZERO if leg is None else leg.filled, step),
            "state": None if leg is None else leg.state,
        }
        for rung, quantity in zip(rungs, planned, strict=True)
        for leg in [made.get(rung.number)]
    ]


def _targets_document(
    trio: TrioOrder, legs: Sequence[Leg], *, step: Decimal | None, tick: Decimal | None
) -> list[dict[str, Any]]:
    """All targets, nearest first; the last is the take-profit, which takes what the others leave."""
    if trio.take_profit is None:
        return []
    parts = part_targets_of(trio)
    targets = [
        {
            "level": decimals(part.level, tick),
            "share": plain(part.share),
            "filled": decimals(
                sum(
                    (
                        leg.filled
                        for leg in legs
                        if leg.role == Role.PART_TARGET and leg.number == part.number
                    ),
                    ZERO,
                ),
                step,
            ),
        }
        for part in parts
    ]
    last = sum((leg.filled for leg in legs if leg.role == Role.TAKE_PROFIT), ZERO)
    return [
        *targets,
        {
            "level": decimals(trio.take_profit, tick),
            "share": plain(last_share(parts)),
            "filled": decimals(last, step),
        },
    ]


def _chase_document(chase: Chase | None, *, tick: Decimal | None) -> dict[str, Any] | None:
    """The newest chase of the entry: its terms, and how it ended (``null``: it goes on)."""
    if chase is None:
        return None
    return {
        "bound": decimals(chase.bound, tick),
        "distance": decimals(chase.distance, tick),
        "step": decimals(chase.step, tick),
        **_follower_document(chase),
    }


def _trail_document(trail: Trail | None, *, tick: Decimal | None) -> dict[str, Any] | None:
    """The newest trail: its terms, what it has seen, and how it ended (``null``: it goes on)."""
    if trail is None:
        return None
    by_price = trail.unit == TrailUnit.PRICE
    return {
        "distance": plain(trail.distance) if by_price else None,
        "percent": None if by_price else plain(trail.distance),
        "by": trail.watches.lower(),
        "activation": None if trail.activation is None else decimals(trail.activation, tick),
        "step": decimals(trail.step, tick),
        "active_since": None if trail.active_ts is None else _iso(from_ms(trail.active_ts)),
        "best": None if trail.best is None else decimals(trail.best, tick),
        "best_at": None if trail.best_ts is None else _iso(from_ms(trail.best_ts)),
        "let_run": trail.run_from is not None,
        "by_exchange": trail.by_exchange,
        "refused_code": trail.refused_code or None,
        "refused_text": trail.refused_text or None,
        **_follower_document(trail),
    }


def _break_even_document(waiting: BreakEvenTrigger | None, *, tick: Decimal | None) -> dict[str, Any] | None:
    """The newest break-even that waits, or has: for what, and how it ended (``null``: it waits)."""
    if waiting is None:
        return None
    return {
        "at_price": None if waiting.at_price is None else decimals(waiting.at_price, tick),
        "at_r": None if waiting.at_r is None else plain(waiting.at_r),
        "after_first_target": waiting.after_first_target,
        "offset_ticks": waiting.offset_ticks,
        "reached_at": None if waiting.reached_ts is None else _iso(from_ms(waiting.reached_ts)),
        **_follower_document(waiting),
    }


def _follower_document(follower: PriceFollower) -> dict[str, Any]:
    return {
        "wanted_by": follower.wanted_by,
        "at": _iso(follower.wanted_at),
        "end": follower.end or None,
        "ended_at": None if follower.ended_at is None else _iso(follower.ended_at),
        "ended_by": follower.ended_by or None,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


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

"""Trios as they are looked for, and the trades among them: what lists and statistics are made of. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Max, Q, QuerySet

from exchange.types import ZERO, Side
from orders.domain.enums import ENDS, Role, TrioState
from orders.domain.statistics import Trade, planned_risk, stop_slippage
from orders.exchange_data.clock import from_ms, to_ms
from orders.models import Fill, Leg, LevelMove, Slot, TrioOrder, TrioTag
from orders.selectors import NetConverted, NetPnl, net_converted, net_pnl, trios_listed


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which trios are looked for; what is empty does not count. ``since`` (included) and ``until`` (not): when they closed,
    or when they were made, where that is asked.
    """

    account: str = ""
    symbol: str = ""
    state: str = ""
    side: str = ""
    result: str = ""
    source: str = ""
    tag: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(slots=True)
class TradesFound:
    """Trades by the asset their result is in, and the trios whose result is not known, with the reason."""

    trades: dict[str, list[Trade]] = field(default_factory=dict)
    not_known: dict[int, str] = field(default_factory=dict)


def trios_wanted(wanted: Wanted) -> QuerySet[TrioOrder]:
    """Return these trios, newest first. ``since`` and ``until`` are when they were made."""
    found = _filtered(wanted)
    if wanted.since is not None:
        found = found.filter(created_at__gte=wanted.since)
    if wanted.until is not None:
        found = found.filter(created_at__lt=wanted.until)
    return found.order_by("-id")


def trades_wanted(wanted: Wanted) -> TradesFound:
    """Return the trades among these trios. ``since`` and ``until`` are when they closed: their last execution."""
    ended = _filtered(wanted).filter(state__in=[state.value for state in ENDS])
    ended = ended.exclude(state=TrioState.DRY_RUN).annotate(last_ts=Max("fills__time_ts"))
    if wanted.since is not None:
        ended = ended.filter(last_ts__gte=to_ms(wanted.since))
    if wanted.until is not None:
        ended = ended.filter(last_ts__lt=to_ms(wanted.until))
    with_fills = ended.filter(last_ts__isnull=False).prefetch_related("legs", "level_moves", "fills")
    return trades_of(with_fills.order_by("last_ts", "id"))


def trades_of(trios: Iterable[TrioOrder]) -> TradesFound:
    """Return the trades of these trios, which have ended."""
    trios = list(trios)
    results = net_pnl([trio.pk for trio in trios])
    converted = net_converted([trio.pk for trio in trios])
    found = TradesFound()
    for trio in trios:
        parts = results.get(trio.pk, ())
        legs, fills = list(trio.legs.all()), list(trio.fills.all())
        in_one = converted.get(trio.pk)
        if why := _not_known(legs, fills, in_one):
            found.not_known[trio.pk] = why
        else:
            trade = _trade(trio, legs, fills, _in_one_asset(parts, in_one))
            found.trades.setdefault(trio.symbol.margin_asset, []).append(trade)
    return found


def positions_wanted(wanted: Wanted) -> list[Slot]:
    """Return the slots in which the exchange holds a position, whoever opened it."""
    slots = Slot.objects.exclude(quantity=0).select_related("account").order_by("account__name", "symbol")
    if wanted.account:
        slots = slots.filter(account__name=wanted.account)
    if wanted.symbol:
        slots = slots.filter(symbol=wanted.symbol)
    if wanted.side:
        slots = slots.filter(Q(quantity__gt=0) if wanted.side == Side.BUY else Q(quantity__lt=0))
    return list(slots)


def holders_of(slots: Collection[Slot]) -> dict[int, TrioOrder]:
    """Return the trio that holds each of these slots."""
    holders = TrioOrder.objects.filter(slot__in=[slot.pk for slot in slots], holds_slot=True)
    return {trio.slot_id: trio for trio in holders.exclude(state=TrioState.QUEUED) if trio.slot_id}


def _filtered(wanted: Wanted) -> QuerySet[TrioOrder]:
    terms = {
        "account__name": wanted.account,
        "symbol__symbol": wanted.symbol,
        "state": wanted.state,
        "side": wanted.side,
        "result": wanted.result,
        "source": wanted.source,
    }
    found = trios_listed().filter(**{name: value for name, value in terms.items() if value})
    return (
        found.filter(pk__in=TrioTag.objects.filter(name=wanted.tag).values("trio")) if wanted.tag else found
    )


def _not_known(legs: Sequence[Leg], fills: Sequence[Fill], converted: NetConverted | None) -> str:
    """Say why the result of a trio is not known; nothing where it is."""
    if sum((fill.quantity for fill in fills), ZERO) < _executed(legs):
        return "executions of it are still to be booked"
    if converted is not None and converted.net is None:
        return f"what a fee of it was worth in {converted.asset} is not yet known"
    return ""


def _in_one_asset(parts: Sequence[NetPnl], converted: NetConverted | None) -> NetPnl:
    """Return the result in the margin asset, which comes first, with all fees in it."""
    own = parts[0]
    if converted is None or converted.fees is None:
        return own
    return NetPnl(own.asset, own.realized, converted.fees, own.funding)


def _executed(legs: Iterable[Leg]) -> Decimal:
    """Return what its orders have executed; an adopted entry is no order of ours."""
    return sum((leg.filled for leg in legs if leg.order_id is not None), ZERO)


def _trade(trio: TrioOrder, legs: Sequence[Leg], fills: Sequence[Fill], result: NetPnl) -> Trade:
    return Trade(
        trio=trio.pk,
        closed_at=from_ms(max(fill.time_ts for fill in fills)),
        realized=result.realized,
        fees=result.fees,
        funding=result.funding,
        planned=planned_of(trio, legs),
        slippage=_slippage(trio, legs, fills),
        opened_at=_opened_at(trio, legs, fills),
    )


def _opened_at(trio: TrioOrder, legs: Sequence[Leg], fills: Sequence[Fill]) -> datetime | None:
    """Return when its position began: what was adopted had one when it was taken over."""
    opening = {leg.pk for leg in legs if Role(leg.role).opens}
    began = [fill.time_ts for fill in fills if fill.leg_id in opening]
    if adopted := (trio.adoption or {}).get("at"):
        began.append(int(adopted))
    return from_ms(min(began)) if began else None


def planned_of(trio: TrioOrder, legs: Sequence[Leg]) -> Decimal | None:
    """Return what the first stop would have lost on what the entry filled (what was added later is not in it)."""
    stop = first_stop(trio)
    entries = [
        leg for leg in legs if leg.role in (Role.ENTRY, Role.RUNG) and leg.filled and leg.average_price
    ]
    quantity = sum((leg.filled for leg in entries), ZERO)
    if stop is None or not quantity:
        return None
    paid = sum((leg.filled * (leg.average_price or ZERO) for leg in entries), ZERO)
    return planned_risk(Side(trio.side), entry=paid / quantity, first_stop=stop, quantity=quantity)


def first_stop(trio: TrioOrder) -> Decimal | None:
    """Return the level of the stop that a trio was placed with."""
    moves: list[LevelMove] = [move for move in trio.level_moves.all() if move.role == Role.STOP_LOSS]
    return min(moves, key=lambda move: move.pk).level_before if moves else trio.stop_loss


def _slippage(trio: TrioOrder, legs: Sequence[Leg], fills: Sequence[Fill]) -> Decimal | None:
    levels = {leg.pk: leg.trigger_price for leg in legs if leg.role == Role.STOP_LOSS and leg.trigger_price}
    found = [
        stop_slippage(Side(trio.side), level=level, price=fill.price, quantity=fill.quantity)
        for fill in fills
        if (level := levels.get(fill.leg_id)) is not None
    ]
    return sum(found, ZERO) if found else None

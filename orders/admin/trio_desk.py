"""What a trio's page says of its money, of its times and of what comes next, and the picture of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from exchange.types import ZERO, ExchangeMs, Kline, Side
from orders.desk import OpenTrio, open_trios
from orders.domain.chart_span import span_of
from orders.domain.enums import LegState, Role, TrioState
from orders.domain.next_step import NextStep, next_step_of
from orders.domain.rounding import CENT, plain, shown
from orders.domain.statistics import stop_slippage
from orders.exchange_data.clock import db_now, to_exchange_ms, to_ms
from orders.models import Clock, Fill, Leg, LevelMove, Request, Symbol, TrioOrder
from orders.placement.uncovered import TrioSeen, trio_seen
from orders.queueing.market_at_hand import bars_seen, mark_seen
from orders.results import first_stop, planned_of
from orders.selectors import entry_cost

MOVES_SHOWN: Final = 200
FILLS_SHOWN: Final = 200
TICKET_BARS: Final = ("5m", 90)  # newest ones, beside the order form


@dataclass(frozen=True, slots=True)
class AtLevel:
    """What the whole trio comes to if its position is closed at a price, fees included."""

    name: str
    price: str
    net: Decimal
    r: Decimal | None


@dataclass(frozen=True, slots=True)
class Latency:
    name: str
    ms: int


def money_of(trio: TrioOrder) -> OpenTrio:
    """Return where a trio stands."""
    (row,) = open_trios([trio])
    return row


def at_levels(row: OpenTrio) -> list[AtLevel]:
    """Return what a trio with a position comes to now and at each of its levels."""
    standing, trio = row.standing, row.trio
    if standing is None:
        return []
    planned, cost = planned_of(trio, list(trio.legs.all())), entry_cost(trio)
    tick, fee_each = trio.symbol.tick_size, None if cost is None else cost.fee_each
    parts = [
        (f"Part target {place}", Decimal(str(part["level"])))
        for place, part in enumerate(trio.part_targets or (), start=1)
        if isinstance(part, dict) and part.get("level")
    ]
    prices = [
        ("Now, at the mark price", row.mark),
        ("Stop-loss", trio.stop_loss),
        *parts,
        ("Take-profit", trio.take_profit),
        ("Break-even of the trio", row.even),
        ("Break-even of the remaining position", standing.even_of_rest(tick=tick or ZERO, fee_each=fee_each)),
    ]
    found = []
    for name, price in prices:
        if price is None:
            continue
        net = standing.net_if_closed(price)
        r = None if planned is None else (net / planned).quantize(CENT)
        found.append(AtLevel(name, str(shown(price, tick)), net, r))
    return found


def latencies(
    trio: TrioOrder, legs: Sequence[Leg], requests: Iterable[Request], fills: Sequence[Fill]
) -> list[Latency]:
    """Return how long the steps of a trio took, of those that were taken."""
    found = []
    if trio.queued_at and trio.begun_at:
        found.append(Latency("In the queue", _ms(trio.queued_at, trio.begun_at)))
    for request in sorted(requests, key=lambda request: request.pk):
        outcome = getattr(request, "outcome", None)
        if (
            outcome is not None
            and outcome.latency_ms
            and Role(request.leg.role).opens
            and request.kind == "SUBMIT"
        ):
            found.append(Latency("Entry sent to acknowledged", outcome.latency_ms))
            break
    entered = [fill.time_ts for fill in fills if Role(fill.leg.role).opens]
    stops = [leg.accepted_ts for leg in legs if leg.role == Role.STOP_LOSS and leg.accepted_ts]
    if entered and stops:
        found.append(Latency("First fill to stop acknowledged", max(0, min(stops) - min(entered))))
    for leg in legs:
        if leg.role == Role.STOP_LOSS and leg.triggered_ts and leg.filled_ts and leg.state == LegState.FILLED:
            found.append(Latency("Stop triggered to filled", max(0, leg.filled_ts - leg.triggered_ts)))
    return found


def _ms(begins: datetime, ends: datetime) -> int:
    return max(0, to_ms(ends) - to_ms(begins))


def slippage_of(trio: TrioOrder, legs: Sequence[Leg], fills: Sequence[Fill]) -> Decimal | None:
    """Return by how much its stops executed worse than at their levels; ``None`` where none did."""
    levels = {leg.pk: leg.trigger_price for leg in legs if leg.role == Role.STOP_LOSS and leg.trigger_price}
    found = [
        stop_slippage(Side(trio.side), level=level, price=fill.price, quantity=fill.quantity)
        for fill in fills
        if (level := levels.get(fill.leg_id)) is not None
    ]
    return sum(found, ZERO) if found else None


def next_step(trio: TrioOrder, seen: TrioSeen | None = None) -> NextStep | None:
    """Return what is done next with a trio, by the same decision that carries it; ``None`` when nothing is any more."""
    if trio.is_over or trio.trio_state is TrioState.DRAFT:
        return None
    return next_step_of((seen or trio_seen(trio)).snapshot)


# --- the picture ----------------------------------------------------------------------------------


def chart_of(trio: TrioOrder) -> dict[str, Any]:
    """Return the picture of a trio: bars, its levels now, how they moved, and its executions. Prices are plain text."""
    clock = Clock.objects.filter(environment=trio.account.environment).first()
    offset = clock.offset_ms if clock else 0
    now = to_exchange_ms(db_now(), offset)
    begins = _ts(trio.begun_at or trio.queued_at or trio.created_at, offset)
    ends = _ts(trio.ended_at, offset) if trio.ended_at else now
    span = span_of(begins, ends)
    tick = trio.symbol.tick_size
    fills = list(trio.fills.select_related("leg").order_by("time_ts")[:FILLS_SHOWN])
    moves = list(trio.level_moves.filter(end="DONE").order_by("id")[:MOVES_SHOWN])
    bars = bars_seen(trio.account.environment, trio.symbol.symbol, span.timeframe, span.since, span.limit)
    (row,) = open_trios([trio])
    return {
        "timeframe": span.timeframe,
        "tick": plain(tick),
        "side": trio.side,
        "bars": bars_shown(bars),
        "read": bars is not None,
        "levels": [
            {"kind": kind, "name": name, "price": str(shown(price, tick))}
            for kind, name, price in (
                ("entry", "Entry", row.entry or trio.price),
                ("stop", "Stop-loss", trio.stop_loss),
                ("target", "Take-profit", trio.take_profit),
                ("even", "Break-even", row.even),
                ("mark", "Mark", row.mark),
            )
            if price is not None
        ],
        "paths": [
            {"kind": "stop", "points": _path(first_stop(trio), moves, Role.STOP_LOSS, begins, ends, offset)},
            {
                "kind": "target",
                "points": _path(_first_target(trio, moves), moves, Role.TAKE_PROFIT, begins, ends, offset),
            },
        ],
        "fills": [
            {
                "at": fill.time_ts,
                "price": str(shown(fill.price, tick)),
                "side": fill.side,
                "what": f"{Role(fill.leg.role).words}: {fill.side} {format(fill.quantity.normalize(), 'f')}",
            }
            for fill in fills
        ],
        "live": not trio.is_over,
    }


def _ts(moment: datetime, offset: int) -> ExchangeMs:
    return to_exchange_ms(moment, offset)


def _first_target(trio: TrioOrder, moves: Sequence[LevelMove]) -> Decimal | None:
    own = [move for move in moves if move.role == Role.TAKE_PROFIT]
    return own[0].level_before if own else trio.take_profit


def _path(
    level: Decimal | None, moves: Sequence[LevelMove], role: Role, begins: int, ends: int, offset: int
) -> list[list[str | int]]:
    """Return where a level was over time: from when it held, at what price."""
    if level is None:
        return []
    points: list[list[str | int]] = [[begins, str(level)]]
    for move in moves:
        if move.role == role and move.ended_at is not None:
            level = move.level
            points.append([_ts(move.ended_at, offset), str(level)])
    return [*points, [ends, str(level)]]


def bars_shown(bars: Sequence[Kline] | None) -> list[list[str | int]]:
    """Return bars as the picture takes them: when each opened, and its four prices as text."""
    return [[bar.open_time, str(bar.open), str(bar.high), str(bar.low), str(bar.close)] for bar in bars or ()]


def ticket_chart(environment: str, symbol: Symbol) -> dict[str, Any]:
    """Return the picture beside the order form: newest bars, the mark price, the market's tick."""
    timeframe, limit = TICKET_BARS
    bars = bars_seen(environment, symbol.symbol, timeframe, None, limit)
    mark = mark_seen(environment, symbol.symbol)
    return {
        "timeframe": timeframe,
        "tick": plain(symbol.tick_size),
        "bars": bars_shown(bars),
        "read": bars is not None,
        "mark": None if mark is None else str(shown(mark, symbol.tick_size)),
    }

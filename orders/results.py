"""Trios as they are looked for, and the trades among them: what lists and statistics are made of. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import starmap
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.domain.average import entered
from orders.domain.enums import ENDS, OPENING, Role, TrioState
from orders.domain.statistics import Trade, planned_risk
from orders.exchange_data.clock import from_ms, to_ms
from orders.models import Leg, LevelMove, Slot, TrioOrder, TrioTag
from orders.selectors import trios_listed

FOREVER_MS: Final = 2**62
# Else PostgreSQL reads all there is, which a million trios make slow: what belongs together lies together, and in memory.
PLANNED_FOR_A_MONTH: Final = (
    "SET LOCAL random_page_cost = 1.1; SET LOCAL work_mem = '32MB'; SET LOCAL jit = off"
)
UNBOOKED: Final = "executions of it are still to be booked"
UNPRICED: Final = "what a fee of it was worth in {} is not yet known"
# Each trade whole: who has one execution in the span is read with all that it has. Fees in other assets are converted at
# what they were worth when paid; an adopted entry is no order of ours, so its executions are not waited for.
TRADES: Final = """
    WITH found AS MATERIALIZED (
        SELECT trio.id, trio.side, trio.stop_loss, (trio.adoption ->> 'at')::bigint AS adopted, symbol.margin_asset
        FROM orders_trioorder trio JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE trio.id IN (SELECT trio_id FROM orders_fill
                          WHERE account_id = ANY (%(accounts)s) AND time_ts >= %(since)s AND time_ts < %(until)s)
          AND trio.account_id = ANY (%(accounts)s) AND trio.state = ANY (%(ends)s)
          AND %(symbol)s IN ('', symbol.symbol) AND %(state)s IN ('', trio.state) AND %(side)s IN ('', trio.side)
          AND %(result)s IN ('', trio.result) AND %(source)s IN ('', trio.source)
          AND (%(tag)s = '' OR trio.id IN (SELECT trio_id FROM orders_triotag WHERE name = %(tag)s))
    ), executed AS (
        SELECT trio_id, max(time_ts) AS closed, min(time_ts) FILTER (WHERE opens) AS opened, sum(realized_pnl) AS realized,
            sum(CASE WHEN NOT foreign_fee THEN commission ELSE commission * coalesce(price, 0) END) AS fees,
            count(*) FILTER (WHERE foreign_fee AND price IS NULL) AS unpriced, sum(quantity) AS quantity, sum(slipped) AS slipped
        FROM (
            SELECT fill.trio_id, fill.time_ts, fill.realized_pnl, fill.commission, fill.quantity, fee.price,
                leg.role = ANY (%(opening)s) AS opens,
                fill.commission <> 0 AND fill.commission_asset NOT IN ('', found.margin_asset) AS foreign_fee,
                CASE WHEN leg.role = 'STOP_LOSS' AND leg.trigger_price <> 0 THEN fill.quantity
                    * CASE found.side WHEN 'BUY' THEN leg.trigger_price - fill.price ELSE fill.price - leg.trigger_price END
                END AS slipped
            FROM found JOIN orders_fill fill ON fill.trio_id = found.id JOIN orders_leg leg ON leg.id = fill.leg_id
            LEFT JOIN orders_feeprice fee ON fee.fill_id = fill.id
        ) fill GROUP BY trio_id HAVING max(time_ts) >= %(since)s AND max(time_ts) < %(until)s
    ), ordered AS (
        SELECT leg.trio_id, coalesce(sum(leg.filled) FILTER (WHERE leg.order_id IS NOT NULL), 0) AS filled,
            sum(leg.filled) FILTER (WHERE leg.role IN ('ENTRY', 'RUNG') AND leg.average_price <> 0) AS entered,
            sum(leg.filled * leg.average_price) FILTER (WHERE leg.role IN ('ENTRY', 'RUNG')) AS paid
        FROM found JOIN orders_leg leg ON leg.trio_id = found.id WHERE leg.filled > 0 GROUP BY leg.trio_id
    ), shared AS (
        SELECT share.trio_id, coalesce(sum(share.amount) FILTER (WHERE income.kind LIKE '%%FUNDING_FEE'), 0) AS funding,
            coalesce(-sum(share.amount) FILTER (WHERE income.kind NOT LIKE '%%FUNDING_FEE'), 0) AS fees
        FROM found JOIN orders_incomeshare share ON share.trio_id = found.id
        JOIN orders_income income ON income.id = share.income_id AND income.asset = found.margin_asset GROUP BY share.trio_id
    ), placed AS (
        SELECT DISTINCT ON (move.trio_id) move.trio_id, move.level_before AS stop
        FROM found JOIN orders_levelmove move ON move.trio_id = found.id WHERE move.role = 'STOP_LOSS' ORDER BY move.trio_id, move.id
    )
    SELECT found.id, found.side, found.margin_asset, coalesce(placed.stop, found.stop_loss), executed.closed,
        least(executed.opened, found.adopted), executed.realized, executed.fees + coalesce(shared.fees, 0),
        coalesce(shared.funding, 0), executed.unpriced, executed.quantity, coalesce(ordered.filled, 0), executed.slipped,
        ordered.entered, ordered.paid
    FROM found JOIN executed ON executed.trio_id = found.id LEFT JOIN ordered ON ordered.trio_id = found.id
    LEFT JOIN shared ON shared.trio_id = found.id LEFT JOIN placed ON placed.trio_id = found.id
    ORDER BY executed.closed, found.id
"""


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
    """Return the trades among these trios, as they closed. ``since`` and ``until`` are when they closed: their last execution.

    One statement for all: of a desk's month these are tens of thousands.
    """
    values = {
        "accounts": list(_accounts(wanted)),
        "since": 0 if wanted.since is None else to_ms(wanted.since),
        "until": FOREVER_MS if wanted.until is None else to_ms(wanted.until),
        "ends": [state.value for state in ENDS if state is not TrioState.DRY_RUN],
        "opening": [role.value for role in OPENING],
        **{name: getattr(wanted, name) for name in ("symbol", "state", "side", "result", "source", "tag")},
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PLANNED_FOR_A_MONTH)
        cursor.execute(TRADES, values)
        rows = cursor.fetchall()
    found = TradesFound()
    for row in starmap(_Row, rows):
        if row.executed < row.filled:
            found.not_known[row.trio] = UNBOOKED
        elif row.unpriced:
            found.not_known[row.trio] = UNPRICED.format(row.asset)
        else:
            found.trades.setdefault(row.asset, []).append(_trade(row))
    return found


def _accounts(wanted: Wanted) -> Iterable[int]:
    named = ExchangeAccount.objects.filter(name=wanted.account) if wanted.account else ExchangeAccount.objects
    return named.values_list("pk", flat=True)


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


class _Row(NamedTuple):
    """What the statement says of one trade. ``fees``: all of them, in the margin asset."""

    trio: int
    side: str
    asset: str
    stop: Decimal | None
    closed_ts: int
    opened_ts: int | None
    realized: Decimal
    fees: Decimal
    funding: Decimal
    unpriced: int
    executed: Decimal
    filled: Decimal
    slippage: Decimal | None
    entered: Decimal | None
    paid: Decimal | None


def _trade(row: _Row) -> Trade:
    planned = None
    if row.stop is not None and row.entered and row.paid is not None:
        entry = row.paid / row.entered
        planned = planned_risk(Side(row.side), entry=entry, first_stop=row.stop, quantity=row.entered)
    return Trade(
        trio=row.trio,
        closed_at=from_ms(row.closed_ts),
        realized=row.realized,
        fees=row.fees,
        funding=row.funding,
        planned=planned,
        slippage=row.slippage,
        opened_at=None if row.opened_ts is None else from_ms(row.opened_ts),
    )


def planned_of(trio: TrioOrder, legs: Sequence[Leg]) -> Decimal | None:
    """Return what the first stop would have lost on what the entry filled (what was added later is not in it)."""
    stop, entry = first_stop(trio), entered(legs)
    if stop is None or entry is None:
        return None
    quantity, average = entry
    return planned_risk(Side(trio.side), entry=average, first_stop=stop, quantity=quantity)


def first_stop(trio: TrioOrder) -> Decimal | None:
    """Return the level of the stop that a trio was placed with."""
    moves: list[LevelMove] = [move for move in trio.level_moves.all() if move.role == Role.STOP_LOSS]
    return min(moves, key=lambda move: move.pk).level_before if moves else trio.stop_loss

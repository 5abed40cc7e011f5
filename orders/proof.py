"""The proof of a trio, or of a day: what was executed, what it brought and cost, and what the exchange booked for it.

Reads only. Every figure is whole, nothing is rounded, and assets are never added up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from accounts.models import ExchangeAccount
from exchange.types import ZERO
from orders.exchange_data.clock import to_ms
from orders.models import IncomeReading, TrioOrder

SETTLED_MS: Final = 30_000  # as readings of income judge it
TRIOS_MAX: Final = 1000

# What executions say themselves, and what the exchange's income says of the same ones, asset by asset.
TOTALS: Final = """
    WITH ours AS (
        SELECT fill.id, fill.account_id, fill.symbol, fill.trade_id::text AS trade_id, fill.realized_pnl, fill.commission,
            symbol.margin_asset, coalesce(nullif(fill.commission_asset, ''), symbol.margin_asset) AS fee_asset
        FROM orders_fill fill JOIN orders_trioorder trio ON trio.id = fill.trio_id
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE {which}
    )
    SELECT asset, sum(executions), sum(realized), sum(fees), sum(booked_lines), sum(booked_realized), sum(booked_fees) FROM (
        SELECT margin_asset AS asset, 1 AS executions, realized_pnl AS realized, 0::numeric AS fees,
            0 AS booked_lines, 0::numeric AS booked_realized, 0::numeric AS booked_fees FROM ours
        UNION ALL
        SELECT fee_asset, 0, 0, commission, 0, 0, 0 FROM ours
        UNION ALL
        SELECT line.asset, 0, 0, 0, 1, CASE line.kind WHEN 'REALIZED_PNL' THEN line.amount ELSE 0 END,
            CASE line.kind WHEN 'COMMISSION' THEN -line.amount ELSE 0 END
        FROM orders_income line JOIN ours USING (account_id, symbol, trade_id)
        WHERE line.kind IN ('REALIZED_PNL', 'COMMISSION')
    ) part GROUP BY asset ORDER BY asset
"""
OF_TRIO: Final = "fill.trio_id = %(trio)s"
OF_DAY: Final = "fill.account_id = %(account)s AND fill.time_ts >= %(since)s AND fill.time_ts < %(until)s"
FUNDING_OF_TRIO: Final = """
    SELECT line.asset, sum(share.amount) FROM orders_incomeshare share JOIN orders_income line ON line.id = share.income_id
    WHERE share.trio_id = %(trio)s GROUP BY 1
"""
FUNDING_OF_DAY: Final = """
    SELECT line.asset, sum(share.amount) FROM orders_incomeshare share JOIN orders_income line ON line.id = share.income_id
    WHERE line.account_id = %(account)s AND line.time_ts >= %(since)s AND line.time_ts < %(until)s GROUP BY 1
"""
BY_KIND: Final = """
    SELECT line.asset, line.kind, count(*), sum(line.amount) FROM orders_income line
    WHERE line.account_id = %(account)s AND line.time_ts >= %(since)s AND line.time_ts < %(until)s
    GROUP BY 1, 2 ORDER BY 1, 2
"""
TRIOS_OF_DAY: Final = """
    SELECT DISTINCT trio_id FROM orders_fill
    WHERE account_id = %(account)s AND time_ts >= %(since)s AND time_ts < %(until)s ORDER BY 1 LIMIT %(most)s
"""
LAST_OF_DAY: Final = """
    SELECT max(time_ts) FROM orders_fill
    WHERE account_id = %(account)s AND time_ts >= %(since)s AND time_ts < %(until)s
"""


@dataclass(slots=True)
class Total:
    """What executions came to in one asset, and what the exchange booked for the same ones. ``fees`` were paid."""

    asset: str
    executions: int = 0
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    booked_lines: int = 0
    booked_realized: Decimal = ZERO
    booked_fees: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.realized - self.fees + self.funding

    @property
    def booked_net(self) -> Decimal:
        """The same from the exchange's income; funding is known from there alone."""
        return self.booked_realized - self.booked_fees + self.funding

    @property
    def difference(self) -> Decimal:
        return self.booked_net - self.net

    @property
    def is_equal(self) -> bool:
        return (self.realized, self.fees) == (self.booked_realized, self.booked_fees)


@dataclass(frozen=True, slots=True)
class IncomeKind:
    asset: str
    kind: str
    lines: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class DayProof:
    """A day of one account in somebody's zone."""

    account: ExchangeAccount
    day: date
    zone: str
    totals: Sequence[Total]
    kinds: Sequence[IncomeKind]
    trios: Sequence[TrioOrder]
    is_read: bool
    read_at: datetime | None
    more: bool = field(default=False)


def trio_totals(trio: TrioOrder) -> list[Total]:
    """Return what a trio's executions came to, beside the exchange's income, asset by asset."""
    return _totals(OF_TRIO, FUNDING_OF_TRIO, {"trio": trio.pk})


def trio_is_read(trio: TrioOrder, last_ts: int | None) -> bool:
    """Was the account's income read since a trio's last execution, and had it settled by then?"""
    reading = IncomeReading.objects.filter(account=trio.account_id).first()
    return last_ts is None or (reading is not None and reading.read_ts >= last_ts + SETTLED_MS)


def day_proof(account: ExchangeAccount, day: date, zone: tzinfo) -> DayProof:
    """Return the proof of one day of an account: by the time of each execution, and of each line of income."""
    since = to_ms(datetime.combine(day, datetime.min.time(), tzinfo=zone))
    until = to_ms(datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone))
    values: dict[str, Any] = {"account": account.pk, "since": since, "until": until, "most": TRIOS_MAX + 1}
    totals = _totals(OF_DAY, FUNDING_OF_DAY, values)
    keys = [trio_id for (trio_id,) in _rows(TRIOS_OF_DAY, values)]
    reading = IncomeReading.objects.filter(account=account).first()
    ((last,),) = _rows(LAST_OF_DAY, values)
    return DayProof(
        account=account,
        day=day,
        zone=str(zone),
        totals=totals,
        kinds=[IncomeKind(*row) for row in _rows(BY_KIND, values)],
        trios=list(
            TrioOrder.objects.filter(pk__in=keys[:TRIOS_MAX])
            .select_related("symbol", "account")
            .order_by("pk")
        ),
        is_read=last is None or (reading is not None and reading.read_ts >= last + SETTLED_MS),
        read_at=None if reading is None else reading.read_at,
        more=len(keys) > TRIOS_MAX,
    )


def _totals(which: str, funding: str, values: Mapping[str, Any]) -> list[Total]:
    found: dict[str, Total] = {}
    for asset, executions, realized, fees, lines, booked_realized, booked_fees in _rows(
        TOTALS.format(which=which), values
    ):
        found[asset] = Total(
            asset, int(executions), realized, fees, ZERO, int(lines), booked_realized, booked_fees
        )
    for asset, amount in _rows(funding, values):
        found.setdefault(asset, Total(asset)).funding = amount
    return [found[asset] for asset in sorted(found)]


def _rows(sql: str, values: Mapping[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[Any] = cursor.fetchall()
    return rows

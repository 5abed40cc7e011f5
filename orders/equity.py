"""What accounts were worth day by day: a row for each account, asset and day (UTC), written with the income's reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import connection

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.types import ZERO
from orders.desk import AccountFunds, purses_now
from orders.domain.equity_line import DayValue, Transfer, equity_line
from orders.exchange_data.clock import db_now, exchange_now_ms, from_ms, to_ms
from orders.models import EquityDay, Income
from orders.queueing.market import funds_read

DAYS: Final = 30
# The newest of a day stays, whoever read it.
STORE: Final = """
    INSERT INTO orders_equityday AS kept (account_id, asset, day, wallet, equity, read_at) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (account_id, asset, day) DO UPDATE
    SET wallet = excluded.wallet, equity = excluded.equity, read_at = excluded.read_at WHERE kept.read_at < excluded.read_at
"""


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """What an environment's accounts are worth in one asset, and were; transfers apart. The last value is that of now.

    ``week`` and ``month``: by how much it has changed; ``None`` while nothing that old is known.
    """

    environment: str
    asset: str
    days: tuple[date, ...]
    values: tuple[Decimal, ...]
    week: Decimal | None
    month: Decimal | None


def equity_store(account: ExchangeAccount) -> None:
    """Read what an account is worth, and keep it as that of today. Raises ExchangeError or AccountsError."""
    at = exchange_now_ms(account.environment)
    funds = funds_read(account, exchange_for(account.pk), at=at)
    now = db_now()
    rows = [
        [account.pk, purse.asset, now.astimezone(UTC).date(), purse.wallet, purse.equity, now]
        for purse in purses_now(account, funds, read_at=now)
        if purse.equity is not None
    ]
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute(STORE, row)


def equity_curves(funds: Iterable[AccountFunds], *, now: datetime) -> list[EquityCurve]:
    """Return the curve of each environment and asset of which a value is known now and of an earlier day.

    An account that is not known now is left out, its earlier values too: the curve compares the same accounts.
    """
    known: dict[tuple[str, str], dict[int, Decimal]] = {}
    for row in funds:
        for purse in row.purses:
            if purse.equity is not None:
                key = (row.account.environment, purse.asset)
                known.setdefault(key, {})[row.account.pk] = purse.equity
    today = now.astimezone(UTC).date()
    accounts = {account for values in known.values() for account in values}
    kept = _kept(accounts, since=today - timedelta(days=DAYS))
    moved = _transfers(accounts, since=now - timedelta(days=DAYS + 1))
    found = []
    for (environment, asset), values in sorted(known.items()):
        lines = [
            equity_line(
                kept.get((account, asset), ()),
                moved.get((account, asset), ()),
                now=value,
                today=today,
                days=DAYS,
            )
            for account, value in values.items()
        ]
        first = min(
            (row.day for account in values for row in kept.get((account, asset), ()) if row.day < today),
            default=None,
        )
        if first is None:
            continue
        days = [day for day in (today - timedelta(days=back) for back in range(DAYS, -1, -1)) if day >= first]
        sums = [sum((line[day] for line in lines), ZERO) for day in days]
        found.append(
            EquityCurve(environment, asset, tuple(days), tuple(sums), _change(sums, 7), _change(sums, DAYS))
        )
    return found


def _change(sums: list[Decimal], days: int) -> Decimal | None:
    return sums[-1] - sums[-1 - days] if len(sums) > days else None


def _kept(accounts: Collection[int], *, since: date) -> Mapping[tuple[int, str], list[DayValue]]:
    found: dict[tuple[int, str], list[DayValue]] = {}
    rows = EquityDay.objects.filter(account__in=accounts, day__gte=since).order_by("day")
    for account, asset, day, equity, read_at in rows.values_list(
        "account", "asset", "day", "equity", "read_at"
    ):
        found.setdefault((account, asset), []).append(DayValue(day, equity, read_at))
    return found


def _transfers(accounts: Collection[int], *, since: datetime) -> Mapping[tuple[int, str], list[Transfer]]:
    found: dict[tuple[int, str], list[Transfer]] = {}
    rows = Income.objects.filter(account__in=accounts, time_ts__gte=to_ms(since), kind__contains="TRANSFER")
    for account, asset, time_ts, moved in rows.values_list("account", "asset", "time_ts", "amount"):
        found.setdefault((account, asset), []).append(Transfer(from_ms(time_ts), moved))
    return found

"""An account day by day (UTC): what it was worth when it was last read, and what the exchange booked. Reads only.

Assets are never added up. What was not read is ``None``, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from accounts.models import ExchangeAccount
from exchange.types import ZERO
from orders.exchange_data.clock import to_ms
from orders.models import EquityDay

BOOKED: Final = """
    SELECT (to_timestamp(time_ts / 1000.0) AT TIME ZONE 'UTC')::date, asset,
        coalesce(sum(amount) FILTER (WHERE kind = 'REALIZED_PNL'), 0),
        coalesce(-sum(amount) FILTER (WHERE kind = 'COMMISSION'), 0),
        coalesce(sum(amount) FILTER (WHERE kind LIKE '%%FUNDING_FEE'), 0),
        coalesce(sum(amount) FILTER (WHERE kind LIKE '%%TRANSFER%%'), 0),
        coalesce(sum(amount) FILTER (WHERE kind NOT IN ('REALIZED_PNL', 'COMMISSION') AND kind NOT LIKE '%%FUNDING_FEE'
                                     AND kind NOT LIKE '%%TRANSFER%%'), 0)
    FROM orders_income WHERE account_id = %(account)s AND time_ts >= %(since)s AND time_ts < %(until)s GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class AccountDay:
    """One day of an account in one asset. ``fees`` were paid; ``net`` leaves transfers out.

    ``wallet`` and ``equity``: as last read on that day, ``None`` where it was not.
    """

    day: date
    asset: str
    wallet: Decimal | None = None
    equity: Decimal | None = None
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    transfers: Decimal = ZERO
    other: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        return self.realized - self.fees + self.funding + self.other


def account_days(account: ExchangeAccount, since: date, until: date) -> list[AccountDay]:
    """Return the days from ``since`` to ``until`` (included) of which something is known, the newest first."""
    values: Mapping[str, Any] = {
        "account": account.pk,
        "since": to_ms(datetime.combine(since, datetime.min.time(), tzinfo=UTC)),
        "until": to_ms(datetime.combine(until + timedelta(days=1), datetime.min.time(), tzinfo=UTC)),
    }
    with connection.cursor() as cursor:
        cursor.execute(BOOKED, values)
        rows = cursor.fetchall()
    found = {(day, asset): AccountDay(day, asset, None, None, *amounts) for day, asset, *amounts in rows}
    for kept in EquityDay.objects.filter(account=account, day__gte=since, day__lte=until):
        key = (kept.day, kept.asset)
        found[key] = replace(found.get(key, AccountDay(*key)), wallet=kept.wallet, equity=kept.equity)
    return [found[key] for key in sorted(found, key=lambda key: (-key[0].toordinal(), key[1]))]

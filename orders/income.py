"""Income in the books: read as the exchange has it, joined to our executions by trade id, what has none allotted by position.

Idempotent: a line is booked once, however often it is read. Nothing here changes what a trio does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F, Q

from accounts.gateways import exchange_for
from accounts.models import ExchangeAccount
from exchange.errors import ExchangeError
from exchange.port import Exchange
from exchange.types import ZERO, ExchangeMs, IncomeView
from infrastructure.rows import fetch_all, fetch_first
from orders.domain.income_shares import shares_of
from orders.domain.rounding import plain, signed
from orders.exchange_data.clock import db_now, exchange_now_ms, from_ms
from orders.models import FeePrice, Fill, Income, IncomeReading, IncomeShare, TrioOrder

DAY_MS: Final = 24 * 3600 * 1000
KEPT_MS: Final = 89 * DAY_MS  # the exchange knows three months
FIRST_MS: Final = 7 * DAY_MS - 1000  # read of an account that has traded nothing yet: one question
OVERLAP_MS: Final = 3600 * 1000  # lines may appear late
SETTLED_MS: Final = 30_000  # younger ones are not judged: what belongs to them may still be under way
LATE_MS: Final = 20_000  # funding is taken up to 15 s after the hour, from who held the position on it
ALLOT_MS: Final = 7 * DAY_MS  # for so long it is tried again to find whose a line is
COMPARED_MS: Final = 31 * DAY_MS
RATE_MS: Final = 60_000  # a funding lies so near to the line about it
FUNDING: Final = ("FUNDING_FEE", "SPECIAL_FUNDING_FEE")
SHARED: Final = (*FUNDING, "INSURANCE_CLEAR")
BATCH: Final = 500
MINUTE_MS: Final = 60_000
FEES_MAX: Final = 200  # priced in one reading
TRIOS_NAMED: Final = 10

# Signed positions by trio at a moment: what their executions add up to, and what was adopted. Trios that had ended are out.
HELD = """
    SELECT held.trio_id, sum(held.quantity) FROM (
        SELECT trio_id, CASE side WHEN 'BUY' THEN quantity ELSE -quantity END AS quantity FROM orders_fill
        WHERE account_id = %(account)s AND symbol = %(symbol)s AND time_ts <= %(at)s
        UNION ALL
        SELECT trio.id, (trio.adoption ->> 'quantity')::numeric * CASE trio.side WHEN 'BUY' THEN 1 ELSE -1 END
        FROM orders_trioorder trio JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE trio.account_id = %(account)s AND symbol.symbol = %(symbol)s AND trio.state <> 'DRY_RUN'
          AND (trio.adoption ->> 'at')::bigint <= %(at)s
    ) held JOIN orders_trioorder trio ON trio.id = held.trio_id
    WHERE trio.ended_at IS NULL OR trio.ended_at >= %(alive)s
    GROUP BY held.trio_id HAVING sum(held.quantity) <> 0
"""
# Executions that an order reports and that are not booked yet.
UNBOOKED = """
    SELECT count(*) FROM (
        SELECT leg.id FROM orders_leg leg JOIN orders_trioorder trio ON trio.id = leg.trio_id
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id LEFT JOIN orders_fill fill ON fill.leg_id = leg.id
        WHERE trio.account_id = %s AND symbol.symbol = %s AND leg.filled > 0 AND leg.order_id IS NOT NULL
          AND leg.filled_ts > %s
        GROUP BY leg.id HAVING coalesce(sum(fill.quantity), 0) < leg.filled
    ) unbooked
"""
# What the exchange booked for our executions, less what they say themselves.
DIFFERENCES = """
    WITH ours AS (
        SELECT fill.trio_id, fill.symbol, fill.trade_id::text AS trade_id, fill.realized_pnl, fill.commission,
            symbol.margin_asset, coalesce(nullif(fill.commission_asset, ''), symbol.margin_asset) AS fee_asset
        FROM orders_fill fill JOIN orders_trioorder trio ON trio.id = fill.trio_id
        JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE fill.account_id = %(account)s AND fill.time_ts BETWEEN %(since)s AND %(until)s
    )
    SELECT trio_id, asset, sum(realized), sum(fee) FROM (
        SELECT trio_id, margin_asset AS asset, -realized_pnl AS realized, 0::numeric AS fee FROM ours
        UNION ALL
        SELECT trio_id, fee_asset, 0, -commission FROM ours
        UNION ALL
        SELECT ours.trio_id, line.asset, CASE line.kind WHEN 'REALIZED_PNL' THEN line.amount ELSE 0 END,
            CASE line.kind WHEN 'COMMISSION' THEN -line.amount ELSE 0 END
        FROM orders_income line JOIN ours USING (symbol, trade_id)
        WHERE line.account_id = %(account)s AND line.kind IN ('REALIZED_PNL', 'COMMISSION')
    ) part
    GROUP BY trio_id, asset HAVING sum(realized) <> 0 OR sum(fee) <> 0 ORDER BY asset, trio_id
"""
SUMS = """
    SELECT line.asset, line.kind, count(*), sum(line.amount),
        coalesce(sum(CASE WHEN fill.id IS NOT NULL THEN line.amount ELSE share.amount END), 0)
    FROM orders_income line
    LEFT JOIN orders_fill fill ON fill.account_id = line.account_id AND fill.symbol = line.symbol
        AND fill.trade_id::text = line.trade_id
    LEFT JOIN (SELECT income_id, sum(amount) AS amount FROM orders_incomeshare GROUP BY income_id) share
        ON share.income_id = line.id
    WHERE line.account_id = %s AND line.time_ts BETWEEN %s AND %s
    GROUP BY line.asset, line.kind ORDER BY line.asset, line.kind
"""


@dataclass(frozen=True, slots=True)
class IncomeSum:
    """What an account's income of one kind comes to in one asset, and how much of it belongs to trios."""

    asset: str
    kind: str
    lines: int
    total: Decimal
    of_trios: Decimal

    @property
    def of_account(self) -> Decimal:
        """What belongs to no trio."""
        return self.total - self.of_trios


@dataclass(slots=True)
class Difference:
    """By how much the exchange books more than our executions say, in one asset; and on which trios."""

    realized: Decimal = ZERO
    fees: Decimal = ZERO
    trios: list[int] = field(default_factory=list)


def income_read(account: ExchangeAccount) -> IncomeReading:
    """Read the account's income since last time, with an overlap, book it, and compare it with our executions.

    Raises ExchangeError or AccountsError when it could not be read; then nothing counts as read that was not.
    """
    exchange = exchange_for(account.pk)
    at = exchange_now_ms(account.environment)
    reading = IncomeReading.objects.filter(account=account).first()
    since = _first_ts(account, at) if reading is None else max(reading.read_ts - OVERLAP_MS, at - KEPT_MS)
    lines = exchange.income(since=since, at=at)
    with transaction.atomic():
        income_book(account, lines)
        reading, _ = IncomeReading.objects.update_or_create(
            account=account,
            defaults={"read_ts": at, "read_at": db_now()},
            create_defaults={"since_ts": since, "read_ts": at, "read_at": db_now()},
        )
    income_allot(account, exchange, at=at)
    fee_prices_read(account, exchange, at=at)
    reading.differences = {
        asset: {"realized": plain(found.realized), "fees": plain(found.fees), "trios": found.trios}
        for asset, found in differences(account, reading, at=at).items()
    }
    reading.save(update_fields=["differences"])
    return reading


def income_book(account: ExchangeAccount, lines: Iterable[IncomeView]) -> None:
    """Book these lines; those that are booked already stay as they are."""
    rows = [
        Income(
            account=account,
            kind=line.kind,
            amount=line.amount,
            asset=line.asset,
            symbol=line.symbol,
            trade_id=line.trade_id,
            tran_id=line.tran_id,
            info=line.info,
            time_ts=line.time,
        )
        for line in lines
    ]
    Income.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)


def income_allot(account: ExchangeAccount, exchange: Exchange, *, at: ExchangeMs) -> None:
    """Give what is about no execution to the trios that held the position; what is nobody's stays with the account."""
    loose = Income.objects.filter(
        account=account, kind__in=SHARED, shares=None, time_ts__range=(at - ALLOT_MS, at - SETTLED_MS)
    ).exclude(symbol="")
    for lines in _together(loose.order_by("time_ts", "symbol", "asset", "kind", "id")):
        first = lines[0]
        if _is_unbooked(account, first, at=at):
            continue
        held = _held(account, first)
        amounts = [line.amount for line in lines]
        shares = shares_of(amounts, held)
        if shares is None:
            paid = _longs_paid(exchange, first)
            shares = shares_of(amounts, held, longs_paid=paid) if paid is not None else None
        IncomeShare.objects.bulk_create(
            [
                IncomeShare(income=lines[share.line], trio_id=share.trio, amount=share.amount)
                for share in shares or ()
            ],
            ignore_conflicts=True,
        )


def fee_prices_read(account: ExchangeAccount, exchange: Exchange, *, at: ExchangeMs) -> None:
    """Read what fees that were paid in another asset were worth: the close of the minute they were paid in.

    What the exchange shows no bar for stays not yet known; the next reading asks again.
    """
    unpriced = Fill.objects.filter(
        account=account, fee_price=None, time_ts__range=(at - COMPARED_MS, at - MINUTE_MS)
    ).exclude(
        Q(commission=0) | Q(commission_asset__in=("", F("trio__symbol__margin_asset")))
    )  # a rebate is below zero
    closes: dict[tuple[str, int], Decimal | None] = {}
    for fill in unpriced.select_related("trio__symbol").order_by("-time_ts")[:FEES_MAX]:
        pair, minute = fill.commission_asset + fill.trio.symbol.margin_asset, fill.time_ts // MINUTE_MS
        if (pair, minute) not in closes:
            closes[pair, minute] = _close_of(exchange, pair, minute * MINUTE_MS)
        price = closes[pair, minute]
        if price is not None:
            FeePrice.objects.get_or_create(fill=fill, defaults={"price": price})


def _close_of(exchange: Exchange, pair: str, since: int) -> Decimal | None:
    """Return the close of the one-minute bar that opened then; ``None`` where the exchange shows none."""
    try:
        bars = exchange.klines(pair, "1m", since=since, limit=1)
    except ExchangeError:
        return None
    return bars[0].close if bars and bars[0].open_time == since else None


def _together(lines: Iterable[Income]) -> Iterator[list[Income]]:
    """Yield the lines of one moment, symbol, asset and kind together: in hedge mode each side has one."""
    for _, found in groupby(lines, key=lambda line: (line.time_ts, line.symbol, line.asset, line.kind)):
        yield list(found)


def _is_unbooked(account: ExchangeAccount, line: Income, *, at: ExchangeMs) -> bool:
    """Are executions on its symbol still to be booked, so that who held what is not known? For a day that is waited for."""
    if at - line.time_ts > DAY_MS:
        return False
    return bool(fetch_first(UNBOOKED, account.pk, line.symbol, line.time_ts - DAY_MS)[0])


def _held(account: ExchangeAccount, line: Income) -> dict[int, Decimal]:
    """Return the signed positions by trio that a line is about: those of its moment, or of just before."""
    moment = (
        line.time_ts if line.kind in FUNDING else line.time_ts - 1
    )  # a liquidation closes in its own moment
    return _held_at(account, line.symbol, moment) or _held_at(account, line.symbol, moment - LATE_MS)


def _held_at(account: ExchangeAccount, symbol: str, moment: int) -> dict[int, Decimal]:
    alive = from_ms(moment) - timedelta(milliseconds=LATE_MS)  # by our clock, which may be so wrong
    values: dict[str, Any] = {"account": account.pk, "symbol": symbol, "at": moment, "alive": alive}
    with connection.cursor() as cursor:
        cursor.execute(HELD, values)
        return dict(cursor.fetchall())


def _longs_paid(exchange: Exchange, line: Income) -> bool | None:
    """Ask whether the funding rate was above zero when a line was booked. Raises ExchangeError."""
    if line.kind not in FUNDING:
        return None
    rates = exchange.funding_rates(line.symbol, since=line.time_ts - RATE_MS, until=line.time_ts + RATE_MS)
    return rates[-1].rate > 0 if rates and rates[-1].rate else None


def _first_ts(account: ExchangeAccount, at: ExchangeMs) -> int:
    """Return from when on income is read the first time: our first execution, or a week."""
    first = Fill.objects.filter(account=account).order_by("time_ts").values_list("time_ts", flat=True).first()
    if first is None and TrioOrder.objects.filter(account=account, state__in=("OPEN", "CLOSED")).exists():
        return at - KEPT_MS
    return max(at - KEPT_MS, min(at - FIRST_MS, first or at))


# --- equality ------------------------------------------------------------------------------------


def differences(account: ExchangeAccount, reading: IncomeReading, *, at: ExchangeMs) -> dict[str, Difference]:
    """Compare what the exchange booked for our executions with what they say, asset by asset; empty: equal."""
    values: dict[str, Any] = {
        "account": account.pk,
        "since": max(reading.since_ts, at - COMPARED_MS),
        "until": at - SETTLED_MS,
    }
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES, values)
        rows = cursor.fetchall()
    found: dict[str, Difference] = {}
    for trio_id, asset, realized, fees in rows:
        difference = found.setdefault(asset, Difference())
        difference.realized += realized
        difference.fees += fees
        difference.trios.append(trio_id)
    return found


def income_sums(account_id: int, *, since: int, until: int) -> list[IncomeSum]:
    """Return the account's income by asset and kind between two moments (exchange ms); assets are never added up."""
    return [IncomeSum(*row) for row in fetch_all(SUMS, account_id, since, until)]


def difference_sentences(reading: IncomeReading) -> list[str]:
    """Say where the exchange booked otherwise than our executions say, an asset at a time; nothing where all is equal."""
    return [
        f"In {asset} the exchange booked {signed(Decimal(found['realized']))} realised and {signed(Decimal(found['fees']))}"
        f" fees more than our executions say (trios {', '.join(map(str, found['trios'][:TRIOS_NAMED]))}"
        f"{' …' if len(found['trios']) > TRIOS_NAMED else ''})."
        for asset, found in sorted(reading.differences.items())
    ]

"""Is a trio within its limits? Its account's rows are locked first, so that two that begin at once count each other.

Only new risk is asked about here, never a stop, an exit or a cancel.
"""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from accounts.models import Environment
from exchange.types import ZERO, ExchangeMs, OrderType, Side
from orders.domain.limits import Breach, Entry, LimitRule, Limits, Usage, breach, for_change, is_automatic
from orders.domain.snapshot import ladder_price
from orders.models import RiskLimit, TrioOrder

Terms = tuple[Decimal, Decimal]  # quantity and price of an entry

DAY_MS: Final = 24 * 60 * 60 * 1000
MARK_AGE_MS: Final = 5000  # a stream's mark price that is older is not better than the one it was queued at

# Of the rows that a trio is checked against, in one order everywhere; a statement of its own, so that the one after it
# sees what those before us have committed.
LOCK = """
    SELECT FROM orders_risklimit
    WHERE account_id = %(account)s AND is_active AND source IN ('', %(source)s) ORDER BY id FOR UPDATE;
"""
# The day's result is what executions brought, less their fees, and what funding and liquidations added or took. A fee in another
# asset that has no price yet counts as what a taker pays in the margin asset, so that no loss is overlooked.
USAGE = """
    SELECT rule.source, rule.notional_order, rule.notional_open, rule.trios_open, rule.orders_minute, rule.daily_loss,
        rule.collar_percent, rule.duplicate_seconds, rule.symbols,
        coalesce(living.notional, 0), coalesce(living.trios, 0), coalesce(minute.begun, 0), coalesce(day.result, 0), twin.id
    FROM orders_risklimit rule
    LEFT JOIN LATERAL (
        SELECT count(*) AS trios, sum(greatest(trio.amending_notional, trio.quantity * CASE
            WHEN trio.entry_type = 'MARKET' THEN coalesce(trio.checked_mark, slot.mark_price)
            WHEN trio.entry_type = 'STOP_MARKET' THEN trio.trigger_price
            WHEN trio.rungs <> '[]' THEN (
                SELECT sum((rung ->> 'share')::numeric / 100 * greatest((rung ->> 'price')::numeric,
                    CASE WHEN trio.side = 'SELL' THEN trio.checked_mark END))
                FROM jsonb_array_elements(trio.rungs) rung)
            WHEN trio.entry_type = 'STOP' AND trio.side = 'SELL' THEN greatest(trio.price, trio.trigger_price)
            WHEN trio.side = 'SELL' THEN greatest(trio.price, trio.checked_mark) ELSE trio.price END)) AS notional
        FROM orders_trioorder trio LEFT JOIN orders_slot slot ON slot.id = trio.slot_id
        WHERE trio.account_id = rule.account_id AND (trio.holds_slot AND trio.state <> 'QUEUED' OR trio.state = 'LATE')
          AND trio.id <> %(trio)s AND rule.source IN ('', trio.source)
    ) living ON rule.notional_open IS NOT NULL OR rule.trios_open IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT count(*) AS begun FROM orders_trioorder trio
        WHERE trio.account_id = rule.account_id AND trio.begun_at > clock_timestamp() - interval '1 minute'
          AND trio.id <> %(trio)s AND rule.source IN ('', trio.source)
    ) minute ON rule.orders_minute IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT sum(part.amount) AS result FROM (
            SELECT fill.realized_pnl - CASE WHEN fill.commission_asset IN ('', symbol.margin_asset) THEN fill.commission
                ELSE coalesce(fill.commission * fee.price, fill.price * fill.quantity * 0.0005) END AS amount
            FROM orders_fill fill
            JOIN orders_trioorder trio ON trio.id = fill.trio_id JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
            LEFT JOIN orders_feeprice fee ON fee.fill_id = fill.id
            WHERE fill.account_id = rule.account_id AND fill.time_ts >= %(midnight)s AND rule.source IN ('', trio.source)
            UNION ALL
            SELECT share.amount FROM orders_income line JOIN orders_incomeshare share ON share.income_id = line.id
            JOIN orders_trioorder trio ON trio.id = share.trio_id
            WHERE line.account_id = rule.account_id AND line.time_ts >= %(midnight)s AND rule.source IN ('', trio.source)
        ) part
    ) day ON rule.daily_loss IS NOT NULL
    LEFT JOIN LATERAL (
        SELECT trio.id FROM orders_trioorder trio
        WHERE trio.account_id = rule.account_id AND trio.id <> %(trio)s AND rule.source IN ('', trio.source)
          AND trio.begun_at > clock_timestamp() - rule.duplicate_seconds * interval '1 second'
          AND trio.symbol_id = %(symbol)s AND trio.side = %(side)s AND trio.quantity = %(quantity)s
          AND trio.entry_type = %(entry_type)s AND trio.price IS NOT DISTINCT FROM %(price)s
          AND trio.trigger_price IS NOT DISTINCT FROM %(trigger)s
          AND trio.rungs = %(rungs)s::jsonb
          AND trio.stop_loss IS NOT DISTINCT FROM %(stop)s AND trio.take_profit IS NOT DISTINCT FROM %(target)s
        ORDER BY trio.id LIMIT 1
    ) twin ON rule.duplicate_seconds IS NOT NULL
    WHERE rule.account_id = %(account)s AND rule.is_active AND rule.source IN ('', %(source)s)
    ORDER BY rule.id
"""


def breach_of(
    trio: TrioOrder,
    *,
    limited: bool,
    mark: Decimal | None,
    now_ts: ExchangeMs,
    lock: bool,
    adds: Decimal | None = None,
    terms: Terms | None = None,
) -> Breach | None:
    """Return the limit that opening this trio would break, if any; with ``adds``, adding so much to it at market.

    ``limited``: whether its account has limits at all; without them nothing is read. ``lock``: keep others who begin on
    the account waiting until the transaction ends. ``now_ts`` says which day it is (UTC). ``terms``: those that its entry,
    which rests already, is to have: it is no further trio and no further entry, and everything else is asked of it.
    """
    if not limited:
        return without_limits(trio)
    symbol = trio.symbol
    rows = _rows(trio, now_ts=now_ts, lock=lock, saved=adds is None)  # what is added counts on top of it
    if not rows:  # of other sources alone
        return without_limits(trio)
    quantity, price = terms or (trio.quantity, trio.price)
    kind = OrderType(trio.entry_type)
    entry = Entry(symbol.symbol, Side(trio.side), quantity, kind, price, mark, trigger=trio.trigger_price)
    if rungs := trio.ladder:
        least = ZERO if trio.side == Side.BUY else mark or ZERO
        entry = replace(entry, worst=ladder_price(rungs, least=least), farthest=rungs[-1].price)
    if adds is not None:
        entry = Entry(symbol.symbol, Side(trio.side), adds, OrderType.MARKET, None, mark, is_add=True)
    limited_by = (_read(trio, row) for row in rows)
    return breach(entry, limited_by if terms is None else map(for_change, limited_by))


def standing(trio: TrioOrder, *, now_ts: ExchangeMs) -> list[tuple[Limits, Usage]]:
    """Return the limits that apply to a trio, saved or not, with what others use of them. Locks nothing."""
    return [_read(trio, row) for row in _rows(trio, now_ts=now_ts, lock=False, saved=True)]


def _rows(trio: TrioOrder, *, now_ts: ExchangeMs, lock: bool, saved: bool) -> list[Any]:
    values: dict[str, Any] = {
        "account": trio.account_id,
        "source": trio.source,
        "trio": (saved and trio.pk) or 0,
        "symbol": trio.symbol_id,
        "side": trio.side,
        "quantity": trio.quantity,
        "entry_type": trio.entry_type,
        "price": trio.price,
        "trigger": trio.trigger_price,
        "rungs": json.dumps(trio.rungs),
        "stop": trio.stop_loss,
        "target": trio.take_profit,
        "midnight": now_ts - now_ts % DAY_MS,
    }
    with connection.cursor() as cursor:
        cursor.execute((LOCK if lock else "") + USAGE, values)
        rows: list[Any] = cursor.fetchall()
    return rows


def is_limited(account_id: int) -> bool:
    """Has an account any limits?"""
    return RiskLimit.objects.filter(account_id=account_id, is_active=True).exists()


def without_limits(trio: TrioOrder) -> Breach | None:
    """What no person decides about reaches no exchange on which it counts without limits."""
    environment = trio.account.environment
    if environment == Environment.PAPER or not is_automatic(trio.source):
        return None
    return Breach(LimitRule.NO_LIMITS, "", environment, trio.account.name)


def _read(trio: TrioOrder, row: Any) -> tuple[Limits, Usage]:
    (
        source,
        order,
        opened,
        most,
        minute,
        loss,
        collar,
        seconds,
        symbols,
        notional,
        trios,
        begun,
        result,
        twin,
    ) = row
    return (
        Limits(
            account=trio.account.name,
            source=source,
            notional_order=order,
            notional_open=opened,
            trios_open=most,
            orders_minute=minute,
            daily_loss=loss,
            collar_percent=collar,
            duplicate_seconds=seconds,
            symbols=_symbols(symbols),
        ),
        Usage(notional or ZERO, trios, begun, result, twin),
    )


def _symbols(text: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip().upper() for name in text.split(","))))

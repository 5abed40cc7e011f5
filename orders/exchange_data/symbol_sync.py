"""Bring the exchange's trading rules into our table: one read, one upsert, safe to repeat."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db import connection, transaction

from accounts import endpoints, gateways
from accounts.error_messages import exchange_errors_translated
from accounts.errors import AccountsError, ExchangeUnreachable
from accounts.models import Environment
from orders.exchange_data.clock import db_now
from orders.models import Symbol

# Ours, not the exchange's: a symbol it no longer lists. Nothing may be placed there.
DELISTED: Final = "DELISTED"

RENEWAL_AWAITED_SECONDS: Final = 0.5
AHEAD_MAX: Final = timedelta(minutes=1)

_renewing = threading.Lock()

# What the column holds: 38 digits, 16 of them behind the point.
AMOUNT_LIMIT: Final = Decimal(10) ** 22
AMOUNT_STEP: Final = Decimal(1).scaleb(-16)

# fmt: off
FILTER_COLUMNS: Final = {
    "PRICE_FILTER":    {"tick_size": "tickSize", "price_min": "minPrice", "price_max": "maxPrice"},
    "LOT_SIZE":        {"step_size": "stepSize", "quantity_min": "minQty", "quantity_max": "maxQty"},
    "MARKET_LOT_SIZE": {"market_step_size": "stepSize", "market_quantity_min": "minQty",
                        "market_quantity_max": "maxQty"},
    "MIN_NOTIONAL":    {"notional_min": "notional"},
    "PERCENT_PRICE":   {"multiplier_up": "multiplierUp", "multiplier_down": "multiplierDown"},
}
# fmt: on
TEXT_COLUMNS: Final = {
    "symbol": "symbol",
    "status": "status",
    "contract_type": "contractType",
    "base_asset": "baseAsset",
    "quote_asset": "quoteAsset",
    "margin_asset": "marginAsset",
}
AMOUNT_COLUMNS: Final = {
    "trigger_protect": "triggerProtect",
    "market_take_bound": "marketTakeBound",
    "liquidation_fee": "liquidationFee",
}
COLUMNS: Final = (
    *TEXT_COLUMNS,
    "price_precision",
    "quantity_precision",
    *(column for columns in FILTER_COLUMNS.values() for column in columns),
    *AMOUNT_COLUMNS,
    "orders_max",
    "raw",
)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """How many symbols were new, changed, the same, no longer listed (``gone``), unreadable (``skipped``)."""

    environment: str
    total: int
    created: int
    updated: int
    unchanged: int
    gone: int
    skipped: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def is_news(self) -> bool:
        return bool(self.created or self.updated or self.gone)

    @property
    def sentence(self) -> str:
        text = (
            f"{self.environment}: {self.total} symbols, {self.created} new, {self.updated} changed,"
            f" {self.unchanged} unchanged"
        )
        if self.gone:
            text += f", {self.gone} no longer listed"
        if self.skipped:
            text += f", {self.skipped} not understood and left out"
        return f"{text}."


def symbols_sync(environment: str) -> SyncResult:
    """Read exchangeInfo once and bring every symbol up to date.

    Raises AccountsError when the exchange does not answer or lists nothing; our table then stays as it was.
    """
    place = _environment(environment)
    asked_at = db_now()  # what changes while the answer is on its way is not in it
    with exchange_errors_translated(place):
        info = gateways.public_exchange(place).exchange_info()
    listed = info.get("symbols")
    if not isinstance(listed, Sequence) or not listed:
        raise ExchangeUnreachable(
            f"The exchange at {endpoints.stream_endpoints(place).rest} lists no symbols: what we know is kept."
            " Check the address and try again."
        )
    return _store(place, listed, asked_at)


def symbols_renew(environment: str, *, asked_since: datetime) -> SyncResult | None:
    """Read the trading rules anew unless that was asked for since then; return what came of it. Raises AccountsError.

    Whoever finds that another thread is at it waits for what that one reads, though not for long.
    """
    if _was_asked(environment, asked_since):
        return None
    ours = _renewing.acquire(timeout=RENEWAL_AWAITED_SECONDS)
    try:
        return None if _was_asked(environment, asked_since) else symbols_sync(environment)
    finally:
        if ours:
            _renewing.release()


def _was_asked(environment: str, since: datetime) -> bool:
    """Were the rules asked for since then? What is dated ahead of now is dated by a clock that was set back."""
    return Symbol.objects.filter(
        environment=environment, synced_at__gte=since, synced_at__lte=db_now() + AHEAD_MAX
    ).exists()


def symbol_columns(item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turn one symbol of exchangeInfo into our columns; None when it lacks what every symbol has."""
    try:
        columns: dict[str, Any] = {ours: str(item.get(theirs) or "") for ours, theirs in TEXT_COLUMNS.items()}
        columns["price_precision"] = int(item["pricePrecision"])
        columns["quantity_precision"] = int(item["quantityPrecision"])
        filters = {str(f.get("filterType")): f for f in item.get("filters") or ()}
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if not columns["symbol"] or not columns["status"] or any(map(_too_long, TEXT_COLUMNS, columns.values())):
        return None
    for kind, wanted in FILTER_COLUMNS.items():
        found = filters.get(kind, {})
        columns |= {ours: _amount(found.get(theirs)) for ours, theirs in wanted.items()}
    columns |= {ours: _amount(item.get(theirs)) for ours, theirs in AMOUNT_COLUMNS.items()}
    orders_max = _amount(filters.get("MAX_NUM_ORDERS", {}).get("limit"))
    columns["orders_max"] = None if orders_max is None or orders_max < 0 else int(orders_max)
    columns["raw"] = _plain(item)
    return columns


@transaction.atomic
def _store(environment: Environment, listed: Sequence[Any], now: datetime) -> SyncResult:
    # One sync after the other: workers that meet a changed rule read all rules anew in the same moment.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"symbols of {environment}"])
    known = {row.symbol: row for row in Symbol.objects.filter(environment=environment)}
    if any(
        now < row.synced_at <= now + AHEAD_MAX for row in known.values()
    ):  # somebody asked later, and was quicker
        return SyncResult(environment.value, len(known), 0, 0, len(known), 0, 0)
    wanted: dict[str, dict[str, Any]] = {}
    skipped = 0
    for item in listed:
        columns = symbol_columns(item) if isinstance(item, Mapping) else None
        if columns is None:
            skipped += 1
        else:
            wanted[columns["symbol"]] = columns
    changed = [columns for symbol, columns in sorted(wanted.items()) if _differs(known.get(symbol), columns)]
    Symbol.objects.bulk_create(
        [
            Symbol(
                environment=environment,
                synced_at=now,
                status_since=_status_since(known.get(columns["symbol"]), columns["status"], now=now),
                **columns,
            )
            for columns in changed
        ],
        update_conflicts=True,
        unique_fields=["environment", "symbol"],
        update_fields=[*(c for c in COLUMNS if c != "symbol"), "synced_at", "status_since"],
    )
    same = wanted.keys() - {columns["symbol"] for columns in changed}
    Symbol.objects.filter(environment=environment, symbol__in=same).update(synced_at=now)
    # An item we could not read is not gone: its last known rules stand.
    unread = {str(item.get("symbol")) for item in listed if isinstance(item, Mapping)} - wanted.keys()
    gone = (
        Symbol.objects.filter(environment=environment)
        .exclude(symbol__in=wanted.keys() | unread)
        .exclude(status=DELISTED)
        .update(status=DELISTED, synced_at=now, status_since=now)
    )
    created = sum(columns["symbol"] not in known for columns in changed)
    return SyncResult(
        environment=environment.value,
        total=len(wanted),
        created=created,
        updated=len(changed) - created,
        unchanged=len(same),
        gone=gone,
        skipped=skipped,
    )


def _status_since(row: Symbol | None, status: str, *, now: datetime) -> datetime | None:
    return row.status_since if row is not None and row.status == status else now


def _differs(row: Symbol | None, columns: Mapping[str, Any]) -> bool:
    return row is None or any(getattr(row, column) != columns[column] for column in COLUMNS)


def _amount(value: Any) -> Decimal | None:
    """Read a number given as text; None where there is none, or one no filter can mean."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    if not number.is_finite() or abs(number) >= AMOUNT_LIMIT:
        return None
    return number.quantize(AMOUNT_STEP) if number.as_tuple().exponent < -16 else number  # type: ignore[operator]


def _too_long(column: str, text: Any) -> bool:
    limit = getattr(Symbol._meta.get_field(column), "max_length", None)
    return limit is not None and len(str(text)) > limit


def _plain(value: Any) -> Any:
    """Make a value fit for a JSON column, whatever type of number the client parsed."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return format(value, "f") if isinstance(value, Decimal) else value


def _environment(text: str) -> Environment:
    try:
        return Environment(str(text).upper())
    except ValueError:
        raise AccountsError(
            f"“{text}” is not an environment: choose one of {', '.join(Environment.values)}."
        ) from None

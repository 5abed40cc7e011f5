"""What a turn reads: the trio with its account, symbol and slot, its orders, requests and executions, at once.

All of it comes together with the lock, in one round trip. What a turn records it writes into these very rows,
so that the decision after it sees them as they are now.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from accounts.models import SymbolSetting
from infrastructure.rows import Listed, Read, all_but, fetch_first
from infrastructure.writes import gathering
from orders.domain.drift import DriftPolicy
from orders.models import DriftChoices, Leg, Request, TrioOrder, Watch
from orders.risk_gates import HEARTBEAT_SECONDS
from orders.specs import FILTERS

# Of account and symbol only what deciding reads: each column more is planned, sent and converted at every turn.
COLUMNS_READ: Final = {
    "account": {
        *("name", "environment", "is_active", "can_trade", "position_mode"),
        *("setting_change", "setting_changed_at"),
        *("restriction", "restriction_code", "restriction_text", "restricted_at", "held_at", "held_by"),
    },
    "symbol": {"environment", "symbol", "status", *FILTERS},
}
LEGS: Final = Listed(Read(Leg, "{leg}"), "orders_leg leg WHERE leg.trio_id = trio.id", order="leg.id")
# What is not answered, and of what is answered the newest of each kind of each order: an entry that follows the price
# has thousands. What did not place a stop or an exit tells for how long a position was uncovered although it was asked;
# of stops that were replaced long ago, and left, nothing is asked any more.
REQUESTS: Final = Listed(
    Read(Request, "{request} {outcome}", only={"request": all_but(Request, "payload")}),
    """
    orders_request request LEFT JOIN orders_outcome outcome ON outcome.request_id = request.id
    WHERE request.trio_id = trio.id AND (
        outcome.id IS NULL
        OR request.kind IN ('TEST', 'FOREIGN')
        OR request.kind = 'SUBMIT' AND outcome.verdict <> 'ACCEPTED'
        OR request.id IN (
            SELECT max(newest.id) FROM orders_request newest JOIN orders_leg leg ON leg.id = newest.leg_id
            WHERE newest.trio_id = trio.id AND NOT (
                leg.role = 'STOP_LOSS' AND leg.state IN ('CANCELLED', 'EXPIRED')
                AND newest.begun_at < now() - interval '10 minutes'
            )
            GROUP BY newest.leg_id, newest.kind
        )
    )
    """,
    order="request.id",
)
WATCH: Final = Listed(
    Read(Watch, "{watch}"), "orders_watch watch WHERE watch.account_id = trio.account_id", order="watch.id"
)
SETTING: Final = Listed(
    Read(SymbolSetting, "{setting}"),
    """
    accounts_symbolsetting setting
    WHERE setting.account_id = trio.account_id AND setting.symbol = symbol.symbol
    """,
    order="setting.id",
)
EXECUTIONS: Final = """
    (SELECT json_agg(json_build_array(leg_id, time_ts, quantity, trade_id) ORDER BY time_ts, trade_id)::text
     FROM orders_fill WHERE trio_id = trio.id)
"""
DRIFTS: Final = Listed(
    Read(DriftChoices, "{drift}", only={"drift": {"account", "trio", *DriftPolicy.__slots__}}),
    """
    orders_driftchoices drift
    WHERE drift.account_id = trio.account_id AND (drift.trio_id IS NULL OR drift.trio_id = trio.id)
    """,
    order="drift.id",
)
ORDERS: Final = f"""
    SELECT {LEGS.column}, {REQUESTS.column}, {EXECUTIONS}, {DRIFTS.column}
    FROM orders_trioorder trio WHERE trio.id = %s
"""  # noqa: S608
# Keys for what a turn may begin: taken under the lock, so that within a trio they grow with time.
KEYS: Final = {Leg: 3, Request: 4}
_RESERVED: Final = ", ".join(
    "CASE WHEN trio.ended_at IS NULL THEN ARRAY["
    + ", ".join([f"nextval('{table}_id_seq')"] * count)
    + "] END"
    for table, count in ((model._meta.db_table, count) for model, count in KEYS.items())
)
WHOLE: Final = Read(
    TrioOrder,
    f"""
    SELECT {{trio}}, {{account}}, {{symbol}}, {{slot}},
        clock_timestamp(), {LEGS.column}, {REQUESTS.column}, {EXECUTIONS}, {DRIFTS.column}, {WATCH.column}, {SETTING.column},
        EXISTS (SELECT FROM orders_heartbeat WHERE beat > clock_timestamp() - {HEARTBEAT_SECONDS} * interval '1 second'),
        EXISTS (SELECT FROM orders_risklimit WHERE account_id = trio.account_id AND is_active),
        {_RESERVED}
    FROM orders_trioorder trio
    JOIN accounts_exchangeaccount account ON account.id = trio.account_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    LEFT JOIN orders_slot slot ON slot.id = trio.slot_id
    WHERE trio.id = %s
    """,  # noqa: S608
    only=COLUMNS_READ,
)


class Booked(NamedTuple):
    """One execution that was booked: of which order, when (exchange ms) and how much."""

    leg_id: int
    time_ts: int
    quantity: Decimal
    trade_id: int


@dataclass(slots=True)
class TrioRows:
    """A trio's orders, those of its requests that a decision may need with their outcomes, and its executions, oldest first.

    ``drifts``: what was chosen for its account, and for it alone.
    """

    legs: list[Leg]
    requests: list[Request]
    executions: list[Booked]
    drifts: list[DriftChoices]

    def leg(self, leg_id: int) -> Leg:
        return next(leg for leg in self.legs if leg.pk == leg_id)

    def leg_named(self, client_id: str) -> Leg:
        return next(leg for leg in self.legs if leg.client_id == client_id)

    @property
    def first_order(self) -> Leg:
        """The trio's first order; of an adopted position, the entry that it stands for."""
        return self.legs[0]

    def request(self, request_id: int) -> Request:
        return next(request for request in self.requests if request.pk == request_id)


@dataclass(slots=True)
class TurnRows(TrioRows):
    """The same under the trio's lock, with what placing depends on. ``now``: the database's clock after the lock."""

    trio: TrioOrder
    now: datetime
    watch: Watch | None
    setting: SymbolSetting | None  # leverage and margin type
    worker_alive: bool
    limited: bool = False  # its account has limits


def rows_read(trio: TrioOrder) -> TrioRows:
    """Read the rows a decision is made from."""
    return TrioRows(*_orders_of(trio, fetch_first(ORDERS, trio.pk)))


def turn_rows(row: Sequence[Any] | None) -> TurnRows:
    """Return what was read by ``WHOLE``. Raises TrioOrder.DoesNotExist when there was no such trio."""
    if row is None:
        raise TrioOrder.DoesNotExist("The trio is gone.")
    trio, (now, legs, requests, executions, drifts, watch, setting, alive, limited, *reserved) = (
        WHOLE.with_rest(row)
    )
    if (writes := gathering()) is not None and reserved[0] is not None:
        writes.reserve(dict(zip(KEYS, reserved, strict=True)))
    watches, settings = WATCH.made(watch), SETTING.made(setting)
    return TurnRows(
        *_orders_of(trio, (legs, requests, executions, drifts)),
        trio=trio,
        now=now,
        watch=watches[0] if watches else None,
        setting=settings[0] if settings else None,
        worker_alive=alive,
        limited=limited,
    )


def _orders_of(
    trio: TrioOrder, row: Sequence[Any]
) -> tuple[list[Leg], list[Request], list[Booked], list[DriftChoices]]:
    legs, requests = LEGS.made(row[0]), REQUESTS.made(row[1])
    booked = [
        Booked(leg, at, Decimal(quantity), trade)
        for leg, at, quantity, trade in json.loads(row[2] or "[]", parse_float=Decimal)
    ]
    by_key = {leg.pk: leg for leg in legs}
    for leg in legs:
        leg.trio = trio
    for request in requests:
        request.trio, request.leg = trio, by_key[request.leg_id]
    return legs, requests, booked, DRIFTS.made(row[3])

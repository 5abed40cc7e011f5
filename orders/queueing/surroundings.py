"""What our books know of the place where a trio would go: read for many trios in one statement."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from accounts.leverage_brackets import brackets_of
from accounts.models import SymbolSetting
from exchange.types import ZERO, ExchangeMs, LeverageBracket
from orders.exchange_data.clock import exchange_now_ms, to_exchange_ms
from orders.models import Install, TrioOrder
from orders.risk_gates import HEARTBEAT_SECONDS

MARK_AGE_MS = 1500  # the stream brings a mark price each second
MARK_AHEAD_MS = 500  # so wrong our idea of the exchange's time may be
BRACKETS_AGAIN_SECONDS = 600  # before a symbol that has none is asked about again
# The margin of entries that the exchange does not know yet is not set apart there, nor that of entries which wait for
# their trigger: it is promised here. From the trigger on the exchange judges an entry, and sets apart what it needs.
# Joined as it is written: to plan the order of so many joins takes three times as long as to read the rows.
AROUND = """
    SET LOCAL join_collapse_limit = 1;
    WITH wanted AS (
        SELECT * FROM unnest(%(accounts)s::bigint[], %(symbols)s::text[], %(sides)s::text[], %(assets)s::text[])
        WITH ORDINALITY AS wanted (account_id, symbol, position_side, asset, place)
    ), promised AS MATERIALIZED (
        SELECT trio.account_id, symbol.margin_asset, sum(trio.margin_promised) AS amount
        FROM orders_trioorder trio JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
        WHERE (trio.state IN ('QUEUED', 'PLACING')
            OR trio.state = 'WORKING' AND trio.entry_type IN ('STOP_MARKET', 'STOP') AND EXISTS (
                SELECT FROM orders_leg entry
                WHERE entry.trio_id = trio.id AND entry.role = 'ENTRY' AND entry.triggered_ts IS NULL
            ))
          AND trio.holds_slot AND trio.account_id = ANY (%(accounts)s)
          AND trio.id <> ALL (%(counted)s)
        GROUP BY trio.account_id, symbol.margin_asset
    )
    SELECT clock_timestamp(), clock.offset_ms,
        EXISTS (SELECT FROM orders_heartbeat WHERE beat > clock_timestamp() - %(beaten)s * interval '1 second'),
        install.id, install.token, install.system_identifier,
        setting.id, setting.leverage, setting.margin_type, setting.wanted_leverage, setting.wanted_margin_type,
        EXISTS (
            SELECT FROM orders_slot taken JOIN orders_trioorder trio ON trio.slot_id = taken.id AND trio.holds_slot
            WHERE taken.account_id = wanted.account_id AND taken.symbol = wanted.symbol
        ),
        slot.id, slot.quantity, slot.strangers, holder.id, holder.state, watch.id IS NOT NULL,
        (SELECT sum(amount) FROM promised WHERE promised.account_id = wanted.account_id
           AND (account.multi_assets_since IS NOT NULL OR promised.margin_asset = wanted.asset)),
        CASE WHEN extract(epoch FROM clock_timestamp()) * 1000 + clock.offset_ms - slot.mark_as_of
                  BETWEEN -%(ahead_ms)s AND %(age_ms)s THEN slot.mark_price END,
        brackets.steps::text,
        brackets.id IS NULL AND NOT EXISTS (
            SELECT FROM accounts_leveragebrackets WHERE account_id = wanted.account_id
              AND read_at > clock_timestamp() - %(again)s * interval '1 second'
        ),
        EXISTS (SELECT FROM orders_risklimit WHERE account_id = wanted.account_id AND is_active)
    FROM wanted
    JOIN accounts_exchangeaccount account ON account.id = wanted.account_id
    LEFT JOIN accounts_symbolsetting setting
        ON setting.account_id = wanted.account_id AND setting.symbol = wanted.symbol
    LEFT JOIN accounts_leveragebrackets brackets
        ON brackets.account_id = wanted.account_id AND brackets.symbol = wanted.symbol
    LEFT JOIN orders_slot slot ON slot.account_id = wanted.account_id AND slot.symbol = wanted.symbol
        AND slot.position_side = wanted.position_side
    LEFT JOIN orders_trioorder holder ON holder.slot_id = slot.id AND holder.holds_slot
    LEFT JOIN orders_watch watch ON watch.account_id = wanted.account_id
    LEFT JOIN orders_clock clock ON clock.environment = account.environment
    LEFT JOIN LATERAL (SELECT * FROM orders_install ORDER BY id LIMIT 1) install ON true
    ORDER BY wanted.place
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around one trio, as of ``now`` (the database's clock)."""

    now: datetime
    offset_ms: int | None  # from there to the exchange's clock, where it was measured
    worker_alive: bool
    install: Install | None
    setting: SymbolSetting | None  # leverage and margin type
    is_lived_on: bool  # a trio lives on this symbol, so leverage and margin type must stay as they are
    slot_id: int | None
    slot_quantity: Decimal
    strangers: Sequence[str]
    holder_id: int | None
    holder_state: str
    is_watched: bool
    promised: Decimal  # of the margin, to trios whose entries the exchange does not know yet
    mark_price: Decimal | None  # as the price stream brought it just now, if it did
    brackets: Sequence[LeverageBracket]
    brackets_missing: bool  # and not looked for lately
    is_limited: bool  # its account has limits
    read_at: float  # this machine's monotonic clock

    def exchange_ms(self, environment: str) -> ExchangeMs:
        """Return the exchange's time now. Raises ``exchange.errors`` when it must be measured and is not answered."""
        if self.offset_ms is None:
            return exchange_now_ms(environment)
        passed_ms = int((time.monotonic() - self.read_at) * 1000)
        return ExchangeMs(to_exchange_ms(self.now, self.offset_ms) + passed_ms)


def surroundings(trios: Sequence[TrioOrder], *, counted: Collection[int] = ()) -> list[Surroundings]:
    """Return what stands around each of these trios, which need not be saved, in their order.

    ``counted``: trios whose margin is taken off what is free already, so that it is not promised once more.
    """
    values: dict[str, Any] = {
        "accounts": [trio.account_id for trio in trios],
        "symbols": [trio.symbol.symbol for trio in trios],
        "sides": [trio.position_side for trio in trios],
        "assets": [trio.symbol.margin_asset for trio in trios],
        "counted": [*counted, *(trio.pk for trio in trios if trio.pk)],
        "beaten": HEARTBEAT_SECONDS,
        "ahead_ms": MARK_AHEAD_MS,
        "age_ms": MARK_AGE_MS,
        "again": BRACKETS_AGAIN_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(AROUND, values)
        rows = cursor.fetchall()
    read_at = time.monotonic()  # after it: a stamp may be a little old, and never ahead
    return [_made(trio, row, read_at) for trio, row in zip(trios, rows, strict=True)]


def _made(trio: TrioOrder, row: Sequence[Any], read_at: float) -> Surroundings:
    now, offset_ms, alive, *rest = row
    install_id, token, system, setting_id, leverage, margin_type, wanted_leverage, wanted_margin, *rest = rest
    (
        lived_on,
        slot_id,
        quantity,
        strangers,
        holder_id,
        holder_state,
        watched,
        promised,
        mark,
        steps,
        missing,
        limited,
    ) = rest
    install = Install(pk=install_id, token=token, system_identifier=system) if install_id else None
    setting = None
    if setting_id is not None:
        setting = SymbolSetting(
            pk=setting_id,
            symbol=trio.symbol.symbol,
            leverage=leverage,
            margin_type=margin_type,
            wanted_leverage=wanted_leverage,
            wanted_margin_type=wanted_margin,
        )
    return Surroundings(
        now=now,
        offset_ms=offset_ms,
        worker_alive=alive,
        install=install,
        setting=setting,
        is_lived_on=lived_on,
        slot_id=slot_id,
        slot_quantity=quantity or ZERO,
        strangers=json.loads(strangers) if strangers else (),
        holder_id=holder_id,
        holder_state=holder_state or "",
        is_watched=watched,
        promised=promised or ZERO,
        mark_price=mark,
        brackets=brackets_of(steps) if steps else (),
        brackets_missing=missing,
        is_limited=limited,
        read_at=read_at,
    )

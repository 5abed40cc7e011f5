"""A desk's books of years, written by SQL: trios, their orders, executions, stories and income, as many as wanted.

Nothing here goes through the product, which takes weeks for as much: keys and triggers look away, and indexes that hold no
key are made anew afterwards, as when books are restored from a dump.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

DAYS: Final = 1000  # over which they lie, evenly
OPEN, WORKING, DRAFTS = 200, 50, 100  # the newest: what a desk has open at once
TABLES: Final = (
    *("orders_trioorder", "orders_leg", "orders_fill", "orders_feeprice", "orders_trioevent"),
    *("orders_income", "orders_incomeshare", "orders_triotag", "orders_request", "orders_outcome"),
)
INDEXES: Final = """
    SELECT indexname, indexdef FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = ANY (%s)
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexname::regclass)
"""

UNIQUE: Final = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'u' AND conrelid = ANY (SELECT ('public.' || name)::regclass FROM unnest(%s) name)
      AND NOT EXISTS (SELECT FROM pg_constraint other WHERE other.contype = 'f' AND other.conindid = pg_constraint.conindid)
"""
# Nothing has to outlive the machine while it is written.
IN_A_HURRY: Final = {"max_wal_size": "16GB", "full_page_writes": "off", "fsync": "off"}

# What every trio is, worked out once and read by all that follows. ``n`` is its id.
PLAN: Final = """
    CREATE UNLOGGED TABLE bench_plan AS
    SELECT n, account.id AS account_id, symbol.id AS symbol_id, symbol.symbol, slot.id AS slot_id,
        n %% 3 > 0 AS long, CASE WHEN n %% 3 > 0 THEN 'BUY' ELSE 'SELL' END AS side,
        CASE WHEN n %% 3 > 0 THEN 'SELL' ELSE 'BUY' END AS other,
        1 + n %% 5 AS quantity, 100 + (n * 37 %% 1000) / 100.0 AS entry,
        CASE WHEN n > %(trios)s THEN 'DRAFT' WHEN n > %(trios)s - %(open)s THEN 'OPEN'
             WHEN n > %(trios)s - %(open)s - %(working)s THEN 'WORKING'
             WHEN n %% 50 < 46 THEN 'CLOSED' WHEN n %% 50 < 48 THEN 'CANCELLED' WHEN n %% 50 = 48 THEN 'REFUSED'
             ELSE 'ROLLED_BACK' END AS state,
        n * 7919 %% 10 < 4 AS won,
        CASE n %% 7 WHEN 0 THEN 'strategy:breakout' WHEN 1 THEN 'strategy:crossover' WHEN 2 THEN 'hook:alerts' WHEN 3 THEN 'file'
             ELSE 'admin' END AS source,
        now() - (%(trios)s - n) * (%(days)s * interval '1 day' / %(trios)s) - interval '1 hour' AS made
    FROM generate_series(1::bigint, %(trios)s + %(drafts)s) n
    JOIN bench_account account ON account.place = n %% %(accounts)s
    JOIN bench_symbol symbol ON symbol.place = n / %(accounts)s %% %(symbols)s
    JOIN orders_slot slot ON slot.account_id = account.id AND slot.symbol = symbol.symbol AND slot.position_side = 'BOTH'
    ORDER BY n
"""
TRIOS: Final = """
    INSERT INTO orders_trioorder (id, account_id, symbol_id, slot_id, holds_slot, side, position_side, quantity, entry_type, price,
        time_in_force, stop_loss, take_profit, protection, part_targets, follow, target_policy, state, result, cause, reason,
        question_kind, questions_kept, moves, outside, margin_promised, uncovered_ms, uncovered_longest_ms, uncovered_refused_ms,
        forced, failures, journal_head, journal_length, journal_at, source, created_at, queued_at, begun_at, ended_at, updated_at)
    SELECT n, account_id, symbol_id, CASE WHEN state <> 'DRAFT' THEN slot_id END, state IN ('OPEN', 'WORKING'), side, 'BOTH', quantity,
        CASE n %% 2 WHEN 0 THEN 'MARKET' ELSE 'LIMIT' END, CASE n %% 2 WHEN 1 THEN entry END, 'GTC',
        CASE WHEN long THEN entry - 2 ELSE entry + 2 END, CASE WHEN long THEN entry + 3 ELSE entry - 3 END,
        'ON_FIRST_FILL', '[]', '', 'ROLL_BACK', state,
        CASE state WHEN 'CLOSED' THEN CASE WHEN won THEN 'TAKE_PROFIT' ELSE 'STOP_LOSS' END ELSE '' END, '',
        CASE state WHEN 'REFUSED' THEN 'The margin is not enough.' WHEN 'ROLLED_BACK' THEN 'The stop-loss was refused.' ELSE '' END,
        '', '[]', '{}', '{}', 0, CASE WHEN state IN ('OPEN', 'CLOSED') THEN 40 + n %% 60 ELSE 0 END,
        CASE WHEN state IN ('OPEN', 'CLOSED') THEN 40 + n %% 60 ELSE 0 END, 0,
        '', 0, md5(n::text), 12, made + interval '31 minutes', source, made,
        CASE WHEN state <> 'DRAFT' THEN made END, CASE WHEN state <> 'DRAFT' THEN made + interval '1 second' END,
        CASE WHEN state NOT IN ('DRAFT', 'OPEN', 'WORKING') THEN made + interval '30 minutes' END, made
    FROM bench_plan ORDER BY n
"""
LEGS: Final = """
    INSERT INTO orders_leg (id, trio_id, role, generation, client_id, form, type, side, quantity, price, trigger_price, state, filled,
        average_price, acknowledged, late, for_move, number, order_id, algo_id, refused_code, refused_text, accepted_ts, triggered_ts,
        filled_ts, ended_ts, seen_ts, looks, created_at)
    SELECT 3 * n + place - 2, n, role, 1, 'ben0-' || lpad(n::text, 9, '0') || '-' || letter || '1',
        CASE place WHEN 0 THEN 'QUANTITY' ELSE 'CLOSE_POSITION' END,
        CASE place WHEN 0 THEN CASE n %% 2 WHEN 0 THEN 'MARKET' ELSE 'LIMIT' END WHEN 1 THEN 'STOP_MARKET' ELSE 'TAKE_PROFIT_MARKET' END,
        CASE place WHEN 0 THEN side ELSE other END, quantity, CASE WHEN place = 0 AND n %% 2 = 1 THEN entry END,
        CASE WHEN place = 0 THEN NULL WHEN (place = 1) = long THEN entry - place - 1 ELSE entry + place + 1 END,
        CASE WHEN hit THEN 'FILLED' WHEN state IN ('OPEN', 'WORKING') THEN 'ACCEPTED' WHEN state = 'REFUSED' THEN 'REJECTED'
             ELSE 'CANCELLED' END,
        CASE WHEN hit THEN quantity ELSE 0 END,
        CASE WHEN NOT hit THEN NULL WHEN place = 0 THEN entry WHEN (place = 1) = long THEN entry - place - 1 ELSE entry + place + 1 END,
        state <> 'REFUSED', false, false, 0, CASE WHEN place = 0 OR hit THEN 1000000000 + 3 * n + place END,
        CASE WHEN place > 0 THEN 5000000000 + 3 * n + place END, CASE state WHEN 'REFUSED' THEN -2019 ELSE 0 END,
        CASE state WHEN 'REFUSED' THEN 'Margin is insufficient.' ELSE '' END, at, CASE WHEN hit AND place > 0 THEN at + 1800000 END,
        CASE WHEN hit THEN at + CASE place WHEN 0 THEN 0 ELSE 1800000 END END, at + 1800000, at + 1800000, 0, made
    FROM (
        SELECT *, (extract(epoch FROM made) * 1000)::bigint AS at,
            CASE place WHEN 0 THEN state IN ('OPEN', 'CLOSED') WHEN 1 THEN state = 'CLOSED' AND NOT won
                       ELSE state = 'CLOSED' AND won END AS hit
        FROM bench_plan, (VALUES (0, 'ENTRY', 'e'), (1, 'STOP_LOSS', 's'), (2, 'TAKE_PROFIT', 'p')) leg (place, role, letter)
        WHERE state <> 'DRAFT'
    ) leg ORDER BY n, place
"""
FILLS: Final = """
    INSERT INTO orders_fill (id, trio_id, leg_id, account_id, symbol, trade_id, order_id, side, price, quantity, commission,
        commission_asset, realized_pnl, maker, time_ts)
    SELECT leg.id, leg.trio_id, leg.id, plan.account_id, plan.symbol, 2000000000 + leg.id, leg.order_id, leg.side, leg.average_price,
        leg.filled, CASE WHEN n %% 10 = 0 THEN 0.00007 * leg.filled ELSE round(leg.filled * leg.average_price * 0.0005, 8) END,
        CASE WHEN n %% 10 = 0 THEN 'BNB' ELSE 'USDT' END,
        CASE leg.role WHEN 'ENTRY' THEN 0 WHEN 'STOP_LOSS' THEN -2 * leg.filled ELSE 3 * leg.filled END, n %% 2 = 1, leg.filled_ts
    FROM orders_leg leg JOIN bench_plan plan ON plan.n = leg.trio_id WHERE leg.filled > 0 ORDER BY leg.id
"""
FEE_PRICES: Final = (
    "INSERT INTO orders_feeprice SELECT id, 600 FROM orders_fill WHERE commission_asset = 'BNB'"
)
STORIES: Final = """
    INSERT INTO orders_trioevent (id, trio_id, at, kind, text, data)
    SELECT 3 * n + place, n, made + place * interval '10 minutes', kind, text, '{}'
    FROM bench_plan, (VALUES (0, 'queued', 'Queued by bench.'), (1, 'state', 'PLACING → OPEN: the entry filled.'),
                             (2, 'state', 'OPEN → CLOSED: the stop-loss executed.')) event (place, kind, text)
    WHERE state <> 'DRAFT' ORDER BY n, place
"""
# The newest: what a page shows of one trio reads no others.
REQUESTS: Final = """
    INSERT INTO orders_request (id, trio_id, leg_id, position, previous_hash, hash, kind, method, path, payload, payload_hash,
        timestamp, recv_window, timeout_ms, begun_at, asked_by)
    SELECT leg.id, leg.trio_id, leg.id, 2 * (leg.id %% 3) + 1, '', md5(leg.id::text), 'SUBMIT', 'POST', '/fapi/v1/order',
        jsonb_build_object('symbol', plan.symbol, 'side', leg.side, 'newClientOrderId', leg.client_id), '', leg.accepted_ts, 5000, 3000,
        leg.created_at, 'bench'
    FROM orders_leg leg JOIN bench_plan plan ON plan.n = leg.trio_id WHERE leg.trio_id > %(trios)s - 50000 ORDER BY leg.id
"""
OUTCOMES: Final = """
    INSERT INTO orders_outcome (id, trio_id, request_id, position, previous_hash, hash, verdict, status, code, message, latency_ms,
        trio_state, received_ts, received_at)
    SELECT request.id, trio_id, request.id, position + 1, '', md5('o' || request.id),
        CASE WHEN refused_code = 0 THEN 'ACCEPTED' ELSE 'REFUSED' END, 200, refused_code, refused_text, 12, 'PLACING',
        request.timestamp + 12, begun_at
    FROM orders_request request JOIN (SELECT id AS leg, refused_code, refused_text FROM orders_leg) leg ON leg.leg = request.leg_id
    ORDER BY request.id
"""
# What the exchange has booked: of executions for as long as it tells (three months), of funding all along.
INCOME: Final = """
    INSERT INTO orders_income (account_id, kind, amount, asset, symbol, trade_id, tran_id, info, time_ts)
    SELECT account_id, kind, CASE kind WHEN 'COMMISSION' THEN -commission ELSE realized_pnl END,
        CASE kind WHEN 'COMMISSION' THEN commission_asset ELSE 'USDT' END, symbol, trade_id::text, 2 * id + place, '', time_ts
    FROM orders_fill, (VALUES (0, 'COMMISSION'), (1, 'REALIZED_PNL')) line (place, kind)
    WHERE time_ts > extract(epoch FROM now() - interval '90 days') * 1000 AND (place = 0 OR realized_pnl <> 0)
"""
FUNDING: Final = """
    WITH line AS (
        INSERT INTO orders_income (account_id, kind, amount, asset, symbol, trade_id, tran_id, info, time_ts)
        SELECT account_id, 'FUNDING_FEE', (n %% 7 - 3) * 0.01, 'USDT', symbol, '', 900000000000 + n, n::text,
            (extract(epoch FROM made + interval '10 minutes') * 1000)::bigint
        FROM bench_plan WHERE state IN ('OPEN', 'CLOSED') AND n %% 8 = 0 RETURNING id, amount, info
    )
    INSERT INTO orders_incomeshare (income_id, trio_id, amount) SELECT id, info::bigint, amount FROM line
"""
TAGS: Final = "INSERT INTO orders_triotag (trio_id, name) SELECT n, 'tag-' || n / 100 %% 20 FROM bench_plan WHERE n %% 100 = 0"
SLOTS: Final = """
    INSERT INTO orders_slot (account_id, symbol, position_side, quantity, entry_price, mark_price, mark_as_of, as_of, from_event,
        strangers, stranger_orders, strangers_as_of, updated_at)
    SELECT account.id, symbol.symbol, 'BOTH', 0, NULL, 104, 0, 0, false, '[]', '[]', 0, now() FROM bench_account account, bench_symbol symbol
"""
HELD: Final = """
    UPDATE orders_slot slot SET quantity = CASE WHEN long THEN plan.quantity ELSE -plan.quantity END, entry_price = plan.entry
    FROM bench_plan plan WHERE plan.slot_id = slot.id AND plan.state = 'OPEN'
"""
EQUITY: Final = """
    INSERT INTO orders_equityday (account_id, asset, day, wallet, equity, read_at)
    SELECT account.id, 'USDT', day::date, 100000 + place, 100000 + place, day FROM bench_account account,
        generate_series(now() - %(days)s * interval '1 day', now() - interval '1 day', interval '1 day') day
"""
IN_ORDER: Final = (
    *(SLOTS, PLAN, TRIOS, LEGS, FILLS, FEE_PRICES, STORIES, REQUESTS, OUTCOMES, INCOME, FUNDING, TAGS, HELD),
    EQUITY,
)
SEQUENCES: Final = (
    "SELECT setval(pg_get_serial_sequence(%s, 'id'), (SELECT coalesce(max(id), 0) + 1 FROM {}))"
)


def fill_books(cursor: Any, *, trios: int, accounts: Sequence[int], symbols: Collection[int]) -> None:
    """Write so many trios with all that belongs to them. ``cursor``: of the superuser, in our database."""
    for setting, value in IN_A_HURRY.items():
        cursor.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
    cursor.execute("SELECT pg_reload_conf()")
    cursor.execute("SET session_replication_role = replica")
    cursor.execute("SET synchronous_commit = off")
    cursor.execute("SET work_mem = '256MB'")
    cursor.execute("SET maintenance_work_mem = '512MB'")
    cursor.execute("SET max_parallel_maintenance_workers = 2")
    for name, keys in (("bench_account", accounts), ("bench_symbol", symbols)):
        table = "accounts_exchangeaccount" if name == "bench_account" else "orders_symbol"
        cursor.execute(
            f"CREATE TEMP TABLE {name} AS SELECT key AS id, place - 1 AS place{', symbol' if name == 'bench_symbol' else ''}"
            f" FROM unnest(%s::bigint[]) WITH ORDINALITY one (key, place) JOIN {table} ON id = key",
            [list(keys)],
        )
    cursor.execute(UNIQUE, [list(TABLES)])
    unique = cursor.fetchall()
    for table, name, _ in unique:
        cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    cursor.execute(INDEXES, [list(TABLES)])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f'DROP INDEX "{name}"')
    values = {
        "trios": trios,
        "days": DAYS,
        "accounts": len(accounts),
        "symbols": len(symbols),
        "open": OPEN,
        "working": WORKING,
        "drafts": DRAFTS,
    }
    for statement in IN_ORDER:
        cursor.execute(statement, values)
    for table, name, definition in unique:
        cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        cursor.execute(definition)
    cursor.execute("DROP TABLE bench_plan")
    for table in (*TABLES, "orders_slot"):
        if table != "orders_feeprice":
            cursor.execute(SEQUENCES.format(table), [table])
    cursor.execute("VACUUM (ANALYZE)")
    for setting in IN_A_HURRY:
        cursor.execute(f"ALTER SYSTEM RESET {setting}")
    cursor.execute("SELECT pg_reload_conf()")
    cursor.execute("CHECKPOINT")

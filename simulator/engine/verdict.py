"""The verdict: what the exchange's own records say about how its clients traded."""

from __future__ import annotations

from typing import Any

from simulator.engine.cover import CoverHistory, stem_of
from simulator.engine.decimals import ZERO, plain
from simulator.engine.exchange import Exchange
from simulator.engine.orphans import ENTRIES, orphans
from simulator.engine.records import UncoveredInterval
from simulator.engine.request_log import RequestLog


def verdict(
    ex: Exchange, cover: CoverHistory, request_log: RequestLog, now: int, **client_times: int
) -> dict[str, Any]:
    """Judge every account: uncovered intervals, executed entries, orphans, reversals, requests and weight."""
    intervals = [_interval_row(interval, now) for interval in cover.intervals]
    by_client = [row for row in intervals if not row["refused_by_us"]]
    return {
        "ms": now,
        "uncovered": by_client,
        "uncovered_ms_max": max((row["ms"] for row in by_client), default=0),
        "uncovered_refused_by_us": [row for row in intervals if row["refused_by_us"]],
        "entries": _entries(ex),
        "orphans": orphans(ex, cover, now, request_log.entries_asked, **client_times),
        "reversed": [*cover.reversals, *ex.stray_fills],
        "open_positions": [
            {"account": name, "symbol": p.symbol, "side": p.side, "quantity": plain(p.amount)}
            for name, book in sorted(ex.books.items())
            for p in book.held.values()
        ],
        "requests": dict(request_log.requests),
        "weight": dict(request_log.weight),
        "log_hash": request_log.digest or None,
    }


def _interval_row(interval: UncoveredInterval, now: int) -> dict[str, Any]:
    last = interval.end or now
    return {
        "account": interval.account, "symbol": interval.symbol, "side": interval.side,
        "start": interval.start, "end": interval.end or None, "ms": last - interval.start,
        "worst": plain(interval.worst), "refused_by_us": bool(interval.refusals),
        "refusals": list(interval.refusals),
        "ms_after_first_success": (last - interval.first_after) if interval.first_after else None,
    }  # fmt: skip


def _entries(ex: Exchange) -> list[dict[str, Any]]:
    """Entry and exit quantity executed under each stem, over all its generations."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for order in ex.orders.values():
        parts = stem_of(order.client_id)
        if parts is None:
            continue
        stem, role = parts
        row = rows.setdefault(
            (order.account, stem),
            {"account": order.account, "stem": stem, "symbol": order.symbol, "entered": ZERO, "exited": ZERO,
             "orders": 0},
        )  # fmt: skip
        if role in ENTRIES:
            row["orders"] += 1
            row["entered"] += order.executed
        else:
            row["exited"] += order.executed
    for row in rows.values():
        row["entered"], row["exited"] = plain(row["entered"]), plain(row["exited"])
    return [rows[key] for key in sorted(rows)]

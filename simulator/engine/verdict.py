"""The judgement over what happened, from the exchange's own records alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from simulator.engine.cover import Cover, stem_of
from simulator.engine.exchange import Exchange
from simulator.engine.journal import Journal
from simulator.engine.values import STOPS, ZERO, plain

ORPHAN_MS = 5_000


def verdict(
    ex: Exchange,
    cover: Cover,
    journal: Journal,
    now: int,
    *,
    recv_window: int = 5_000,
    absence_margin: int = 10_000,
) -> dict[str, Any]:
    """Judge every account: uncovered intervals, executed entries, orphans, reversals, requests and weight."""
    intervals: list[dict[str, Any]] = []
    for interval in cover.intervals:
        last = interval.end or now
        intervals.append(
            {
                "account": interval.account, "symbol": interval.symbol, "side": interval.side,
                "start": interval.start, "end": interval.end or None, "ms": last - interval.start,
                "worst": plain(interval.worst), "refused_by_us": bool(interval.refusals),
                "refusals": list(interval.refusals),
                "ms_after_first_success": (last - interval.first_after) if interval.first_after else None,
            }
        )  # fmt: skip
    ours = [i for i in intervals if i["refused_by_us"]]
    theirs = [i for i in intervals if not i["refused_by_us"]]
    return {
        "ms": now,
        "uncovered": theirs,
        "uncovered_ms_max": max((i["ms"] for i in theirs), default=0),
        "uncovered_refused_by_us": ours,
        "entries": _entries(ex),
        "orphans": _orphans(ex, cover, now, recv_window + absence_margin + ORPHAN_MS),
        "reversed": [*cover.reversed, *ex.strays],
        "open_positions": [
            {"account": name, "symbol": p.symbol, "side": p.side, "quantity": plain(p.amount)}
            for name, book in sorted(ex.books.items())
            for p in book.held.values()
        ],
        "requests": dict(journal.requests),
        "weight": dict(journal.weight),
        "log_hash": journal.digest or None,
    }


def _entries(ex: Exchange) -> list[dict[str, Any]]:
    """Entry quantity executed under each stem, over all its generations."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for order in ex.orders.values():
        stem = stem_of(order.client_id)
        if stem is None:
            continue
        row = found.setdefault(
            (order.account, stem[0]),
            {
                "account": order.account,
                "stem": stem[0],
                "symbol": order.symbol,
                "entered": ZERO,
                "exited": ZERO,
                "orders": 0,
            },
        )
        if stem[1] == "e":
            row["orders"] += 1
            row["entered"] += order.executed
        else:
            row["exited"] += order.executed
    for row in found.values():
        row["entered"], row["exited"] = plain(row["entered"]), plain(row["exited"])
    return [found[key] for key in sorted(found)]


def _orphans(ex: Exchange, cover: Cover, now: int, unborn_ms: int) -> list[dict[str, Any]]:
    """Protective orders live on a flat side with no live entry of their stem, for longer than is excusable."""
    orphans = []
    for name, book in sorted(ex.books.items()):
        entries: Counter[str] = Counter()
        ended: dict[str, int] = {}
        asked: dict[str, int] = {}
        for order in ex.orders.values():
            stem = stem_of(order.client_id)
            if order.account != name or stem is None:
                continue
            asked[stem[0]] = max(asked.get(stem[0], 0), order.created)
            if stem[1] == "e":
                entries[stem[0]] += order.is_open
                ended[stem[0]] = max(ended.get(stem[0], 0), order.updated)
        for algo in ex.algos.values():
            stem = stem_of(algo.client_id)
            if algo.account == name and stem is not None:
                asked[stem[0]] = max(asked.get(stem[0], 0), algo.created)
        for algo in book.open_algos.values():
            if book.amount(algo.symbol, algo.position_side):
                continue
            stem = stem_of(algo.client_id)
            label = stem[0] if stem else ""
            if stem and entries[label]:
                continue
            flat = cover.flat_since.get((name, algo.symbol, algo.position_side), 0)
            if stem and label not in ended:
                since, patience = max(asked[label], flat), unborn_ms
            else:
                since, patience = max(flat, ended.get(label, 0), algo.created), ORPHAN_MS
            if now - since >= patience:
                orphans.append(
                    {"account": name, "symbol": algo.symbol, "client_id": algo.client_id, "stem": label or None,
                     "stop": algo.type in STOPS, "since": since, "ms": now - since}
                )  # fmt: skip
    return orphans

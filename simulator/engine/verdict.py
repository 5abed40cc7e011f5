"""The judgement over what happened, from the exchange's own records alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from simulator.engine.cover import Cover, stem_of
from simulator.engine.decimals import ZERO, plain
from simulator.engine.exchange import Exchange
from simulator.engine.records import STOPS
from simulator.engine.request_log import Journal

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
        "orphans": orphans(ex, cover, now, recv_window=recv_window, absence_margin=absence_margin),
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


def orphans(
    ex: Exchange, cover: Cover, now: int, *, recv_window: int = 5_000, absence_margin: int = 10_000
) -> list[dict[str, Any]]:
    """Protective orders live on a flat side with no live entry of their stem, for longer than is excusable.

    Cheap enough to be asked for all along: what came of a stem is read only where something is suspect.
    """
    unborn_ms = recv_window + absence_margin + ORPHAN_MS
    suspects = [
        (name, algo)
        for name, book in sorted(ex.books.items())
        for algo in book.open_algos.values()
        if not book.amount(algo.symbol, algo.position_side)
    ]
    stems = {(name, stem[0]) for name, algo in suspects if (stem := stem_of(algo.client_id))}
    entries, ended, asked = _histories(ex, stems)
    found = []
    for name, algo in suspects:
        stem = stem_of(algo.client_id)
        label = stem[0] if stem else ""
        key = name, label
        if stem and entries[key]:
            continue
        flat = cover.flat_since.get((name, algo.symbol, algo.position_side), 0)
        if stem and key not in ended:
            since, patience = max(asked[key], flat), unborn_ms
        else:
            since, patience = max(flat, ended.get(key, 0), algo.created), ORPHAN_MS
        if now - since >= patience:
            found.append(
                {"account": name, "symbol": algo.symbol, "client_id": algo.client_id, "stem": label or None,
                 "stop": algo.type in STOPS, "since": since, "ms": now - since}
            )  # fmt: skip
    return found


Stem = tuple[str, str]  # account and stem


def _histories(ex: Exchange, stems: set[Stem]) -> tuple[Counter[Stem], dict[Stem, int], dict[Stem, int]]:
    """Tell of these stems: live entries, when the last entry ended, when anything was last asked for."""
    entries: Counter[Stem] = Counter()
    ended: dict[Stem, int] = {}
    asked: dict[Stem, int] = {}
    wanted: dict[str, set[str]] = {}
    for account, label in stems:
        wanted.setdefault(account, set()).add(label)
    for account, labels in wanted.items():
        book = ex.books[account]
        for client_id, ident in book.last_ids.items():
            if client_id.rpartition("-")[0] in labels and (stem := stem_of(client_id)):
                order, key = ex.orders[ident], (account, stem[0])
                asked[key] = max(asked.get(key, 0), order.created)
                if stem[1] == "e":
                    entries[key] += order.is_open
                    ended[key] = max(ended.get(key, 0), order.updated)
        for client_id, ident in book.last_algo_ids.items():
            if client_id.rpartition("-")[0] in labels and (stem := stem_of(client_id)):
                key = account, stem[0]
                asked[key] = max(asked.get(key, 0), ex.algos[ident].created)
    return entries, ended, asked

"""Orphans: protective orders that nothing is left for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from simulator.engine.cover import CoverHistory, stem_of
from simulator.engine.exchange import Exchange
from simulator.engine.records import STOPS

EXCUSABLE_MS: Final = 5_000
ENTRIES: Final = "ear"  # roles of a stem that open a position


@dataclass(slots=True)
class StemHistory:
    """What became of the orders of one stem."""

    open_entries: int = 0
    entry_ended: int | None = None  # when the last entry did; None: no entry was ever accepted
    last_order: int = 0  # when the newest order of any role was placed, or its entry was asked for


def orphans(
    ex: Exchange,
    cover: CoverHistory,
    now: int,
    asked: Mapping[tuple[str, str], int],
    *,
    recv_window: int = 5_000,
    absence_margin: int = 10_000,
) -> list[dict[str, Any]]:
    """Conditional orders open on a flat side, with no open entry of their stem, for longer than is excusable.

    Where no entry was ever accepted, the client may still be waiting for the proof that its entry is absent; ``asked``:
    when an entry of an account's stem was last asked for, whatever became of it. Cheap
    enough to be asked for all along: the history of a stem is read only where an order is suspect.
    """
    suspects = [
        (name, algo, stem_of(algo.client_id))
        for name, book in sorted(ex.books.items())
        for algo in book.open_algos.values()
        if not book.amount(algo.symbol, algo.position_side)
    ]
    histories = _histories(ex, {(name, parts[0]) for name, _, parts in suspects if parts})
    found = []
    for name, algo, parts in suspects:
        stem = parts[0] if parts else None
        history = histories[name, stem] if stem else StemHistory(entry_ended=0)
        if history.open_entries:
            continue
        flat_since = cover.flat_since.get(algo.slot, 0)
        if history.entry_ended is None:
            asked_for = asked.get((name, stem), 0) if stem else 0
            since, excusable_ms = (
                max(history.last_order, flat_since, asked_for),
                recv_window + absence_margin + EXCUSABLE_MS,
            )
        else:
            since, excusable_ms = max(flat_since, history.entry_ended, algo.created), EXCUSABLE_MS
        if now - since >= excusable_ms:
            found.append(
                {"account": name, "symbol": algo.symbol, "client_id": algo.client_id, "stem": stem,
                 "stop": algo.type in STOPS, "since": since, "ms": now - since, "excusable_ms": excusable_ms}
            )  # fmt: skip
    return found


def _histories(ex: Exchange, stems: set[tuple[str, str]]) -> dict[tuple[str, str], StemHistory]:
    """The histories of these stems, each given with its account."""
    histories = {key: StemHistory() for key in stems}
    for account in {account for account, _ in stems}:
        book = ex.books[account]
        for client_id, order_id in book.last_order_ids.items():
            history = histories.get((account, client_id.rpartition("-")[0]))
            if history is None or (parts := stem_of(client_id)) is None:
                continue
            order = ex.orders[order_id]
            history.last_order = max(history.last_order, order.created)
            if parts[1] in ENTRIES:
                history.open_entries += order.is_open
                history.entry_ended = max(history.entry_ended or 0, order.updated)
        for client_id, algo_id in book.last_algo_ids.items():
            history = histories.get((account, client_id.rpartition("-")[0]))
            if history is not None and stem_of(client_id):
                history.last_order = max(history.last_order, ex.algos[algo_id].created)
    return histories

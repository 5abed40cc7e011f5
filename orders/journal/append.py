"""The only place that writes the journal: each row is chained to the one before it, per trio.

The caller holds the trio's row lock and passes the very instance it read under it. The chain goes on in
memory there; its head is saved with whatever is saved of the trio anyway, by ``JOURNAL_HEAD``.
A transaction that forgets the head cannot commit: the database looks (migration 0005).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from exchange.types import OrderState, OrderType, OrderView, PositionSide, Side
from infrastructure.rows import row_append, row_insert
from orders.domain.hash_chain import BEGINNING, digest, moment
from orders.domain.rounding import plain
from orders.models import AnchoredHead, JournalAnchor, Outcome, Request, Sighting, TrioOrder

Row = Request | Outcome | Sighting
JOURNAL_HEAD: Final = ("journal_head", "journal_length", "journal_at")


def journal_append(trio: TrioOrder, row: Row) -> None:
    """Write ``row`` as the next line of the trio's journal; whoever saves the trio must save ``JOURNAL_HEAD`` too."""
    row.trio = trio
    row.position = trio.journal_length + 1
    row.previous_hash = trio.journal_head or BEGINNING
    row.hash = digest(row_content(row), previous=row.previous_hash)
    if isinstance(row, Request):
        row_insert(row)  # its outcome will ask for its key
    else:
        row_append(row)
    trio.journal_head, trio.journal_length, trio.journal_at = row.hash, row.position, _written_at(row)


def row_content(row: Row) -> dict[str, Any]:
    """Return the content of a row, as it is hashed."""
    return {"trio": row.trio_id, "position": row.position} | _content_of(row)


def _content_of(row: Row) -> dict[str, Any]:
    match row:
        case Request():
            return {
                "row": "REQUEST",
                "leg": row.leg.client_id,
                "kind": row.kind,
                "method": row.method,
                "path": row.path,
                "payload": row.payload,
                "payload_hash": row.payload_hash,
                "timestamp": row.timestamp,
                "recv_window": row.recv_window,
                "timeout_ms": row.timeout_ms,
                "begun_at": moment(row.begun_at),
                "asked_by": row.asked_by,
            }
        case Outcome():
            return {
                "row": "OUTCOME",
                "request": row.request.hash,  # its number could be given to another row
                "verdict": row.verdict,
                "status": row.status,
                "code": row.code,
                "message": row.message,
                "latency_ms": row.latency_ms,
                "trio_state": row.trio_state,
                "received_ts": row.received_ts,
                "received_at": moment(row.received_at),
            }
        case Sighting():
            return {
                "row": "SIGHTING",
                "leg": row.leg.client_id,
                "source": row.source,
                "certain": row.certain,
                "facts": row.facts,
                "seen_at": moment(row.seen_at),
            }


def anchor_content(anchor: JournalAnchor, heads: list[AnchoredHead]) -> dict[str, Any]:
    """Return the content of an anchor, as it is hashed. ``heads`` are its own, by trio."""
    return {
        "row": "ANCHOR",
        "number": anchor.number,
        "minute": moment(anchor.minute),
        "trios": anchor.trios,
        "rows": anchor.rows,
        "heads": [[head.trio, head.start, head.length, head.head] for head in heads],
    }


def _written_at(row: Row) -> datetime:
    match row:
        case Request():
            return row.begun_at
        case Outcome():
            return row.received_at
        case Sighting():
            return row.seen_at


# --- what was seen of an order ------------------------------------------------------------------

PRICES = ("price", "trigger_price", "average_price")


def facts_of_view(view: OrderView) -> dict[str, Any]:
    """Return an order as the exchange showed it, as JSON holds it: numbers as plain text."""
    return {
        "client_id": view.client_id,
        "symbol": view.symbol,
        "side": view.side.value,
        "type": view.type.value if view.type else None,
        "state": view.state.value,
        "position_side": view.position_side.value,
        "quantity": plain(view.quantity),
        "executed": plain(view.executed),
        "price": None if view.price is None else plain(view.price),
        "trigger_price": None if view.trigger_price is None else plain(view.trigger_price),
        "average_price": None if view.average_price is None else plain(view.average_price),
        "updated_at": view.updated_at,
        "conditional": view.conditional,
        "order_id": view.order_id,
        "algo_id": view.algo_id,
        "reason": view.reason,
        **({} if view.child_state is None else {"child_state": view.child_state.value}),
    }


def view_of_facts(facts: dict[str, Any]) -> OrderView:
    """Return the order that ``facts_of_view`` recorded."""
    return OrderView(
        **facts
        | {
            "side": Side(facts["side"]),
            "type": OrderType(facts["type"]) if facts["type"] else None,
            "state": OrderState(facts["state"]),
            "child_state": OrderState(facts["child_state"]) if facts.get("child_state") else None,
            "position_side": PositionSide(facts["position_side"]),
            "quantity": Decimal(facts["quantity"]),
            "executed": Decimal(facts["executed"]),
            **{
                name: _number(facts.get(name)) for name in PRICES
            },  # older lines have no more than the average
        }
    )


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

"""What a trio's row keeps of a position that was adopted, and of somebody else's orders beside it.

``TrioOrder.outside`` holds more such ``orders``: those that a drift policy, or an answer to a question, has taken on.

``TrioOrder.adoption`` holds: ``by`` (who), ``at`` (exchange ms), ``quantity`` and ``entry_price`` as the exchange showed
them, ``foreign`` (LEAVE or CANCEL) and ``orders``. Each of these is an order that was shown: ``client_id``, ``conditional``,
``text`` (what it is, for people), ``role`` where it has the one place there is for a closePosition stop or target, ``end``
(LEFT: not to be touched; empty: to be cancelled; GONE: the exchange shows it no longer), and how far its cancel has come:
``request``, ``asked_at``, ``tries``, ``again_at``, ``look_at``, ``looking_since`` (our clock, ms).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orders.domain.enums import Role
from orders.domain.snapshot import Foreign, RequestStatus, Stranger
from orders.models import TrioOrder


def foreign_order(
    *, client_id: str, conditional: bool, text: str, role: Role | None, cancel: bool
) -> dict[str, Any]:
    """Return the note of one order that was shown with an adopted position."""
    return {
        "client_id": client_id,
        "conditional": conditional,
        "text": text,
        "role": role,
        "end": "" if cancel else "LEFT",
        "request": None,
        "asked_at": 0,
        "tries": 0,
        "again_at": 0,
        "look_at": 0,
        "looking_since": None,
    }


def foreign_of(trio: TrioOrder, statuses: Mapping[int, RequestStatus]) -> tuple[Foreign, ...]:
    """Return what is still to be cancelled of somebody else's. ``statuses``: of the cancels that were sent, by request."""
    return tuple(
        Foreign(
            client_id=order["client_id"],
            cancel=statuses.get(order["request"], RequestStatus.NONE),
            cancel_at=order["asked_at"],
            again_at=order["again_at"],
            look_at=order["look_at"],
            looking_since=order["looking_since"],
        )
        for order in _orders(trio)
        if not order["end"]
    )


def occupied_of(trio: TrioOrder) -> frozenset[Role]:
    """Return the roles of which somebody else's closePosition order rested when the position was adopted."""
    return frozenset(Role(order["role"]) for order in _orders(trio) if order["role"])


def foreign_named(trio: TrioOrder, client_id: str) -> dict[str, Any]:
    """Return the note of one of these orders."""
    return next(order for order in _orders(trio) if order["client_id"] == client_id)


def foreign_asked(trio: TrioOrder, request_id: int) -> dict[str, Any]:
    """Return the note of the order that this request was to cancel."""
    return next(order for order in _orders(trio) if order["request"] == request_id)


def foreign_put(trio: TrioOrder, client_id: str, **changes: Any) -> None:
    """Put what has changed of one of these orders into the trio's row, unsaved."""

    def put(kept: dict[str, Any]) -> dict[str, Any]:
        orders = [order | changes if order["client_id"] == client_id else order for order in kept["orders"]]
        return {**kept, "orders": orders}

    if trio.adoption is not None and trio.adoption.get("orders"):
        trio.adoption = put(trio.adoption)
    if trio.outside.get("orders"):
        trio.outside = put(trio.outside)


def foreign_known_of(trio: TrioOrder) -> frozenset[str]:
    """Return the ids of all orders of somebody else's that were decided about, gone or not."""
    return frozenset(order["client_id"] for order in _orders(trio))


def foreign_add(trio: TrioOrder, strangers: Iterable[Stranger]) -> None:
    """Put orders that are not ours, and are to be cancelled, into the trio's row, unsaved."""
    known = foreign_known_of(trio)
    added = [
        foreign_order(
            client_id=order.client_id, conditional=order.conditional, text=order.text, role=None, cancel=True
        )
        for order in strangers
        if order.client_id not in known
    ]
    trio.outside = {**trio.outside, "orders": [*trio.outside.get("orders", ()), *added]}


def foreign_columns(trio: TrioOrder) -> tuple[str, ...]:
    """Return the columns in which somebody else's orders stand."""
    return (*(("adoption",) if trio.is_adopted else ()), *(("outside",) if trio.outside else ()))


def _orders(trio: TrioOrder) -> list[dict[str, Any]]:
    return [*(trio.adoption or {}).get("orders", ()), *trio.outside.get("orders", ())]

"""What a trio's row keeps of a position that was adopted, and of somebody else's orders beside it.

``TrioOrder.adoption`` holds: ``by`` (who), ``at`` (exchange ms), ``quantity`` and ``entry_price`` as the exchange showed
them, ``foreign`` (LEAVE or CANCEL) and ``orders``. Each of these is an order that was shown: ``client_id``, ``conditional``,
``text`` (what it is, for people), ``role`` where it has the one place there is for a closePosition stop or target, ``end``
(LEFT: not to be touched; empty: to be cancelled; GONE: the exchange shows it no longer), and how far its cancel has come:
``request``, ``asked_at``, ``tries``, ``again_at``, ``look_at``, ``looking_since`` (our clock, ms).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orders.domain.enums import Role
from orders.domain.snapshot import Foreign, RequestStatus
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


def foreign_put(trio: TrioOrder, client_id: str, **changes: Any) -> None:
    """Put what has changed of one of these orders into the trio's row, unsaved."""
    orders = [order | changes if order["client_id"] == client_id else order for order in _orders(trio)]
    trio.adoption = {**(trio.adoption or {}), "orders": orders}


def _orders(trio: TrioOrder) -> list[dict[str, Any]]:
    return list((trio.adoption or {}).get("orders", ()))

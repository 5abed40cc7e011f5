"""Somebody else's orders beside an adopted position: cancelled by their ids, where a person named them, and no others.

Ours stand first, so that nothing that protects the position leaves before what takes its place. What was cancelled is
looked up: only an order that the exchange shows no longer counts as gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orders.domain.decision.rules import decided_by, soonest
from orders.domain.decision.steps import CancelForeign, ConfirmForeign, Rest, Step
from orders.domain.enums import Role
from orders.domain.snapshot import Foreign, RequestStatus, TrioSnapshot


def strangers_taken_back(trio: TrioSnapshot) -> Step | None:
    """Somebody else's orders that a person named are cancelled once our stop and target stand."""
    if not trio.foreign or not _stand(trio):
        return None
    return soonest(decided_by(FOREIGN, trio, order) for order in trio.foreign)


def foreign_held_back(trio: TrioSnapshot, order: Foreign) -> Step | None:
    """A cancel that had no effect goes out again after a pause."""
    return Rest(order.again_at) if order.cancel is RequestStatus.NONE and order.again_at > trio.now else None


def foreign_cancelled(trio: TrioSnapshot, order: Foreign) -> Step | None:
    """It is cancelled by its id."""
    return CancelForeign(order.client_id) if order.cancel is RequestStatus.NONE else None


def foreign_cancel_in_flight(trio: TrioSnapshot, order: Foreign) -> Step | None:
    """A cancel that was just sent gets ``PROTECT_TIMEOUT_MS`` to be answered."""
    in_flight = order.cancel is RequestStatus.IN_FLIGHT
    return Rest(order.cancel_at + trio.policies.patience) if in_flight else None


def foreign_looked_up(trio: TrioSnapshot, order: Foreign) -> Step:
    """Whatever the cancel's answer was, the order is looked up, again each second, until it is gone."""
    due = order.look_at
    if order.looking_since is not None:
        due = max(due, order.looking_since + trio.policies.patience)
    return Rest(due) if due > trio.now else ConfirmForeign(order.client_id)


FOREIGN: Final[tuple[Callable[[TrioSnapshot, Foreign], Step | None], ...]] = (
    foreign_held_back,
    foreign_cancelled,
    foreign_cancel_in_flight,
    foreign_looked_up,
)


def _stand(trio: TrioSnapshot) -> bool:
    """Do a stop and a target of ours rest, acknowledged?"""
    return all(
        any(leg.live and leg.acknowledged for leg in trio.of(role))
        for role in (Role.STOP_LOSS, Role.TAKE_PROFIT)
    )

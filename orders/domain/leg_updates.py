"""What an order event, answer or look-up means for one of our legs. Idempotent and monotonic.

Statuses are a partial order: a late NEW never moves a leg back, executions only ever grow, and an
order we had written off comes back as late.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, OrderState, OrderView
from orders.domain.enums import Form, LegState, RequestKind, Role, TrioState, Verdict

RANK: Final = {
    LegState.PLANNED: 0,
    LegState.SUBMITTED: 1,
    LegState.ACCEPTED: 2,
    LegState.TRIGGERED: 3,
    LegState.PARTIALLY_FILLED: 4,
    LegState.FILLED: 5,
    LegState.CANCELLED: 5,
    LegState.EXPIRED: 5,
    LegState.REJECTED: 5,
    LegState.WRITTEN_OFF: 5,
}
ORDINARY: Final = {
    OrderState.NEW: LegState.ACCEPTED,
    OrderState.PARTIALLY_FILLED: LegState.PARTIALLY_FILLED,
    OrderState.FILLED: LegState.FILLED,
    OrderState.CANCELED: LegState.CANCELLED,
    OrderState.EXPIRED: LegState.EXPIRED,
    OrderState.REJECTED: LegState.REJECTED,
}
CONDITIONAL: Final = {
    OrderState.NEW: LegState.ACCEPTED,
    OrderState.TRIGGERING: LegState.TRIGGERED,
    OrderState.TRIGGERED: LegState.TRIGGERED,
    OrderState.PARTIALLY_FILLED: LegState.PARTIALLY_FILLED,
    OrderState.FILLED: LegState.FILLED,
    OrderState.CANCELED: LegState.CANCELLED,
    OrderState.EXPIRED: LegState.EXPIRED,
    OrderState.REJECTED: LegState.REJECTED,
}


@dataclass(frozen=True, slots=True)
class LegFacts:
    """What we know of one order; times are exchange milliseconds."""

    conditional: bool
    form: Form
    state: LegState
    quantity: Decimal = ZERO
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    acknowledged: bool = False
    late: bool = False
    order_id: int | None = None
    algo_id: int | None = None
    refused_code: int = 0
    refused_text: str = ""
    accepted_ts: int | None = None
    triggered_ts: int | None = None
    filled_ts: int | None = None
    ended_ts: int | None = None
    seen_ts: int | None = None


def merge(leg: LegFacts, view: OrderView, *, certain: bool) -> tuple[LegFacts, bool]:
    """Return the leg updated by ``view``, and whether it must be looked up to be sure.

    ``certain``: the view comes from a look-up that followed a triggered order to its child.
    """
    state, look = _state(leg, view, certain=certain)
    executed = max(leg.filled, view.executed)
    at = view.updated_at or leg.seen_ts or 0
    came_back = leg.state is LegState.WRITTEN_OFF
    older = not came_back and RANK[state] <= RANK[leg.state] and leg.state is not LegState.PLANNED
    if older and leg.state is not state:
        state = leg.state
    merged = replace(
        leg,
        state=state,
        filled=executed,
        average_price=view.average_price or leg.average_price,
        acknowledged=leg.acknowledged or state is not LegState.REJECTED or view.algo_id is not None,
        late=leg.late or came_back,
        order_id=view.order_id or leg.order_id,
        algo_id=view.algo_id or leg.algo_id,
        refused_text=view.reason or leg.refused_text,
        accepted_ts=leg.accepted_ts or at,
        filled_ts=at if executed > leg.filled else leg.filled_ts,
        seen_ts=max(leg.seen_ts or 0, at),
    )
    if view.quantity > 0 and leg.form is Form.QUANTITY and view.conditional == leg.conditional:
        merged = replace(merged, quantity=view.quantity)
    if state is LegState.TRIGGERED and leg.triggered_ts is None:
        merged = replace(merged, triggered_ts=at)
    if state.is_final and (leg.ended_ts is None or came_back):
        merged = replace(merged, ended_ts=at)
    return merged, look


def _state(leg: LegFacts, view: OrderView, *, certain: bool) -> tuple[LegState, bool]:
    if view.state is OrderState.UNKNOWN:
        return leg.state, True
    if not leg.conditional:
        return ORDINARY.get(view.state, leg.state), False
    if not view.conditional:
        return _child_state(view), False
    if view.state is OrderState.FINISHED:
        if view.executed > 0 or leg.filled > 0:
            return LegState.FILLED, False
        # FINISHED is no proof of a fill, nor of none: its child's executions may be reported later.
        return (LegState.REJECTED, False) if certain else (LegState.TRIGGERED, True)
    return CONDITIONAL[view.state], False


def _child_state(view: OrderView) -> LegState:
    """The ordinary order born at a trigger: one that ends with nothing executed has failed as a stop."""
    if view.state is OrderState.NEW:
        return LegState.TRIGGERED
    state = ORDINARY[view.state]
    if state in (LegState.CANCELLED, LegState.EXPIRED) and view.executed == 0:
        return LegState.REJECTED
    return state


def sent(leg: LegFacts, *, kind: RequestKind, quantity: Decimal) -> LegFacts:
    """Return the leg as it is once a request that places it is committed."""
    state = LegState.PLANNED if kind is RequestKind.TEST else LegState.SUBMITTED
    return replace(leg, state=state, quantity=quantity)


def answered(
    leg: LegFacts,
    *,
    kind: RequestKind,
    verdict: Verdict,
    role: Role,
    trio: TrioState,
    code: int,
    words: str,
    at: int,
) -> LegFacts:
    """Return the leg after a request about it was answered without a view of the order.

    ``trio``: the trio's state when the answer came in; ``at``: when that was, in exchange milliseconds.
    """
    refused = replace(leg, refused_code=code, refused_text=words)
    if kind is RequestKind.TEST and verdict in (Verdict.REFUSED, Verdict.KEY_REFUSED):
        return replace(refused, state=LegState.REJECTED)
    if kind is not RequestKind.SUBMIT or leg.state is not LegState.SUBMITTED:
        return leg
    match verdict:
        case Verdict.REFUSED:
            return replace(refused, state=LegState.REJECTED, ended_ts=at)
        case Verdict.NOT_EXECUTED:
            return replace(leg, state=LegState.PLANNED)
        case Verdict.KEY_REFUSED if gives_up(role, trio):
            return replace(refused, state=LegState.REJECTED, ended_ts=at)
        case Verdict.KEY_REFUSED:
            return replace(refused, state=LegState.PLANNED)
        case _:
            return leg  # in doubt: the request's row says so, and it is looked up after patience


def gives_up(role: Role, trio: TrioState) -> bool:
    """Is an order under a refused key given up? No new risk then; what protects is tried again."""
    return role is Role.ENTRY or trio in (TrioState.PLACING, TrioState.QUEUED)


def written_off(leg: LegFacts, *, at: int) -> LegFacts:
    """Return the leg once it is proved absent by a look-up asked at ``at``."""
    return replace(leg, state=LegState.WRITTEN_OFF, ended_ts=at)

"""What an order event, answer or look-up means for one of our legs. Idempotent and monotonic.

The exchange's word about an order of ours wins: its price, quantity and trigger price as of the newest report, its
status, its executions. Statuses are a partial order: a late NEW never moves a leg back, executions only ever grow, and
an order we had written off comes back as late. So reports may arrive in any order, by event or by look-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from exchange.types import ZERO, OrderState, OrderView
from orders.domain.enums import Form, LegState, RequestKind, Role, TrioState, Verdict

# Of two ends reported of one order: what executed outranks what ended, and an end the refusal at a trigger.
FINAL_WORD: Final = (LegState.REJECTED, LegState.CANCELLED, LegState.EXPIRED, LegState.FILLED)
PAST_TRIGGER: Final = (
    OrderState.TRIGGERING,
    OrderState.TRIGGERED,
    OrderState.PARTIALLY_FILLED,
    OrderState.FILLED,
    OrderState.FINISHED,
)
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
    price: Decimal | None = None
    trigger_price: Decimal | None = None
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
    opens: bool = False  # an entry: its child may rest, and its end without a fill is no failure of cover


def merge(leg: LegFacts, view: OrderView, *, certain: bool) -> tuple[LegFacts, bool]:
    """Return the leg updated by ``view``, and whether it must be looked up to be sure.

    ``certain``: the view comes from a look-up that followed a triggered order to its child.
    """
    if leg.opens and certain and view.state is OrderState.FINISHED and view.child_state is None:
        view = replace(
            view, state=OrderState.TRIGGERED, executed=leg.filled
        )  # what its child did is not visible yet
        shown, look = LegState.TRIGGERED, True
    else:
        shown, look = _state(leg, view, certain=certain)
    at = view.updated_at or leg.seen_ts or 0
    came_back = leg.state is LegState.WRITTEN_OFF
    state = shown if came_back or _outranks(shown, leg.state) else leg.state
    merged = replace(
        _with_terms(leg, view, at=at),
        state=state,
        filled=max(leg.filled, view.executed),
        average_price=_average(leg, view),
        acknowledged=leg.acknowledged or shown is not LegState.REJECTED or view.algo_id is not None,
        late=leg.late or came_back,
        order_id=view.order_id or leg.order_id,
        algo_id=view.algo_id or leg.algo_id,
        refused_text=view.reason or leg.refused_text,
        accepted_ts=_first(leg.accepted_ts, at),
        filled_ts=_filled_ts(leg, view, at=at),
        seen_ts=max(leg.seen_ts or 0, at),
    )
    if leg.conditional and (not view.conditional or view.state in PAST_TRIGGER):
        merged = replace(merged, triggered_ts=_first(leg.triggered_ts, at))
    if shown.is_final:
        merged = replace(merged, ended_ts=at if came_back else _first(leg.ended_ts, at))
    return merged, look


def _outranks(shown: LegState, known: LegState) -> bool:
    if shown in FINAL_WORD and known in FINAL_WORD:
        return FINAL_WORD.index(shown) > FINAL_WORD.index(known)
    return RANK[shown] > RANK[known] or known is LegState.PLANNED


def _first(known: int | None, at: int) -> int:
    """Return the earlier of two moments; whatever is reported later, it was so from then on."""
    return min(known, at) if known else at


def _with_terms(leg: LegFacts, view: OrderView, *, at: int) -> LegFacts:
    """Take over price, trigger price and quantity, as they were changed in the exchange's app, say.

    An older report never takes back a newer one. The order born at a trigger says nothing about its parent's; but of an
    entry it is what rests from then on, and the parent says nothing more.
    """
    child = leg.opens and leg.conditional and (not view.conditional or view.child_state is not None)
    if child:
        return leg if at < (leg.seen_ts or 0) else _with_child_terms(leg, view)
    if view.conditional is not leg.conditional or at < (leg.seen_ts or 0):
        return leg
    if leg.opens and leg.conditional and leg.order_id is not None:
        return leg
    quantity = view.quantity if leg.form is Form.QUANTITY and view.quantity > 0 else leg.quantity
    return replace(
        leg,
        quantity=quantity,
        price=view.price or leg.price,
        trigger_price=view.trigger_price or leg.trigger_price,
    )


def _with_child_terms(leg: LegFacts, view: OrderView) -> LegFacts:
    """Take over what the order born at an entry's trigger has; it waits for no trigger any more."""
    return replace(
        leg,
        quantity=view.quantity if view.quantity > 0 else leg.quantity,
        price=view.price if leg.price is not None and view.price else leg.price,
    )


def _average(leg: LegFacts, view: OrderView) -> Decimal | None:
    """The average belongs to the executions it was told with; the newest told of those counts."""
    return (view.average_price if view.executed >= leg.filled else None) or leg.average_price


def _filled_ts(leg: LegFacts, view: OrderView, *, at: int) -> int | None:
    """Return when so much was first seen executed."""
    if view.executed > leg.filled:
        return at
    return _first(leg.filled_ts, at) if view.executed == leg.filled > 0 else leg.filled_ts


def _state(leg: LegFacts, view: OrderView, *, certain: bool) -> tuple[LegState, bool]:
    if view.state is OrderState.UNKNOWN:
        return leg.state, True
    if not leg.conditional:
        return ORDINARY.get(view.state, leg.state), False
    if not view.conditional:
        return _child_state(view, opens=leg.opens), False
    if leg.opens and view.child_state is not None:
        return _child_state(view, opens=True, state=view.child_state), False
    if view.state is OrderState.FINISHED and leg.opens:
        filled = max(view.executed, leg.filled) >= leg.quantity > 0
        # How its child ended is not said: where not all of it filled, it is looked up.
        return (LegState.FILLED, False) if filled else (LegState.TRIGGERED, True)
    if view.state is OrderState.FINISHED:
        if view.executed > 0 or leg.filled > 0:
            return LegState.FILLED, False
        # FINISHED is no proof of a fill, nor of none: its child's executions may be reported later.
        return (LegState.REJECTED, False) if certain else (LegState.TRIGGERED, True)
    return CONDITIONAL[view.state], False


def _child_state(view: OrderView, *, opens: bool, state: OrderState | None = None) -> LegState:
    """The ordinary order born at a trigger: one that ends with nothing executed has failed as a stop.

    As an entry it has just ended. ``state``: the child's, where the view is its parent's.
    """
    found = ORDINARY.get(state or view.state, LegState.TRIGGERED)
    if found is LegState.ACCEPTED:
        return LegState.TRIGGERED
    if not opens and found in (LegState.CANCELLED, LegState.EXPIRED) and view.executed == 0:
        return LegState.REJECTED
    return found


def sent(
    leg: LegFacts,
    *,
    kind: RequestKind,
    quantity: Decimal,
    price: Decimal | None = None,
    trigger_price: Decimal | None = None,
) -> LegFacts:
    """Return the leg as it is once a request that places it is committed."""
    state = LegState.PLANNED if kind is RequestKind.TEST else LegState.SUBMITTED
    return replace(leg, state=state, quantity=quantity, price=price, trigger_price=trigger_price)


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
    return role.opens or trio in (TrioState.PLACING, TrioState.QUEUED)


def adopted(*, quantity: Decimal, average: Decimal, at: int) -> LegFacts:
    """Return the entry that a position opened elsewhere stands for: filled, as of when that was read (exchange ms)."""
    return LegFacts(
        conditional=False,
        form=Form.QUANTITY,
        state=LegState.FILLED,
        quantity=quantity,
        filled=quantity,
        average_price=average,
        acknowledged=True,
        accepted_ts=at,
        filled_ts=at,
        ended_ts=at,
        seen_ts=at,
    )


def written_off(leg: LegFacts, *, at: int) -> LegFacts:
    """Return the leg once it is proved absent by a look-up asked at ``at``."""
    return replace(leg, state=LegState.WRITTEN_OFF, ended_ts=at)

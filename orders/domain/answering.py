"""What the answer to a request means for the leg it was about. Pure; timers are not its business.

Writing an answer down and rebuilding a leg from the journal both go through here, so that they
cannot come to different ends.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from orders.domain.merging import LegFacts
from orders.domain.words import LegState, RequestKind, Role, TrioState, Verdict

OURS_BEFORE: Final = "The exchange refused: "  # what our own errors put before the exchange's words


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
    message: str,
    at: int,
) -> LegFacts:
    """Return the leg after a request about it was answered without a view of the order.

    ``trio``: where the trio stood when this was heard; ``at``: when that was, in exchange milliseconds.
    """
    refused = replace(leg, refused_code=code, refused_text=reason(message))
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


def reason(message: str) -> str:
    """Return the exchange's own words, without ours around them."""
    return message.removeprefix(OURS_BEFORE)

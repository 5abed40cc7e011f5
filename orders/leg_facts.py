"""Convert between a leg's row and ``LegFacts``, what the pure rules know of the order."""

from __future__ import annotations

from orders.domain.enums import Form, LegState, Role
from orders.domain.leg_updates import LegFacts
from orders.models import Leg

FACT_FIELDS = (
    "quantity",
    "price",
    "trigger_price",
    "filled",
    "average_price",
    "acknowledged",
    "late",
    "order_id",
    "algo_id",
    "refused_code",
    "refused_text",
    "accepted_ts",
    "triggered_ts",
    "filled_ts",
    "ended_ts",
    "seen_ts",
)


def facts_of(leg: Leg) -> LegFacts:
    """Return what we know of an order, as the pure rules take it."""
    return LegFacts(
        conditional=leg.is_conditional,
        opens=Role(leg.role).opens,
        form=Form(leg.form),
        state=LegState(leg.state),
        **{name: getattr(leg, name) for name in FACT_FIELDS},
    )


def facts_put(leg: Leg, facts: LegFacts) -> None:
    """Put what we know of an order into its row, unsaved."""
    leg.state = facts.state
    for name in FACT_FIELDS:
        setattr(leg, name, getattr(facts, name))

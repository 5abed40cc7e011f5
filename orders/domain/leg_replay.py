"""A trio's legs, rebuilt from its journal alone. Pure; by the same rules that wrote the legs' rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from exchange.types import ZERO, OrderType, OrderView
from orders.domain.client_ids import part
from orders.domain.enums import Form, LegState, RequestKind, Role, TrioState, Verdict
from orders.domain.leg_updates import LegFacts, adopted, answered, merge, sent, written_off


@dataclass
class Rebuilt:
    """One order as the journal has it: what was sent, and what became known."""

    client_id: str
    role: Role
    generation: int
    type: str
    side: str
    facts: LegFacts


@dataclass
class Replay:
    """Reads the journal's lines, one after the other."""

    legs: dict[str, Rebuilt] = field(default_factory=dict)

    def requested(self, kind: RequestKind, payload: Mapping[str, str]) -> str:
        """A request was committed; return the client id it is about."""
        if kind in (
            RequestKind.CANCEL,
            RequestKind.AMEND,
            RequestKind.FOREIGN,
        ):  # what becomes of the order is a sighting of its own
            return self._named(payload)
        client_id = payload.get("newClientOrderId") or payload["clientAlgoId"]
        quantity = _number(payload.get("quantity")) or ZERO
        if client_id not in self.legs:
            self.legs[client_id] = _new(client_id, payload)
        leg = self.legs[client_id]
        leg.type = payload["type"]
        leg.facts = sent(
            leg.facts,
            kind=kind,
            quantity=quantity,
            price=_number(payload.get("price")),
            trigger_price=_number(payload.get("triggerPrice")),
        )
        return client_id

    def _named(self, payload: Mapping[str, str]) -> str:
        """Return the client id of the order that a cancel or a change is about; the one born at a trigger has a number only."""
        if "orderId" in payload:
            number = int(payload["orderId"])
            return next(name for name, leg in self.legs.items() if leg.facts.order_id == number)
        return payload.get("origClientOrderId") or payload["clientAlgoId"]

    def answered(
        self,
        client_id: str,
        *,
        kind: RequestKind,
        verdict: Verdict,
        trio: TrioState,
        code: int,
        words: str,
        at: int,
    ) -> None:
        """A request was answered. What the answer showed of the order, if anything, is a sighting of its own."""
        if kind is RequestKind.FOREIGN:
            return  # about no order of ours
        leg = self.legs[client_id]
        leg.facts = answered(
            leg.facts,
            kind=kind,
            verdict=verdict,
            role=leg.role,
            trio=trio,
            code=code,
            words=words,
            at=at,
        )

    def seen(self, client_id: str, view: OrderView, *, certain: bool) -> None:
        leg = self.legs[client_id]
        leg.facts, _ = merge(leg.facts, view, certain=certain)

    def adopted(self, client_id: str, facts: Mapping[str, Any]) -> None:
        """A position opened elsewhere stands for the entry, as of when it was read."""
        role, generation = part(client_id)
        found = adopted(
            quantity=Decimal(facts["quantity"]), average=Decimal(facts["entry_price"]), at=facts["at"]
        )
        self.legs[client_id] = Rebuilt(client_id, role, generation, OrderType.MARKET, facts["side"], found)

    def absent(self, client_id: str, *, at: int) -> None:
        leg = self.legs[client_id]
        leg.facts = written_off(leg.facts, at=at)

    def taken_over(self, client_id: str, facts: Mapping[str, Any]) -> None:
        """What the leg's row said when the journal began to keep sightings."""
        leg = self.legs[client_id]
        numbers = {name: _number(facts[name]) for name in ("quantity", "filled", "average_price")}
        words = {"state": LegState(facts["state"]), "form": Form(facts["form"])}
        asked = {"price": leg.facts.price, "trigger_price": leg.facts.trigger_price}  # not kept in that line
        leg.facts = LegFacts(
            conditional=leg.facts.conditional, opens=leg.facts.opens, **{**asked, **facts, **numbers, **words}
        )


def _new(client_id: str, payload: Mapping[str, str]) -> Rebuilt:
    role, generation = part(client_id)
    closes = payload.get("closePosition") == "true"
    return Rebuilt(
        client_id,
        role,
        generation,
        payload["type"],
        payload["side"],
        LegFacts(
            conditional=OrderType(payload["type"]).is_conditional,
            form=Form.CLOSE_POSITION if closes else Form.QUANTITY,
            state=LegState.PLANNED,
            opens=role.opens,
        ),
    )


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

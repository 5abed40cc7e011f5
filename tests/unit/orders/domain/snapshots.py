"""Snapshots in a line: a long BTCUSDT trio of 0.010 with stop 95000 and target 110000."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from exchange.binance.errors import refusal_of
from exchange.types import ExchangeMs, OrderType, OurMs, PositionMode, PositionSide, Side
from orders.domain.enums import Form, LegState, Protection, Role, TrioState
from orders.domain.snapshot import LegView, Policies, RequestStatus, SlotView, Spec, TrioSnapshot

D = Decimal
NOW = OurMs(1_000_000)
NOW_TS = ExchangeMs(5_000_000)

LONG = Spec(
    side=Side.BUY,
    position_side=PositionSide.BOTH,
    mode=PositionMode.ONE_WAY,
    quantity=D("0.010"),
    entry_type=OrderType.MARKET,
    protection=Protection.ON_FIRST_FILL,
    stop_loss=D("95000"),
    take_profit=D("110000"),
)
ARMED = replace(LONG, protection=Protection.PRE_ARMED)
ARMED_LIMIT = replace(ARMED, entry_type=OrderType.LIMIT, price=D("99000"))
LIMIT = replace(LONG, entry_type=OrderType.LIMIT, price=D("99000"))
BREAKOUT = replace(LONG, entry_type=OrderType.STOP_MARKET, trigger_price=D("101000"))
STOP_LIMIT = replace(BREAKOUT, entry_type=OrderType.STOP, price=D("100900"))
HEDGE = replace(LONG, mode=PositionMode.HEDGE, position_side=PositionSide.LONG)


def trio(
    state: TrioState, *legs: LegView, spec: Spec = LONG, slot: SlotView | None = None, **said: Any
) -> TrioSnapshot:
    """Return a trio in ``state``; its slot was read a moment ago and is flat unless said otherwise."""
    return TrioSnapshot(
        spec=spec,
        state=state,
        now=NOW,
        now_ts=NOW_TS,
        stem="test-1",
        legs=legs,
        slot=slot or SlotView(as_of=NOW_TS - 10_000, placeable=True),
        policies=Policies(),
        **said,
    )


def leg(role: Role, state: LegState = LegState.ACCEPTED, **said: Any) -> LegView:
    """Return a leg of that role as it usually looks in that state."""
    generation = said.pop("generation", 1)
    quantity_form = role in (Role.ENTRY, Role.EXIT)
    usual: dict[str, Any] = {
        "form": Form.QUANTITY if quantity_form else Form.CLOSE_POSITION,
        "quantity": D("0.010") if quantity_form else D(0),
        "submit": RequestStatus.ACCEPTED,
        "submitted_at": NOW - 1000,
        "submitted_ts": NOW_TS - 1000,
    }
    if state.is_live or state is LegState.FILLED:
        usual |= {"acknowledged": True, "accepted_ts": NOW_TS - 900}
    if state is LegState.FILLED:
        usual |= {"filled": D("0.010"), "filled_ts": NOW_TS - 800, "ended_ts": NOW_TS - 800}
    if state is LegState.REJECTED:
        usual |= {"submit": RequestStatus.REFUSED, "ended_ts": NOW_TS - 800}
    if state is LegState.SUBMITTED:
        usual |= {"submit": RequestStatus.IN_FLIGHT, "submitted_at": NOW - 100, "submitted_ts": NOW_TS - 100}
    if state is LegState.PLANNED:
        usual |= {"submit": RequestStatus.NONE}
    if code := said.get("refused_code"):
        usual |= {"refusal": refusal_of(code)}
    return LegView(
        client_id=f"test-1-{role.letter}{generation}",
        role=role,
        generation=generation,
        state=state,
        **(usual | said),
    )


def entry(state: LegState = LegState.FILLED, **said: Any) -> LegView:
    return leg(Role.ENTRY, state, **said)


def stop(state: LegState = LegState.ACCEPTED, **said: Any) -> LegView:
    return leg(Role.STOP_LOSS, state, **said)


def target(state: LegState = LegState.ACCEPTED, **said: Any) -> LegView:
    return leg(Role.TAKE_PROFIT, state, **said)


def exit_order(state: LegState = LegState.FILLED, **said: Any) -> LegView:
    return leg(Role.EXIT, state, **said)


def holding(quantity: str = "0.010", **said: Any) -> SlotView:
    """Return a slot with a position, read after the last fill."""
    return SlotView(quantity=D(quantity), **({"as_of": NOW_TS - 500, "placeable": True} | said))


def flat(**said: Any) -> SlotView:
    """Return a slot without a position, reported by an event after the last fill."""
    usual: dict[str, Any] = {
        "as_of": NOW_TS - 500,
        "from_event": True,
        "flat_since": NOW_TS - 500,
        "placeable": True,
    }
    facts = usual | said
    if facts["from_event"]:
        facts.setdefault("flat_event_ts", facts["as_of"])
    return SlotView(**facts)

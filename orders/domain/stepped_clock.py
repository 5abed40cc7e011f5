"""The exchange's clock was set back: what the old one dated lies in the future now, and must not outweigh what is newer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from orders.domain.snapshot import LegView, SlotView, TrioSnapshot

STEP_MS: Final = 1000  # the exchange refuses what is dated further ahead, so no smaller step back matters
LEG_TIMES: Final = ("accepted_ts", "triggered_ts", "filled_ts", "ended_ts", "looked_ts")
SLOT_TIMES: Final = ("as_of", "flat_since", "flat_event_ts", "mark_as_of")


def is_ahead(ts: int | None, *, now_ts: int) -> bool:
    """Is this dated by a clock that has been set back since? Nothing the exchange tells lies in its own future."""
    return ts is not None and ts > now_ts + STEP_MS


def brought_back(trio: TrioSnapshot, stepped_ts: int | None) -> TrioSnapshot:
    """Return the trio with what lies in the future dated when the step was noticed: all of it happened before that."""
    if stepped_ts is None:
        return trio
    legs = tuple(_leg(leg, trio.now_ts, stepped_ts) for leg in trio.legs)
    return replace(trio, legs=legs, slot=_slot(trio.slot, trio.now_ts, stepped_ts))


def _leg(leg: LegView, now_ts: int, stepped_ts: int) -> LegView:
    changes = _dated_anew(leg, LEG_TIMES, now_ts, stepped_ts)
    return replace(leg, **changes) if changes else leg


def _slot(slot: SlotView, now_ts: int, stepped_ts: int) -> SlotView:
    changes = _dated_anew(slot, SLOT_TIMES, now_ts, stepped_ts)
    return replace(slot, **changes) if changes else slot


def _dated_anew(
    view: LegView | SlotView, names: tuple[str, ...], now_ts: int, stepped_ts: int
) -> dict[str, Any]:
    return {name: stepped_ts for name in names if is_ahead(getattr(view, name), now_ts=now_ts)}

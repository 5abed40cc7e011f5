"""A ladder's rungs: when what is unfilled of it is taken back, and which of them may still go."""

from __future__ import annotations

from orders.domain.enums import LegState, Role
from orders.domain.snapshot import LegView, TrioSnapshot


def entry_withdraws(trio: TrioSnapshot) -> bool:
    """Is what is unfilled of the entry to be taken back: as asked for, at its time, or because a ladder is over?

    A ladder is over once a part target has executed, and where it was being withdrawn when something filled.
    """
    if trio.cancel_wanted or trio.close_wanted or trio.panic_wanted:
        return True
    if trio.good_till is not None and trio.now >= trio.good_till:
        return True
    if not trio.spec.rungs:
        return False
    return trio.cause is not None or any(leg.executed for leg in trio.every(Role.PART_TARGET))


def rungs_unsent(trio: TrioSnapshot) -> list[LegView]:
    """Return the orders of a ladder that never reached the book and may still go: before ``place_before``, while it stands."""
    over = trio.place_before is not None and trio.now >= trio.place_before
    if not trio.spec.rungs or over or trio.refusal or entry_withdraws(trio):
        return []
    return [leg for leg in trio.rungs if leg.state is LegState.PLANNED]

"""May the trio of a reversal follow, now that the first was to be closed? Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from orders.domain.enums import Cause, TrioState

# Ways in which the first trio may have ended so that its side is flat by our own doing, as wished or a moment before that.
AS_WISHED: Final = frozenset({Cause.MANUAL, Cause.STOP_LOSS, Cause.TAKE_PROFIT, Cause.TIME})


class Follow(enum.StrEnum):
    """Does the second trio go?"""

    WAIT = "WAIT"
    GO = "GO"
    DROP = "DROP"


@dataclass(frozen=True, slots=True)
class FirstTrio:
    """The trio that is closed, as a reversal sees it. ``taken_back``: a person withdrew the wish with Cancel, or panicked."""

    state: TrioState
    result: str = ""
    taken_back: str = ""


def follow(first: FirstTrio, *, is_overdue: bool) -> tuple[Follow, str]:
    """Say whether the second trio goes, and why not.

    It goes only once the first is CLOSED, which is said of a trio whose side was read flat, and in a way that leaves no
    doubt why: after a liquidation, say, or what somebody did elsewhere, a person decides anew.
    """
    if first.taken_back:
        return Follow.DROP, first.taken_back
    if is_overdue:
        return (
            Follow.DROP,
            "its time was over before the first trio was closed and the other could be placed.",
        )
    if not first.state.is_end:
        return Follow.WAIT, ""
    if first.state is not TrioState.CLOSED or first.result not in AS_WISHED:
        how = f"{first.state} by {first.result}" if first.result else first.state
        return Follow.DROP, f"the first trio ended {how}: look at the account, then place it yourself."
    return Follow.GO, ""

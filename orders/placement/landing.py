"""When a trio is out of the air again, and how late its cover came for reasons of our own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from orders.domain.coverage import is_uncovered
from orders.domain.decision.decide import Decision
from orders.domain.decision.steps import Rest
from orders.domain.enums import Role, TrioState
from orders.models import TrioOrder
from orders.placement.perform import Answer, SendCall

RECENT = 64


@dataclass(frozen=True, slots=True)
class Landing:
    """A trio has left the air. ``late_ms``: after its fill (or its entry's answer), if that was measured."""

    late_ms: int | None


def is_in_air(trio: TrioOrder) -> bool:
    """Was it in the air when its row was read: an entry on its way, or a position without cover?"""
    return trio.trio_state is TrioState.PLACING or trio.uncovered_known_at is not None


def landing(trio: TrioOrder, decision: Decision, *, was_in_air: bool) -> Landing | None:
    """Return how a trio left the air with this decision; nothing while it is there, or was not before."""
    settled = decision.trio
    waits = isinstance(decision.step, Rest) and not any(leg.pending for leg in settled.legs)
    placing = settled.state is TrioState.PLACING and not waits
    if not was_in_air or placing or is_uncovered(settled):
        return None
    if trio.uncovered_longest_ms:  # settled with this decision; what the exchange refused says nothing of us
        return Landing(None if trio.uncovered_refused_ms else trio.uncovered_longest_ms)
    entry = settled.newest(Role.ENTRY)
    known_from = None if entry is None else entry.filled_ts or entry.accepted_ts
    # Never uncovered: how late we knew of the fill is how late cover would have been.
    return Landing(None if known_from is None else max(0, settled.now_ts - known_from))


class Quickness:
    """The exchange's own part of each delay: its quickest answer of late. Anything above that may be ours."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque(maxlen=RECENT)

    def note(self, answer: Answer) -> None:
        """Note how long an answer took."""
        if isinstance(answer.call, SendCall) and answer.error is None and not answer.bug:
            self._recent.append(answer.latency_ms)

    def without(self, landing: Landing) -> int | None:
        """Return how late it was without the exchange's part."""
        if landing.late_ms is None:
            return None
        return max(0, landing.late_ms - min(self._recent, default=0))


quickness = Quickness()

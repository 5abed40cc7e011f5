"""How often trails may move the stops of one account: a share of its order windows, the nearest stop first. Pure.

The exchange limits orders for each account, and a move takes two (the bridge, and the order that follows it). Moves may use a
third of the windows. The nearest stop may use all of that and moves every other second; the others share three quarters
of it evenly. So the one that is likely to be reached next never waits for those that are far away.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from exchange.rate_limits import Limits

EVERY_SECONDS: Final = 2.0  # so often one trio's stop moves at most
ORDERS_A_MOVE: Final = 2
ORDERS_MANY: Final = (
    40  # every turn of a trio reads all its orders: with each so many more, its stop moves more seldom
)
OTHERS_PART: Final = 0.75
WINDOWS: Final = (10.0, 60.0)


def every_seconds(trails: int, moves: Limits) -> float:
    """Return how often each of so many trails may move, so that all together stay within what the nearest leaves them."""
    nearest = ORDERS_A_MOVE * WINDOWS[1] / EVERY_SECONDS
    theirs = max(1.0, OTHERS_PART * moves.orders_1m - nearest)
    return max(EVERY_SECONDS, trails * ORDERS_A_MOVE * WINDOWS[1] / theirs)


@dataclass(slots=True)
class MovePace:
    """The moves of one account over the last minute. Times are seconds of any clock that only goes on."""

    moved: deque[float] = field(default_factory=deque)

    def may_move(
        self,
        now: float,
        *,
        is_nearest: bool,
        last: float | None,
        trails: int,
        moves: Limits,
        orders: int = 1,
    ) -> bool:
        """May a stop move now? ``last``: when it moved last; ``orders``: how many stops its trio has had.

        ``trails``: of the account; ``moves``: orders they may use together.
        """
        pause = EVERY_SECONDS if is_nearest else every_seconds(trails, moves)
        pause = max(pause, EVERY_SECONDS * (1 + orders // ORDERS_MANY))
        if last is not None and now - last < pause:
            return False
        part = 1.0 if is_nearest else OTHERS_PART
        limits = (moves.orders_10s, moves.orders_1m)
        return all(
            self._used(window, now) + ORDERS_A_MOVE <= part * limit
            for window, limit in zip(WINDOWS, limits, strict=True)
        )

    def note(self, now: float) -> None:
        """A stop moves now."""
        self.moved.append(now)
        while self.moved and self.moved[0] <= now - WINDOWS[1]:
            self.moved.popleft()

    def take_back(self, at: float) -> None:
        """The move that was noted for then was not made."""
        with contextlib.suppress(ValueError):
            self.moved.remove(at)

    def _used(self, window: float, now: float) -> int:
        return ORDERS_A_MOVE * sum(1 for at in self.moved if at > now - window)

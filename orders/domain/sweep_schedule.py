"""How often each account is compared with its exchange, and what is listed then: pure.

Weight is counted for the address that all accounts of an environment share. Watching may use half of what is
allowed there; when it would need more, all its intervals grow by one factor. It follows from nothing but which
accounts are watched and where their trios live, so every process comes to the same schedule.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

POSITIONS_WEIGHT: Final = 5  # always all of them
SYMBOL_WEIGHT: Final = 2  # ordinary and conditional orders of one symbol
LISTING_WEIGHT: Final = 80  # of all symbols
SETTINGS_WEIGHT: Final = 5  # of the account's, and once more for those of its symbols
CLOCK_WEIGHT: Final = 3  # three readings
RULES_WEIGHT: Final = 1

WATCH_SHARE: Final = 0.5
PLANNED: Final = (
    0.9  # of that; the rest is for what happens in between: connects, new trios, strangers' orders
)
EARLY: Final = 0.95  # a sweep starts when so much of its interval is over, so that it ends within it

IDLE_TIMES: Final = 4  # an account without a living trio is swept so much more rarely
FULL_TIMES: Final = 40  # so many intervals between full listings
FULL_MS_MAX: Final = 3_600_000
MODES_MS: Final = 300_000
CLOCK_MS: Final = 120_000
LISTEN_KEY_MS: Final = 1_800_000
MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What one account's sweeps list, and how long it is from one to the next.

    ``symbols``: those whose orders are listed each time; ``None``: all. ``stretch`` is 1.0 while nothing is
    stretched; ``accounts`` share the address.
    """

    symbols: frozenset[str] | None
    interval_ms: int
    full_ms: int
    modes_ms: int
    rules_ms: int
    stretch: float = 1.0
    accounts: int = 1

    @property
    def weight(self) -> int:
        """Return what one sweep costs."""
        return sweep_weight(self.symbols)

    @property
    def weight_1m(self) -> float:
        """Return what this account's watching costs a minute, as planned."""
        sweeps = self.weight / (EARLY * self.interval_ms)
        full = (sweep_weight(None) - self.weight) / self.full_ms
        settings = SETTINGS_WEIGHT / self.modes_ms + SETTINGS_WEIGHT / self.rules_ms
        return MINUTE_MS * (sweeps + full + settings + 1 / LISTEN_KEY_MS)


def sweep_weight(symbols: Collection[str] | None) -> int:
    """Return what a sweep costs that lists the orders of these symbols; ``None``: of all."""
    return POSITIONS_WEIGHT + (LISTING_WEIGHT if symbols is None else SYMBOL_WEIGHT * len(symbols))


def listing(symbols: Collection[str]) -> frozenset[str] | None:
    """Return the cheaper way to list the orders of these symbols: one by one, or all (``None``)."""
    return frozenset(symbols) if SYMBOL_WEIGHT * len(symbols) < LISTING_WEIGHT else None


def usual_interval_ms(*, active: bool, sweep_ms: int) -> int:
    """Return how often an account is swept while nothing is stretched."""
    return sweep_ms if active else IDLE_TIMES * sweep_ms


def plan_sweeps(
    living: Mapping[int, Collection[str]], *, weight_1m: int, sweep_ms: int, rules_ms: int
) -> dict[int, SweepPlan]:
    """Return the plan of each account. ``living``: account → the symbols on which a trio of it lives.

    ``weight_1m`` is the address's limit, ``sweep_ms`` how often an account with living trios is swept at best.
    """
    shared = MINUTE_MS * (CLOCK_WEIGHT / CLOCK_MS + RULES_WEIGHT / rules_ms)
    fixed = shared + len(living) * MINUTE_MS / LISTEN_KEY_MS  # a listen key lasts an hour, whatever we like
    plans = {key: _plan(symbols, sweep_ms, rules_ms, len(living)) for key, symbols in living.items()}
    needed = sum(plan.weight_1m for plan in plans.values()) + shared - fixed
    room = max(1.0, PLANNED * WATCH_SHARE * weight_1m - fixed)
    stretch = max(1.0, needed / room)
    return {key: _stretched(plan, stretch) for key, plan in plans.items()} if stretch > 1 else plans


def _plan(symbols: Collection[str], sweep_ms: int, rules_ms: int, accounts: int) -> SweepPlan:
    return SweepPlan(
        symbols=listing(symbols),
        interval_ms=usual_interval_ms(active=bool(symbols), sweep_ms=sweep_ms),
        full_ms=max(sweep_ms, min(FULL_MS_MAX, FULL_TIMES * sweep_ms)),
        modes_ms=MODES_MS,
        rules_ms=max(MODES_MS, rules_ms),
        accounts=accounts,
    )


def _stretched(plan: SweepPlan, factor: float) -> SweepPlan:
    """Return a plan whose intervals are longer by a factor, in whole seconds where people read them."""
    return SweepPlan(
        symbols=plan.symbols,
        interval_ms=1000 * math.ceil(plan.interval_ms * factor / 1000),
        full_ms=math.ceil(plan.full_ms * factor),
        modes_ms=math.ceil(plan.modes_ms * factor),
        rules_ms=math.ceil(plan.rules_ms * factor),
        stretch=factor,
        accounts=plan.accounts,
    )

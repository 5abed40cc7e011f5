"""How much of the exchange's limits is used, and whether one more request fits: pure arithmetic, no clock of its own.

What we sent is counted over the last minute, which is stricter than the exchange's windows of the calendar. What
others sent from the same address, or under the same key, shows in the exchange's own figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exchange.rate_limits import Cost, Limits, Priority, Usage
from exchange.refusals import Refusal

MINUTE_MS: Final = 60_000
TEN_SECONDS_MS: Final = 10_000
BUCKET_MS: Final = 1000

# How much of the weight a class may bring the address to, and of the order windows the account, in percent.
WEIGHT_SHARES: Final[Mapping[Priority, int]] = {
    Priority.PROTECT: 97,
    Priority.MOVE: 85,
    Priority.PLACE: 80,
    Priority.WATCH: 65,
    Priority.PAGE: 55,
}
ORDER_SHARES: Final[Mapping[Priority, int]] = {
    Priority.PROTECT: 100,
    Priority.MOVE: 95,
    Priority.PLACE: 90,
    Priority.WATCH: 90,
    Priority.PAGE: 90,
}
# Of the order windows, moves by themselves: a third. What follows the price never takes the room of what is opened.
MOVES_PART: Final = 3


@dataclass(frozen=True, slots=True)
class Held:
    """Why a request must not leave now, and for how long (ms)."""

    cause: Refusal
    wait_ms: int


def limits_for(limits: Limits, priority: Priority, *, processes: int = 1) -> Limits:
    """Return what a class may bring each limit to; a ``processes``-th of it where nothing is shared."""
    parts = max(1, processes)
    return Limits(
        weight_1m=limits.weight_1m * WEIGHT_SHARES[priority] // (100 * parts),
        orders_10s=limits.orders_10s * ORDER_SHARES[priority] // (100 * parts),
        orders_1m=limits.orders_1m * ORDER_SHARES[priority] // (100 * parts),
    )


def moves_for(limits: Limits, *, processes: int = 1) -> Limits:
    """Return how many orders of moves an account may send in each window; a ``processes``-th of it where nothing is shared."""
    parts = MOVES_PART * max(1, processes)
    return Limits(limits.weight_1m, limits.orders_10s // parts, limits.orders_1m // parts)


@dataclass(slots=True)
class Count:
    """What was sent, by the second, for a minute."""

    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, amount: int, now_ms: int) -> None:
        if amount:
            bucket = now_ms // BUCKET_MS
            self.buckets[bucket] = self.buckets.get(bucket, 0) + amount
            for old in [b for b in self.buckets if b <= bucket - MINUTE_MS // BUCKET_MS]:
                del self.buckets[old]

    def within(self, window_ms: int, now_ms: int) -> int:
        """Return what was sent in the last ``window_ms``."""
        first = now_ms // BUCKET_MS - window_ms // BUCKET_MS
        return sum(amount for bucket, amount in self.buckets.items() if bucket > first)

    def since(self, start_ms: int) -> int:
        """Return what was sent since a moment."""
        return sum(amount for bucket, amount in self.buckets.items() if bucket >= start_ms // BUCKET_MS)


@dataclass(slots=True)
class Others:
    """What others have used of one window of the calendar, as the exchange's figure showed it last."""

    length_ms: int
    window: int = -1
    amount: int = 0

    def note(self, used: int | None, ours: Count, now_ms: int) -> None:
        if used is not None:
            self.window = now_ms // self.length_ms
            self.amount = max(0, used - ours.since(self.window * self.length_ms))

    def at(self, now_ms: int) -> int:
        return self.amount if self.window == now_ms // self.length_ms else 0


@dataclass(slots=True)
class AccountMeter:
    """One account's orders; those that protect and those that move apart, and what entries have pledged to the first."""

    orders: Count = field(default_factory=Count)
    pledged: Count = field(default_factory=Count)
    protecting: Count = field(default_factory=Count)
    moving: Count = field(default_factory=Count)
    others_10s: Others = field(default_factory=lambda: Others(TEN_SECONDS_MS))
    others_1m: Others = field(default_factory=lambda: Others(MINUTE_MS))
    closed_until: int = 0

    def used(self, window_ms: int, now_ms: int) -> int:
        others = self.others_10s if window_ms == TEN_SECONDS_MS else self.others_1m
        return self.orders.within(window_ms, now_ms) + others.at(now_ms)

    def still_pledged(self, window_ms: int, now_ms: int) -> int:
        """Return how many orders that entries in this window have pledged were not sent yet."""
        return max(0, self.pledged.within(window_ms, now_ms) - self.protecting.within(window_ms, now_ms))


@dataclass(slots=True)
class Meter:
    """One address and its accounts."""

    weight: Count = field(default_factory=Count)
    others: Others = field(default_factory=lambda: Others(MINUTE_MS))
    accounts: dict[str, AccountMeter] = field(default_factory=dict)

    def account(self, name: str) -> AccountMeter:
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = AccountMeter()
        return found

    def enter(
        self,
        name: str,
        cost: Cost,
        allowed: Limits,
        priority: Priority,
        *,
        now_ms: int,
        ceiling: int | None = None,
        moves: Limits | None = None,
    ) -> Held | None:
        """Count a request if it fits into what its class is ``allowed``; return why not otherwise.

        ``ceiling``: what others use counts against this weight alone; ``allowed`` is a part that is ours. ``moves``: what
        moves by themselves may use of the order windows.
        """
        ours, others = self.weight.within(MINUTE_MS, now_ms) + cost.weight, self.others.at(now_ms)
        whole = allowed.weight_1m if ceiling is None else ceiling
        if cost.weight and (ours > allowed.weight_1m or ours + others > whole):
            return Held(Refusal.RATE_WEIGHT, BUCKET_MS)
        if cost.orders:
            held = _orders_held(self.account(name), cost, allowed, priority, now_ms, moves)
            if held is not None:
                return held
        self.count(name, cost, priority, now_ms=now_ms)
        return None

    def count(self, name: str, cost: Cost, priority: Priority, *, now_ms: int) -> None:
        """Count a request that leaves."""
        self.weight.add(cost.weight, now_ms)
        if cost.orders:
            account = self.account(name)
            account.orders.add(cost.orders, now_ms)
            account.pledged.add(cost.pledge, now_ms)
            if priority is Priority.PROTECT:
                account.protecting.add(cost.orders, now_ms)
            elif priority is Priority.MOVE:
                account.moving.add(cost.orders, now_ms)

    def leave(self, name: str, usage: Usage, *, now_ms: int) -> None:
        """Note the exchange's own figures."""
        self.others.note(usage.weight_1m, self.weight, now_ms)
        if usage.orders_10s is None and usage.orders_1m is None and usage.cause is not Refusal.RATE_ORDERS:
            return
        account = self.account(name)
        account.others_10s.note(usage.orders_10s, account.orders, now_ms)
        account.others_1m.note(usage.orders_1m, account.orders, now_ms)
        if usage.cause is Refusal.RATE_ORDERS:
            account.closed_until = max(account.closed_until, now_ms + usage.closed_ms)


def _orders_held(
    account: AccountMeter,
    cost: Cost,
    allowed: Limits,
    priority: Priority,
    now_ms: int,
    moves: Limits | None,
) -> Held | None:
    protects = priority is Priority.PROTECT
    if not protects and account.closed_until > now_ms:
        return Held(Refusal.RATE_ORDERS, account.closed_until - now_ms)
    for window_ms, limit in (
        (TEN_SECONDS_MS, allowed.orders_10s),
        (MINUTE_MS, allowed.orders_1m),
    ):
        wanted = account.used(window_ms, now_ms) + cost.orders
        if not protects:
            wanted += cost.pledge + account.still_pledged(window_ms, now_ms)
        if wanted > limit:
            return Held(Refusal.RATE_ORDERS, BUCKET_MS)
    if priority is Priority.MOVE and moves is not None:
        for window_ms, limit in ((TEN_SECONDS_MS, moves.orders_10s), (MINUTE_MS, moves.orders_1m)):
            if account.moving.within(window_ms, now_ms) + cost.orders > limit:
                return Held(Refusal.RATE_ORDERS, BUCKET_MS)
    return None

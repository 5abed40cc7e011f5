"""Request weight of an address, order counts of an account; 429, then 418 for who does not listen."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.engine.account_book import AccountBook
from simulator.engine.errors import ApiError, refusal
from simulator.engine.profile import Profile

MINUTE = 60_000
TEN_SECONDS = 10_000
WARNINGS_MAX = 10  # so many requests after the first 429 of a minute bring a ban
BAN_MS = 120_000


@dataclass(slots=True)
class Address:
    """What one address has used in the present minute."""

    minute: int = 0
    used: int = 0
    ignored: int = 0
    banned_until: int = 0
    bans: int = 0


@dataclass(slots=True)
class Limits:
    """Counts what is used and refuses what is too much."""

    profile: Profile
    addresses: dict[str, Address] = field(default_factory=dict)

    def weigh(self, ip: str, weight: int, now: int) -> dict[str, str]:
        """Charge an address; return the headers. Raises ApiError 429, 418."""
        row = self.addresses.setdefault(ip, Address())
        if row.minute != now // MINUTE:
            row.minute, row.used, row.ignored = now // MINUTE, 0, 0
        if row.banned_until > now:
            raise self._banned(row, now)
        row.used += weight
        marks = {"X-MBX-USED-WEIGHT-1M": str(row.used)}
        limit = self.profile.weight_per_minute
        if self.profile.enforce_rates and row.used > limit:
            row.ignored += 1
            if row.ignored > WARNINGS_MAX:
                row.bans += 1
                row.banned_until = now + BAN_MS * row.bans
                raise self._banned(row, now)
            error = refusal(-1003, limit=limit)
            error.headers = {**marks, "Retry-After": str(max(1, ((row.minute + 1) * MINUTE - now) // 1000))}
            raise error
        return marks

    def _banned(self, row: Address, now: int) -> ApiError:
        text = (
            f"Way too many requests; IP(127.0.0.1) banned until {row.banned_until}. Please use the websocket."
        )
        return ApiError(-1003, text, 418, {"Retry-After": str(max(1, (row.banned_until - now) // 1000))})

    def count_orders(self, book: AccountBook, orders: int, now: int) -> dict[str, str]:
        """Count orders of an account; return the headers. Raises ApiError 429 with -1015."""
        short, long = book.orders_10s, book.orders_1m
        for window, length in ((short, TEN_SECONDS), (long, MINUTE)):
            if window[0] != now // length:
                window[0], window[1] = now // length, 0
        short[1] += orders
        long[1] += 1
        if self.profile.enforce_rates:
            for used, limit, interval, wait in (
                (short[1], self.profile.orders_per_ten_seconds, "10 SECOND", TEN_SECONDS),
                (long[1], self.profile.orders_per_minute, "1 MINUTE", MINUTE),
            ):
                if used > limit:
                    error = refusal(-1015, limit=limit, interval=interval)
                    error.headers = {"Retry-After": str(max(1, (wait - now % wait) // 1000))}
                    raise error
        return {"X-MBX-ORDER-COUNT-10S": str(short[1]), "X-MBX-ORDER-COUNT-1M": str(long[1])}

"""Rate limits: request weight by address, orders by account; 429 at first, 418 for those who go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.engine.account_book import AccountBook
from simulator.engine.errors import ApiError, refusal
from simulator.engine.profile import Profile

MINUTE = 60_000
TEN_SECONDS = 10_000
WARNINGS_MAX = 10  # so many 429 in one minute are followed by a ban
BAN_MS = 120_000


@dataclass(slots=True)
class AddressUsage:
    """What one address has used in the present minute."""

    minute: int = 0
    used: int = 0
    warnings: int = 0
    banned_until: int = 0
    bans: int = 0


@dataclass(slots=True)
class Limits:
    """Counts what is used and refuses what is too much."""

    profile: Profile
    addresses: dict[str, AddressUsage] = field(default_factory=dict)

    def charge_weight(self, ip: str, weight: int, now: int) -> dict[str, str]:
        """Charge an address; return the headers. Raises ApiError 429, 418."""
        usage = self.addresses.setdefault(ip, AddressUsage())
        if usage.minute != now // MINUTE:
            usage.minute, usage.used, usage.warnings = now // MINUTE, 0, 0
        if usage.banned_until > now:
            raise _banned(usage, now)
        usage.used += weight
        headers = {"X-MBX-USED-WEIGHT-1M": str(usage.used)}
        limit = self.profile.weight_per_minute
        if self.profile.enforce_rates and usage.used > limit:
            usage.warnings += 1
            if usage.warnings > WARNINGS_MAX:
                usage.bans += 1
                usage.banned_until = now + BAN_MS * usage.bans
                raise _banned(usage, now)
            error = refusal(-1003, limit=limit)
            error.headers = headers | _retry_after((usage.minute + 1) * MINUTE - now)
            raise error
        return headers

    def count_orders(self, book: AccountBook, orders: int, now: int) -> dict[str, str]:
        """Count orders of an account; return the headers. Raises ApiError 429 with -1015."""
        short, long = book.orders_10s, book.orders_1m
        for window, length in ((short, TEN_SECONDS), (long, MINUTE)):
            if window[0] != now // length:
                window[0], window[1] = now // length, 0
        short[1] += orders
        long[1] += 1
        if self.profile.enforce_rates:
            for used, limit, interval, length in (
                (short[1], self.profile.orders_per_ten_seconds, "10 SECOND", TEN_SECONDS),
                (long[1], self.profile.orders_per_minute, "1 MINUTE", MINUTE),
            ):
                if used > limit:
                    error = refusal(-1015, limit=limit, interval=interval)
                    error.headers = _retry_after(length - now % length)
                    raise error
        return {"X-MBX-ORDER-COUNT-10S": str(short[1]), "X-MBX-ORDER-COUNT-1M": str(long[1])}


def _banned(usage: AddressUsage, now: int) -> ApiError:
    until = usage.banned_until
    text = f"Way too many requests; IP(127.0.0.1) banned until {until}. Please use the websocket."
    return ApiError(-1003, text, 418, _retry_after(until - now))


def _retry_after(ms: int) -> dict[str, str]:
    return {"Retry-After": str(max(1, ms // 1000))}

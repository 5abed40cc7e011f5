"""Rate limits: request weight by address, orders by account; 429 at first, 418 for those who go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from simulator.engine.account_book import AccountBook
from simulator.engine.errors import ApiError, refusal
from simulator.engine.profile import Profile

MINUTE: Final = 60_000
TEN_SECONDS: Final = 10_000
WARNINGS_MAX: Final = (
    10  # so many refusals are answered as they are; going on is answered with a ban, or a longer one
)
BAN_MS: Final = 120_000
BAN_MS_MAX: Final = 3 * 86_400_000
FUNDING_POOL: Final = 500  # fundingRate and fundingInfo have a pool of their own, for each address
FUNDING_WINDOW: Final = 5 * MINUTE
USED_WEIGHT: Final = "X-MBX-USED-WEIGHT-1M"
ORDERS_10S, ORDERS_1M = "X-MBX-ORDER-COUNT-10S", "X-MBX-ORDER-COUNT-1M"
TELLS: Final = ("both", "header", "text")  # where the refusals of a ban say how long it lasts


@dataclass(slots=True)
class AddressUsage:
    """What one address has used in the present minute, and its ban."""

    minute: int = 0
    used: int = 0
    warnings: int = 0  # refusals in this minute, or since the ban in force was imposed
    banned_until: int = 0
    ban_ms: int = 0  # how long the newest ban was; the next one is longer
    tells: str = "both"
    funding_window: int = 0
    funding: int = 0

    def ban(self, ms: int, now: int, tells: str = "both") -> None:
        self.ban_ms, self.banned_until, self.tells, self.warnings = ms, now + ms, tells, 0


@dataclass(slots=True)
class Limits:
    """Counts what is used and refuses what is too much."""

    profile: Profile
    addresses: dict[str, AddressUsage] = field(default_factory=dict)

    def usage(self, ip: str) -> AddressUsage:
        return self.addresses.setdefault(ip, AddressUsage())

    def charge_weight(self, ip: str, weight: int, now: int) -> dict[str, str]:
        """Charge an address; return the headers. Raises ApiError 429, 418."""
        usage = self.usage(ip)
        self._refuse_banned(usage, ip, now)
        if usage.minute != now // MINUTE:
            usage.minute, usage.used, usage.warnings = now // MINUTE, 0, 0
        usage.used += weight
        headers = {USED_WEIGHT: str(usage.used)}
        limit = self.profile.weight_per_minute
        if self.profile.enforce_rates and usage.used > limit:
            raise self._too_much(ip, limit, headers, (usage.minute + 1) * MINUTE - now, now)
        return headers

    def charge_funding(self, ip: str, now: int) -> None:
        """Charge the pool of the funding endpoints. Raises ApiError 429, 418."""
        usage = self.usage(ip)
        if usage.funding_window != now // FUNDING_WINDOW:
            usage.funding_window, usage.funding = now // FUNDING_WINDOW, 0
        usage.funding += 1
        if self.profile.enforce_rates and usage.funding > FUNDING_POOL:
            raise self._too_much(ip, FUNDING_POOL, {}, FUNDING_WINDOW - now % FUNDING_WINDOW, now)

    def _too_much(self, ip: str, limit: int, headers: dict[str, str], wait_ms: int, now: int) -> ApiError:
        """The refusal for one request too many: 429, and a ban for those who go on."""
        error = refusal(-1003, limit=limit)
        error.headers = headers | _retry_after(wait_ms)
        return self._warned(ip, error, now)

    def _warned(self, ip: str, error: ApiError, now: int) -> ApiError:
        """The refusal itself, or the ban of those who have been told often enough."""
        usage = self.usage(ip)
        usage.warnings += 1
        if usage.warnings <= WARNINGS_MAX:
            return error
        usage.ban(_longer(usage), now)
        return _banned(usage, ip, now)

    def _refuse_banned(self, usage: AddressUsage, ip: str, now: int) -> None:
        """Refuse whatever comes during a ban, and lengthen it for those who go on. Raises ApiError 418."""
        if usage.banned_until <= now:
            return
        usage.warnings += 1
        if usage.warnings > WARNINGS_MAX:
            usage.ban(_longer(usage), now, usage.tells)
        raise _banned(usage, ip, now)

    def is_banned(self, ip: str, now: int) -> bool:
        return ip in self.addresses and self.addresses[ip].banned_until > now

    def count_orders(self, book: AccountBook, ip: str, orders: int, now: int) -> dict[str, str]:
        """Count orders of an account; return the headers. Raises ApiError 429 with -1015."""
        short, long = book.orders_10s, book.orders_1m
        for window, length in ((short, TEN_SECONDS), (long, MINUTE)):
            if window[0] != now // length:
                window[0], window[1] = now // length, 0
        short[1] += orders
        long[1] += 1
        if self.profile.enforce_rates:
            for used, limit, interval, length in (
                (long[1], self.profile.orders_per_minute, "1 MINUTE", MINUTE),
                (short[1], self.profile.orders_per_ten_seconds, "10 SECOND", TEN_SECONDS),
            ):
                if used > limit:
                    error = refusal(-1015, limit=limit, interval=interval)
                    error.headers = _retry_after(length - now % length)
                    raise self._warned(ip, error, now)
        return {ORDERS_10S: str(short[1]), ORDERS_1M: str(long[1])}


def _longer(usage: AddressUsage) -> int:
    """A first ban, or one twice as long as the newest: 120, 240, 480 seconds … three days."""
    return min(max(BAN_MS, 2 * usage.ban_ms), BAN_MS_MAX)


def _banned(usage: AddressUsage, ip: str, now: int) -> ApiError:
    until = "" if usage.tells == "header" else f" until {usage.banned_until}"
    text = f"Way too many requests; IP({ip}) banned{until}. Please use the websocket for live updates to avoid bans."
    headers = {} if usage.tells == "text" else _retry_after(usage.banned_until - now)
    return ApiError(-1003, text, 418, headers)


def _retry_after(ms: int) -> dict[str, str]:
    """In whole seconds, rounded up: who waits for so long is let in."""
    return {"Retry-After": str(max(1, -(-ms // 1000)))}

"""What Binance's requests cost, and what its answers say about the limits."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from exchange.binance.answer import Answer
from exchange.binance.errors import code_and_words, refusal_of
from exchange.rate_limits import Cost, Limits, Usage
from exchange.refusals import Refusal

MINUTE_MS: Final = 60_000
MARGIN_MS: Final = 25  # our idea of the exchange's time may be so wrong
BAN_MARGIN_MS: Final = 75  # and on a busy machine so wrong: a request a moment too early makes a ban longer
UNSURE_MS: Final = 150  # or so wrong, where no request was stamped yet
SECOND_MS: Final = 1000  # what a Retry-After in whole seconds may have lost
BAN_MS: Final = 120_000
BAN_MS_MAX: Final = 3 * 24 * 3600 * 1000
OTHER_MS_MAX: Final = 5000  # for a Retry-After that is about no limit of ours
_BANNED_UNTIL: Final = re.compile(r"banned until (\d{12,14})")
_INTERVAL: Final = re.compile(r"(\d+) ?(SECOND|MINUTE)", re.IGNORECASE)


def _with_symbol(one: int, every: int) -> Callable[[Mapping[str, str]], int]:
    return lambda params: one if params.get("symbol") else every


def _by_limit(params: Mapping[str, str]) -> int:
    """Return what bars cost: by how many are asked for."""
    limit = int(params.get("limit", "500"))
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


# Weight of what we ask; what is not named weighs 1. Placing weighs nothing, it counts as an order.
_WEIGHTS: Final[Mapping[tuple[str, str], int | Callable[[Mapping[str, str]], int]]] = {
    ("POST", "/fapi/v1/order"): 0,
    ("PUT", "/fapi/v1/order"): 0,
    ("POST", "/fapi/v1/algoOrder"): 0,
    ("GET", "/fapi/v1/openOrders"): _with_symbol(1, 40),
    ("GET", "/fapi/v1/openAlgoOrders"): _with_symbol(1, 40),
    ("GET", "/fapi/v1/allOrders"): 5,
    ("GET", "/fapi/v1/allAlgoOrders"): 5,
    ("GET", "/fapi/v1/userTrades"): 5,
    ("GET", "/fapi/v1/income"): 30,
    ("GET", "/fapi/v1/fundingRate"): 0,  # a pool of its own
    ("GET", "/fapi/v3/positionRisk"): 5,
    ("GET", "/fapi/v3/balance"): 5,
    ("GET", "/fapi/v3/account"): 5,
    ("GET", "/fapi/v1/accountConfig"): 5,
    ("GET", "/fapi/v1/symbolConfig"): 5,
    ("GET", "/fapi/v1/klines"): _by_limit,
    ("GET", "/fapi/v1/markPriceKlines"): _by_limit,
    ("GET", "/fapi/v1/premiumIndex"): _with_symbol(1, 10),
    ("GET", "/sapi/v1/account/apiRestrictions"): 0,  # another pool than the futures'
}
_ORDERS: Final = frozenset(
    {("POST", "/fapi/v1/order"), ("PUT", "/fapi/v1/order"), ("POST", "/fapi/v1/algoOrder")}
)


def cost_of(method: str, path: str, params: Mapping[str, str], *, pledge: int = 0) -> Cost:
    """Return what a request costs; ``pledge`` is what an order of it must leave room for."""
    weight = _WEIGHTS.get((method, path), 1)
    orders = 1 if (method, path) in _ORDERS else 0
    return Cost(
        weight=weight if isinstance(weight, int) else weight(params),
        orders=orders,
        pledge=pledge if orders else 0,
    )


def limits_in(info: Mapping[str, Any]) -> Limits:
    """Read ``rateLimits`` of exchangeInfo; what it does not say stays as published."""
    found: dict[str, int] = {}
    names = {
        ("REQUEST_WEIGHT", "MINUTE", 1): "weight_1m",
        ("ORDERS", "SECOND", 10): "orders_10s",
        ("ORDERS", "MINUTE", 1): "orders_1m",
    }
    for row in info.get("rateLimits") or ():
        if not isinstance(row, Mapping):
            continue
        number, limit = _whole(row.get("intervalNum")), _whole(row.get("limit"))
        name = names.get((str(row.get("rateLimitType")), str(row.get("interval")), number or 0))
        if name is not None and limit:
            found[name] = limit
    return Limits(**found)


def usage_of(answer: Answer, *, exchange_ms: int | None) -> Usage:
    """Read what an answer says about the limits. ``exchange_ms``: the exchange's time now, where known."""
    cause, closed_ms = None, 0
    if answer.status in (418, 429):
        code, words = code_and_words(answer.text)
        cause = refusal_of(code, status=answer.status)
        if _BANNED_UNTIL.search(words):  # whatever the status
            cause = Refusal.BANNED
        match cause:
            case Refusal.BANNED:
                closed_ms = _ban_ms(answer.retry_after, words, exchange_ms)
            case Refusal.RATE_ORDERS:
                closed_ms = max(_order_window_ms(answer.retry_after, words, exchange_ms))
            case _:
                cause = Refusal.RATE_WEIGHT
                closed_ms = _minute_ms(answer.retry_after, exchange_ms)
    return Usage(
        weight_1m=_whole(answer.headers.get("x-mbx-used-weight-1m")),
        orders_10s=_whole(answer.headers.get("x-mbx-order-count-10s")),
        orders_1m=_whole(answer.headers.get("x-mbx-order-count-1m")),
        cause=cause,
        closed_ms=closed_ms,
        is_told=cause is not Refusal.RATE_WEIGHT or answer.retry_after is not None,
    )


def wait_ms(answer: Answer, usage: Usage, *, exchange_ms: int | None) -> int:
    """Return how long to wait before this very request is made again; 0: the answer does not say."""
    if usage.cause is Refusal.RATE_ORDERS:  # what protects tries again as soon as it may
        _, words = code_and_words(answer.text)
        return min(_order_window_ms(answer.retry_after, words, exchange_ms))
    if usage.cause is not None:
        return usage.closed_ms
    return min((answer.retry_after or 0) * 1000, OTHER_MS_MAX)


def _ban_ms(retry_after: int | None, words: str, exchange_ms: int | None) -> int:
    """Return how long a ban lasts, never too short: a request before its end makes it longer."""
    found = _BANNED_UNTIL.search(words)
    told = None if retry_after is None else retry_after * 1000
    if found is not None:
        # Without a stamp to go by, this machine's own clock, with more margin.
        margin = UNSURE_MS if exchange_ms is None else BAN_MARGIN_MS
        left = int(found[1]) - (exchange_ms or time.time_ns() // 1_000_000)
        agrees = told is None or abs(left - told) <= (1 if exchange_ms is None else 1.5) * SECOND_MS
        if agrees and 0 < left <= BAN_MS_MAX:
            return left + margin
        if agrees and -SECOND_MS < left <= 0:  # it met the ban's last moment
            return UNSURE_MS
    if told is None:
        return BAN_MS
    return min(told + SECOND_MS, BAN_MS_MAX)


def _minute_ms(retry_after: int | None, exchange_ms: int | None) -> int:
    """Return how long the window of an address stays shut: to the end of the minute at most.

    A moment too early earns another 429, no ban; and what is uncovered waits for it.
    """
    told = None if retry_after is None else min(retry_after * 1000, MINUTE_MS) + MARGIN_MS
    if exchange_ms is None:
        return told or MINUTE_MS
    left = MINUTE_MS - exchange_ms % MINUTE_MS + MARGIN_MS
    return left if told is None or abs(left - told) <= SECOND_MS else told


def _order_window_ms(retry_after: int | None, words: str, exchange_ms: int | None) -> tuple[int, int]:
    """Return how long an account's order window is shut: as the header says, and to the window's end."""
    found = _INTERVAL.search(words)
    long = found is not None and found[2].upper() == "MINUTE"
    length = MINUTE_MS if long or (found is None and (retry_after or 0) > 10) else 10 * SECOND_MS
    left = length if exchange_ms is None else length - exchange_ms % length
    told = left if retry_after is None else min(retry_after * 1000, length)
    return max(told, MARGIN_MS), left + MARGIN_MS


def _whole(value: Any) -> int | None:
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() else None

"""What a request costs, and what an answer says about the limits."""

from __future__ import annotations

import time

import pytest

from exchange.binance.answer import Answer
from exchange.binance.limits import cost_of, limits_in, usage_of, wait_ms
from exchange.rate_limits import Cost, Limits
from exchange.refusals import Refusal

NOON = 1_795_780_800_000  # an exchange time at the start of a minute


def answer(status: int, text: str = "", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, text)


def banned(until: int) -> str:
    return f'{{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until {until}."}}'


@pytest.mark.parametrize(
    ("method", "path", "params", "cost"),
    [
        ("POST", "/fapi/v1/order", {"symbol": "BTCUSDT"}, Cost(0, 1, 2)),
        ("POST", "/fapi/v1/algoOrder", {"symbol": "BTCUSDT"}, Cost(0, 1, 2)),
        ("POST", "/fapi/v1/order/test", {"symbol": "BTCUSDT"}, Cost(1, 0, 0)),
        ("DELETE", "/fapi/v1/algoOrder", {}, Cost(1, 0, 0)),
        ("GET", "/fapi/v1/openAlgoOrders", {}, Cost(40, 0, 0)),
        ("GET", "/fapi/v1/openAlgoOrders", {"symbol": "BTCUSDT"}, Cost(1, 0, 0)),
        ("GET", "/fapi/v3/positionRisk", {}, Cost(5, 0, 0)),
        *(
            ("GET", path, {"limit": limit}, Cost(weight, 0, 0))
            for path in ("/fapi/v1/klines", "/fapi/v1/markPriceKlines")
            for limit, weight in (("99", 1), ("100", 2), ("500", 5), ("1000", 5), ("1001", 10))
        ),
        ("GET", "/fapi/v1/klines", {}, Cost(5, 0, 0)),
    ],
)
def test_each_request_has_its_cost(method: str, path: str, params: dict[str, str], cost: Cost) -> None:
    assert cost_of(method, path, params, pledge=2) == cost


def test_limits_are_read_from_the_exchange_and_not_assumed() -> None:
    rows = [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 50},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": "700"},
        {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
        "nonsense",
    ]
    assert limits_in({"rateLimits": rows}) == Limits(6000, 50, 700)
    assert limits_in({}) == Limits()


def test_figures_are_read_from_the_headers_of_any_answer() -> None:
    usage = usage_of(
        answer(200, "{}", x_mbx_used_weight_1m="17", x_mbx_order_count_10s="3", x_mbx_order_count_1m="9"),
        exchange_ms=NOON,
    )
    assert (usage.weight_1m, usage.orders_10s, usage.orders_1m, usage.cause) == (17, 3, 9, None)


@pytest.mark.parametrize(
    ("text", "headers", "closed_ms"),
    [
        (banned(NOON + 59_400), {"retry_after": "59"}, 59_475),  # the text is exact, and agrees
        (banned(NOON + 59_400), {}, 59_475),
        (banned(NOON - 3), {"retry_after": "1"}, 150),  # its last moment: over by the time we read it
        ("", {"retry_after": "59"}, 60_000),  # whole seconds: never too early
        (
            banned(NOON + 400_000),
            {"retry_after": "60"},
            61_000,
        ),  # they contradict each other: our clock is off
        (banned(NOON - 5000), {"retry_after": "60"}, 61_000),
        ("", {}, 120_000),  # no end told: the shortest ban there is
        ("", {"retry_after": "99999999"}, 3 * 24 * 3600 * 1000),
    ],
)
def test_a_ban_ends_when_the_exchange_says(text: str, headers: dict[str, str], closed_ms: int) -> None:
    got = answer(418, text, **headers)
    usage = usage_of(got, exchange_ms=NOON)
    assert (usage.cause, usage.closed_ms) == (Refusal.BANNED, closed_ms)
    assert wait_ms(got, usage, exchange_ms=NOON) == closed_ms


def test_before_any_request_was_stamped_this_machines_clock_is_believed_where_the_header_agrees() -> None:
    now = time.time_ns() // 1_000_000
    agreeing = usage_of(answer(418, banned(now + 59_400), retry_after="60"), exchange_ms=None)
    contradicting = usage_of(answer(418, banned(now + 5000), retry_after="60"), exchange_ms=None)

    assert 59_400 < agreeing.closed_ms <= 59_550
    assert contradicting.closed_ms == 61_000


@pytest.mark.parametrize(
    ("headers", "closed_ms"),
    [
        ({"retry_after": "20"}, 20_025),
        ({}, 20_025),
        ({"retry_after": "5"}, 5025),
        ({"retry_after": "900"}, 60_025),
    ],
)
def test_a_used_up_minute_ends_with_the_minute(headers: dict[str, str], closed_ms: int) -> None:
    got = answer(429, '{"code":-1003,"msg":"Too many requests"}', **headers)
    usage = usage_of(got, exchange_ms=NOON + 40_000)
    assert (usage.cause, usage.closed_ms) == (Refusal.RATE_WEIGHT, closed_ms)


@pytest.mark.parametrize(
    ("interval", "headers", "entries_ms", "this_ms"),
    [
        ("300 orders per 10 SECOND", {"retry_after": "1"}, 4025, 1000),
        ("300 orders per 10 SECOND", {}, 4025, 4000),
        ("300 orders per 10 SECOND", {"retry_after": "600"}, 10_000, 4025),
        ("1200 orders per 1 MINUTE", {"retry_after": "30"}, 54_025, 30_000),
    ],
)
def test_an_order_window_is_the_accounts_and_what_protects_tries_at_its_first_chance(
    interval: str, headers: dict[str, str], entries_ms: int, this_ms: int
) -> None:
    got = answer(
        429, f'{{"code":-1015,"msg":"Too many new orders; current limit is {interval}."}}', **headers
    )
    usage = usage_of(got, exchange_ms=NOON + 6000)
    assert (usage.cause, usage.closed_ms) == (Refusal.RATE_ORDERS, entries_ms)
    assert wait_ms(got, usage, exchange_ms=NOON + 6000) == this_ms


def test_another_answers_retry_after_is_taken_with_a_limit() -> None:
    got = answer(503, "Service Unavailable.", retry_after="3600")
    usage = usage_of(got, exchange_ms=NOON)
    assert usage.cause is None
    assert wait_ms(got, usage, exchange_ms=NOON) == 5000


def test_a_ban_is_a_ban_with_whatever_status_it_comes() -> None:
    usage = usage_of(answer(429, banned(NOON + 30_000)), exchange_ms=NOON)
    assert (usage.cause, usage.closed_ms, usage.is_told) == (Refusal.BANNED, 30_075, True)

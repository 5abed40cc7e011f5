"""What the exchange allows: weight by address, orders by account, bans for those who go on, and the log that judges it."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from simulator import Reply, Simulator
from simulator.protocol.routes import ROUTES
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk, Refused

OTHER: Final = "127.0.0.2"
LIMIT_ORDER: Final = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "60000",
}  # fmt: skip

# As Binance documents them: (method, path without /fapi): weight, or weights with and without a symbol.
WEIGHTS: Final[dict[tuple[str, str], int | tuple[int, int]]] = {
    ("GET", "v1/ping"): 1, ("GET", "v1/time"): 1, ("GET", "v1/exchangeInfo"): 1,
    ("GET", "v1/premiumIndex"): (1, 10), ("GET", "v1/ticker/bookTicker"): (2, 5), ("GET", "v2/ticker/price"): (1, 2),
    ("GET", "v1/ticker/24hr"): (1, 40), ("GET", "v1/fundingInfo"): 0, ("GET", "v1/fundingRate"): 0,
    ("POST", "v1/order"): 0, ("PUT", "v1/order"): 0, ("GET", "v1/order"): 1, ("DELETE", "v1/order"): 1,
    ("POST", "v1/batchOrders"): 5, ("PUT", "v1/batchOrders"): 5, ("DELETE", "v1/batchOrders"): 1,
    ("GET", "v1/openOrder"): 1, ("GET", "v1/openOrders"): (1, 40), ("GET", "v1/allOrders"): 5,
    ("DELETE", "v1/allOpenOrders"): 1, ("POST", "v1/countdownCancelAll"): 10, ("GET", "v1/orderAmendment"): 1,
    ("GET", "v1/userTrades"): 5, ("GET", "v1/forceOrders"): (20, 50),
    ("POST", "v1/algoOrder"): 0, ("GET", "v1/algoOrder"): 1, ("DELETE", "v1/algoOrder"): 1,
    ("GET", "v1/openAlgoOrders"): (1, 40), ("GET", "v1/allAlgoOrders"): 5, ("DELETE", "v1/algoOpenOrders"): 1,
    ("GET", "v3/account"): 5, ("GET", "v2/account"): 5, ("GET", "v3/balance"): 5, ("GET", "v2/balance"): 5,
    ("GET", "v3/positionRisk"): 5, ("GET", "v2/positionRisk"): 5, ("GET", "v1/symbolConfig"): 5,
    ("GET", "v1/accountConfig"): 5, ("GET", "v1/positionSide/dual"): 30, ("POST", "v1/positionSide/dual"): 1,
    ("GET", "v1/multiAssetsMargin"): 30, ("POST", "v1/multiAssetsMargin"): 1, ("POST", "v1/leverage"): 1,
    ("POST", "v1/marginType"): 1, ("POST", "v1/positionMargin"): 1, ("GET", "v1/leverageBracket"): 1,
    ("GET", "v1/commissionRate"): 20, ("GET", "v1/income"): 30, ("GET", "v1/rateLimit/order"): 1,
    ("GET", "v1/apiTradingStatus"): (1, 10), ("GET", "v1/feeBurn"): 30, ("GET", "v1/adlQuantile"): 5,
    ("POST", "v1/listenKey"): 1, ("PUT", "v1/listenKey"): 1, ("DELETE", "v1/listenKey"): 1,
}  # fmt: skip
ORDER_COUNTS: Final = {
    ("POST", "v1/order"): 1, ("PUT", "v1/order"): 1, ("POST", "v1/algoOrder"): 1,
    ("POST", "v1/batchOrders"): 5, ("PUT", "v1/batchOrders"): 5,
}  # fmt: skip


def read(simulator: Simulator, times: int = 1, path: str = "/fapi/v1/time", ip: str = "127.0.0.1") -> Reply:
    """Ask so many times; return the last answer."""
    for _ in range(times):
        reply = simulator.handle("GET", path, {}, b"", ip)
    return reply


def wait_of(reply: Reply) -> int:
    return int(reply.headers["Retry-After"])


def text_of(reply: Reply) -> str:
    text: str = json.loads(reply.body)["msg"]
    return text


@pytest.mark.parametrize(("request_line", "weight"), WEIGHTS.items(), ids=[" ".join(r) for r in WEIGHTS])
def test_every_request_weighs_what_the_exchange_says(
    request_line: tuple[str, str], weight: int | tuple[int, int]
) -> None:
    route = ROUTES[request_line[0], f"/fapi/{request_line[1]}"]
    one, every = weight if isinstance(weight, tuple) else (weight, weight)
    assert (route.weight_of({"symbol": "BTCUSDT"}), route.weight_of({})) == (one, every)
    assert route.orders == ORDER_COUNTS.get(request_line, 0)


@pytest.mark.parametrize(("limit", "weight"), [("99", 1), ("499", 2), ("1000", 5), ("1500", 10), (None, 5)])
def test_klines_weigh_by_how_many_are_asked_for(limit: str | None, weight: int) -> None:
    values = {"symbol": "BTCUSDT"} | ({"limit": limit} if limit else {})
    assert ROUTES["GET", "/fapi/v1/klines"].weight_of(values) == weight


def test_every_answer_says_what_the_address_has_used_and_only_orders_say_what_the_account_has(
    desk: Desk, simulator: Simulator
) -> None:
    # Given a read, an order, and an order that is refused
    read_ = desk.raw("GET", "/fapi/v3/positionRisk", desk.signed_query())
    placed = desk.raw("POST", "/fapi/v1/order", desk.signed_query(**LIMIT_ORDER))
    refused = desk.raw("POST", "/fapi/v1/order", desk.signed_query(**LIMIT_ORDER | {"quantity": "0.0000001"}))
    unknown = desk.raw("GET", "/fapi/v1/nothing")

    # Then each says the weight, and the accepted order alone the windows, though both count
    used = [r.headers["X-MBX-USED-WEIGHT-1M"] for r in (read_, placed, refused, unknown)]
    assert used == ["5", "5", "5", "6"]
    counts = [r.headers.get("X-MBX-ORDER-COUNT-10S") for r in (read_, placed, refused, unknown)]
    assert counts == [None, "1", None, None]
    assert [(e.weight, e.used, e.orders_10s, e.orders_1m) for e in simulator.log] == [
        (5, 5, 0, 0), (0, 5, 1, 1), (0, 5, 2, 2), (1, 6, 0, 0),
    ]  # fmt: skip


def test_who_goes_on_during_a_ban_is_banned_for_twice_as_long(clock: Clock) -> None:
    simulator = Simulator(clock=clock, weight_per_minute=10)
    # Given an address that had ten refusals and went on
    assert read(simulator, 10).status == 200
    assert read(simulator, 10).status == 429
    banned = read(simulator)
    assert (banned.status, wait_of(banned)) == (418, 120)

    # When it asks again and again, the end comes no sooner, and moves away
    lengths = [wait_of(read(simulator, 11)) for _ in range(3)]
    assert lengths == [240, 480, 960]
    assert wait_of(read(simulator, 11 * 40)) == 3 * 86_400  # and never farther than three days


def test_who_is_silent_during_a_ban_is_let_in_at_its_end_to_the_millisecond(
    clock: Clock, simulator: Simulator
) -> None:
    until = simulator.ban(60)
    clock.forward(30_000)
    told = read(simulator)
    assert f"IP(127.0.0.1) banned until {until}." in text_of(told)
    assert wait_of(told) == 30
    clock.ms = until - 1
    assert read(simulator).status == 418
    clock.ms = until
    assert read(simulator).status == 200


@pytest.mark.parametrize(("tells", "header", "text"), [("header", True, False), ("text", False, True)])
def test_a_ban_may_say_its_end_in_one_place_only(
    simulator: Simulator, tells: str, header: bool, text: bool
) -> None:
    until = simulator.ban(60, tells=tells)
    reply = read(simulator)
    assert ("Retry-After" in reply.headers, str(until) in text_of(reply)) == (header, text)


def test_a_ban_is_of_one_address_and_every_path(simulator: Simulator) -> None:
    simulator.ban(60, address=OTHER)
    assert [read(simulator, ip=OTHER, path=path).status for path in ("/fapi/v1/time", "/nothing")] == [
        418,
        418,
    ]
    assert read(simulator).status == 200
    simulator.ban(0, address=OTHER)
    assert read(simulator, ip=OTHER).status == 200


def test_addresses_use_up_their_own_minutes_and_one_account_its_windows_from_everywhere(clock: Clock) -> None:
    simulator = Simulator(clock=clock, weight_per_minute=10, orders_per_ten_seconds=1)
    simulator.add_account("desk", KEY, SECRET)
    desk = Desk(simulator, clock)
    assert read(simulator, 11).status == 429
    assert read(simulator, 10, ip=OTHER).status == 200
    clock.forward(60_000)
    desk.ask("POST", "/fapi/v1/order", **LIMIT_ORDER)
    query = desk.signed_query(**LIMIT_ORDER)
    elsewhere = simulator.handle("POST", f"/fapi/v1/order?{query}", {"x-mbx-apikey": KEY}, b"", OTHER)
    assert (elsewhere.status, json.loads(elsewhere.body)["code"]) == (429, -1015)


@pytest.mark.parametrize(("limit", "window"), [("orders_per_ten_seconds", 10), ("orders_per_minute", 60)])
def test_too_many_orders_are_told_how_long_the_window_lasts_and_then_banned(
    clock: Clock, limit: str, window: int
) -> None:
    switch: dict[str, Any] = {limit: 1}
    simulator = Simulator(clock=clock, **switch)
    simulator.add_account("desk", KEY, SECRET)
    desk = Desk(simulator, clock)
    clock.ms += 500 - clock.ms % 60_000 + 60_000
    query = desk.signed_query(**LIMIT_ORDER)
    assert desk.raw("POST", "/fapi/v1/order", query).status == 200
    refused = [desk.raw("POST", "/fapi/v1/order", query) for _ in range(11)]
    assert [(r.status, json.loads(r.body)["code"]) for r in refused] == [(429, -1015)] * 10 + [(418, -1003)]
    assert wait_of(refused[0]) == window


def test_limits_change_while_it_runs_and_exchange_info_says_so(clock: Clock, simulator: Simulator) -> None:
    changed = simulator.set_limits(weight_per_minute=20, orders_per_ten_seconds=30)
    assert (changed["weight_per_minute"], changed["orders_per_minute"]) == (20, 1200)
    limits = json.loads(read(simulator, path="/fapi/v1/exchangeInfo").body)["rateLimits"]
    assert [row["limit"] for row in limits] == [20, 1200, 30]
    assert read(simulator, 20).status == 429
    simulator.set_limits(enforce_rates=False)
    assert read(simulator, 20).status == 200
    mistakes: list[dict[str, Any]] = [{"moon": 1}, {"weight_per_minute": -1}, {"enforce_rates": 1}]
    for wrong in mistakes:
        with pytest.raises(ValueError, match=r"limit|number|true"):
            simulator.set_limits(**wrong)


def test_a_reset_forgets_what_was_used_and_bans(simulator: Simulator) -> None:
    read(simulator, 5)
    simulator.ban(60)
    simulator.set_limits(reset=True)
    assert read(simulator).headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_the_venue_may_drop_a_stop_and_says_so(desk: Desk, simulator: Simulator) -> None:
    desk.algo("SELL", "STOP_MARKET", "50000", quantity="0.010", reduceOnly="true", clientAlgoId="stop")
    desk.events()
    simulator.expire("stop")
    assert desk.story() == ["ALGO_UPDATE EXPIRED"]
    assert simulator.open_orders() == []
    with pytest.raises(ValueError, match="No open conditional order"):
        simulator.expire("stop")


def test_the_funding_endpoints_have_a_pool_of_their_own(clock: Clock, simulator: Simulator) -> None:
    clock.ms += 300_000 - clock.ms % 300_000
    assert read(simulator, 500, "/fapi/v1/fundingInfo").headers["X-MBX-USED-WEIGHT-1M"] == "0"
    full = read(simulator, 1, "/fapi/v1/fundingRate")
    assert (full.status, wait_of(full)) == (429, 300)
    assert read(simulator).status == 200


def test_an_account_holds_as_many_conditional_orders_as_it_may(desk: Desk, simulator: Simulator) -> None:
    simulator.set_limits(conditional_max=2)
    for trigger in ("50000", "50001"):
        desk.algo("SELL", "STOP_MARKET", trigger, quantity="0.010", reduceOnly="true")
    with pytest.raises(Refused) as refused:
        desk.algo("SELL", "STOP_MARKET", "50002", quantity="0.010", reduceOnly="true")
    assert refused.value.code == -4045


def test_the_summary_counts_by_answer_account_address_and_minute(
    desk: Desk, simulator: Simulator, clock: Clock
) -> None:
    # Given requests of an account, of nobody, and of an account whose signature is wrong, in two minutes
    clock.ms += 60_000 - clock.ms % 60_000
    first = clock()
    desk.ask("GET", "/fapi/v3/positionRisk")
    read(simulator, ip=OTHER)
    clock.forward(60_000)
    desk.raw("GET", "/fapi/v3/balance", "timestamp=1&signature=none")

    summary = simulator.venue.request_log.summary()

    def row(status: int, code: int, path: str) -> dict[str, Any]:
        return {"status": status, "code": code, "method": "GET", "path": f"/fapi/{path}", "count": 1}

    assert summary == {
        "count": 3,
        "answers": [row(200, 0, "v1/time"), row(200, 0, "v3/positionRisk"), row(400, -1022, "v3/balance")],
        "minutes": [
            {
                "ms": first,
                "requests": {"desk": 1, "-": 1},
                "weight": {"desk": 5, "-": 1},
                "by_address": {"127.0.0.1": 5, OTHER: 1},
                "statuses": {"200": 2},
            },
            {
                "ms": first + 60_000,
                "requests": {"desk": 1},
                "weight": {"desk": 5},
                "by_address": {"127.0.0.1": 5},
                "statuses": {"400": 1},
            },
        ],
    }

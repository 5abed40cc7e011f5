"""Keys, signatures, clocks, limits, and the shapes of bad requests."""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from simulator import AccountExists, Simulator
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk, Refused

ORDER = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.010&price=60000&timeInForce=GTC"


def sign(payload: str, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def code_of(reply: Any) -> Any:
    return json.loads(reply.body).get("code", reply.status)


def test_the_signature_covers_query_and_body_exactly_as_sent(desk: Desk, clock: Clock) -> None:
    stamp = f"timestamp={clock()}"
    everything = f"{ORDER}&{stamp}"
    ways = [
        (f"{everything}&signature={sign(everything)}", ""),
        ("", f"{everything}&signature={sign(everything)}"),
        (ORDER, f"{stamp}&signature={sign(ORDER + stamp)}"),
    ]
    for query, body in ways:
        assert desk.raw("POST", "/fapi/v1/order", query, body.encode()).status == 200
    # not where something follows it, nor over something else
    early = f"signature={sign(everything)}&{everything}"
    assert code_of(desk.raw("POST", "/fapi/v1/order", early)) == -1022
    assert code_of(desk.raw("POST", "/fapi/v1/order", f"{everything}&signature={sign(ORDER)}")) == -1022
    assert code_of(desk.raw("POST", "/fapi/v1/order", everything)) == -1102


def test_percent_encoding_is_signed_as_it_travels(desk: Desk, clock: Clock) -> None:
    query = f"symbol=%E6%B5%8B%E8%AF%95%E6%B5%8B%E8%AF%95USDT&timestamp={clock()}"
    reply = desk.raw("GET", "/fapi/v1/openOrders", f"{query}&signature={sign(query)}")
    assert reply.status == 200


def test_keys(desk: Desk, simulator: Simulator, clock: Clock) -> None:
    query = desk.signed_query()
    for key, status, code in (("", 401, -2014), ("not a key!", 401, -2014), ("unknownkey", 401, -2015)):
        reply = simulator.handle("GET", f"/fapi/v3/balance?{query}", {"x-mbx-apikey": key})
        assert (reply.status, code_of(reply)) == (status, code)
    assert code_of(Desk(simulator, clock, KEY, "wrong").raw("GET", "/fapi/v3/balance", Desk(
        simulator, clock, KEY, "wrong").signed_query())) == -1022  # fmt: skip


@pytest.mark.parametrize(("lag", "window", "code"), [
    (0, None, 200), (-999, None, 200), (-1000, None, -1021), (5000, None, 200), (5001, None, -1021),
    (6000, 6000, 200), (60000, 60000, 200), (0, 60001, -1131), (1, 0, -1021),
])  # fmt: skip
def test_a_request_must_be_fresh_in_both_directions(
    desk: Desk, clock: Clock, lag: int, window: int | None, code: int
) -> None:
    params = {"timestamp": clock() - lag} | ({"recvWindow": window} if window is not None else {})
    reply = desk.raw("GET", "/fapi/v3/balance", desk.signed_query(**params))
    assert (reply.status if reply.status == 200 else code_of(reply)) == code


def test_a_parameter_sent_twice_is_refused(desk: Desk, clock: Clock) -> None:
    query = f"{ORDER}&symbol=ETHUSDT&timestamp={clock()}"
    assert code_of(desk.raw("POST", "/fapi/v1/order", f"{query}&signature={sign(query)}")) == -1101


def test_unknown_paths_wrong_methods_and_large_bodies(desk: Desk) -> None:
    assert desk.raw("GET", "/fapi/v1/nothing").status == 404
    assert desk.raw("PATCH", "/fapi/v1/order").status == 405
    assert desk.raw("POST", "/fapi/v1/order", body=b"x" * (1 << 20 | 1)).status == 413
    assert desk.raw("POST", "/fapi/v1/order", body=b"\xff\xfe=1").status == 400


def test_headers_show_what_is_used(desk: Desk) -> None:
    desk.ask("GET", "/fapi/v3/account")
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
    reply = desk.raw("POST", "/fapi/v1/order", desk.signed_query(**params))
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "5"
    assert (reply.headers["X-MBX-ORDER-COUNT-10S"], reply.headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "1")


def test_too_many_orders_are_refused_until_the_window_is_over(desk: Desk, clock: Clock) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010",
             "price": "60000"}  # fmt: skip
    for _ in range(300):
        desk.ask("POST", "/fapi/v1/order", **params)
    with pytest.raises(Refused) as refused:
        desk.ask("POST", "/fapi/v1/order", **params)
    assert (refused.value.status, refused.value.code) == (429, -1015)
    clock.forward(10_000)
    desk.ask("POST", "/fapi/v1/order", **params)


def test_too_much_weight_gets_429_and_going_on_418(clock: Clock) -> None:
    simulator = Simulator(clock=clock, profile="prod")
    simulator.add_account("desk", KEY, SECRET)
    desk = Desk(simulator, clock)
    for _ in range(2400 // 40):
        desk.ask("GET", "/fapi/v1/openOrders")
    replies = [desk.raw("GET", "/fapi/v1/openOrders", desk.signed_query()) for _ in range(11)]
    assert [r.status for r in replies] == [429] * 10 + [418]
    assert int(replies[0].headers["Retry-After"]) >= 1
    clock.forward(60_000)
    assert desk.raw("GET", "/fapi/v1/time").status == 418  # a ban outlasts the minute
    clock.forward(60_000)
    assert desk.raw("GET", "/fapi/v1/time").status == 200


def test_production_and_demo_have_their_own_numbers(clock: Clock) -> None:
    for name, weight, notional, orders in (("demo", 6000, "100", 10000), ("prod", 2400, "50", 200)):
        simulator = Simulator(clock=clock, profile=name)
        info = json.loads(simulator.handle("GET", "/fapi/v1/exchangeInfo", {}).body)
        assert info["rateLimits"][0]["limit"] == weight
        assert info["serverTime"] == clock()
        assert len(info["symbols"]) == 660
        rules = {
            f["filterType"]: f
            for f in next(s for s in info["symbols"] if s["symbol"] == "BTCUSDT")["filters"]
        }
        assert (rules["MIN_NOTIONAL"]["notional"], rules["MAX_NUM_ORDERS"]["limit"]) == (notional, orders)
    with pytest.raises(ValueError, match="Known: demo, prod"):
        Simulator(profile="moon")


def test_an_account_is_opened_once(simulator: Simulator) -> None:
    assert simulator.add_account("desk", KEY, SECRET) is False
    with pytest.raises(AccountExists, match="another secret"):
        simulator.add_account("other", KEY, "different")
    with pytest.raises(AccountExists, match="named desk"):
        simulator.add_account("desk", "anotherkey", SECRET)
    with pytest.raises(ValueError, match="ONE_WAY or HEDGE"):
        simulator.add_account("x", "y", "z", position_mode="BOTH")


def test_settings_change_only_when_they_may(desk: Desk) -> None:
    def code(path: str, **params: Any) -> Any:
        try:
            desk.ask("POST", path, **params)
        except Refused as refused:
            return refused.code
        return 200

    mode, margin, leverage = "/fapi/v1/positionSide/dual", "/fapi/v1/marginType", "/fapi/v1/leverage"
    assert code(mode, dualSidePosition="false") == -4059
    assert code(margin, symbol="BTCUSDT", marginType="CROSSED") == -4046
    assert code(leverage, symbol="BTCUSDT", leverage="151") == -4028
    assert code(leverage, symbol="BTCUSDT", leverage="10") == 200
    assert code(leverage, symbol="BTCUSDT", leverage="10") == 200  # idempotent
    desk.order("BUY", "LIMIT", "0.010", price="60000")
    assert code(mode, dualSidePosition="true") == -4067
    assert code(margin, symbol="BTCUSDT", marginType="ISOLATED") == -4047
    desk.ask("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    desk.order("BUY", "MARKET", "0.010")
    assert code(mode, dualSidePosition="true") == -4068
    assert code(margin, symbol="BTCUSDT", marginType="ISOLATED") == -4048
    (row,) = desk.ask("GET", "/fapi/v1/symbolConfig", symbol="BTCUSDT")
    assert (row["leverage"], row["marginType"]) == (10, "CROSSED")
    assert "ACCOUNT_CONFIG_UPDATE" in [e["e"] for e in desk.events()]


def test_a_listen_key_is_valid_for_an_hour_and_can_be_extended(desk: Desk, clock: Clock) -> None:
    def ask(method: str) -> Any:
        return json.loads(desk.raw(method, "/fapi/v1/listenKey").body)

    key = ask("POST")["listenKey"]
    assert len(key) == 64
    clock.forward(30 * 60_000)
    assert ask("PUT")["listenKey"] == ask("POST")["listenKey"] == key
    clock.forward(60 * 60_000)
    assert ask("PUT")["code"] == -1125
    assert ask("POST")["listenKey"] != key


def test_permissions_are_those_the_account_was_opened_with(simulator: Simulator, clock: Clock) -> None:
    simulator.add_account("open", "openkey", "opensecret", withdrawals=True, ip_restricted=False)
    row = Desk(simulator, clock, "openkey", "opensecret").ask("GET", "/sapi/v1/account/apiRestrictions")
    assert (row["enableWithdrawals"], row["ipRestrict"], row["enableFutures"]) == (True, False, True)


def test_money_is_never_a_float(simulator: Simulator) -> None:
    with pytest.raises(TypeError, match="never a float"):
        simulator.set_price("BTCUSDT", 63000.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="There is no symbol"):
        simulator.set_price("NOPEUSDT", "1")


def test_a_share_given_as_text_becomes_a_number(clock: Clock) -> None:
    simulator = Simulator(clock=clock, trigger_band="0.05", taker_fee="0.001")
    assert simulator.ex.profile.trigger_band == Decimal("0.05")
    assert simulator.ex.profile.taker_fee == Decimal("0.001")

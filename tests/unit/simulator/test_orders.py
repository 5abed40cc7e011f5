"""Ordinary orders: what is accepted, what is refused and with which code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import Simulator
from tests.unit.simulator.support import Clock, Desk, Refused

LIMIT = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "60000"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"quantity": "0.0101"}, -1111),
        ({"quantity": "0"}, -4003),
        ({"type": "MARKET", "timeInForce": None, "price": None, "quantity": "5000"}, -4005),
        ({"price": "60000.05"}, -4014),
        ({"price": "60000.001"}, -1111),
        ({"price": "0"}, -4001),
        ({"price": "100"}, -4013),
        ({"price": "900000"}, -4002),
        ({"price": "70000"}, -4016),
        ({"side": "SELL", "price": "50000"}, -4024),
        ({"quantity": "0.001"}, -4164),
        ({"timeInForce": None}, -1102),
        ({"timeInForce": "NOW"}, -1115),
        ({"side": "buy"}, -1117),
        ({"type": "LIMITED"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"type": "MARKET", "price": None}, -1114),
        ({"type": "MARKET", "timeInForce": None}, -1106),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"symbol": None}, -1102),
        ({"quantity": ""}, -1102),
        ({"price": "6E4"}, -1100),
        ({"price": "-60000"}, -1100),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "no spaces"}, -1100),
        ({"newClientOrderId": ""}, -1105),
        ({"reduceOnly": "True"}, -1102),
        ({"reduceOnly": "true"}, -2022),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -4060),
        ({"newOrderRespType": "FULL"}, -1136),
        ({"timeInForce": "GTX", "price": "64000"}, -5022),
        ({"timeInForce": "GTD"}, -1102),
        ({"timeInForce": "GTD", "goodTillDate": "1790000001000"}, -5040),
        ({"surprise": "1"}, -1104),
        ({"quantity": "5", "price": "63000"}, -2019),
        ({"recvWindow": "60001"}, -1131),
    ],
)
def test_a_bad_order_gets_the_code_of_the_real_exchange(
    desk: Desk, changed: dict[str, Any], code: int
) -> None:
    # Given an order that would be accepted, with one thing wrong
    params = {"symbol": "BTCUSDT", "side": "BUY", **LIMIT, **changed}
    params = {name: value for name, value in params.items() if value is not None}

    # When it is sent, then the code names that thing, and nothing rests
    with pytest.raises(Refused) as refused:
        desk.ask("POST", "/fapi/v1/order", **params)
    assert refused.value.code == code
    assert desk.simulator.open_orders() == []


def test_a_limit_order_rests_is_found_and_is_cancelled(desk: Desk) -> None:
    placed = desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="mine-1")
    assert placed["status"] == "NEW"
    assert "avgPrice" not in placed
    assert "cumQuote" not in placed

    found = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="mine-1")
    assert (found["orderId"], found["avgPrice"]) == (placed["orderId"], "0.00000")

    cancelled = desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert cancelled["status"] == "CANCELED"
    with pytest.raises(Refused, match="-2011"):
        desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert (
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="mine-1")["status"]
        == "CANCELED"
    )


def test_client_ids_are_unique_among_open_orders_only(desk: Desk) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="twice")
    with pytest.raises(Refused, match="-4116"):
        desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="twice")

    # an algo order may have the same id: the namespaces are apart
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="twice")

    desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="twice")
    assert desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="twice")["status"] == "NEW"


def test_a_market_order_fills_at_the_best_ask_and_reports_in_order(desk: Desk) -> None:
    placed = desk.order("BUY", "MARKET", "0.010", newOrderRespType="RESULT")
    assert placed["status"] == "FILLED"
    assert desk.story() == [
        "ORDER_TRADE_UPDATE NEW", "TRADE_LITE", "ACCOUNT_UPDATE ORDER", "ORDER_TRADE_UPDATE FILLED",
    ]  # fmt: skip
    (trade,) = desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")
    assert (trade["price"], trade["maker"], trade["commission"]) == ("63000.1", False, "0.31500050")


@pytest.mark.parametrize(
    ("kind", "params", "answer", "status"),
    [
        ("MARKET", {}, ("NEW", "0.000"), "FILLED"),
        ("MARKET", {"newOrderRespType": "ACK"}, ("NEW", "0.000"), "FILLED"),
        ("MARKET", {"newOrderRespType": "RESULT"}, ("FILLED", "0.010"), "FILLED"),
        ("LIMIT", {"price": "63100", "newOrderRespType": "RESULT"}, ("NEW", "0.000"), "FILLED"),
        ("LIMIT", {"price": "62000", "timeInForce": "IOC"}, ("NEW", "0.000"), "EXPIRED"),
        ("LIMIT", {"price": "62000", "timeInForce": "IOC", "newOrderRespType": "RESULT"}, ("EXPIRED", "0.000"), "EXPIRED"),
    ],
)  # fmt: skip
def test_only_result_waits_for_the_end_and_only_where_it_comes_at_once(
    desk: Desk, kind: str, params: dict[str, str], answer: tuple[str, str], status: str
) -> None:
    placed = desk.order("BUY", kind, "0.010", **params)
    assert (placed["status"], placed["executedQty"]) == answer
    order = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert order["status"] == status


def test_an_amended_order_must_be_affordable_as_it_will_be(desk: Desk) -> None:
    # Given 10000 at leverage 20, and an order resting
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="grows")
    params = {"symbol": "BTCUSDT", "side": "BUY", "price": "60000", "origClientOrderId": "grows"}

    # When it is made larger than the money allows, then it stays as it was
    with pytest.raises(Refused, match="-2019"):
        desk.ask("PUT", "/fapi/v1/order", quantity="4", **params)
    assert (
        desk.ask("GET", "/fapi/v1/openOrder", symbol="BTCUSDT", origClientOrderId="grows")["origQty"]
        == "0.010"
    )

    # But nearly all of the money may go into it, as if it were placed anew
    assert desk.ask("PUT", "/fapi/v1/order", quantity="3.3", **params)["origQty"] == "3.300"
    with pytest.raises(Refused, match="-2019"):
        desk.order("BUY", "LIMIT", "0.1", price="60000")


def test_an_amendment_may_take_its_price_from_the_book(desk: Desk) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="moves")
    params = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "origClientOrderId": "moves"}
    assert desk.ask("PUT", "/fapi/v1/order", priceMatch="QUEUE", **params)["price"] == "63000.0"
    with pytest.raises(Refused, match="-1106"):
        desk.ask("PUT", "/fapi/v1/order", priceMatch="QUEUE", price="61000", **params)
    with pytest.raises(Refused, match="-1102"):
        desk.ask("PUT", "/fapi/v1/order", **params)


def test_reduce_only_never_reverses_a_position(desk: Desk) -> None:
    # Given a long of 0.010
    desk.order("BUY", "MARKET", "0.010")

    # When more than that is sold reduce-only, then it is cut at acceptance
    placed = desk.order("SELL", "MARKET", "0.020", reduceOnly="true", newOrderRespType="RESULT")
    assert (placed["origQty"], placed["status"]) == ("0.010", "FILLED")
    assert desk.simulator.position("BTCUSDT").is_flat
    with pytest.raises(Refused, match="-2022"):
        desk.order("SELL", "MARKET", "0.010", reduceOnly="true")


def test_a_resting_reduce_only_limit_blocks_a_reduce_only_close(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.order("SELL", "LIMIT", "0.010", price="64000", reduceOnly="true", newClientOrderId="target")
    with pytest.raises(Refused, match="-4118"):
        desk.order("SELL", "MARKET", "0.010", reduceOnly="true")
    desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="target")
    desk.order("SELL", "MARKET", "0.010", reduceOnly="true")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_reduce_only_limit_expires_when_the_position_is_gone(clock: Clock) -> None:
    simulator = Simulator(clock=clock, resting_reduce_only_blocks=False)
    simulator.add_account("desk", "desk0key", "desk0secret")
    simulator.set_price("BTCUSDT", "63000")
    desk = Desk(simulator, clock)
    desk.order("BUY", "MARKET", "0.010")
    desk.order("SELL", "LIMIT", "0.010", price="64000", reduceOnly="true", newClientOrderId="target")
    desk.order("SELL", "MARKET", "0.010", reduceOnly="true")
    assert simulator.open_orders() == []
    (expired,) = [e for e in desk.events() if e.get("o", {}).get("X") == "EXPIRED"]
    assert (expired["o"]["c"], expired["o"]["er"]) == ("target", "4")


def test_hedge_mode_needs_a_position_side_and_refuses_reduce_only(hedge: Desk) -> None:
    with pytest.raises(Refused, match="-4061"):
        hedge.order("BUY", "MARKET", "0.010")
    with pytest.raises(Refused, match="-1106"):
        hedge.order("BUY", "MARKET", "0.010", positionSide="LONG", reduceOnly="false")
    with pytest.raises(Refused, match="-2022"):
        hedge.order("SELL", "MARKET", "0.010", positionSide="LONG")

    # a long beside a short
    hedge.order("BUY", "MARKET", "0.010", positionSide="LONG")
    hedge.order("SELL", "MARKET", "0.020", positionSide="SHORT")
    assert str(hedge.simulator.position("BTCUSDT", "hedge", "LONG").quantity) == "0.010"
    assert str(hedge.simulator.position("BTCUSDT", "hedge", "SHORT").quantity) == "-0.020"
    hedge.order("SELL", "MARKET", "0.010", positionSide="LONG")
    assert hedge.simulator.position("BTCUSDT", "hedge", "LONG").is_flat


def test_order_test_applies_every_rule_and_places_nothing(desk: Desk) -> None:
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
    assert desk.ask("POST", "/fapi/v1/order/test", **params, quantity="0.010")["status"] == "NEW"
    with pytest.raises(Refused, match="-4164"):
        desk.ask("POST", "/fapi/v1/order/test", **params, quantity="0.001")
    assert desk.simulator.open_orders() == []
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_batch_holds_at_most_five_and_answers_item_by_item(desk: Desk) -> None:
    good = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": "60000",
    }
    bad = {**good, "price": "60000.05"}
    stop = {**good, "type": "STOP_MARKET"}
    answers = desk.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([good, bad, stop]))
    assert [a.get("code", a.get("status")) for a in answers] == ["NEW", -4014, -4120]
    for wrong in ([good] * 6, []):
        with pytest.raises(Refused, match="-4082"):
            desk.ask("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps(wrong))
    with pytest.raises(Refused, match="-1102"):
        desk.ask("POST", "/fapi/v1/batchOrders", batchOrders="[{]")


def test_amending_moves_a_limit_order_and_keeps_its_id(desk: Desk) -> None:
    placed = desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="mine")
    params = {"symbol": "BTCUSDT", "origClientOrderId": "mine", "side": "BUY"}
    moved = desk.ask("PUT", "/fapi/v1/order", **params, quantity="0.020", price="61000", modifyId="7")
    assert (moved["orderId"], moved["price"], moved["origQty"], moved["modifyId"]) == (
        placed["orderId"], "61000.0", "0.020", 7,
    )  # fmt: skip
    with pytest.raises(Refused, match="-5027"):
        desk.ask("PUT", "/fapi/v1/order", **params, quantity="0.020", price="61000")
    with pytest.raises(Refused, match="-5047"):
        desk.ask("PUT", "/fapi/v1/order", **params, quantity="0.020", price="61500", reduceOnly="true")
    desk.simulator.set_price("BTCUSDT", "61500")
    assert desk.ask("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")[0]["origQty"] == "0.020"
    desk.simulator.set_price("BTCUSDT", "60900")
    assert str(desk.simulator.position("BTCUSDT").quantity) == "0.020"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"symbol": None}, -1102),
        ({"side": None}, -1102),
        ({"side": "SELL"}, -1117),
        ({"quantity": None}, -1102),
        ({"price": None}, -1102),
        ({"origClientOrderId": None}, -1102),
        ({"origClientOrderId": "another"}, -2013),
        ({"quantity": "0.0101"}, -1111),
        ({"quantity": "0"}, -4003),
        ({"price": "60000.05"}, -4014),
        ({"price": "100"}, -4013),
        ({"price": "70000"}, -4016),
        ({"quantity": "0.001", "price": "40000"}, -5029),
        ({"quantity": "0.010", "price": "60000"}, -5027),
        ({"type": "LIMIT"}, -1104),
    ],
    ids=str,
)
def test_a_bad_amendment_is_refused_and_the_order_stays_as_it_was(
    desk: Desk, changed: dict[str, Any], code: int
) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="mine")
    right = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.020",
        "price": "61000",
        "origClientOrderId": "mine",
    }
    words = {name: value for name, value in (right | changed).items() if value is not None}
    with pytest.raises(Refused, match=str(code)):
        desk.ask("PUT", "/fapi/v1/order", **words)
    (order,) = desk.ask("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")
    assert (order["origQty"], order["price"], order["status"]) == ("0.010", "60000.0", "NEW")


def test_an_amendment_to_what_has_filled_cancels_the_rest_and_one_of_an_ended_order_finds_none(
    desk: Desk,
) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="mine")
    desk.simulator.fill("mine", "0.004")
    params = {"symbol": "BTCUSDT", "side": "BUY", "price": "60500", "origClientOrderId": "mine"}

    # The whole quantity counts: what is filled is not bought once more
    larger = desk.ask("PUT", "/fapi/v1/order", quantity="0.008", **params)
    assert (larger["executedQty"], larger["origQty"], larger["status"]) == (
        "0.004",
        "0.008",
        "PARTIALLY_FILLED",
    )

    ended = desk.ask("PUT", "/fapi/v1/order", quantity="0.004", **params)
    assert (ended["executedQty"], ended["status"]) == ("0.004", "CANCELED")
    with pytest.raises(Refused, match="-2013"):
        desk.ask("PUT", "/fapi/v1/order", quantity="0.010", **params)


def test_a_post_only_order_whose_new_price_would_take_is_cancelled(desk: Desk) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="60000", timeInForce="GTX", newClientOrderId="mine")
    params = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010", "origClientOrderId": "mine"}
    assert desk.ask("PUT", "/fapi/v1/order", price="61000", **params)["status"] == "NEW"
    assert desk.ask("PUT", "/fapi/v1/order", price="64000", **params)["status"] == "CANCELED"
    assert desk.simulator.position("BTCUSDT").is_flat


def test_an_order_good_till_a_date_ends_then(desk: Desk, clock: Clock) -> None:
    until = clock() + 700_000
    desk.order("BUY", "LIMIT", "0.010", price="60000", timeInForce="GTD", goodTillDate=until)
    clock.forward(699_000)
    desk.simulator.tick()
    assert len(desk.simulator.open_orders()) == 1
    clock.forward(1_001)
    desk.simulator.tick()
    assert desk.simulator.open_orders() == []


def test_a_price_match_takes_its_price_from_the_book(desk: Desk) -> None:
    queued = desk.order("BUY", "LIMIT", "0.010", priceMatch="QUEUE", newClientOrderId="q")
    assert (queued["price"], queued["status"]) == ("63000.0", "NEW")
    crossing = desk.order("BUY", "LIMIT", "0.010", priceMatch="OPPONENT")
    crossed = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=crossing["orderId"])
    assert (crossing["price"], crossed["status"]) == ("63000.1", "FILLED")
    with pytest.raises(Refused, match="-5037"):
        desk.order("BUY", "LIMIT", "0.010", priceMatch="OPPONENT_10")
    with pytest.raises(Refused, match="-1106"):
        desk.order("BUY", "LIMIT", "0.010", priceMatch="QUEUE", price="60000")


def test_all_orders_lists_ended_ones_and_unfilled_ones_are_forgotten_after_three_days(
    desk: Desk, clock: Clock
) -> None:
    desk.order("BUY", "MARKET", "0.010", newClientOrderId="filled")
    desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="gone")
    desk.ask("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    ids = [o["clientOrderId"] for o in desk.ask("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")]
    assert ids == ["filled", "gone"]

    clock.forward(3 * 86_400_000 + 1)
    with pytest.raises(Refused, match="-2013"):
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="gone")
    assert (
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="filled")["status"] == "FILLED"
    )


def test_a_symbol_that_does_not_trade_takes_no_order(desk: Desk) -> None:
    desk.simulator.ex.set_status("ETHUSDT", "SETTLING")
    with pytest.raises(Refused, match="-4140"):
        desk.order("BUY", "MARKET", "1", symbol="ETHUSDT")
    desk.simulator.ex.set_status("ETHUSDT", "CLOSE")
    with pytest.raises(Refused, match="-4141"):
        desk.order("BUY", "MARKET", "1", symbol="ETHUSDT")


def test_the_leverage_bracket_limits_a_position(desk: Desk) -> None:
    assert (
        desk.ask("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage="150")["maxNotionalValue"]
        == "300000"
    )
    with pytest.raises(Refused, match="-2027"):
        desk.order("BUY", "LIMIT", "4.8", price="63000")
    assert desk.order("BUY", "LIMIT", "4.7", price="63000")["status"] == "NEW"

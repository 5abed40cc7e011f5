"""The life of conditional orders, from acceptance to the end of their child."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from simulator import Simulator
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk, Refused


def desk_with(clock: Clock, **switches: Any) -> Desk:
    simulator = Simulator(clock=clock, **switches)
    simulator.add_account("desk", KEY, SECRET)
    simulator.set_price("BTCUSDT", "63000")
    return Desk(simulator, clock)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"triggerPrice": "64000"}, -2021),
        ({"type": "TAKE_PROFIT_MARKET", "triggerPrice": "62000"}, -2021),
        ({"triggerPrice": None, "stopPrice": "62000"}, -1102),
        ({"triggerPrice": "0"}, -4006),
        ({"triggerPrice": "62000.05"}, -4014),
        ({"triggerPrice": "62000.001"}, -1111),
        ({"algoType": None}, -1102),
        ({"algoType": "VP"}, -1102),
        ({"type": "LIMIT"}, -1116),
        ({"quantity": None}, -1102),
        ({"quantity": "0.0005"}, -1111),
        ({"quantity": "2000"}, -4005),
        ({"reduceOnly": None, "quantity": "0.001"}, -4164),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": None}, -1106),
        ({"closePosition": "true", "quantity": None, "reduceOnly": None}, -4509),
        ({"type": "STOP", "closePosition": "true", "quantity": None, "reduceOnly": None}, -4136),
        ({"workingType": "LAST"}, -4031),
        ({"positionSide": "LONG"}, -4061),
        ({"clientAlgoId": "y" * 37}, -4015),
        ({"price": "62000"}, -1106),
        ({"type": "STOP"}, -1102),
        ({"type": "STOP", "price": "50000"}, -4184),
        ({"symbol": "NOPEUSDT"}, -1121),
        ({"surprise": "1"}, -1104),
        ({"type": "TRAILING_STOP_MARKET", "callbackRate": "1"}, -2021),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None}, -1102),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "21"}, -1130),
        ({"type": "TRAILING_STOP_MARKET", "triggerPrice": None, "callbackRate": "1", "activatePrice": "62000"}, -2021),
    ],
)  # fmt: skip
def test_a_bad_algo_order_gets_the_code_of_the_real_exchange(
    desk: Desk, params: dict[str, Any], code: int
) -> None:
    good = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET",
            "triggerPrice": "62000", "quantity": "0.010", "reduceOnly": "true"}  # fmt: skip
    asked = {name: value for name, value in {**good, **params}.items() if value is not None}
    with pytest.raises(Refused) as refused:
        desk.ask("POST", "/fapi/v1/algoOrder", **asked)
    assert refused.value.code == code
    assert desk.simulator.open_orders() == []


def test_a_stop_closes_the_position_and_its_sibling_expires(desk: Desk) -> None:
    # Given a long with stop and target as closePosition orders
    desk.order("BUY", "MARKET", "0.010")
    desk.algo(
        "SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="stop", workingType="MARK_PRICE"
    )
    desk.algo("SELL", "TAKE_PROFIT_MARKET", "64000", closePosition="true", clientAlgoId="target")
    desk.events()

    # When the price falls through the stop
    desk.simulator.set_price("BTCUSDT", "61000")

    # Then the stop lives through all its states, and the target expires by itself
    assert desk.story() == [
        "ALGO_UPDATE TRIGGERING", "ALGO_UPDATE TRIGGERED", "ORDER_TRADE_UPDATE NEW", "TRADE_LITE",
        "ACCOUNT_UPDATE ORDER", "ORDER_TRADE_UPDATE FILLED", "ALGO_UPDATE FINISHED", "ALGO_UPDATE EXPIRED",
    ]  # fmt: skip
    stop = desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="stop")
    child = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=stop["actualOrderId"])
    assert (child["clientOrderId"], child["executedQty"], child["avgPrice"]) == (
        "stop",
        "0.010",
        "62000.00000",
    )
    assert int(stop["actualOrderId"]) != stop["algoId"]
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="target")["algoStatus"] == "EXPIRED"
    assert desk.simulator.open_orders() == []


def test_while_flat_close_position_is_refused_and_quantity_legs_are_accepted(desk: Desk) -> None:
    with pytest.raises(Refused, match="-4509"):
        desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    placed = desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true")
    assert (placed["algoStatus"], placed["quantity"]) == ("NEW", "0.010")


def test_a_reduce_only_leg_that_triggers_while_flat_is_rejected(desk: Desk) -> None:
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="early")
    desk.events()
    desk.simulator.set_price("BTCUSDT", "61000")
    last = desk.events()[-1]["o"]
    assert (last["X"], last["rm"], last["ai"]) == ("REJECTED", "Reduce Only reject", "")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_only_one_close_position_order_of_a_kind_and_side(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    with pytest.raises(Refused, match="-4130"):
        desk.algo("SELL", "STOP_MARKET", "61000", closePosition="true")
    desk.algo("SELL", "TAKE_PROFIT_MARKET", "64000", closePosition="true")  # another class
    desk.algo(
        "SELL", "STOP_MARKET", "61000", quantity="0.010", reduceOnly="true"
    )  # a quantity stop beside it
    assert len(desk.simulator.open_orders()) == 3


def test_a_reduce_only_leg_is_echoed_cut_to_the_position(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    assert (
        desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.030", reduceOnly="true")["quantity"] == "0.010"
    )


def test_a_mark_price_stop_does_not_look_at_the_last_price(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", workingType="MARK_PRICE")
    desk.simulator.set_price("BTCUSDT", "61500", mark="62500")
    assert not desk.simulator.position("BTCUSDT").is_flat
    desk.simulator.set_price("BTCUSDT", "61500", mark="62000")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_price_protection_holds_a_trigger_while_the_prices_diverge(desk: Desk) -> None:
    # Given protected stop; BTCUSDT lets last and mark be 5 percent apart
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", priceProtect="true")
    desk.simulator.set_price("BTCUSDT", "58000", mark="63000", gap=True)
    assert not desk.simulator.position("BTCUSDT").is_flat
    desk.simulator.set_price("BTCUSDT", "61000", mark="62000", gap=True)
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_gap_fills_a_stop_where_the_market_is_and_a_walk_at_its_trigger(desk: Desk) -> None:
    for gap, price in ((False, "62000.0"), (True, "60000.0")):
        desk.simulator.set_price("BTCUSDT", "63000")
        desk.order("BUY", "MARKET", "0.010")
        desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
        desk.simulator.set_price("BTCUSDT", "60000", gap=gap)
        assert desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")[-1]["price"] == price


def test_a_limited_stop_rests_as_an_ordinary_order_and_finishes_with_it(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP", "62000", price="62100", quantity="0.010", reduceOnly="true", clientAlgoId="s")
    desk.simulator.set_price("BTCUSDT", "61900")
    stop = desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="s")
    assert stop["algoStatus"] == "TRIGGERED"
    assert desk.ask("GET", "/fapi/v1/openAlgoOrders") == []
    assert [o["clientOrderId"] for o in desk.ask("GET", "/fapi/v1/openOrders")] == ["s"]
    with pytest.raises(Refused, match="-2011"):
        desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="s")
    desk.simulator.set_price("BTCUSDT", "62200")
    stop = desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="s")
    assert (stop["algoStatus"], stop["actualQty"], stop["actualPrice"]) == (
        "FINISHED",
        "0.010",
        "62100.00000",
    )


def test_a_cancelled_child_finishes_its_parent_without_a_fill(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP", "62000", price="62100", quantity="0.010", reduceOnly="true", clientAlgoId="s")
    desk.simulator.set_price("BTCUSDT", "61900")
    desk.ask("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="s")
    stop = desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="s")
    assert (stop["algoStatus"], stop["actualQty"]) == ("FINISHED", "0.000")


def test_a_trailing_stop_follows_the_price_and_triggers_on_the_way_back(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    desk.ask("POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
             type="TRAILING_STOP_MARKET", quantity="0.010", reduceOnly="true", callbackRate="1", clientAlgoId="t")  # fmt: skip
    desk.simulator.set_price("BTCUSDT", "70000")
    desk.simulator.set_price("BTCUSDT", "69400")
    assert not desk.simulator.position("BTCUSDT").is_flat
    desk.simulator.set_price("BTCUSDT", "69300")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_a_trailing_stop_says_when_it_is_active_and_takes_what_the_exchange_takes(desk: Desk) -> None:
    desk.order("BUY", "MARKET", "0.010")
    last = desk.simulator.ex.market("BTCUSDT").last
    usual: dict[str, Any] = {
        "algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "TRAILING_STOP_MARKET",
        "quantity": "0.010", "reduceOnly": "true", "callbackRate": "1",
    }  # fmt: skip
    closing = {k: v for k, v in usual.items() if k not in ("quantity", "reduceOnly")}
    for params, code in (
        (usual | {"callbackRate": "0.09"}, "-1130"),
        (usual | {"callbackRate": "20.1"}, "-1130"),
        (usual | {"triggerPrice": str(last - 100)}, "-2021"),
        (usual | {"activatePrice": str(last - 100)}, "-2021"),
        (closing | {"closePosition": "true"}, "-4136"),
    ):
        with pytest.raises(Refused, match=code):
            desk.ask("POST", "/fapi/v1/algoOrder", **params)

    above = str(last + 100)
    answer = desk.ask("POST", "/fapi/v1/algoOrder", **usual, activatePrice=above, clientAlgoId="t")
    assert Decimal(answer["activatePrice"]) == last + 100
    desk.simulator.set_price("BTCUSDT", str(last + 101))
    said = [e["o"]["ia"] for e in desk.events() if e["e"] == "ALGO_UPDATE" and e["o"]["caid"] == "t"]
    assert said == [False, True]


def test_a_trailing_stop_covers_nothing_before_it_is_active(desk: Desk, clock: Clock) -> None:
    desk.order("BUY", "MARKET", "0.010")
    last = desk.simulator.ex.market("BTCUSDT").last
    desk.ask("POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
             type="TRAILING_STOP_MARKET", quantity="0.010", reduceOnly="true", callbackRate="1",
             activatePrice=str(last + 100))  # fmt: skip
    clock.forward(3000)
    desk.simulator.set_price("BTCUSDT", str(last + 101))
    clock.forward(3000)
    (gap,) = desk.simulator.verdict()["uncovered"]
    assert gap["ms"] == 3000


def test_cancel_and_cancel_all_end_only_what_has_not_triggered(desk: Desk) -> None:
    answer = None
    for name in ("a", "b", "c"):
        desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId=name)
    answer = desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="a")
    assert (answer["code"], answer["msg"]) == ("200", "success")
    with pytest.raises(Refused, match="-2011"):
        desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="a")
    assert desk.ask("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")["code"] == 200
    statuses = [a["algoStatus"] for a in desk.ask("GET", "/fapi/v1/allAlgoOrders", symbol="BTCUSDT")]
    assert statuses == ["CANCELED"] * 3
    with pytest.raises(Refused, match="-2013"):
        desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="nobody")


def test_ids_are_unique_among_open_algo_orders_only(desk: Desk) -> None:
    params = {"quantity": "0.010", "reduceOnly": "true", "clientAlgoId": "one"}
    desk.algo("SELL", "STOP_MARKET", "62000", **params)
    with pytest.raises(Refused, match="-4116"):
        desk.algo("SELL", "STOP_MARKET", "62000", **params)
    desk.ask("DELETE", "/fapi/v1/algoOrder", clientAlgoId="one")
    desk.algo("SELL", "STOP_MARKET", "62000", **params)


def test_two_hundred_conditional_orders_and_no_more(clock: Clock) -> None:
    desk = desk_with(clock, enforce_rates=False)
    for _ in range(200):
        desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true")
    with pytest.raises(Refused, match="-4045"):
        desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true")


def test_a_hedge_leg_larger_than_the_position_is_refused_whole_or_trimmed(clock: Clock) -> None:
    for how, status in (("refuse", "REJECTED"), ("trim", "FINISHED")):
        desk = desk_with(clock, hedge_excess_at_trigger=how)
        desk.ask("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        desk.order("BUY", "MARKET", "0.010", positionSide="LONG")
        desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.020", positionSide="LONG", clientAlgoId="s")
        desk.simulator.set_price("BTCUSDT", "61000")
        assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="s")["algoStatus"] == status
        assert desk.simulator.position("BTCUSDT", side="LONG").is_flat == (how == "trim")


def test_each_unconfirmed_fact_has_its_switch(clock: Clock) -> None:
    flat = {"quantity": "0.010", "reduceOnly": "true"}
    with pytest.raises(Refused, match="-2022"):
        desk_with(clock, flat_reduce_only_algo="refuse").algo("SELL", "STOP_MARKET", "62000", **flat)

    # another id for the child
    desk = desk_with(clock, child_ids="own")
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="stop")
    desk.simulator.set_price("BTCUSDT", "61000")
    assert desk.ask("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")[-1]["clientOrderId"] != "stop"

    # look-ups that lag behind
    desk = desk_with(clock, algo_lookup_lag_ms=3000)
    desk.algo("SELL", "STOP_MARKET", "62000", clientAlgoId="late", **flat)
    with pytest.raises(Refused, match="-2013"):
        desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="late")
    clock.forward(3000)
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="late")["algoStatus"] == "NEW"

    # the end of the parent reported before the fill of the child
    desk = desk_with(clock, finished_first=True)
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true")
    desk.events()
    desk.simulator.set_price("BTCUSDT", "61000")
    story = desk.story()
    assert story.index("ALGO_UPDATE FINISHED") < story.index("ORDER_TRADE_UPDATE FILLED")

    # a pause between TRIGGERING and the child
    desk = desk_with(clock, trigger_delay_ms=500)
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="stop")
    desk.simulator.set_price("BTCUSDT", "61000")
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="stop")["algoStatus"] == "TRIGGERING"
    clock.forward(500)
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="stop")["algoStatus"] == "FINISHED"

    # booleans in any case
    desk = desk_with(clock, strict_booleans=False)
    desk.order("BUY", "MARKET", "0.010", reduceOnly="False")
    assert desk.algo("SELL", "STOP_MARKET", "62000", closePosition="True")["closePosition"] is True

    with pytest.raises(ValueError, match="no profile switch"):
        desk_with(clock, no_such_switch=True)


def test_an_opening_trigger_without_margin_is_rejected_with_its_reason(desk: Desk) -> None:
    desk.algo("BUY", "STOP_MARKET", "64000", quantity="5", clientAlgoId="big")
    desk.simulator.set_price("BTCUSDT", "64500")
    events = [e["o"] for e in desk.events() if e["e"] == "ALGO_UPDATE"]
    assert (events[-1]["X"], events[-1]["rm"]) == ("REJECTED", "Margin is insufficient.")


def test_a_stop_limit_jumped_over_rests_unfilled(desk: Desk) -> None:
    # Given a stop that sells not below 62500, and a market that gaps below that
    desk.order("BUY", "MARKET", "0.010")
    desk.algo(
        "SELL", "STOP", "62600", price="62500", quantity="0.010", reduceOnly="true", clientAlgoId="stop"
    )
    desk.simulator.set_price("BTCUSDT", "62000", gap=True)

    # Then its child waits for a buyer at its price, and the position is still there
    child = desk.ask("GET", "/fapi/v1/openOrder", symbol="BTCUSDT", origClientOrderId="stop")
    assert (child["status"], child["executedQty"]) == ("NEW", "0.000")
    assert not desk.simulator.position("BTCUSDT").is_flat

    # When the market comes back, then it sells
    desk.simulator.set_price("BTCUSDT", "62600")
    assert desk.simulator.position("BTCUSDT").is_flat


def test_good_till_date_ends_a_waiting_algo_and_a_resting_child(desk: Desk, clock: Clock) -> None:
    till = clock() + 700_000
    params = {"quantity": "0.010", "reduceOnly": "true", "timeInForce": "GTD", "goodTillDate": till}
    desk.order("BUY", "MARKET", "0.010")
    desk.algo("SELL", "STOP", "62600", price="62500", clientAlgoId="born", **params)
    desk.algo("SELL", "STOP", "61000", price="60900", clientAlgoId="waits", **params)
    desk.simulator.set_price("BTCUSDT", "62000", gap=True)

    clock.forward(700_001)
    desk.simulator.tick()
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="waits")["algoStatus"] == "EXPIRED"
    assert desk.ask("GET", "/fapi/v1/algoOrder", clientAlgoId="born")["algoStatus"] == "FINISHED"
    assert desk.ask("GET", "/fapi/v1/openOrders") == []


def test_a_triggered_order_no_longer_counts_as_an_open_conditional_one(clock: Clock) -> None:
    desk = desk_with(clock, conditional_max=1)
    desk.order("BUY", "MARKET", "0.010")
    desk.algo(
        "SELL", "STOP", "62600", price="62500", quantity="0.010", reduceOnly="true", clientAlgoId="born"
    )
    with pytest.raises(Refused, match="-4045"):
        desk.algo("SELL", "STOP_MARKET", "60000", closePosition="true")
    desk.simulator.set_price("BTCUSDT", "62000", gap=True)
    assert desk.algo("SELL", "STOP_MARKET", "60000", closePosition="true")["algoStatus"] == "NEW"

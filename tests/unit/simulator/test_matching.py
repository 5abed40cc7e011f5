"""The book around the price: depth, slippage, parts, queues."""

from __future__ import annotations

import pytest

from simulator import Simulator
from tests.unit.simulator.support import Desk, Refused


def prices_of(desk: Desk) -> list[tuple[str, str]]:
    return [(t["price"], t["qty"]) for t in desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")]


def test_a_market_order_slips_through_the_levels(desk: Desk, simulator: Simulator) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=10)
    placed = desk.order("BUY", "MARKET", "0.010", newOrderRespType="RESULT")
    assert placed["status"] == "FILLED"
    assert prices_of(desk) == [("63000.1", "0.004"), ("63000.2", "0.004"), ("63000.3", "0.002")]
    order = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    assert order["avgPrice"] == "63000.18000"


def test_a_thin_book_fills_a_market_order_in_part_and_expires_the_rest(
    desk: Desk, simulator: Simulator
) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=1)
    placed = desk.order("BUY", "MARKET", "0.010", newOrderRespType="RESULT")
    assert (placed["status"], placed["executedQty"]) == ("EXPIRED", "0.004")
    assert desk.events()[-1]["o"]["er"] == "9"
    with pytest.raises(Refused, match="-4131"):
        desk.order("BUY", "MARKET", "0.010")


def test_an_empty_or_diverging_market_refuses_market_orders(desk: Desk, simulator: Simulator) -> None:
    simulator.set_price("BTCUSDT", "90000", mark="63000", gap=True)
    with pytest.raises(Refused, match="-4131"):
        desk.order("BUY", "MARKET", "0.010")


def test_a_limit_order_fills_in_parts_as_the_market_comes_to_it(desk: Desk, simulator: Simulator) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=1)
    desk.order("BUY", "LIMIT", "0.010", price="62000", newClientOrderId="slow")
    found = []
    for price in ("62000", "62500", "62000", "62500", "62000"):
        simulator.set_price("BTCUSDT", price)
        order = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="slow")
        found.append((order["status"], order["executedQty"]))
    assert found == [
        ("PARTIALLY_FILLED", "0.004"), ("PARTIALLY_FILLED", "0.004"), ("PARTIALLY_FILLED", "0.008"),
        ("PARTIALLY_FILLED", "0.008"), ("FILLED", "0.010"),
    ]  # fmt: skip
    assert {t["maker"] for t in desk.ask("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")} == {True}


def test_who_rested_first_is_filled_first(desk: Desk, simulator: Simulator) -> None:
    # Given 0.006 resting ahead of us at our price
    simulator.liquidity("BTCUSDT", "0.004", levels=1, queue="0.006")
    desk.order("BUY", "LIMIT", "0.002", price="62000", newClientOrderId="queued")
    statuses = []
    for price in ("62000", "62000", "62500", "62000"):
        simulator.set_price("BTCUSDT", price)
        statuses.append(
            desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="queued")["executedQty"]
        )
    assert statuses == ["0.000", "0.002", "0.002", "0.002"]


def test_a_market_that_trades_through_a_price_fills_what_rested_there(
    desk: Desk, simulator: Simulator
) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=5, queue="0.006")
    desk.order("BUY", "LIMIT", "0.010", price="62000", newClientOrderId="through")
    simulator.set_price("BTCUSDT", "61900")
    assert (
        desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="through")["status"] == "FILLED"
    )
    assert prices_of(desk) == [("62000.0", "0.010")]


def test_times_in_force(desk: Desk, simulator: Simulator) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=1)
    with pytest.raises(Refused, match="-5021"):
        desk.order("BUY", "LIMIT", "0.010", price="63000.1", timeInForce="FOK")
    partial = desk.order(
        "BUY", "LIMIT", "0.010", price="63000.1", timeInForce="IOC", newOrderRespType="RESULT"
    )
    assert (partial["status"], partial["executedQty"]) == ("EXPIRED", "0.004")
    with pytest.raises(Refused, match="-5022"):
        desk.order("SELL", "LIMIT", "0.010", price="63000", timeInForce="GTX")
    assert desk.order("SELL", "LIMIT", "0.010", price="63000.1", timeInForce="GTX")["status"] == "NEW"


def test_a_resting_order_can_be_filled_by_hand(desk: Desk, simulator: Simulator) -> None:
    desk.order("BUY", "LIMIT", "0.010", price="62000", newClientOrderId="hand")
    simulator.fill("hand", "0.003")
    order = desk.ask("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="hand")
    assert (order["status"], order["executedQty"]) == ("PARTIALLY_FILLED", "0.003")
    with pytest.raises(ValueError, match="No open order"):
        simulator.fill("nobody", "0.003")


def test_events_on_a_path_come_in_the_order_of_the_path(desk: Desk, simulator: Simulator) -> None:
    # Given two entries and a stop on the way down
    desk.order("BUY", "LIMIT", "0.010", price="62500", newClientOrderId="first")
    desk.order("BUY", "LIMIT", "0.010", price="61500", newClientOrderId="second")
    desk.algo("SELL", "STOP_MARKET", "62000", quantity="0.010", reduceOnly="true", clientAlgoId="stop")
    desk.events()
    simulator.set_price("BTCUSDT", "61000")
    filled = [e["o"]["c"] for e in desk.events() if e.get("o", {}).get("X") == "FILLED"]
    assert filled == ["first", "stop", "second"]
    assert str(simulator.position("BTCUSDT").quantity) == "0.010"


def test_depth_and_best_prices_agree(desk: Desk, simulator: Simulator) -> None:
    simulator.liquidity("BTCUSDT", "0.004", levels=3)
    depth = desk.ask("GET", "/fapi/v1/depth", symbol="BTCUSDT", limit="5")
    best = desk.ask("GET", "/fapi/v1/ticker/bookTicker", symbol="BTCUSDT")
    assert depth["asks"][0] == [best["askPrice"], best["askQty"]] == ["63000.1", "0.004"]
    assert depth["bids"] == [["63000.0", "0.004"], ["62999.9", "0.004"], ["62999.8", "0.004"]]
    desk.order("BUY", "MARKET", "0.004")
    assert desk.ask("GET", "/fapi/v1/depth", symbol="BTCUSDT", limit="5")["asks"][0] == ["63000.2", "0.004"]

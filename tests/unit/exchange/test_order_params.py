"""Our orders as parameters, and what is refused before it leaves."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.binance import order_params
from exchange.types import NewOrder, OrderRef, OrderType, PositionSide, Side, TimeInForce, WorkingType
from tests.unit.exchange.samples import (
    ENTRY,
    STOP,
    D,
    a_closing_stop,
    a_hedge_stop,
    a_limit,
    a_market,
    a_stop,
    a_trailing_stop,
)


@pytest.mark.parametrize("hedge", [False, True])
def test_the_exchanges_own_trailing_order(hedge: bool) -> None:
    said = {"reduce_only": False, "position_side": PositionSide.LONG} if hedge else {}
    request = order_params.submit_request(a_trailing_stop(activation_price=D("64000.10"), **said))
    assert (request.method, request.path) == ("POST", "/fapi/v1/algoOrder")
    params = request.params
    assert (params["type"], params["callbackRate"], params["activatePrice"]) == (
        "TRAILING_STOP_MARKET",
        "1.5",
        "64000.10",
    )
    assert not {"triggerPrice", "closePosition", "price"} & set(params)
    assert ("reduceOnly" in params) is not hedge
    assert "activatePrice" not in order_params.submit_request(a_trailing_stop()).params


def test_a_limit_entry() -> None:
    request = order_params.submit_request(a_limit())
    assert (request.method, request.path) == ("POST", "/fapi/v1/order")
    assert request.params == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "positionSide": "BOTH",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": "63000.10",
        "newClientOrderId": "ab12-1-e1",
        "newOrderRespType": "RESULT",
    }


def test_a_reduce_only_market_exit() -> None:
    params = order_params.submit_request(a_market(side=Side.SELL, reduce_only=True)).params
    assert params == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "type": "MARKET",
        "quantity": "0.010",
        "reduceOnly": "true",
        "newClientOrderId": "ab12-1-e1",
        "newOrderRespType": "RESULT",
    }


def test_a_quantity_stop() -> None:
    request = order_params.submit_request(a_stop())
    assert (request.method, request.path) == ("POST", "/fapi/v1/algoOrder")
    assert request.params == {
        "algoType": "CONDITIONAL",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "type": "STOP_MARKET",
        "quantity": "0.010",
        "triggerPrice": "62000.0",
        "workingType": "MARK_PRICE",
        "priceProtect": "false",
        "reduceOnly": "true",
        "clientAlgoId": "ab12-1-s1",
    }


def test_a_closing_target_in_hedge_mode() -> None:
    order = a_closing_stop(
        type=OrderType.TAKE_PROFIT_MARKET,
        side=Side.BUY,
        position_side=PositionSide.SHORT,
        working_type=WorkingType.CONTRACT_PRICE,
        price_protect=None,
    )
    assert order_params.submit_request(order).params == {
        "algoType": "CONDITIONAL",
        "symbol": "BTCUSDT",
        "side": "BUY",
        "positionSide": "SHORT",
        "type": "TAKE_PROFIT_MARKET",
        "triggerPrice": "62000.0",
        "workingType": "CONTRACT_PRICE",
        "closePosition": "true",
        "clientAlgoId": "ab12-1-s1",
    }


def test_cancels_go_by_our_id() -> None:
    assert order_params.cancel_request(ENTRY).params == {
        "symbol": "BTCUSDT",
        "origClientOrderId": "ab12-1-e1",
    }
    assert order_params.cancel_request(STOP).params == {"clientAlgoId": "ab12-1-s1"}
    assert order_params.cancel_request(STOP).path == "/fapi/v1/algoOrder"


def test_what_was_born_at_a_trigger_is_cancelled_by_its_number() -> None:
    request = order_params.cancel_request(replace(STOP, child=77))
    assert (request.method, request.path) == ("DELETE", "/fapi/v1/order")
    assert request.params == {"symbol": "BTCUSDT", "orderId": "77"}
    order_params.check_sendable(request)
    with pytest.raises(ValueError, match="is not valid"):
        order_params.check_sendable(replace(request, params={"symbol": "BTCUSDT", "orderId": "all"}))


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (a_limit(price=None), "a LIMIT order needs a price"),
        (a_limit(time_in_force=None), "a LIMIT order needs a time in force"),
        (a_limit(quantity=None), "needs a quantity"),
        (a_limit(trigger_price=D(1)), "takes no trigger price"),
        (a_limit(working_type=WorkingType.MARK_PRICE), "watches no price"),
        (a_limit(price_protect=True), "watches no price"),
        (a_limit(close_position=True), "only STOP_MARKET and TAKE_PROFIT_MARKET"),
        (a_market(time_in_force=TimeInForce.GTC), "a MARKET order takes no time in force"),
        (a_market(price=D(1)), "a MARKET order takes no price"),
        (a_market(quantity=None), "needs a quantity"),
        (a_market(close_position=True), "only STOP_MARKET and TAKE_PROFIT_MARKET"),
        (a_stop(trigger_price=None), "needs a trigger price"),
        (a_stop(price=D(1)), "a STOP_MARKET order takes no price"),
        (a_stop(quantity=None), "needs a quantity"),
        (a_stop(type=OrderType.STOP), "a STOP order needs a price"),
        (a_stop(type=OrderType.STOP, price=D(1), close_position=True), "only STOP_MARKET"),
        (a_closing_stop(quantity=D(1)), "takes no quantity when it closes"),
        (a_closing_stop(reduce_only=True), "takes no reduceOnly when it closes"),
        (a_closing_stop(side=Side.BUY, position_side=PositionSide.LONG), "would open"),
        (a_closing_stop(side=Side.SELL, position_side=PositionSide.SHORT), "would open"),
        (a_hedge_stop(reduce_only=True), "no reduceOnly in hedge mode"),
        (a_market(position_side=PositionSide.LONG, reduce_only=True), "no reduceOnly in hedge mode"),
        (a_trailing_stop(callback_rate=None), "needs a callback rate between 0.1 and 20 %"),
        (a_trailing_stop(callback_rate=D("0.09")), "needs a callback rate between 0.1 and 20 %"),
        (a_trailing_stop(callback_rate=D("20.1")), "needs a callback rate between 0.1 and 20 %"),
        (a_trailing_stop(trigger_price=D(1)), "takes no trigger price"),
        (a_trailing_stop(quantity=None), "needs a quantity"),
        (a_trailing_stop(quantity=None, close_position=True), "only STOP_MARKET"),
        (a_stop(callback_rate=D(1)), "follows no price"),
        (a_limit(quantity=D(0)), "quantity of ab12-1-e1 must be a positive Decimal"),
        (a_limit(price=D("-1")), "price of ab12-1-e1 must be a positive Decimal"),
        (a_limit(price=D("NaN")), "must be a positive Decimal"),
        (a_limit(price=D("Infinity")), "must be a positive Decimal"),
        (a_limit(price=63000.1), "must be a positive Decimal"),
        (a_limit(quantity=1), "must be a positive Decimal"),
        (a_limit(client_id=""), "Client order id '' is not valid"),
        (a_limit(client_id="a" * 37), "1 to 36"),
        (a_limit(client_id="has space"), "is not valid"),
        (a_limit(client_id="line\n"), "is not valid"),
        (a_limit(client_id="autoclose-1"), "one of Binance's own"),
        (a_limit(client_id="x-broker"), "one of Binance's own"),
        (a_limit(symbol="btcusdt"), "is not a symbol"),
        (a_limit(symbol="BTC/USDT"), "is not a symbol"),
        (a_limit(symbol=""), "is not a symbol"),
    ],
)
def test_what_binance_would_refuse_is_refused_in_words(order: NewOrder, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        order_params.submit_request(order)


def test_a_conditional_order_cannot_be_tried_out() -> None:
    with pytest.raises(ValueError, match="cannot be tried out"):
        order_params.test_request(a_stop())


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E-8", "0.00000001"), ("1E+5", "100000"), ("63000.10", "63000.10"), ("0.0010", "0.0010")],
)
def test_numbers_are_plain_text(value: str, text: str) -> None:
    assert order_params.number(Decimal(value)) == text


def test_ids_as_we_make_them_are_valid() -> None:
    for client_id in ("a1b2-zik0zj-s12", "A.b:c/d_e-f", "t" * 36):
        order_params.cancel_request(OrderRef("BTCUSDT", client_id, conditional=False))


def test_an_amendment_carries_the_whole_quantity_the_side_and_our_own_id() -> None:
    ref = OrderRef("BTCUSDT", "rcf8-l-e1", conditional=False)
    request = order_params.amend_request(ref, Side.BUY, quantity=Decimal("0.100"), price=Decimal("59850.0"))
    assert (request.method, request.path) == ("PUT", "/fapi/v1/order")
    assert dict(request.params) == {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.100",
        "price": "59850.0",
        "origClientOrderId": "rcf8-l-e1",
    }
    order_params.check_sendable(request)
    with pytest.raises(ValueError, match="only replaced"):
        order_params.amend_request(
            replace(ref, conditional=True), Side.BUY, quantity=Decimal(1), price=Decimal(1)
        )
    with pytest.raises(ValueError, match="positive Decimal"):
        order_params.amend_request(ref, Side.BUY, quantity=Decimal(0), price=Decimal(1))

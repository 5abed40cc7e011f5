"""Messages of the user stream: samples of Binance's documentation, and live ones."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.body import ForeignShape, read_frame
from exchange.binance.mapping.user_events import read_user_event
from exchange.types import (
    AtLiquidation,
    ConfigEvent,
    MarginCallEvent,
    OrderEvent,
    OrderState,
    OrderType,
    OtherEvent,
    PositionEvent,
    PositionSide,
    SettingsEvent,
    Side,
    StreamExpired,
)
from tests.unit.exchange.samples import D, sample_text


def event(name: str) -> Any:
    return read_user_event(read_frame(sample_text(f"ws/{name}")))


def test_a_fill() -> None:
    told = event("order_update_trade")
    assert isinstance(told, OrderEvent)
    assert (told.order.client_id, told.order.order_id) == ("TEST", 8886774)
    assert (told.order.state, told.order.executed) == (OrderState.PARTIALLY_FILLED, D("0.001"))
    assert (told.order.average_price, told.order.position_side) == (D("7100.50"), PositionSide.LONG)
    assert told.trade is not None
    assert (told.trade.trade_id, told.trade.price, told.trade.quantity) == (
        12345678,
        D("7100.50"),
        D("0.001"),
    )
    assert (told.trade.commission, told.trade.commission_asset) == (D("0.01000000"), "USDT")
    assert (told.trade.realized_pnl, told.trade.maker, told.trade.client_id) == (D("12.34"), True, "TEST")
    assert told.time == 1568879465651


def test_a_new_order_is_no_trade() -> None:
    for name in ("order_update_new", "ws_futures_order_update_new_price_match"):
        told = event(name)
        assert told.trade is None
        assert told.order.state is OrderState.NEW


def test_a_liquidation_is_a_trade_too() -> None:
    told = event("ws_futures_order_update_liquidation")
    assert told.order.client_id == "autoclose-1234567890123456"
    assert told.trade.quantity == D("0.100")
    adl = event("ws_futures_order_update_adl")
    assert (adl.trade.trade_id, adl.order.side) == (2233445566, Side.BUY)


def test_an_unknown_status_is_kept() -> None:
    told = event("order_update_adl")
    assert told.order.state is OrderState.UNKNOWN
    assert told.order.raw["o"]["X"] == "NEW_ADL"
    assert told.trade.quantity == D("0.005")


def test_a_conditional_order_lives_and_triggers() -> None:
    new = event("algo_update_new")
    assert (new.order.state, new.order.type) == (OrderState.NEW, OrderType.TAKE_PROFIT)
    assert (new.order.order_id, new.order.executed, new.order.reason) == (None, D(0), "")
    triggering = event("ws_futures_algo_update_triggering")
    assert (triggering.order.state, triggering.order.order_id) == (OrderState.TRIGGERING, None)
    triggered = event("ws_futures_algo_update_triggered")
    assert (triggered.order.state, triggered.order.order_id) == (OrderState.TRIGGERED, 88937381063)
    assert (triggered.order.algo_id, triggered.order.conditional) == (1000000033225453, True)
    assert (triggered.order.executed, triggered.order.average_price) == (D(0), None)
    assert triggered.order.updated_at == 1765431097030


def an_algo_update(**changes: Any) -> Any:
    body = read_frame(sample_text("ws/ws_futures_algo_update_triggered"))
    return read_user_event({**body, "o": {**body["o"], **changes}})


def test_a_finished_order_tells_what_its_child_filled() -> None:
    told = an_algo_update(X="FINISHED", aq="38", ap="0.13860")
    assert (told.order.state, told.order.executed, told.order.average_price) == (
        OrderState.FINISHED,
        D(38),
        D("0.13860"),
    )


def test_a_refusal_at_the_trigger_tells_its_reason() -> None:
    told = an_algo_update(X="REJECTED", rm="Reduce Only reject", aq="38", ap="0")
    assert (told.order.state, told.order.reason, told.order.executed) == (
        OrderState.REJECTED,
        "Reduce Only reject",
        D(0),
    )


def test_a_position_change() -> None:
    told = event("account_update")
    assert isinstance(told, PositionEvent)
    assert told.reason == "ORDER"
    assert [(row.position_side, row.quantity) for row in told.positions] == [
        (PositionSide.BOTH, D(0)),
        (PositionSide.LONG, D(20)),
        (PositionSide.SHORT, D(-10)),
    ]
    assert told.positions[1].updated_at == 1564745798939


def test_an_account_update_may_be_empty() -> None:
    told = read_user_event({"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"m": "DEPOSIT", "B": [], "P": []}})
    assert told == PositionEvent(positions=(), reason="DEPOSIT", time=5)


def test_an_account_update_says_whether_it_is_about_funding() -> None:
    body = {"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"m": "FUNDING_FEE", "B": [], "P": []}}
    told = read_user_event(body)
    assert isinstance(told, PositionEvent)
    assert told.is_funding


def test_a_margin_call_names_the_positions_that_are_near_liquidation() -> None:
    row = {
        "s": "ETHUSDT",
        "ps": "LONG",
        "pa": "1.327",
        "mt": "CROSS",
        "iw": "0",
        "mp": "187.17127",
        "up": "-1.16",
        "mm": "1.61",
    }
    told = read_user_event(
        {
            "e": "MARGIN_CALL",
            "E": 1587727187525,
            "cw": "3.16812045",
            "p": [row, {"s": "BTCUSDT", "ps": "BOTH"}],
        }
    )
    assert told == MarginCallEvent(
        positions=(
            AtLiquidation("ETHUSDT", PositionSide.LONG, D("187.17127"), D("1.61")),
            AtLiquidation("BTCUSDT", PositionSide.BOTH, None, None),
        ),
        time=1587727187525,
    )
    assert read_user_event({"e": "MARGIN_CALL", "E": 5}) == MarginCallEvent(positions=(), time=5)


def test_the_other_events() -> None:
    assert read_user_event(
        {"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ac": {"s": "BTCUSDT", "l": 25}}
    ) == (ConfigEvent("BTCUSDT", 25, 5))
    multi = read_user_event({"e": "ACCOUNT_CONFIG_UPDATE", "E": 5, "T": 4, "ai": {"j": True}})
    assert multi == SettingsEvent(time=5)
    assert read_user_event({"e": "listenKeyExpired", "E": 7, "listenKey": "k"}) == StreamExpired(7)
    lite = event("trade_lite")
    assert isinstance(lite, OtherEvent)  # counting it beside TRADE would count the fill twice
    assert lite.name == "TRADE_LITE"


def test_an_expiry_tells_why() -> None:
    body = read_frame(sample_text("ws/order_update_new"))
    told = read_user_event({**body, "o": {**body["o"], "X": "EXPIRED", "x": "EXPIRED", "er": "2"}})
    assert isinstance(told, OrderEvent)
    assert told.order.reason == "the unfilled part of an IOC order"


def test_a_fee_may_be_absent() -> None:
    body = read_frame(sample_text("ws/order_update_trade"))
    order = {name: value for name, value in body["o"].items() if name not in ("n", "N")}
    told = read_user_event({**body, "o": order})
    assert isinstance(told, OrderEvent)
    assert told.trade is not None
    assert (told.trade.commission, told.trade.commission_asset) == (D(0), "")


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[]",
        "{",
        "null",
        '{"stream": "x", "data": []}',
        '{"e": "ORDER_TRADE_UPDATE", "E": 1}',
        '{"e": "ORDER_TRADE_UPDATE", "E": 1, "o": {"s": "BTCUSDT"}}',
        '{"e": "ALGO_UPDATE", "E": 1, "o": {"X": "NEW"}}',
        '{"e": "ACCOUNT_UPDATE", "E": 1, "a": {"P": [{"s": "BTCUSDT", "pa": "many"}]}}',
        '{"E": 1}',
    ],
)
def test_a_malformed_frame_is_foreign(frame: str) -> None:
    with pytest.raises(ForeignShape):
        read_user_event(read_frame(frame))

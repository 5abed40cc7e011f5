"""REST answers as our values: Binance's samples, and bodies that are something else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from exchange.binance import mapping
from exchange.binance.mapping import ForeignShape
from exchange.types import (
    MarginType,
    OrderState,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
)
from tests.unit.exchange.samples import D, placed, placed_algo, sample_text


def read(name: str) -> Any:
    return mapping.parse(sample_text(f"rest/{name}"))


def test_an_acknowledged_order() -> None:
    view = mapping.order_view(read("new_order"))
    assert (view.client_id, view.order_id, view.symbol) == ("testOrder", 22542179, "BTCUSDT")
    assert (view.side, view.position_side, view.type) == (Side.SELL, PositionSide.SHORT, OrderType.LIMIT)
    assert (view.state, view.quantity, view.executed) == (OrderState.NEW, D(10), D(0))
    assert view.average_price is None  # not told any more since July 2026
    assert view.price is None  # Binance writes 0
    assert view.updated_at == 1566818724722
    assert not view.conditional


def test_a_queried_order_tells_its_average_price_once_there_is_one() -> None:
    assert mapping.order_view(read("query_order")).average_price is None
    filled = {**read("order_response_with_average"), "executedQty": "0.001", "avgPrice": "50000.10"}
    assert mapping.order_view(filled).average_price == D("50000.10")


def test_a_cancelled_order_may_carry_fills() -> None:
    view = mapping.order_view({**read("cancel_order"), "executedQty": "3"})
    assert (view.state, view.executed, view.trigger_price) == (OrderState.CANCELED, D(3), D(9300))


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("EXPIRED_IN_MATCH", OrderState.EXPIRED),
        ("EXPIRED", OrderState.EXPIRED),
        ("FILLED", OrderState.FILLED),
        ("PARTIALLY_FILLED", OrderState.PARTIALLY_FILLED),
        ("REJECTED", OrderState.REJECTED),
        ("NEW_ADL", OrderState.UNKNOWN),
        ("UNKNOWN", OrderState.UNKNOWN),
        ("SOMETHING_NEW", OrderState.UNKNOWN),
    ],
)
def test_unknown_words_are_kept_not_crashed_on(word: str, state: OrderState) -> None:
    view = mapping.order_view(placed(status=word))
    assert view.state is state
    assert view.raw["status"] == word


def test_an_unknown_type_or_position_side_does_not_hide_the_order() -> None:
    view = mapping.order_view(placed(type="HOLOGRAM", positionSide="SIDEWAYS"))
    assert (view.type, view.position_side) == (None, PositionSide.BOTH)


def test_a_conditional_order() -> None:
    view = mapping.algo_view(read("new_algo_order"))
    assert (view.client_id, view.algo_id) == ("6B2I9XVcJpCjqPAJ4YoFX7", 2146760)
    assert (view.type, view.state, view.conditional) == (OrderType.TAKE_PROFIT, OrderState.NEW, True)
    assert (view.quantity, view.trigger_price, view.price) == (D("0.01"), D("750.000"), D("750.000"))
    assert view.order_id is None


def test_the_wanted_quantity_of_an_untriggered_order_is_not_taken_for_a_fill() -> None:
    # Binance's own sample of a cancelled order says actualQty 0.01
    view = mapping.with_child(mapping.algo_view(read("query_algo_order")), None)
    assert (view.state, view.executed, view.average_price) == (OrderState.CANCELED, D(0), None)


def test_lists_of_conditional_orders() -> None:
    for name, state in (
        ("current_all_algo_open_orders", OrderState.NEW),
        ("query_all_algo_orders", OrderState.CANCELED),
    ):
        (view,) = (mapping.algo_view(row) for row in read(name))
        assert view.state is state


def test_a_closing_order_has_no_quantity_of_its_own() -> None:
    for quantity in ("0.0", "", None):
        view = mapping.algo_view(placed_algo(closePosition=True, quantity=quantity))
        assert (view.close_position, view.quantity) == (True, D(0))


def test_a_cancelled_conditional_order_tells_only_its_ids() -> None:
    view = mapping.cancelled_algo(read("cancel_algo_order"), client_id="6B2I9XVcJpCjqPAJ4YoFX7")
    assert (view.state, view.algo_id, view.conditional) == (OrderState.CANCELED, 2146760, True)
    for body in (
        {**read("cancel_algo_order"), "code": "-1"},
        {**read("cancel_algo_order"), "clientAlgoId": "another"},
        {"code": "200"},
    ):
        with pytest.raises(ForeignShape):
            mapping.cancelled_algo(body, client_id="6B2I9XVcJpCjqPAJ4YoFX7")


# --- the order born at a trigger ------------------------------------------------------------


def triggered(status: str, **changes: Any) -> Any:
    return mapping.algo_view(placed_algo(algoStatus=status, actualOrderId="77", **changes))


def child(status: str, executed: str = "0", average: str = "0") -> Any:
    return mapping.order_view(placed(orderId=77, status=status, executedQty=executed, avgPrice=average))


@pytest.mark.parametrize(
    ("algo", "born", "state", "executed"),
    [
        ("TRIGGERED", child("NEW"), OrderState.TRIGGERED, "0"),
        ("TRIGGERED", child("PARTIALLY_FILLED", "0.004", "61990"), OrderState.TRIGGERED, "0.004"),
        ("TRIGGERED", child("FILLED", "0.010", "61990"), OrderState.FINISHED, "0.010"),
        ("FINISHED", child("FILLED", "0.010", "61990"), OrderState.FINISHED, "0.010"),
        ("FINISHED", child("CANCELED"), OrderState.FINISHED, "0"),
        ("FINISHED", child("NEW"), OrderState.TRIGGERED, "0"),  # the child's look-up lags
        ("CANCELED", child("CANCELED", "0.002", "61990"), OrderState.CANCELED, "0.002"),
    ],
)
def test_the_child_decides(algo: str, born: Any, state: OrderState, executed: str) -> None:
    view = mapping.with_child(triggered(algo), born)
    assert (view.state, view.executed, view.order_id) == (state, D(executed), 77)
    assert view.conditional
    assert view.client_id == "ab12-1-s1"


def test_a_finished_order_whose_child_is_not_visible_is_not_called_empty() -> None:
    view = mapping.with_child(triggered("FINISHED", actualQty="0.010", actualPrice="0.0"), None)
    assert (view.state, view.executed, view.reason) == (OrderState.TRIGGERED, D(0), mapping.CHILD_NOT_VISIBLE)


def test_a_finished_order_with_a_price_was_filled() -> None:
    view = mapping.with_child(triggered("FINISHED", actualQty="0.010", actualPrice="61990.5"), None)
    assert (view.state, view.executed, view.average_price) == (OrderState.FINISHED, D("0.010"), D("61990.5"))


def test_children_are_joined_by_id() -> None:
    orders = mapping.with_children([triggered("TRIGGERED")], [child("FILLED", "0.010", "61990")])
    assert orders[0].executed == D("0.010")


# --- account --------------------------------------------------------------------------------


def test_a_trade() -> None:
    (trade,) = (mapping.trade_view(row) for row in read("account_trade_list"))
    assert (trade.trade_id, trade.order_id, trade.price) == (698759, 25851813, D("7819.01"))
    assert (trade.quantity, trade.commission, trade.commission_asset) == (D("0.002"), D("0.07819010"), "USDT")
    assert (trade.realized_pnl, trade.maker, trade.side) == (D("-0.91539999"), False, Side.SELL)


def test_positions_of_both_versions() -> None:
    (position,) = (mapping.position_view(row) for row in read("position_information_v3"))
    assert (position.symbol, position.quantity, position.entry_price) == ("ADAUSDT", D(30), D("0.385"))
    assert (position.mark_price, position.liquidation_price) == (D("0.41047590"), None)
    (flat,) = (mapping.position_view(row) for row in read("position_one_way_v2"))
    assert flat.quantity == 0


def test_account_settings() -> None:
    config = mapping.account_config(read("futures_account_configuration"))
    assert (config.can_trade, config.position_mode, config.multi_assets) == (True, PositionMode.HEDGE, False)
    (symbol,) = (mapping.symbol_config(row) for row in read("symbol_configuration"))
    assert (symbol.leverage, symbol.margin_type) == (21, MarginType.CROSSED)
    (balance,) = (mapping.balance_view(row) for row in read("futures_account_balance_v3"))
    assert (balance.balance, balance.available) == (D("122607.35137903"), D("23.72469206"))


@pytest.mark.parametrize(
    ("word", "margin"), [("cross", "CROSSED"), ("CROSS", "CROSSED"), ("isolated", "ISOLATED")]
)
def test_margin_types_are_spelled_in_many_ways(word: str, margin: str) -> None:
    row = {**read("symbol_configuration")[0], "marginType": word}
    assert mapping.symbol_config(row).margin_type is MarginType(margin)


def test_leverage_brackets_as_list_and_as_object() -> None:
    body = read("leverage_bracket_btcusdt")
    for shape in (body, body[0]):
        first = mapping.leverage_brackets(shape, symbol="BTCUSDT")[0]
        assert first.cap == D(300000)
        assert first.maintenance_rate == D("0.004")
    with pytest.raises(ForeignShape, match="no leverage brackets of ETHUSDT"):
        mapping.leverage_brackets(body, symbol="ETHUSDT")


def test_a_mark_price() -> None:
    told = mapping.mark_price(read("premium_index"))
    assert (told.symbol, told.mark, told.time) == ("BTCUSDT", D("76916.95122464"), 1789478303000)


def test_permissions() -> None:
    told = mapping.permissions(
        {"ipRestrict": True, "enableReading": True, "enableFutures": True, "enableWithdrawals": False}
    )
    assert (told.reading, told.futures, told.withdrawals, told.ip_restricted) == (True, True, False, True)
    with pytest.raises(ForeignShape):  # what is not told is not assumed
        mapping.permissions({"ipRestrict": True, "enableReading": True, "enableFutures": True})


# --- numbers and foreign bodies -------------------------------------------------------------


def test_a_number_is_never_a_float() -> None:
    body = mapping.parse('{"a": 0.1, "b": 1e-8, "c": 3, "d": 12345678901234567890.123456789}')
    assert body == {"a": "0.1", "b": "1e-8", "c": 3, "d": "12345678901234567890.123456789"}
    assert mapping.decimal(body, "d") == Decimal("12345678901234567890.123456789")
    json.dumps(body)  # and what is kept can be kept as JSON


@pytest.mark.parametrize(
    "text", ["", "   ", "<html>", '{"a": NaN}', "[" * 100_000, '{"a": Infinity}', '{"a":']
)
def test_what_is_not_json_is_foreign(text: str) -> None:
    with pytest.raises(ForeignShape):
        mapping.parse(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"orderId": None},
        {"orderId": "x"},
        {"orderId": True},
        {"clientOrderId": 7},
        {"symbol": ""},
        {"side": "BOTH"},
        {"status": None},
        {"executedQty": "many"},
        {"executedQty": True},
        {"executedQty": []},
        {"price": "Infinity"},
        {"reduceOnly": "perhaps"},
    ],
)
def test_an_order_that_cannot_be_read_is_foreign(changes: dict[str, Any]) -> None:
    with pytest.raises(ForeignShape):
        mapping.order_view(placed(**changes))


@pytest.mark.parametrize("body", [None, [], "text", 3, True])
def test_something_else_altogether_is_foreign(body: Any) -> None:
    for reader in (mapping.order_view, mapping.algo_view, mapping.position_view, mapping.account_config):
        with pytest.raises(ForeignShape):
            reader(body)

"""Conditional orders, joined with the order born at a trigger."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.algo_orders import (
    CHILD_NOT_VISIBLE,
    read_algo_order,
    read_cancelled_algo_order,
    with_child,
    with_children,
)
from exchange.binance.mapping.body import ForeignShape, parse
from exchange.binance.mapping.orders import read_order
from exchange.types import OrderState, OrderType
from tests.unit.exchange.samples import D, placed, placed_algo, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


def test_a_conditional_order() -> None:
    view = read_algo_order(read("new_algo_order"))
    assert (view.client_id, view.algo_id) == ("6B2I9XVcJpCjqPAJ4YoFX7", 2146760)
    assert (view.type, view.state, view.conditional) == (OrderType.TAKE_PROFIT, OrderState.NEW, True)
    assert (view.quantity, view.trigger_price, view.price) == (D("0.01"), D("750.000"), D("750.000"))
    assert view.order_id is None


def test_a_trailing_orders_trigger_price_means_nothing() -> None:
    view = read_algo_order(placed_algo(orderType="TRAILING_STOP_MARKET", triggerPrice="99000.0"))
    assert (view.type, view.trigger_price) == (OrderType.TRAILING_STOP_MARKET, None)


def test_the_wanted_quantity_of_an_untriggered_order_is_not_taken_for_a_fill() -> None:
    # Binance's own sample of a cancelled order says actualQty 0.01
    view = with_child(read_algo_order(read("query_algo_order")), None)
    assert (view.state, view.executed, view.average_price) == (OrderState.CANCELED, D(0), None)


def test_lists_of_conditional_orders() -> None:
    for name, state in (
        ("current_all_algo_open_orders", OrderState.NEW),
        ("query_all_algo_orders", OrderState.CANCELED),
    ):
        (view,) = (read_algo_order(row) for row in read(name))
        assert view.state is state


def test_a_closing_order_has_no_quantity_of_its_own() -> None:
    for quantity in ("0.0", "", None):
        view = read_algo_order(placed_algo(closePosition=True, quantity=quantity))
        assert (view.close_position, view.quantity) == (True, D(0))


def test_a_cancelled_conditional_order_tells_only_its_ids() -> None:
    view = read_cancelled_algo_order(read("cancel_algo_order"), client_id="6B2I9XVcJpCjqPAJ4YoFX7")
    assert (view.state, view.algo_id, view.conditional) == (OrderState.CANCELED, 2146760, True)
    for body in (
        {**read("cancel_algo_order"), "code": "-1"},
        {**read("cancel_algo_order"), "clientAlgoId": "another"},
        {"code": "200"},
    ):
        with pytest.raises(ForeignShape):
            read_cancelled_algo_order(body, client_id="6B2I9XVcJpCjqPAJ4YoFX7")


def triggered(status: str, **changes: Any) -> Any:
    return read_algo_order(placed_algo(algoStatus=status, actualOrderId="77", **changes))


def child(status: str, executed: str = "0", average: str = "0") -> Any:
    return read_order(placed(orderId=77, status=status, executedQty=executed, avgPrice=average))


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
    view = with_child(triggered(algo), born)
    assert (view.state, view.executed, view.order_id) == (state, D(executed), 77)
    assert view.conditional
    assert view.client_id == "ab12-1-s1"


def test_a_finished_order_whose_child_is_not_visible_is_not_called_empty() -> None:
    view = with_child(triggered("FINISHED", actualQty="0.010", actualPrice="0.0"), None)
    assert (view.state, view.executed, view.reason) == (OrderState.TRIGGERED, D(0), CHILD_NOT_VISIBLE)


def test_a_finished_order_with_a_price_was_filled() -> None:
    view = with_child(triggered("FINISHED", actualQty="0.010", actualPrice="61990.5"), None)
    assert (view.state, view.executed, view.average_price) == (OrderState.FINISHED, D("0.010"), D("61990.5"))


def test_children_are_joined_by_id() -> None:
    orders = with_children([triggered("TRIGGERED")], [child("FILLED", "0.010", "61990")])
    assert orders[0].executed == D("0.010")

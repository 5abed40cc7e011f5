"""The exchange's word about an order of ours wins, in whatever order its reports arrive."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.types import OrderState, OrderView, PositionSide, Side
from orders.domain.enums import Form, LegState
from orders.domain.leg_updates import LegFacts, merge

D = Decimal
SENT = LegFacts(False, Form.QUANTITY, LegState.SUBMITTED, quantity=D("0.040"), price=D("79500"))
STOP = LegFacts(True, Form.CLOSE_POSITION, LegState.SUBMITTED, trigger_price=D("78000"))


def shown(state: OrderState, at: int, *, conditional: bool = False, **said: Any) -> OrderView:
    usual: dict[str, Any] = {"quantity": D("0.040"), "executed": D(0), "price": D("79500"), "order_id": 7}
    if conditional:
        usual |= {
            "quantity": D(0),
            "price": None,
            "trigger_price": D("78000"),
            "algo_id": 5,
            "order_id": None,
        }
    return OrderView(
        client_id="test-1-e1",
        symbol="BTCUSDT",
        side=Side.BUY,
        type=None,
        state=state,
        position_side=PositionSide.BOTH,
        updated_at=at,
        conditional=conditional,
        **(usual | said),
    )


def known(leg: LegFacts, views: Iterable[OrderView]) -> LegFacts:
    for view in views:
        leg, _ = merge(leg, view, certain=False)
    return replace(leg, refused_text="")  # words for people: the last ones told


# What an exchange may have told of one order: placed, amended, filled in parts, ended.
AMENDED: dict[str, Any] = {"quantity": D("0.090"), "price": D("79800")}
ORDINARY = [
    [
        shown(OrderState.NEW, 10),
        shown(OrderState.NEW, 20, **AMENDED),
        shown(OrderState.PARTIALLY_FILLED, 30, executed=D("0.05"), average_price=D("79790"), **AMENDED),
        shown(OrderState.PARTIALLY_FILLED, 30, executed=D("0.05"), average_price=D("79790"), **AMENDED),
        end,
    ]
    for end in (
        shown(OrderState.FILLED, 40, executed=D("0.09"), average_price=D("79800"), **AMENDED),
        shown(OrderState.CANCELED, 40, executed=D("0.05"), average_price=D("79790"), **AMENDED),
        shown(OrderState.EXPIRED, 40, executed=D("0.05"), average_price=D("79790"), **AMENDED),
        shown(OrderState.NEW, 20, **AMENDED),
    )
]
CHILD: dict[str, Any] = {"quantity": D("0.05"), "price": None, "order_id": 9}
CONDITIONAL = [
    [
        shown(OrderState.NEW, 10, conditional=True),
        shown(OrderState.NEW, 15, conditional=True, trigger_price=D("78500")),
        shown(OrderState.TRIGGERING, 20, conditional=True, trigger_price=D("78500")),
        shown(OrderState.TRIGGERED, 21, conditional=True, trigger_price=D("78500"), order_id=9),
        *rest,
    ]
    for rest in (
        [
            shown(OrderState.NEW, 22, **CHILD),
            shown(OrderState.PARTIALLY_FILLED, 23, executed=D("0.02"), average_price=D("78400"), **CHILD),
            shown(OrderState.EXPIRED, 24, executed=D("0.02"), average_price=D("78400"), **CHILD),
            shown(OrderState.FINISHED, 25, conditional=True, trigger_price=D("78500"), executed=D("0.02"),
                  average_price=D("78400"), order_id=9),
        ],
        [
            shown(OrderState.FILLED, 24, executed=D("0.05"), average_price=D("78400"), **CHILD),
            shown(OrderState.FINISHED, 25, conditional=True, trigger_price=D("78500"), order_id=9),
        ],
        [
            shown(OrderState.EXPIRED, 24, **CHILD),
            shown(OrderState.REJECTED, 25, conditional=True, trigger_price=D("78500")),
        ],
        [shown(OrderState.CANCELED, 22, conditional=True, trigger_price=D("78500"))],
    )
]  # fmt: skip


@pytest.mark.parametrize("told", ORDINARY)
@given(data=st.data())
def test_an_ordinary_order_is_known_the_same_in_whatever_order_it_is_told(
    told: list[OrderView], data: st.DataObject
) -> None:
    assert known(SENT, data.draw(st.permutations(told))) == known(SENT, told)


@pytest.mark.parametrize("told", CONDITIONAL)
@given(data=st.data())
def test_a_conditional_order_is_known_the_same_in_whatever_order_it_is_told(
    told: list[OrderView], data: st.DataObject
) -> None:
    assert known(STOP, data.draw(st.permutations(told))) == known(STOP, told)


def test_what_the_newest_report_says_of_price_and_quantity_counts() -> None:
    leg = known(SENT, ORDINARY[3])
    assert (leg.quantity, leg.price) == (D("0.090"), D("79800"))
    assert known(STOP, CONDITIONAL[3]).trigger_price == D("78500")
    assert known(STOP, CONDITIONAL[0]).state is LegState.FILLED


def test_of_an_entry_that_triggered_the_order_it_brought_forth_says_what_rests() -> None:
    # Given a stop entry for 0.040 with a limit of 79500, whose limit order a person changes after the trigger
    waits = LegFacts(
        True, Form.QUANTITY, LegState.SUBMITTED, quantity=D("0.040"), price=D("79500"), trigger_price=D("80000"), opens=True
    )  # fmt: skip
    terms: dict[str, Any] = {"quantity": D("0.040"), "price": D("79500"), "trigger_price": D("80000")}
    born = [
        shown(OrderState.NEW, 10, conditional=True, **terms),
        shown(OrderState.TRIGGERED, 20, conditional=True, **(terms | {"order_id": 7})),
        shown(OrderState.NEW, 20),
    ]
    changed = shown(OrderState.NEW, 30, quantity=D("0.030"), price=D("79400"))
    looked_up = replace(
        shown(OrderState.TRIGGERED, 30, conditional=True, **(terms | {"order_id": 7})),
        quantity=D("0.030"),
        price=D("79400"),
        child_state=OrderState.NEW,
    )
    for news in (changed, looked_up):
        after = known(waits, [*born, news])
        assert (after.quantity, after.price, after.trigger_price) == (D("0.030"), D("79400"), D("80000"))
        # And what is told of its parent later takes nothing of that back
        over = shown(
            OrderState.FINISHED, 40, conditional=True, executed=D("0.030"), **(terms | {"order_id": 7})
        )
        ended = known(after, [over])
        assert (ended.quantity, ended.price, ended.state) == (D("0.030"), D("79400"), LegState.FILLED)

"""Ways out of a position when the straight one is barred, or somebody else takes it."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from accounts.gateways import exchange_for
from exchange.types import ClosedBy, NewOrder, OrderEvent, OrderState, OrderView, PositionSide, Side, Stamp
from exchange.types import OrderType as T
from orders import services
from orders.domain.enums import LegState, Protection, Role
from orders.domain.operator_questions import QuestionKind
from orders.exchange_data.clock import exchange_now_ms
from orders.models import TrioOrder
from orders.placement.ingest import record_order_event
from tests.builders import Desk, story, the, until

D = Decimal
EXITS = {"method": "POST", "path": "/fapi/v1/order", "client_id": r"-x\d+$"}


def refuse_exits(desk: Desk, code: int, *, times: int) -> None:
    desk.simulator.fault(EXITS, {"do": "refuse", "code": code}, {"times": times})


def close(desk: Desk, trio: TrioOrder) -> None:
    services.trio_close(trio_id=trio.pk, by="test")
    desk.service.advance(trio.pk)


def by_hand(desk: Desk, quantity: str) -> None:
    """Sell in the exchange's app."""
    exchange = exchange_for(desk.account.pk)
    order = NewOrder("a-persons-own", "BTCUSDT", Side.SELL, T.MARKET, quantity=D(quantity), reduce_only=True)
    at = exchange_now_ms(desk.account.environment)
    exchange.send(exchange.submit_request(order), stamp=Stamp(at, 5000), timeout_ms=2000)


def test_a_position_is_closed_when_its_holding_time_is_over(desk: Desk) -> None:
    # Given a trio that may be held for a second
    trio = desk.placed(desk.a_trio(hold_seconds=1))
    assert the(trio).state == "OPEN", story(trio)

    # When a second has passed since its first fill, then it leaves at market
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TIME", story(trio)
    filled, left = (trio.legs.get(role=role).filled_ts or 0 for role in (Role.ENTRY, Role.EXIT))
    assert 1000 <= left - filled < 5000
    assert desk.resting == []


def test_a_position_the_exchange_closes_itself_is_named_so(desk: Desk) -> None:
    # Given an open trio
    trio = desk.placed(desk.a_trio())

    # When the exchange closes its position and then tells its own order
    by_hand(desk, "0.010")
    at = exchange_now_ms(desk.account.environment)
    autoclose = OrderView(
        client_id="autoclose-1700000000000", symbol="BTCUSDT", side=Side.SELL, type=T.LIMIT, state=OrderState.FILLED,
        position_side=PositionSide.BOTH, quantity=D("0.010"), executed=D("0.010"), updated_at=at, conditional=False,
        average_price=D("94000"), closed_by=ClosedBy.LIQUIDATION,
    )  # fmt: skip
    assert record_order_event(desk.account.pk, OrderEvent(replace(autoclose, executed=D(0)), at)) is None, (
        "no fill, no fact"
    )
    assert record_order_event(desk.account.pk, OrderEvent(autoclose, at)) == trio.pk
    assert record_order_event(desk.account.pk, OrderEvent(autoclose, at)) is None, "a fact is taken in once"

    # Then the trio ends under that name, and nothing of it rests
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "LIQUIDATED", story(trio)
    assert "liquidation" in trio.reason
    assert "closed 0.01 at 94000 itself" in story(trio)
    assert desk.resting == []


def test_a_book_too_thin_for_the_market_is_left_at_a_limit_inside_the_band(desk: Desk) -> None:
    # Given an open trio, and an exchange that refuses one MARKET exit because its book is thin
    trio = desk.placed(desk.a_trio())
    refuse_exits(desk, -4131, times=1)

    # When it is closed
    close(desk, trio)
    desk.carry_until(trio, "CLOSED")

    # Then the next exit is a LIMIT IOC between the band's edge and the mark price
    first, second = trio.legs.filter(role=Role.EXIT)
    assert (first.type, first.state) == ("MARKET", LegState.REJECTED), story(trio)
    assert (second.type, second.state) == ("LIMIT", LegState.FILLED), story(trio)
    assert second.requests.get().payload["timeInForce"] == "IOC"
    assert second.requests.get().payload["reduceOnly"] == "true"
    band, price = trio.symbol.multiplier_down, second.price
    assert band is not None
    assert price is not None
    assert band * 100_000 < price < 100_000
    assert desk.resting == []


def test_targets_that_use_up_the_reduce_only_allowance_go_with_the_next_exit(desk: Desk) -> None:
    # Given an open trio with legs of a quantity, and an exit refused as if nothing was left to reduce
    trio = desk.placed(desk.a_trio(protection=Protection.PRE_ARMED))
    refuse_exits(desk, -4118, times=1)

    # When it is closed
    close(desk, trio)
    desk.carry_until(trio, "CLOSED")

    # Then the position was read, the target was taken back together with the second exit, and the stop only after it
    story_so_far = story(trio)
    cancelled = [line for line in story_so_far.splitlines() if "Cancelling" in line]
    assert "take-profit" in cancelled[0], story_so_far
    asked = [(e.method, e.client_id[-2:]) for e in desk.simulator.log if e.method in ("POST", "DELETE")]
    assert set(asked[-3:-1]) == {("POST", "x2"), ("DELETE", "p1")}, asked
    assert asked[-1] == ("DELETE", "s1"), asked
    assert trio.legs.get(role=Role.EXIT, generation=2).state == LegState.FILLED
    assert desk.resting == []


def test_a_remainder_too_small_to_close_stays_under_its_stop_and_a_person_is_asked(desk: Desk) -> None:
    # Given an open trio on an exchange that finds its position too small to close
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    refuse_exits(desk, -4164, times=99)

    # When it is closed
    close(desk, trio)

    def asked() -> bool:
        desk.carry()
        return bool(the(trio).question)

    until(asked, why=lambda: story(trio))

    # Then it says so once, sends no further exit, and the stop stays
    assert "0.01 of the position is left" in trio.question
    assert trio.state == "EXITING"
    assert any(name.rpartition("-")[2].startswith("s") for name in desk.resting)
    sent = trio.legs.filter(role=Role.EXIT).count()
    for _ in range(20):
        desk.carry()
    assert trio.legs.filter(role=Role.EXIT).count() == sent == 1

    # And it ends when the rest is gone
    by_hand(desk, "0.010")
    desk.carry_until(trio, "CLOSED")
    assert the(trio).question == ""
    assert desk.resting == []


@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.parametrize(
    ("time_in_force", "price", "says"), [("GTX", "100500", "post-only"), ("FOK", "99000", "FOK")]
)
def test_an_entry_that_does_not_take_as_it_was_told_expires_and_nothing_was_wrong(
    desk: Desk, protection: Protection, time_in_force: str, price: str, says: str
) -> None:
    trio = desk.placed(
        desk.a_trio(entry_type="LIMIT", price=D(price), time_in_force=time_in_force, protection=protection)
    )

    assert (trio.state, trio.cause) == ("EXPIRED", "ENTRY_ENDED"), story(trio)
    assert says in trio.reason
    assert desk.resting == []


def test_a_stop_stuck_at_its_trigger_keeps_the_slot_asks_once_and_is_waited_for_with_growing_pauses(
    desk: Desk, settings: Any
) -> None:
    # Given a stop that triggers, and neither executes nor lets itself be cancelled
    settings.NAKED_LIMIT_MS = 600
    desk.simulator.fault({"type": "STOP_MARKET"}, {"do": "stick_triggering"})
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "94900")
    stop = trio.legs.get(role=Role.STOP_LOSS)

    # Then the position is closed at market after the bound, and the trio waits for that order
    def asked() -> bool:
        desk.carry()
        return bool(the(trio).question_kind)

    until(asked, why=lambda: story(trio))
    assert desk.simulator.position("BTCUSDT").is_flat
    assert the(trio).question_kind == QuestionKind.LEG_STUCK
    assert f"stop-loss {stop.client_id} of BTCUSDT on “desk” was triggered" in trio.question
    assert (trio.state, trio.holds_slot) == ("EXITING", True)

    # With growing pauses, and one question, whatever is answered
    services.trio_answer(trio_id=trio.pk, by="test")
    before = len(desk.requests("DELETE", "/fapi/v1/algoOrder"))
    began = time.monotonic()
    while time.monotonic() - began < 4:
        desk.carry()
    cancels = len(desk.requests("DELETE", "/fapi/v1/algoOrder")) - before
    assert 1 <= cancels <= 4, story(trio)
    assert trio.events.filter(kind="question").count() == 1

    # When the exchange says that it is gone, the trio ends by itself
    desk.simulator.expire(stop.client_id)
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []

"""Lives of trios that leave different things in a journal."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderType, Side, Stamp
from orders import services
from orders.domain.enums import LegState, Role, Source
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import Sighting, TrioOrder
from tests.builders import Desk, story, the, until

D = Decimal
Story = Callable[[Desk], TrioOrder]


def ended_by(price: str) -> Story:
    def play(desk: Desk) -> TrioOrder:
        trio = desk.placed(desk.a_trio())
        desk.simulator.set_price("BTCUSDT", price)
        return desk.carry_until(trio, "CLOSED")

    return play


def closed_by_hand(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    services.trio_close(trio_id=trio.pk, by="test")
    return desk.carry_until(trio, "CLOSED")


def partly_filled_then_stopped(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    entry = trio.legs.get(role=Role.ENTRY).client_id
    for part in ("0.004", "0.003"):
        desk.simulator.fill(entry, part)
        desk.carry_until(trio, "OPEN")
        desk.carry()
    desk.simulator.set_price("BTCUSDT", "94900")
    return desk.carry_until(trio, "CLOSED")


def cancelled(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    services.trio_cancel(trio_id=trio.pk, by="test")
    return desk.carry_until(trio, "CANCELLED")


def entry_refused(desk: Desk) -> TrioOrder:
    desk.simulator.refuses("MARKET", code=-2019)
    trio = desk.placed(desk.a_trio(protection="PRE_ARMED"))
    return desk.carry_until(trio, "ROLLED_BACK", "REFUSED")


def stop_refused(desk: Desk) -> TrioOrder:
    desk.simulator.refuses("STOP_MARKET", code=-2010)
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))
    return desk.carry_until(trio, "ROLLED_BACK")


def entry_answer_lost(desk: Desk) -> TrioOrder:
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "lose_answer"}, 1)
    desk.deaf = True
    return desk.placed(desk.a_trio())


def entry_absent(desk: Desk) -> TrioOrder:
    lost = {"do": "answer", "status": 503, "body": "", "execute": False}
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, lost, 1)
    trio = desk.queued(desk.a_trio())
    desk.advance(trio)
    return desk.carry_until(trio, "ROLLED_BACK")


def stop_answer_lost(desk: Desk) -> TrioOrder:
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "lose_answer"}, 1)
    desk.deaf = True
    return desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))


def stop_throttled(desk: Desk) -> TrioOrder:
    busy = {
        "do": "answer",
        "status": 503,
        "body": {"code": 0, "msg": "Service Unavailable."},
        "execute": False,
    }
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, busy, {"times": 2})
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))

    def settled() -> bool:
        desk.carry()
        live = trio.legs.filter(role=Role.STOP_LOSS, state=LegState.ACCEPTED)
        return live.exists() or the(trio).is_over  # a slow machine may have run into the bound

    until(settled, why=lambda: story(trio))
    return the(trio)


def key_refused_for_the_stop(desk: Desk) -> TrioOrder:
    refused = {"do": "refuse", "code": -2015}
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, refused, {"times": 2})
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    desk.simulator.set_price("BTCUSDT", "98990")
    return desk.carry_until(trio, "CLOSED")


def closed_in_the_app(desk: Desk) -> TrioOrder:
    trio = desk.placed(desk.a_trio())
    exchange = exchange_for(desk.account.pk)
    order = NewOrder(
        "a-persons-own", "BTCUSDT", Side.SELL, OrderType.MARKET, quantity=D("0.010"), reduce_only=True
    )
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    return desk.carry_until(trio, "CLOSED")


STORIES: dict[str, Story] = {
    "the target": ended_by("111000"),
    "the stop": ended_by("94000"),
    "by hand": closed_by_hand,
    "partial fills": partly_filled_then_stopped,
    "cancelled": cancelled,
    "entry refused": entry_refused,
    "stop refused": stop_refused,
    "entry answer lost": entry_answer_lost,
    "entry absent": entry_absent,
    "stop answer lost": stop_answer_lost,
    "stop throttled": stop_throttled,
    "key refused": key_refused_for_the_stop,
    "in the app": closed_in_the_app,
}


def a_sighting(trio: TrioOrder) -> Sighting:
    leg = trio.legs.order_by("id")[0]
    return Sighting(leg=leg, source=Source.EVENT, certain=False, facts={"state": "NEW"}, seen_at=db_now())

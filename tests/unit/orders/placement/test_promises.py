"""The promises that need no crash: what is committed, what is refused, what is never switched off."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts import gateways
from exchange.types import NewOrder, OrderType, Side, Stamp, TimeInForce
from orders import services
from orders.domain.enums import RequestKind
from orders.domain.errors import TrioRefused
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import Heartbeat, Outcome, Request, TrioOrder
from orders.placement.perform import InsideTransaction
from orders.risk_gates import living_behind_switches
from orders.specs import rungs_read
from tests.builders import Desk, story, the

LADDER: dict[str, Any] = {"entry_type": "LIMIT", "rungs": rungs_read("99000:50, 98000:30, 97000:20")}


def test_p1_what_is_sent_is_what_was_committed(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())

    sent = {e.client_id: e for e in desk.simulator.log if e.method == "POST" and e.client_id}
    for request in Request.objects.filter(trio=trio, kind=RequestKind.SUBMIT).select_related("leg"):
        wire = dict(sent[request.leg.client_id].params)
        assert wire.pop("timestamp") == str(request.timestamp)
        assert wire.pop("recvWindow") == str(request.recv_window)
        wire.pop("signature", None)
        assert wire == request.payload


def test_p1_nothing_is_asked_inside_a_transaction(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    before = len(desk.simulator.log)
    with pytest.raises(InsideTransaction), transaction.atomic():
        desk.advance(trio)
    assert len(desk.simulator.log) == before


@pytest.mark.parametrize("table", [Request, Outcome])
def test_the_database_refuses_to_change_or_delete_the_journal(
    desk: Desk, table: type[Request | Outcome]
) -> None:
    desk.placed(desk.a_trio())
    name = table._meta.db_table
    for attempt in (f"UPDATE {name} SET id = id", f"DELETE FROM {name}"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(attempt)


def test_a_dry_run_shows_what_would_be_sent_and_places_nothing(testnet: Desk, settings: object) -> None:
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio())

    assert trio.state == "DRY_RUN", story(trio)
    (request,) = trio.requests.all()
    assert (request.kind, request.path) == ("TEST", "/fapi/v1/order/test")
    assert testnet.resting == []
    assert testnet.simulator.position("BTCUSDT").is_flat


def test_a_dry_run_of_a_stop_entry_ends_with_what_was_checked_here(testnet: Desk, settings: object) -> None:
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio(entry_type="STOP_MARKET", trigger_price=Decimal("101000")))
    assert trio.state == "DRY_RUN", story(trio)
    assert "cannot test a stop entry" in trio.reason
    assert [entry.path for entry in testnet.requests("POST")] == []


def test_a_dry_run_the_exchange_refuses_ends_refused_with_its_reason(testnet: Desk, settings: object) -> None:
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    testnet.simulator.fault({"path": "/fapi/v1/order/test"}, {"do": "refuse", "code": -2019})
    trio = testnet.placed(testnet.a_trio())
    assert (trio.state, trio.holds_slot) == ("REFUSED", False)
    assert "-2019" in trio.reason


def test_a_dry_run_of_a_ladder_has_every_rung_checked_once(testnet: Desk, settings: object) -> None:
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio(**LADDER))
    assert trio.state == "DRY_RUN", story(trio)
    assert [r.leg.number for r in trio.requests.order_by("id")] == [0, 2, 3]


def test_a_dry_run_of_a_ladder_ends_refused_with_what_the_exchange_says_of_any_rung(
    testnet: Desk, settings: object
) -> None:
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    testnet.simulator.fault(
        {"path": "/fapi/v1/order/test", "client_id": "-r2$"}, {"do": "refuse", "code": -2019}
    )
    trio = testnet.placed(testnet.a_trio(**LADDER))
    assert (trio.state, trio.holds_slot) == ("REFUSED", False), story(trio)
    assert "rung 2" in trio.reason
    assert "-2019" in trio.reason


def test_a_dry_run_of_a_ladder_pauses_where_the_exchange_is_busy(testnet: Desk, settings: object) -> None:
    # Given an exchange that is too busy to check the second rung, once
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    busy = {"do": "answer", "status": 503, "body": {"code": 0, "msg": "Service Unavailable."}}
    testnet.simulator.fault({"path": "/fapi/v1/order/test", "client_id": "-r2$"}, busy, 1)
    trio = testnet.placed(testnet.a_trio(**LADDER))
    # Then it is asked once more after a pause, and the others are not asked again
    assert trio.state == "DRY_RUN", story(trio)
    asked = [request.leg.number for request in trio.requests.order_by("id")]
    assert sorted(asked) == [0, 2, 2, 3]


def test_on_testnet_the_legs_go_on_first_fill_unless_asked_otherwise(testnet: Desk, settings: object) -> None:
    settings.DRY_RUN_MODE = False  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio())
    assert (trio.state, trio.protection) == ("OPEN", "ON_FIRST_FILL"), story(trio)


@pytest.mark.parametrize("switch", ["DRY_RUN_MODE", "is_active"])
def test_p10_a_switch_stops_new_risk_and_never_protection(
    testnet: Desk, settings: object, switch: str
) -> None:
    # Given a resting entry on TESTNET
    settings.DRY_RUN_MODE = False  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio(entry_type="LIMIT", price=Decimal("99000")))
    assert trio.state == "WORKING", story(trio)

    # When new risk is switched off and the entry fills
    if switch == "is_active":
        type(testnet.account).objects.update(is_active=False)
    else:
        settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    testnet.simulator.set_price("BTCUSDT", "98990")
    testnet.carry_until(trio, "OPEN")
    testnet.carry()

    # Then it is covered, can be closed, and nothing new is opened
    assert len(testnet.resting) == 2, story(trio)
    services.trio_close(trio_id=trio.pk, by="test")
    testnet.carry_until(trio, "CLOSED")
    if switch == "is_active":
        with pytest.raises(TrioRefused, match="switched off"):
            testnet.queued(testnet.a_trio())


def test_p10_a_worker_that_starts_behind_a_switch_names_what_it_goes_on_protecting(
    testnet: Desk, settings: object
) -> None:
    # Given a trio that lives on the testnet, and one that was only drafted
    settings.DRY_RUN_MODE = False  # type: ignore[attr-defined]
    trio = testnet.placed(testnet.a_trio())
    testnet.a_trio()
    settings.ALLOW_LIVE = True  # type: ignore[attr-defined]
    assert living_behind_switches() == ""

    # When a worker starts with DRY_RUN_MODE, then it says so, naming it and nothing else
    settings.DRY_RUN_MODE = True  # type: ignore[attr-defined]
    said = living_behind_switches()
    assert "DRY_RUN_MODE is on, but 1 trio is open there" in said
    assert f"{trio.pk} (BTCUSDT on {testnet.account.name}, TESTNET, OPEN)" in said
    assert "go on being protected" in said

    # Nor does a switch about real money concern the testnet
    settings.DRY_RUN_MODE, settings.ALLOW_LIVE = False, False  # type: ignore[attr-defined]
    assert living_behind_switches() == ""


def test_p11_a_trio_that_nobody_could_place_in_time_expires_unsent(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(place_before=db_now() - timedelta(seconds=1))
    before = len(desk.simulator.log)

    desk.advance(trio)

    assert (the(trio).state, trio.holds_slot) == ("EXPIRED", False)
    assert len(desk.simulator.log) == before


def test_without_a_live_worker_nothing_is_queued_and_nothing_begins(desk: Desk) -> None:
    queued = desk.queued(desk.a_trio())
    Heartbeat.objects.update(beat=db_now() - timedelta(seconds=11))

    desk.advance(queued)
    assert the(queued).state == "QUEUED"
    with pytest.raises(TrioRefused, match="No runworker is alive"):
        desk.queued(
            desk.a_trio(
                symbol="ETHUSDT",
                stop_loss=Decimal("1000"),
                take_profit=Decimal("9000"),
                quantity=Decimal("1"),
            )
        )


def test_a_slot_with_a_strangers_order_is_refused_and_says_what_is_there(desk: Desk) -> None:
    exchange = gateways.exchange_for(desk.account.pk)
    order = NewOrder(
        "a-persons-own", "BTCUSDT", Side.BUY, OrderType.LIMIT,
        quantity=Decimal("0.010"), price=Decimal("90000"), time_in_force=TimeInForce.GTC,
    )  # fmt: skip
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    desk.sweep()

    with pytest.raises(TrioRefused, match="a-persons-own"):
        desk.queued(desk.a_trio())


def test_a_stranger_that_came_between_queueing_and_placing_is_refused_too(desk: Desk) -> None:
    trio = desk.queued(desk.a_trio())
    trio.slot.strangers = ["BUY 1 at 2, id somebody"]  # type: ignore[union-attr]
    trio.slot.save()  # type: ignore[union-attr]

    desk.advance(trio)

    assert (the(trio).state, trio.holds_slot) == ("REFUSED", False)
    assert desk.resting == []


def test_the_connection_is_left_as_it_was_found(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)

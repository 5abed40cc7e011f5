"""A person leaves one trio unprotected for a stated time: shown all the while, measured, and protected the moment it is over."""

from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders import services
from orders.cli.document import trio_document, trio_sentence
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.exchange_data.clock import db_now, to_ms
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import TrioOrder
from orders.placement.uncovered import uncovered_now
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import a_superuser
from tests.unit.orders.placement.app import cancelled_in_the_app


def opened(desk: Desk, **fields: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**fields))
    carried(desk, trio, lambda: len(stops(trio)) == 1)
    return trio


def carried(desk: Desk, trio: TrioOrder, is_so: Any) -> None:
    def there() -> bool:
        desk.carry()
        return bool(is_so())

    until(there, why=lambda: story(trio))


def stops(trio: TrioOrder) -> list[Any]:
    return list(trio.legs.filter(role=Role.STOP_LOSS, state="ACCEPTED"))


def left(trio: TrioOrder, minutes: int = 30, typed: str | None = None) -> TrioOrder:
    words = f"unprotected {trio.pk}" if typed is None else typed
    return services.trio_leave_unprotected(trio_id=trio.pk, minutes=minutes, typed=words, by="olga")


def naked(desk: Desk, trio: TrioOrder) -> None:
    """Leave it unprotected, and cancel its stop in the app."""
    left(trio)
    (stop,) = stops(trio)
    cancelled_in_the_app(desk, stop.client_id)
    carried(desk, trio, lambda: not stops(trio))


def ends_in(trio: TrioOrder, ms: int) -> None:
    """Have the stated time end so soon."""
    now = db_now()
    said = {**the(trio).outside["unprotected"], "until": to_ms(now) + ms}
    TrioOrder.objects.filter(pk=trio.pk).update(outside={**trio.outside, "unprotected": said}, wake_at=now)


def health(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.get("/healthz").content)
    return found


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
def test_a_stop_that_is_cancelled_is_not_placed_again_until_the_time_is_over(
    any_desk: Desk, protection: str
) -> None:
    desk = any_desk
    services.drift_choose(account=desk.account, chosen={"stop_cancelled": "CLOSE"}, by="test")
    trio = opened(desk, protection=protection)

    # When a person leaves it unprotected and cancels its stop, nothing of ours goes out, whatever the policy and the price
    naked(desk, trio)
    asked = len(desk.requests())
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.sweep()
    for _ in range(10):
        desk.carry()
        desk.service.advance(trio.pk)
    assert len(desk.requests()) == asked, story(trio)
    assert (the(trio).state, stops(trio)) == ("OPEN", [])

    # … and the time without cover is counted as it is
    before = uncovered_now(trio).total
    until(lambda: uncovered_now(trio).total > before)

    # When the time is over, it is protected at once
    desk.simulator.set_price("BTCUSDT", "100000")
    desk.sweep()
    ends_in(trio, 300)
    carried(desk, trio, lambda: stops(trio))
    assert (the(trio).state, trio.unprotected_until) == ("OPEN", None), story(trio)
    assert "The time for which it was left unprotected is over" in story(trio)
    (stop,) = stops(trio)
    first = trio.legs.filter(role=Role.STOP_LOSS).order_by("id")[0]
    assert trio.uncovered_longest_ms >= stop.accepted_ts - first.ended_ts - 1
    for _ in range(5):
        desk.carry()
    assert the(trio).state == "OPEN"
    assert not trio_replay(trio).differences
    assert not journal_verify(trio_id=trio.pk).breaks


def test_where_the_price_has_passed_the_stop_when_the_time_is_over_it_is_closed(desk: Desk) -> None:
    trio = opened(desk)
    naked(desk, trio)
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.sweep()

    ends_in(trio, 0)

    desk.carry_until(trio, "CLOSED")
    assert trio.result == "LEVEL_PASSED"
    assert desk.resting == []


def test_a_person_has_it_protected_again_at_once(any_desk: Desk) -> None:
    desk = any_desk
    trio = opened(desk)
    naked(desk, trio)
    until(lambda: uncovered_now(trio).total > 1200)

    services.trio_protect_again(trio_id=trio.pk, by="olga")

    carried(desk, trio, lambda: stops(trio))
    for _ in range(5):
        desk.carry()
    assert (the(trio).state, trio.unprotected_until) == ("OPEN", None), story(trio)
    assert "To be protected again, by olga." in story(trio)
    with pytest.raises(IllegalTransition, match="is not left unprotected"):
        services.trio_protect_again(trio_id=trio.pk, by="olga")


def test_a_stop_that_goes_in_any_other_way_is_placed_again_all_the_same(any_desk: Desk) -> None:
    desk = any_desk
    trio = opened(desk)
    left(trio)
    (stop,) = stops(trio)

    desk.simulator.expire(stop.client_id)

    carried(desk, trio, lambda: stops(trio) and stops(trio) != [stop])
    assert the(trio).state == "OPEN"


def test_it_is_closed_on_request_and_ends_by_its_target(desk: Desk) -> None:
    trio = opened(desk)
    naked(desk, trio)
    services.trio_close(trio_id=trio.pk, by="olga")
    desk.carry_until(trio, "CLOSED")
    assert (trio.result, trio.unprotected_until, desk.resting) == ("MANUAL", None, [])

    other = opened(desk)
    naked(desk, other)
    desk.simulator.set_price("BTCUSDT", "110001")
    desk.carry_until(other, "CLOSED")
    assert (other.result, desk.resting) == ("TAKE_PROFIT", [])


def test_it_is_shown_as_unprotected_all_the_while(desk: Desk, client: Client) -> None:
    operator = a_superuser()
    trio = opened(desk)
    page = reverse("admin:orders_trioorder_change", args=[trio.pk])
    assert trio_document(trio)["unprotected"] is None
    assert health(client)["unprotected"] == []
    assert health(client)["uncovered"] == []

    # From the moment it is chosen, its stop resting
    left(trio)
    document = trio_document(the(trio))["unprotected"]
    assert document is not None
    assert document["by"] == "olga"
    assert "its stop-loss still rests" in trio_sentence(trio)
    assert "Left unprotected until" in operator.get(page).content.decode()
    assert health(client)["uncovered"] == []

    # And with its stop gone, on its page, in the list, on the first page, for machines and scripts
    naked_page = the(trio)
    (stop,) = stops(naked_page)
    cancelled_in_the_app(desk, stop.client_id)
    carried(desk, trio, lambda: not stops(trio))
    for address in (page, reverse("admin:orders_trioorder_changelist"), reverse("admin:index")):
        assert "it has NO stop-loss" in operator.get(address).content.decode(), address
    (row,) = health(client)["unprotected"]
    assert row["trio"] == trio.pk
    assert "by olga: it has NO stop-loss" in row["message"]
    assert health(client)["uncovered"] == [trio.pk]
    assert "it has NO stop-loss" in trio_sentence(the(trio))


def test_health_names_a_position_without_a_stop_whatever_the_cause(desk: Desk, client: Client) -> None:
    # Given a trio whose stop expires, while the exchange is too busy to take another one
    trio = opened(desk)
    (stop,) = stops(trio)
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "refuse", "code": -1008}, [1, 2])
    desk.simulator.expire(stop.client_id)

    # Then its position is uncovered, though no person left it so
    carried(desk, trio, lambda: health(client)["uncovered"] == [trio.pk])
    assert health(client)["unprotected"] == []
    assert not stops(trio)

    # And once a stop is acknowledged it is not named any more
    carried(desk, trio, lambda: stops(trio))
    carried(desk, trio, lambda: health(client)["uncovered"] == [])
    assert the(trio).state == "OPEN", story(trio)


def test_only_a_person_who_types_it_for_at_most_a_day_leaves_it_unprotected(desk: Desk) -> None:
    trio = opened(desk)
    for minutes in (0, -1, 1441):
        with pytest.raises(RuleBroken, match="which is a day"):
            left(trio, minutes=minutes)
    for typed in ("", "yes", "unprotected 999999"):
        with pytest.raises(RuleBroken, match="to confirm"):
            left(trio, typed=typed)
    resting = desk.placed(
        desk.a_trio(
            "ETHUSDT",
            quantity=D("0.1"),
            entry_type="LIMIT",
            price=D("1000"),
            stop_loss=D("900"),
            take_profit=D("1200"),
        )
    )
    with pytest.raises(IllegalTransition, match="only one that is open"):
        left(resting)
    services.trio_trail(trio_id=trio.pk, by="test", distance=D("4000"))
    with pytest.raises(IllegalTransition, match="end the trail"):
        left(trio)
    services.trio_trail_off(trio_id=trio.pk, by="test")
    assert the(trio).unprotected_until is None
    left(trio)
    with pytest.raises(IllegalTransition, match="left unprotected for now"):
        services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    with pytest.raises(IllegalTransition, match="left unprotected for now"):
        services.trio_trail(trio_id=trio.pk, by="test", distance=D("4000"))


def test_nothing_changes_an_entry_while_what_has_filled_of_it_is_left_unprotected(desk: Desk) -> None:
    # Given an entry that has filled in part, what is filled left without a stop
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: len(stops(trio)) == 1)
    naked(desk, trio)

    with pytest.raises(IllegalTransition, match="left unprotected, so its entry is not changed"):
        services.trio_change_entry(trio_id=trio.pk, by="test", price=D("98000"))
    with pytest.raises(IllegalTransition, match="left unprotected, so its entry is not changed"):
        services.trio_chase(trio_id=trio.pk, by="test", bound=D("99500"))
    assert not stops(trio)


def test_what_chases_is_named_where_it_keeps_a_trio_from_being_left_unprotected(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL"))
    services.trio_chase(trio_id=trio.pk, by="test", bound=D("99500"))
    desk.simulator.fill(trio.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(trio, "OPEN")
    with pytest.raises(IllegalTransition, match="the chase"):
        left(trio)

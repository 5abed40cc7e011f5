"""Adopting a position on its slot's page, reversing and placing again on a trio's: a POST behind a dialog."""

from __future__ import annotations

import html
import re
from decimal import Decimal as D
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.gateways import exchange_for
from exchange.types import NewOrder, OrderType, Side, Stamp
from orders.exchange_data.clock import exchange_now_ms
from orders.models import Reversal, Slot, TrioOrder
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import SUBMITTED, a_clerk, a_superuser, do, page_of, told, verb_url


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def by_hand(desk: Desk, client_id: str, quantity: str) -> None:
    exchange = exchange_for(desk.account.pk)
    order = NewOrder(client_id, "BTCUSDT", Side.BUY, OrderType.MARKET, quantity=D(quantity))
    exchange.send(exchange.submit_request(order), stamp=Stamp(exchange_now_ms("PAPER"), 5000))
    desk.hear()
    desk.sweep()


def adopt_url() -> str:
    return reverse("admin:orders_slot_adopt", args=[Slot.objects.get(symbol="BTCUSDT").pk])


def seen_in(response: Any) -> dict[str, str]:
    found = re.search(r'name="seen" value="([^"]*)"', response.content.decode())
    assert found, response.content.decode()
    return {"seen": html.unescape(found[1])}


def sent_to(desk: Desk, operator: Client, typed: dict[str, str]) -> Any:
    """Confirm the dialog, on an account that is watched."""
    operator.cookies.pop("messages", None)  # as if they had been read on the page
    desk.beat()
    return operator.post(adopt_url(), typed, headers=HTMX)


LEVELS = {"stop": "2%", "target": "5%", "foreign": "LEAVE"}
HTMX = {"HX-Request": "true"}


def test_a_position_is_adopted_as_it_was_shown(desk: Desk, operator: Client) -> None:
    by_hand(desk, "web_1", "0.010")
    dialog = operator.get(adopt_url())
    assert "long 0.01 at" in html.unescape(dialog.content.decode())
    assert not TrioOrder.objects.exists()

    sent = SUBMITTED | seen_in(dialog) | LEVELS
    response = sent_to(desk, operator, sent)

    trio = TrioOrder.objects.get()
    assert response.headers["HX-Redirect"] == page_of(trio)
    assert told(response) == [f"{trio}: adopted."]

    def stands() -> bool:
        desk.carry()
        return trio.legs.filter(state="ACCEPTED").count() == 2

    until(stands, why=lambda: story(trio))
    assert "Adopted by operator" in operator.get(page_of(trio)).content.decode()

    # And sent once more it is refused: the slot is held
    again = sent_to(desk, operator, sent)
    assert "is held by trio" in told(again)[0]
    assert TrioOrder.objects.count() == 1


def test_what_has_changed_since_it_was_shown_is_not_adopted(desk: Desk, operator: Client) -> None:
    by_hand(desk, "web_1", "0.010")
    seen = seen_in(operator.get(adopt_url()))
    by_hand(desk, "web_2", "0.005")
    response = sent_to(desk, operator, SUBMITTED | seen | LEVELS)
    assert "The position is 0.015 now, not 0.01" in told(response)[0]
    for unseen in ({}, {"seen": "{}"}, {"seen": "[1]"}, {"seen": '{"quantity": "x", "orders": []}'}):
        response = sent_to(desk, operator, SUBMITTED | unseen | LEVELS)
        assert "does not say which position was shown" in told(response)[0], unseen
    assert not TrioOrder.objects.exists()


def test_adopting_wants_the_permission_to_place(desk: Desk) -> None:
    by_hand(desk, "web_1", "0.010")
    clerk = a_clerk("view", "change", "close", "cancel")
    assert clerk.post(adopt_url(), SUBMITTED | LEVELS, headers=HTMX).status_code == 403
    assert not TrioOrder.objects.exists()


def test_a_slot_without_a_position_says_so(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("98000")))
    assert "there is nothing to adopt" in operator.get(adopt_url()).content.decode()
    assert trio.slot_id


def test_a_trio_is_reversed_and_placed_again_from_its_page(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    (wrong,) = do(operator, "reverse", trio, stop="95000", target="90000", quantity="")
    assert "wrong side" in wrong
    (said,) = do(operator, "reverse", trio, stop="105000", target="90000", quantity="0.005")
    assert "close at market requested" in said
    assert Reversal.objects.get().quantity == D("0.005")
    assert the(trio).close_wanted_at is not None
    (again,) = do(operator, "place_again", trio)
    draft = TrioOrder.objects.get(state="DRAFT")
    assert f"Draft #{draft.pk} has the terms" in again
    assert (draft.quantity, draft.stop_loss) == (trio.quantity, trio.stop_loss)


def test_reversing_wants_the_permissions_to_close_and_to_place(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    typed = SUBMITTED | {"stop": "105000", "target": "90000"}
    for lacking in ("close", "place"):
        others = {"view", "add", "change", "cancel", "close", "place"} - {lacking}
        clerk = a_clerk(*others, name=f"without-{lacking}")
        assert clerk.post(verb_url("reverse", trio), typed, headers=HTMX).status_code == 403
    assert the(trio).close_wanted_at is None
    both = a_clerk("view", "close", "place", name="both")
    assert both.post(verb_url("reverse", trio), typed, headers=HTMX).status_code == 200
    assert the(trio).close_wanted_at is not None

"""The positions of every account, as the exchange has them: whose, protected by what, and where they stand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import Leg, Slot
from tests.builders import Desk
from tests.unit.orders.operators import a_superuser, page_of

LIST = "admin:orders_slot_changelist"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def shown(client: Client, **query: Any) -> str:
    page = client.get(reverse(LIST), query)
    assert page.status_code == 200
    return page.content.decode()


def test_a_position_says_whose_it_is_and_what_protects_it(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    desk.sweep()
    page = shown(operator, holds="open")
    assert page_of(trio) in page
    assert "at 95000" in page
    assert "if closed now" in page
    assert "unprotected" not in page

    # Without an acknowledged stop it says so
    Leg.objects.filter(trio=trio, role="STOP_LOSS").update(acknowledged=False)
    assert "nothing: unprotected now" in shown(operator)


def test_a_position_that_is_not_ours_can_be_adopted_from_here(desk: Desk, operator: Client) -> None:
    slot = Slot.objects.create(
        account=desk.account,
        symbol="ETHUSDT",
        quantity=Decimal("-2"),
        entry_price=Decimal(2000),
        mark_price=Decimal(1990),
    )
    page = shown(operator, holds="external")
    assert "Adopt …" in page
    assert reverse("admin:orders_slot_change", args=[slot.pk]) in page
    assert "no stop of ours" in page
    assert "short 2" in page
    assert "+20.00" in page
    assert "ETHUSDT" not in shown(operator, holds="ours")
    assert "ETHUSDT" not in shown(operator, holds="flat")


def test_many_slots_cost_as_many_statements_as_one(
    desk: Desk, operator: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        Slot.objects.create(account=desk.account, symbol=f"X{number}USDT", quantity=Decimal(1))
    with django_assert_max_num_queries(20):
        shown(operator)

"""A trio's page says what it comes to, how long it took, and what comes next; its picture is for who may see it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from orders.admin import trio_page
from orders.queueing import market_at_hand
from tests.builders import Desk
from tests.unit.orders.operators import a_clerk, a_superuser

D = Decimal


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    market_at_hand.forget()
    yield
    market_at_hand.forget()


def test_each_level_says_what_the_trio_comes_to(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.carry()
    desk.sweep()
    page = trio_page.trio_page(trio.pk)
    levels = {level.name: level for level in page.levels}
    assert page.money is not None
    assert page.money.net == levels["Now, at the mark price"].net
    assert levels["Stop-loss"].net == page.money.at_stop
    assert levels["Take-profit"].net == page.money.at_target
    assert levels["Stop-loss"].r == D("-1.00")
    assert levels["Break-even of the trio"].net >= 0
    assert {row.name for row in page.latencies} >= {"In the queue", "First fill to stop acknowledged"}
    assert page.next is not None
    assert page.next.words


def test_a_trio_that_has_ended_says_its_r_and_nothing_comes_next(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    page = trio_page.trio_page(trio.pk)
    assert page.next is None
    assert page.levels == []
    assert page.money is not None
    assert page.money.booked_r is not None
    assert page.money.booked_r <= -1
    assert page.slippage is not None
    assert page.result_colour == "danger"


def chart(client: Any, name: str, *args: Any, **query: Any) -> Any:
    return client.get(reverse(f"admin:orders_trioorder_{name}", args=args), query)


def test_the_picture_has_levels_moves_executions_and_bars(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.sweep()
    client = a_superuser()
    found = chart(client, "chart", trio.pk).json()
    assert {level["name"]: level["price"] for level in found["levels"]}["Stop-loss"] == "95000.0"
    assert [path["kind"] for path in found["paths"]] == ["stop", "target"]
    assert [fill["side"] for fill in found["fills"]] == ["BUY"]
    assert found["read"] is True
    assert all(len(bar) == 5 for bar in found["bars"])
    assert found["live"] is True
    assert chart(client, "chart", 999_999).status_code == 404
    assert chart(a_clerk(), "chart", trio.pk).status_code == 403


def test_the_picture_beside_the_form_is_of_the_accounts_exchange(desk: Desk) -> None:
    client = a_superuser()
    symbol = desk.a_trio().symbol
    found = chart(client, "bars", account=desk.account.pk, symbol=symbol.pk).json()
    assert (found["tick"], found["mark"]) == ("0.1", "100000.0")
    assert chart(client, "bars", account="x", symbol=symbol.pk).status_code == 400
    assert chart(client, "bars", account=desk.account.pk, symbol=999_999).status_code == 404
    assert chart(a_clerk("view"), "bars", account=desk.account.pk, symbol=symbol.pk).status_code == 403


def test_the_panel_that_is_asked_every_two_seconds_takes_few_statements(
    desk: Desk, django_assert_max_num_queries: Any
) -> None:
    trio = desk.placed(desk.a_trio())
    client = a_superuser()
    with django_assert_max_num_queries(30):
        assert client.get(reverse("admin:orders_trioorder_live", args=[trio.pk])).status_code == 200

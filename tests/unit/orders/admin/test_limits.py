"""The page of limits: what is entered is what holds; nonsense is refused at its field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from orders.models import RiskLimit
from tests.builders import Desk
from tests.unit.orders.operators import a_superuser

ADD = "admin:orders_risklimit_add"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def asked(desk: Desk, **said: str) -> dict[str, str]:
    return {"account": str(desk.account.pk), "source": "", "is_active": "on"} | said


def test_a_limit_is_entered_and_shown_as_people_write_it(desk: Desk, operator: Client) -> None:
    operator.post(reverse(ADD), asked(desk, notional_order="1500.50", symbols="ethusdt btcusdt,ETHUSDT"))

    limit = RiskLimit.objects.get()
    assert (limit.notional_order, limit.symbols) == (Decimal("1500.50"), "ETHUSDT, BTCUSDT")
    page = operator.get(reverse("admin:orders_risklimit_change", args=[limit.pk])).content.decode()
    assert "1500.5" in page
    assert "1500.5000" not in page
    assert limit.history.count() == 1


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "__all__"),
        ({"notional_order": "0"}, "notional_order"),
        ({"notional_open": "-1"}, "notional_open"),
        ({"daily_loss": "NaN"}, "daily_loss"),
        ({"trios_open": "-1"}, "trios_open"),
        ({"symbols": "BTC/USDT"}, "symbols"),
        ({"collar_percent": "0"}, "collar_percent"),
    ],
)
def test_nonsense_is_refused_at_its_field(
    desk: Desk, operator: Client, said: dict[str, str], field: str
) -> None:
    response = operator.post(reverse(ADD), asked(desk, **said))

    assert field in response.context["adminform"].form.errors
    assert not RiskLimit.objects.exists()


def test_an_account_has_one_row_for_each_source(desk: Desk, operator: Client) -> None:
    for _ in range(2):
        response = operator.post(reverse(ADD), asked(desk, trios_open="1"))
    assert response.status_code == 200
    assert RiskLimit.objects.count() == 1

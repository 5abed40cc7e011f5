"""From the first login to the first trio, and the pages of the product where something cannot be done."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from backoffice import error_answers
from orders.models import Symbol
from tests.builders import Desk
from tests.unit.orders.conftest import _impatient, desk, simulator  # noqa: F401  # its fixtures are ours
from tests.unit.orders.operators import a_clerk, a_superuser


def test_an_empty_desk_leads_to_its_first_trio(transactional_db: None) -> None:
    client = a_superuser()
    page = client.get(reverse("admin:index")).content.decode()
    assert "First steps" in page
    assert reverse("admin:accounts_exchangeaccount_add") in page
    assert page.count("radio_button_unchecked") == 5
    assert "First steps" not in a_clerk("view").get(reverse("admin:index")).content.decode()


def test_each_step_that_is_done_is_ticked_and_the_first_trio_ends_it(desk: Desk) -> None:  # noqa: F811
    client = a_superuser()
    desk.beat()
    assert Symbol.objects.exists()
    page = client.get(reverse("admin:desk_live")).content.decode()
    assert page.count("check_circle") == 4
    assert page.count("radio_button_unchecked") == 1
    desk.a_trio()
    assert "First steps" not in client.get(reverse("admin:desk_live")).content.decode()


@pytest.mark.django_db
def test_what_cannot_be_done_is_a_page_of_the_product(client: Client) -> None:
    answer = client.get("/nowhere/")
    page = answer.content.decode()
    assert (answer.status_code, "There is nothing here" in page, "<main>" in page) == (404, True, True)
    for status in (400, 403, 404, 429, 500, 503):
        page = error_answers.refused(status, "Why.").content.decode()
        assert "Why." in page
        assert error_answers.TITLES[status] in page
        assert f"· {status}" in page
        assert "://" not in page.replace("http://www.w3.org", ""), "nothing of another host"


@override_settings(AXES_ENABLED=True)
def test_who_tries_too_often_is_told_how_long_it_lasts(transactional_db: None) -> None:
    a_superuser("somebody")
    client = Client()
    for _ in range(5):
        answer = client.post(reverse("admin:login"), {"username": "somebody", "password": "wrong"})
    page = answer.content.decode()
    assert answer.status_code == 429
    assert "Wait a quarter of an hour" in page
    assert ">Dashboard</a>" in page

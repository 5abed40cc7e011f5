"""Drift policies on screens: what may be chosen is offered and holds, what may not is refused at its field."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from orders import services
from orders.domain.drift import DRIFTS_WITH_CHOICE, Response
from orders.models import DriftChoices, TrioOrder
from tests.builders import Desk, story, the
from tests.unit.orders.operators import SUBMITTED, a_superuser, verb_url
from tests.unit.orders.placement.app import ordered_in_the_app, sold_in_the_app

ADD = "admin:orders_driftchoices_add"
CHANGE = "admin:orders_driftchoices_change"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def test_an_accounts_policy_is_chosen_from_what_is_safe_and_every_change_is_kept(
    desk: Desk, operator: Client
) -> None:
    trio = desk.placed(desk.a_trio())
    page = operator.get(reverse(ADD)).content.decode()
    for drift in DRIFTS_WITH_CHOICE:
        for response in drift.responses:
            assert f'value="{response}"' in page

    operator.post(
        reverse(ADD), {"account": str(desk.account.pk), "stop_cancelled": "CLOSE", "increased": "ADOPT"}
    )
    row = DriftChoices.objects.get()
    assert (row.stop_cancelled, row.increased, row.reduced) == ("CLOSE", "ADOPT", "")
    assert services.drift_policy_of(desk.account, trio).increased is Response.ADOPT

    operator.post(reverse(CHANGE, args=[row.pk]), {"stop_cancelled": "", "increased": "ADOPT"})
    row.refresh_from_db()
    assert [kept.stop_cancelled for kept in row.history.order_by("history_id")] == ["CLOSE", ""]
    assert row.updated_by
    assert operator.get(reverse("admin:orders_driftchoices_changelist")).status_code == 200


@pytest.mark.parametrize(
    "said", [{"stop_cancelled": "LEAVE"}, {"reversed": "CLOSE"}, {"own_orders": "nonsense"}]
)
def test_what_is_not_safe_is_refused_at_its_field(desk: Desk, operator: Client, said: dict[str, str]) -> None:
    response = operator.post(reverse(ADD), {"account": str(desk.account.pk)} | said)

    assert set(response.context["adminform"].form.errors) == set(said)
    assert not DriftChoices.objects.exists()


def test_an_account_has_one_policy(desk: Desk, operator: Client) -> None:
    for _ in range(2):
        response = operator.post(reverse(ADD), {"account": str(desk.account.pk), "reduced": "ASK"})
    assert response.context["adminform"].form.errors
    assert DriftChoices.objects.count() == 1


def test_a_trio_gets_a_policy_of_its_own_in_a_dialog(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    services.drift_choose(account=desk.account, chosen={"reduced": "ASK"}, by="test")

    dialog = operator.get(verb_url("drift_policy", trio)).content.decode()
    assert "As the account: Ask" in dialog
    operator.post(verb_url("drift_policy", trio), SUBMITTED | {"reduced": "CLOSE"})

    assert services.drift_policy_of(desk.account, trio).reduced is Response.CLOSE
    assert "the position is reduced: CLOSE" in story(trio)
    page = operator.get(reverse("admin:orders_trioorder_change", args=[trio.pk])).content.decode()
    assert "Drift policy" in page
    refused = operator.post(verb_url("drift_policy", trio), SUBMITTED | {"reduced": "LEAVE"})
    assert "Select a valid choice" in refused.content.decode()
    assert services.drift_policy_of(desk.account, trio).reduced is Response.CLOSE


def test_orders_of_others_are_cancelled_by_the_answer_on_the_page(desk: Desk, operator: Client) -> None:
    services.drift_choose(account=desk.account, chosen={"own_orders": "ASK"}, by="test")
    trio = desk.placed(desk.a_trio())
    ordered_in_the_app(desk, "90000")
    desk.sweep()
    desk.carry()
    question = str(the(trio).question_number)
    page = operator.get(reverse("admin:orders_trioorder_change", args=[trio.pk])).content.decode()
    assert "Answer: cancel those orders" in page

    operator.post(verb_url("answer_cancel", trio), SUBMITTED | {"question": question})

    assert the(trio).question == ""
    assert [order["end"] for order in trio.outside["orders"]] == [""]


def test_a_reversed_position_is_adopted_by_the_answer_on_the_ended_trios_page(
    desk: Desk, operator: Client
) -> None:
    trio = desk.placed(desk.a_trio())
    sold_in_the_app(desk, "0.015")
    desk.carry_until(trio, "CLOSED")
    page = operator.get(reverse("admin:orders_trioorder_change", args=[trio.pk])).content.decode()
    assert "Answer: adopt the position" in page

    operator.post(verb_url("answer_adopt", trio), SUBMITTED | {"question": str(the(trio).question_number)})

    made = TrioOrder.objects.exclude(pk=trio.pk).get()
    assert (made.side, made.quantity, the(trio).question) == ("SELL", Decimal("0.005"), "")

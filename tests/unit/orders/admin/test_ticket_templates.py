"""Templates of tickets: kept as they were typed, used to fill a form, and nothing is placed by them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ExchangeAccount
from orders import ticket_templates
from orders.models import TicketTemplate, TrioOrder
from tests.builders import Desk
from tests.unit.orders.operators import a_clerk, a_superuser, told

ADD, SAVE = "admin:orders_trioorder_add", "admin:orders_ticket_template_save"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def terms(desk: Desk, **changes: Any) -> dict[str, str]:
    symbol = desk.a_trio().symbol
    TrioOrder.objects.all().delete()
    typed = {
        "account": str(desk.account.pk),
        "symbol": str(symbol.pk),
        "side": "SELL",
        "quantity": "1% risk",
        "entry_type": "LIMIT",
        "price": "101000",
        "stop_loss": "2%",
        "take_profit": "1.5R",
        "target_policy": "KEEP_STOP",
        "good_till": "2030-01-01 00:00:00",
        "state": "OPEN",
    } | changes
    return {f"term-{name}": text for name, text in typed.items()}


def saved(client: Client, name: str, sent: dict[str, str]) -> Any:
    answer = client.post(reverse(SAVE), {"name": name} | sent)
    assert answer.status_code == 302
    return answer


def value_of(page: str, field: str) -> str:
    found = re.search(rf'<input[^>]*name="{field}"[^>]*>', page)
    assert found is not None
    value = re.search(r'value="([^"]*)"', found.group(0))
    return value.group(1) if value else ""


def test_a_ticket_is_kept_as_it_was_typed_and_fills_another_form(desk: Desk, operator: Client) -> None:
    answer = saved(operator, "  Fade   the spike ", terms(desk))
    template = TicketTemplate.objects.get()
    assert (template.name, template.saved_by) == ("Fade the spike", "operator")
    assert template.terms["quantity"] == "1% risk"
    assert not {"good_till", "state"} & template.terms.keys()

    # Then whoever may add trios begins with it: fields as typed, the symbol and account chosen
    page = operator.get(answer["Location"]).content.decode()
    assert (value_of(page, "quantity"), value_of(page, "price")) == ("1% risk", "101000")
    assert (value_of(page, "stop_loss"), value_of(page, "take_profit")) == ("2%", "1.5R")
    assert re.search(r'<option value="SELL" selected', page)
    assert re.search(r'<option value="KEEP_STOP" selected', page)
    assert re.search(r"<option[^>]*selected[^>]*>BTCUSDT", page)
    assert 'aria-current="true"' in page
    assert "SELL 1% risk BTCUSDT stop 2% target 1.5R; saved by operator" in page
    assert not TrioOrder.objects.exists()
    assert "Fade the spike" in a_clerk("view", "add").get(reverse(ADD)).content.decode()


def test_what_is_no_template_is_refused_with_a_sentence(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = terms(desk)
    saved(operator, "one", typed)
    operator.cookies.pop("messages", None)
    for name, sent, words in (
        ("", typed, "Say what the template is to be called"),
        ("x" * 61, typed, "at most 60"),
        ("a\0b", typed, "can be printed"),
        ("one", typed, "a template “one” already"),
        ("two", {}, "The ticket is empty"),
        ("two", {"term-account": "1"}, "The ticket is empty"),
    ):
        assert words in told(saved(operator, name, sent))[-1]
        operator.cookies.pop("messages", None)
    monkeypatch.setattr(ticket_templates, "TEMPLATES_MAX", 1)
    assert "remove one first" in told(saved(operator, "two", typed))[-1]
    assert TicketTemplate.objects.count() == 1


def test_what_is_not_there_any_more_is_left_to_be_chosen(desk: Desk, operator: Client) -> None:
    page = saved(operator, "one", terms(desk))["Location"]
    ExchangeAccount.objects.update(is_active=False)
    answer = operator.get(page)
    assert "The account of “one” no longer exists or is switched off" in answer.content.decode()
    assert value_of(answer.content.decode(), "quantity") == "1% risk"
    for asked in ("999", "x", "9" * 30, ""):
        assert operator.get(reverse(ADD), {"template": asked}).status_code == 200


def test_it_takes_the_right_to_add_trios_and_a_post(desk: Desk, operator: Client) -> None:
    saved(operator, "one", terms(desk))
    remove = reverse("admin:orders_ticket_template_remove", args=[TicketTemplate.objects.get().pk])
    looker = a_clerk("view")
    for address in (reverse(SAVE), remove):
        assert looker.post(address, {"name": "two", "term-side": "BUY"}).status_code == 403
        assert operator.get(address).status_code == 405
        assert a_superuser(f"strict{len(address)}", csrf=True).post(address).status_code == 403
    assert operator.post(remove).status_code == 302
    assert not TicketTemplate.objects.exists()
    assert operator.post(remove).status_code == 404

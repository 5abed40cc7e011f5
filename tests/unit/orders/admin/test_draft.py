"""A trio's form: a draft is entered, corrected and saved, or refused with what is wrong in which field."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ExchangeAccount
from orders import services
from orders.models import Symbol, TrioOrder
from tests.builders import Desk, the
from tests.unit.orders.operators import a_clerk, a_superuser, draft_form, page_of, told

ADD = "admin:orders_trioorder_add"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def btc(environment: str = "PAPER") -> Symbol:
    return Symbol.objects.get(environment=environment, symbol="BTCUSDT")


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200, "the form was accepted"
    return {name: list(found) for name, found in response.context["adminform"].form.errors.items()}


def test_a_draft_is_saved_with_what_need_not_be_said(desk: Desk, operator: Client) -> None:
    # Given the form with neither position side nor protection chosen
    asked = draft_form(desk.account.pk, btc().pk)

    # When it is sent
    response = operator.post(reverse(ADD), asked)

    # Then the draft is there, complete, and the operator stands on its page
    trio = TrioOrder.objects.get()
    assert response.headers["Location"] == page_of(trio)
    assert (trio.state, trio.position_side, trio.protection) == ("DRAFT", "BOTH", "PRE_ARMED")
    assert (trio.source, trio.created_by and trio.created_by.get_username()) == ("admin", "operator")
    assert "saved as a draft" in told(response)[0]


def test_a_ladder_is_drafted_and_edited_as_it_is_written(desk: Desk, operator: Client) -> None:
    asked = {"entry_type": "LIMIT", "rungs": "99000:60, 98000:40"}
    operator.post(reverse(ADD), draft_form(desk.account.pk, btc().pk, **asked))
    trio = TrioOrder.objects.get()
    assert (trio.price, [rung.price for rung in trio.ladder]) == (
        Decimal("99000"),
        [Decimal("99000"), Decimal("98000")],
    )

    # Its page shows it as it was written; another one takes its place, price and all
    page = operator.get(page_of(trio)).content.decode()
    assert "99000:60, 98000:40" in page
    changed = asked | {"rungs": "98500:50, 97500:50"}
    operator.post(page_of(trio), draft_form(desk.account.pk, btc().pk, **changed))
    trio.refresh_from_db()
    assert (trio.price, trio.ladder[1].price) == (Decimal("98500"), Decimal("97500"))

    # What is none is told at its field
    wrong = operator.post(
        page_of(trio), draft_form(desk.account.pk, btc().pk, **(asked | {"rungs": "99000"}))
    )
    assert "such as 62000:50" in errors_of(wrong)["rungs"][0]
    wrong = operator.post(
        page_of(trio), draft_form(desk.account.pk, btc().pk, **(asked | {"rungs": "99000:60, 98000:30"}))
    )
    assert "the last at 40 %" in errors_of(wrong)["rungs"][0]


def test_a_hedge_account_gets_its_position_side(hedge_desk: Desk, operator: Client) -> None:
    operator.post(
        reverse(ADD),
        draft_form(hedge_desk.account.pk, btc().pk, side="SELL", stop_loss="105000", take_profit="90000"),
    )
    assert TrioOrder.objects.get().position_side == "SHORT"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"stop_loss": "95000.05"}, "stop_loss", "whole number of ticks"),
        ({"quantity": "0.0005"}, "quantity", "whole number of steps"),
        ({"quantity": "0"}, "quantity", "greater than zero"),
        ({"quantity": "ten"}, "quantity", "Enter a number"),
        ({"quantity": "NaN"}, "quantity", "Enter a number"),
        ({"quantity": "1e999999"}, "quantity", ""),
        ({"quantity": ""}, "quantity", "required"),
        ({"stop_loss": ""}, "stop_loss", "required"),
        ({"take_profit": ""}, "take_profit", "required"),
        ({"entry_type": "LIMIT"}, "price", "needs a price"),
        ({"price": "99000"}, "price", "takes no price"),
        ({"entry_type": "LIMIT", "price": "100000", "stop_loss": "101000"}, "stop_loss", "wrong side"),
        ({"entry_type": "LIMIT", "price": "100000", "take_profit": "99000"}, "take_profit", "wrong side"),
        ({"entry_type": "LIMIT", "price": "100000", "stop_loss": "100000"}, "stop_loss", "exactly on"),
        ({"entry_type": "LIMIT", "price": "50", "stop_loss": "40"}, "quantity", "too small"),
        ({"entry_type": "STOP_MARKET"}, "trigger_price", "needs a trigger price"),
        ({"entry_type": "STOP", "trigger_price": "101000"}, "price", "needs a price"),
        ({"trigger_price": "101000"}, "trigger_price", "takes no trigger price"),
        (
            {"entry_type": "STOP_MARKET", "trigger_price": "101000", "stop_loss": "101000"},
            "stop_loss",
            "exactly on the trigger price",
        ),
        ({"position_side": "LONG"}, "position_side", "one-way mode"),
        ({"symbol": "987654321"}, "symbol", "Unknown symbol"),
        ({"symbol": ""}, "symbol", "required"),
        ({"account": "987654321"}, "account", "does not exist or is switched off"),
        ({"good_till_0": "2020-01-01", "good_till_1": "00:00:00"}, "good_till", "passed already"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_stored(
    desk: Desk, operator: Client, changes: dict[str, str], field: str, words: str
) -> None:
    response = operator.post(reverse(ADD), draft_form(desk.account.pk, btc().pk, **changes))

    found = errors_of(response)
    assert field in found, found
    assert words in " ".join(found[field])
    assert not TrioOrder.objects.exists()


def test_a_hedge_account_refuses_the_wrong_side_of_the_position(hedge_desk: Desk, operator: Client) -> None:
    response = operator.post(reverse(ADD), draft_form(hedge_desk.account.pk, btc().pk, position_side="SHORT"))
    assert "hedge mode" in errors_of(response)["position_side"][0]


def test_several_mistakes_are_told_at_once(desk: Desk, operator: Client) -> None:
    changed = {"quantity": "0.0005", "stop_loss": "95000.05", "take_profit": "110000.05"}
    found = errors_of(operator.post(reverse(ADD), draft_form(desk.account.pk, btc().pk, **changed)))
    assert set(found) == {"quantity", "stop_loss", "take_profit"}


def test_a_symbol_that_is_not_trading_is_refused(desk: Desk, operator: Client) -> None:
    Symbol.objects.filter(symbol="BTCUSDT").update(status="SETTLING")
    found = errors_of(operator.post(reverse(ADD), draft_form(desk.account.pk, btc().pk)))
    assert "not trading" in found["symbol"][0]


def test_a_symbol_of_another_environment_is_refused_with_the_way_out(desk: Desk, operator: Client) -> None:
    # Given the same contract on the test exchange, where other rules apply
    twin = btc()
    twin.pk, twin.environment = None, "TESTNET"
    twin.save()

    found = errors_of(operator.post(reverse(ADD), draft_form(desk.account.pk, twin.pk)))

    assert "trades on PAPER" in found["symbol"][0]
    assert "choose BTCUSDT (PAPER)" in found["symbol"][0]


def test_a_switched_off_account_is_not_offered(desk: Desk, operator: Client) -> None:
    ExchangeAccount.objects.update(is_active=False)
    found = errors_of(operator.post(reverse(ADD), draft_form(desk.account.pk, btc().pk)))
    assert "switched off" in found["account"][0]


def test_the_search_for_symbols_offers_what_the_account_can_trade(desk: Desk, operator: Client) -> None:
    # Given symbols of two environments, one not trading
    twin = btc()
    twin.pk, twin.environment = None, "TESTNET"
    twin.save()
    Symbol.objects.filter(symbol="ETHUSDT").update(status="SETTLING")
    asked = {"app_label": "orders", "model_name": "trioorder", "field_name": "symbol"}

    def offered(**more: Any) -> list[str]:
        found = operator.get(reverse("admin:autocomplete"), {**asked, **more}).json()["results"]
        return [row["text"] for row in found]

    # Then only the account's own that trade are offered
    assert offered(term="USDT", account=desk.account.pk) == ["ADAUSDT (PAPER)", "BTCUSDT (PAPER)"]
    assert offered(term="btc") == ["BTCUSDT (PAPER)"]


def test_the_search_offers_the_coin_against_the_wallets_money_first(desk: Desk, operator: Client) -> None:
    # Given a coin against two monies, and another whose name begins like it
    for name, coin, money in (("ADAUSDC", "ADA", "USDC"), ("ADAPTUSDT", "ADAPT", "USDT")):
        twin = Symbol.objects.get(symbol="ADAUSDT")
        twin.pk, twin.symbol, twin.base_asset, twin.margin_asset = None, name, coin, money
        twin.save()
    asked: dict[str, Any] = {"app_label": "orders", "model_name": "trioorder", "field_name": "symbol"}

    def offered(term: str) -> list[str]:
        found = operator.get(
            reverse("admin:autocomplete"), {**asked, "term": term, "account": desk.account.pk}
        )
        return [row["text"].split()[0] for row in found.json()["results"]]

    # Then the coin that was typed leads, against what the account has; an exact name always does
    assert desk.account.wallet_asset == "USDT"
    assert offered("ada") == ["ADAUSDT", "ADAUSDC", "ADAPTUSDT"]
    ExchangeAccount.objects.update(wallet_asset="USDC")
    assert offered("ada")[:2] == ["ADAUSDC", "ADAUSDT"]
    assert offered("adausdt")[0] == "ADAUSDT"


def test_a_draft_shows_plain_numbers_and_can_be_corrected(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio(quantity=Decimal("0.010"))
    page = operator.get(page_of(trio)).content.decode()
    assert 'value="0.01"' in page
    assert "0.0100000000" not in page

    response = operator.post(page_of(trio), draft_form(desk.account.pk, btc().pk, quantity="0.02"))

    assert response.status_code == 302, errors_of(response)
    assert (the(trio).quantity, trio.state) == (Decimal("0.02"), "DRAFT")


def test_after_the_draft_every_field_is_read_only(desk: Desk, operator: Client) -> None:
    # Given a trio that was placed
    trio = desk.queued(desk.a_trio())
    page = operator.get(page_of(trio)).content.decode()
    for name in TrioOrder.SPEC_FIELDS:
        assert f'name="{name}"' not in page
    assert "0.0100000000" not in page

    # When somebody posts its form all the same
    response = operator.post(page_of(trio), draft_form(desk.account.pk, btc().pk, quantity="5"))

    # Then it is refused and nothing has changed
    assert response.status_code == 403
    assert (the(trio).quantity, trio.state) == (Decimal("0.010"), "QUEUED")


def test_a_form_that_was_open_while_the_draft_was_placed_changes_nothing(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a form whose check ends only after somebody else has placed the draft
    trio = desk.a_trio()
    real = services.trio_complete

    def placed_meanwhile(draft: TrioOrder) -> None:
        real(draft)
        TrioOrder.objects.filter(pk=trio.pk).update(state="QUEUED")

    monkeypatch.setattr(services, "trio_complete", placed_meanwhile)

    # When it is saved
    response = operator.post(page_of(trio), draft_form(desk.account.pk, btc().pk, quantity="0.02"))

    # Then the operator is told, and the form's numbers went nowhere
    assert response.status_code == 302
    assert "while its form was open" in told(response)[0]
    assert the(trio).quantity == Decimal("0.010")


def test_nothing_can_be_deleted(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    assert operator.get(reverse("admin:orders_trioorder_delete", args=[trio.pk])).status_code == 403
    assert (
        operator.post(reverse("admin:orders_trioorder_delete", args=[trio.pk]), {"post": "yes"}).status_code
        == 403
    )
    operator.post(
        reverse("admin:orders_trioorder_changelist"),
        {"action": "delete_selected", "_selected_action": [trio.pk], "post": "yes"},
    )
    assert TrioOrder.objects.filter(pk=trio.pk).exists()
    assert (
        "delete_selected" not in operator.get(reverse("admin:orders_trioorder_changelist")).content.decode()
    )


def test_who_may_only_look_sees_no_form(desk: Desk) -> None:
    trio = desk.a_trio()
    clerk = a_clerk("view")
    page = clerk.get(page_of(trio)).content.decode()
    assert "BTCUSDT" in page
    assert 'name="quantity"' not in page
    assert clerk.get(reverse(ADD)).status_code == 403


def test_without_symbols_the_form_says_what_to_do(operator: Client) -> None:
    page = operator.get(reverse(ADD)).content.decode()
    assert "Sync symbols" in page

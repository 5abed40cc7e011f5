"""The order form answers while one types, and what is sent twice makes one trio."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal as D
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import SymbolSetting
from accounts.services import account_add
from orders.admin import ticket
from orders.exchange_data.clock import db_now, to_exchange_ms
from orders.models import Clock, RiskLimit, Slot, Symbol, TrioEvent, TrioOrder
from orders.queueing import market_at_hand
from orders.story import note
from tests.builders import Desk, the
from tests.unit.orders.operators import a_clerk, a_superuser, draft_form, page_of, told

ADD = "admin:orders_trioorder_add"
PREVIEW = "admin:orders_trioorder_preview"


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    market_at_hand.forget()
    yield
    market_at_hand.forget()


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def typed(desk: Desk, name: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    symbol = Symbol.objects.get(symbol=name)
    return draft_form(desk.account.pk, symbol.pk, **{"_preview_number": "7", **changes})


def answer(client: Client, form: dict[str, Any]) -> str:
    response = client.post(reverse(PREVIEW), form)
    assert response.status_code == 200, response.content
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())


def streamed(desk: Desk, mark: str, name: str = "BTCUSDT") -> None:
    """The price stream has just brought a mark price."""
    offset = Clock.objects.get(environment="PAPER").offset_ms
    Slot.objects.update_or_create(
        account=desk.account,
        symbol=name,
        position_side="BOTH",
        defaults={"mark_price": D(mark), "mark_as_of": to_exchange_ms(db_now(), offset)},
    )


def asked(desk: Desk, path: str = "") -> list[str]:
    return [entry.path for entry in desk.simulator.log if entry.path.startswith(path or "/")]


def test_it_says_what_the_trio_comes_to(desk: Desk, operator: Client) -> None:
    response = operator.post(reverse(PREVIEW), typed(desk))

    assert 'data-number="7"' in response.content.decode()
    text = " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).split())
    assert "Entry 100000.0 at market; the mark price" in text
    assert "Notional 1000 USDT" in text
    assert "Margin needed 50 USDT with the fee 50.5; free 100000.00 USDT; at 20x cross" in text
    assert "Stop-loss 95000.0 0.010 -50 0.975 -50.975 -0.05 % -1.00 R" in text
    assert "Take-profit 110000.0 0.010 +100 1.05 +98.95 +0.10 % +1.94 R" in text
    assert "Break-even 100100.1" in text
    assert "Stop triggers at once no" in text
    assert (
        "Stop-loss: SELL 0.010 BTCUSDT stop at market, trigger 95000.0 (mark price), reduce-only, before"
        in text
    )
    assert not TrioOrder.objects.exists()


def test_margin_and_fee_are_apart_and_the_fee_is_in_the_size(desk: Desk, operator: Client) -> None:
    # Given an account of 10000.00 USDT at 10×, and a ticket that risks 1 % of it
    desk.simulator.add_account("small", "small-key-for-tests", "small-secret-for-tests", balance="10000")
    account = account_add(
        name="small",
        environment="PAPER",
        api_key="small-key-for-tests",
        api_secret="small-secret-for-tests",
    )
    small = Desk(desk.simulator, account, "small-key-for-tests").watched()
    desk.simulator.set_price("ETHUSDT", "2010")
    SymbolSetting.objects.filter(account=account, symbol="ETHUSDT").update(leverage=10)
    terms = {"entry_type": "LIMIT", "price": "2000.00", "stop_loss": "1960.00", "take_profit": "2100.00"}

    text = answer(operator, typed(small, "ETHUSDT", quantity="1% risk", **terms))

    # Then the size counts both fees, and the margin is what the position binds
    assert "Quantity 2.382 ETH" in text
    assert "Margin needed 476.4 USDT with the fee 478.782; free 10000.00 USDT; at 10x cross" in text
    assert "Fees 2.382 USDT for the entry, at the taker rate; 2.33436 at the stop" in text
    assert "-99.99636" in text


def test_with_the_streams_price_at_hand_the_exchange_is_not_asked(desk: Desk, operator: Client) -> None:
    streamed(desk, "100000")
    before = len(desk.simulator.log)
    assert "Entry 100000.0" in answer(operator, typed(desk))
    first = asked(desk)[before:]
    assert len([path for path in first if "balance" in path]) == 1
    assert not [path for path in first if "premiumIndex" in path]

    # And then the balance and the brackets are at hand, too
    before = len(desk.simulator.log)
    for quantity in ("0.011", "0.012", "0.013"):
        streamed(desk, "100100")
        text = answer(operator, typed(desk, quantity=quantity))
        assert f"Quantity {quantity} BTC" in text
        assert "Entry 100100.0" in text
    assert asked(desk)[before:] == []


def test_what_is_not_known_is_called_so(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_at_hand, "WAITS_SECONDS", 0.0)
    monkeypatch.setattr(market_at_hand, "_apart", lambda ask: None)
    text = answer(operator, typed(desk))
    assert "Entry not known" in text
    assert "The mark price of BTCUSDT is not known: PAPER did not answer in time." in text
    assert "The balance of desk is not known" in text
    assert "SELL 0.010 BTCUSDT stop at market" in text  # what will be sent is known all the same


@pytest.mark.parametrize(
    ("changes", "field", "words", "take"),
    [
        ({"stop_loss": "95000.05"}, "stop_loss", "whole number of ticks", "95000.1"),
        ({"stop_loss": "100500"}, "stop_loss", "wrong side", "99999.9"),
        ({"take_profit": "99000"}, "take_profit", "wrong side", "100000.1"),
        ({"quantity": "0.0105"}, "quantity", "whole number of steps", "0.010"),
        ({"quantity": "0.0001"}, "quantity", "whole number of steps", "0.002"),
        ({"entry_type": "LIMIT"}, "price", "needs a price", "100000.0"),
        ({"entry_type": "STOP_MARKET"}, "trigger_price", "needs a trigger price", "100000.1"),
        (
            {"entry_type": "STOP_MARKET", "trigger_price": "99000"},
            "trigger_price",
            "has been reached already",
            "100000.1",
        ),
        (
            {"entry_type": "STOP", "trigger_price": "101000", "price": "120000", "take_profit": "125000"},
            "price",
            "too far above the trigger price",
            "106050.0",
        ),
        ({"quantity": "13,75"}, "quantity", "Write 13.75 if that is meant", ""),
        ({"quantity": "ten"}, "quantity", "Enter a number", ""),
        ({"quantity": "1%"}, "quantity", "does not say of what", ""),
        ({"stop_loss": "1R"}, "stop_loss", "cannot say where that is", ""),
        ({"part_targets": "105000"}, "part_targets", "is not a part target", ""),
    ],
)
def test_what_is_wrong_stands_at_its_field_with_the_value_that_would_do(
    desk: Desk, operator: Client, changes: dict[str, str], field: str, words: str, take: str
) -> None:
    page = operator.post(reverse(PREVIEW), typed(desk, **changes)).content.decode()
    found = re.findall(r'<p class="ticket-problem" data-for="(\w+)">(.*?)</p>', page, re.DOTALL)
    assert [name for name, _ in found] == [field], found
    assert words in found[0][1]
    if take:
        assert f'data-take="{take}"' in found[0][1]
    else:
        assert "data-take" not in found[0][1]


def test_a_stop_entry_is_reckoned_at_its_trigger(desk: Desk, operator: Client) -> None:
    text = answer(
        operator,
        typed(
            desk, entry_type="STOP_MARKET", trigger_price="101000", stop_loss="2%", protection="ON_FIRST_FILL"
        ),
    )
    assert "Entry 101000.0 at market once triggered" in text
    assert "2 % from the entry (101000.0)" in text
    assert "Entry: BUY 0.010 BTCUSDT stop at market, trigger 101000.0 (mark price)" in text
    assert "it is below the trigger price 101000.0" in text
    assert "after the 3 of this one" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "9" * 36, "price": "9" * 36, "entry_type": "LIMIT"},
        {"quantity": "1e999999"},
        {"quantity": "0." + "0" * 15 + "1"},
        {"stop_loss": "99999999999999999999%", "take_profit": "1e30"},
        {"quantity": "9999999999999999999999 USDT"},
        {"account": "987654321", "symbol": "987654321"},
        {"side": "UP", "entry_type": "SIDEWAYS"},
        {"quantity": "", "stop_loss": "", "take_profit": ""},
        {"good_till_0": "x", "hold_seconds": "-1", "part_targets": ":::", "_preview_number": "<script>"},
        {"account": "", "symbol": ""},
    ],
)
def test_nonsense_is_answered(desk: Desk, operator: Client, changes: dict[str, str]) -> None:
    text = answer(operator, typed(desk, **changes))
    assert "E-" not in text
    assert "script" not in text


def test_levels_and_size_are_shown_back_as_they_were_understood_and_saved_as_numbers(
    desk: Desk, operator: Client
) -> None:
    form = typed(desk, quantity="1% risk", stop_loss="2%", take_profit="1.5R")
    text = answer(operator, form)
    # 1000 of 100000 at risk; one unit loses 2000 + 50 + 49: 0.476
    assert (
        "Understood as 0.476 BTC: 1 % of the equity lost at the stop-loss, fees included (equity 100000)."
        in text
    )
    assert "Understood as 98000.0: 2 % from the entry (100000.0)." in text
    assert "Understood as 103000.0: 1.5 × the distance from the entry to the stop-loss." in text
    assert "-999.124" in text

    response = operator.post(reverse(ADD), form)
    trio = TrioOrder.objects.get()
    assert response.status_code == 302
    assert (trio.quantity, trio.stop_loss, trio.take_profit) == (D("0.476"), D("98000"), D("103000"))


def test_what_cannot_be_worked_out_is_not_saved(desk: Desk, operator: Client) -> None:
    for changes, field, words in (
        ({"quantity": "1 USDT"}, "quantity", "below the smallest order"),
        ({"quantity": "13,75"}, "quantity", "has a comma"),
        (
            {"entry_type": "LIMIT", "price": "", "stop_loss": "2%"},
            "stop_loss",
            "the entry price is not known",
        ),
    ):
        response = operator.post(reverse(ADD), typed(desk, **changes))
        errors = response.context["adminform"].form.errors
        assert words in " ".join(errors[field]), errors
    assert not TrioOrder.objects.exists()


def test_limits_the_slot_and_switches_are_told_before_anything_is_saved(desk: Desk, operator: Client) -> None:
    RiskLimit.objects.create(account=desk.account, notional_order=D("500"), trios_open=3)
    text = answer(operator, typed(desk))
    assert (
        "Would be refused now: Limit of desk: the order&#x27;s notional is 1000.00; the maximum is 500.00."
        in text
    )
    assert "order notional: 0 of 500 used, this takes 1000; it does not fit." in text
    assert "open trios: 0 of 3 used, this takes 1; 2 left." in text

    RiskLimit.objects.all().delete()
    desk.placed(desk.a_trio())
    text = answer(operator, typed(desk))
    assert "Would be refused now:" in text
    assert "one trio at a time" in text
    assert "Conditional orders left 191" in text  # of 200, five kept free, two for each


def test_who_may_not_add_a_trio_is_not_answered(desk: Desk, transactional_db: None) -> None:
    for client in (Client(), a_clerk("view")):
        assert client.post(reverse(PREVIEW), typed(desk)).status_code == 403
    assert a_clerk("add", "view", name="writer").post(reverse(PREVIEW), typed(desk)).status_code == 200
    careful = a_superuser(csrf=True)
    assert careful.post(reverse(PREVIEW), typed(desk)).status_code == 403  # without its token
    assert careful.get(reverse(PREVIEW)).status_code == 405


def test_the_page_brings_what_the_answer_needs(desk: Desk, operator: Client) -> None:
    page = operator.get(reverse(ADD)).content.decode()
    assert f'data-url="{reverse(PREVIEW)}"' in page
    assert "orders/ticket.js" in page
    draft = operator.get(page_of(desk.a_trio())).content.decode()
    assert 'id="ticket"' in draft
    placed = operator.get(page_of(desk.placed(desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("2000"), take_profit=D("4000"))))).content.decode()  # fmt: skip
    assert 'id="ticket"' not in placed


def token_of(page: str) -> str:
    found = re.search(r'name="_ticket" value="([0-9a-f]{32})"', page)
    assert found is not None
    return found.group(1)


def test_the_same_form_sent_again_shows_the_trio_it_made(desk: Desk, operator: Client) -> None:
    # Case 31: a second click, and the same form in a second tab
    form = typed(desk, _ticket=token_of(operator.get(reverse(ADD)).content.decode()))
    first = operator.post(reverse(ADD), form)
    trio = TrioOrder.objects.get()
    assert first.headers["Location"] == page_of(trio)
    event = TrioEvent.objects.get(trio=trio)
    assert (event.text, event.data["by"]) == ("Draft made by operator.", "operator")

    again = operator.post(reverse(ADD), form)
    assert again.headers["Location"] == page_of(trio)
    assert "was already sent" in told(again)[-1]
    assert TrioOrder.objects.count() == 1

    # A newly opened form with the same in it is another one
    operator.post(reverse(ADD), form | {"_ticket": token_of(operator.get(reverse(ADD)).content.decode())})
    assert TrioOrder.objects.count() == 2


def test_the_same_form_sent_at_once_makes_one_trio(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that the first has saved and not committed while the others look whether there is one
    together = Barrier(2)

    def noted(*what: Any, **more: Any) -> None:
        with contextlib.suppress(BrokenBarrierError):
            together.wait(timeout=1)
        note(*what, **more)

    monkeypatch.setattr(ticket, "note", noted)
    form = typed(desk, _ticket=token_of(operator.get(reverse(ADD)).content.decode()))

    def send(_: int) -> str:
        try:
            client = Client()
            client.cookies = operator.cookies
            return client.post(reverse(ADD), form).headers["Location"]
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as pool:
        pages = set(pool.map(send, range(4)))
    assert TrioOrder.objects.count() == 1
    assert pages == {page_of(TrioOrder.objects.get())}


def test_a_form_that_is_mended_keeps_its_token(desk: Desk, operator: Client) -> None:
    token = token_of(operator.get(reverse(ADD)).content.decode())
    refused = operator.post(reverse(ADD), typed(desk, stop_loss="95000.05", _ticket=token))
    assert token_of(refused.content.decode()) == token


def test_placing_twice_sends_one_entry(desk: Desk, operator: Client) -> None:
    # Case 31, the other half: the dialog's button is pressed twice, and in a second tab
    trio = desk.a_trio()
    url = reverse("admin:orders_trioorder_place", args=[trio.pk])
    page = operator.get(url).content.decode()
    found = re.search(r'name="seen" value="([^"]*)"', page)
    assert found is not None
    seen = found.group(1).replace("&quot;", '"')
    sent = {"_form_submitted": "True", "seen": seen}
    for _ in range(3):
        response = operator.post(url, sent, headers={"HX-Request": "true"})
        assert response.headers["HX-Redirect"] == page_of(trio)
    assert "it is never placed twice" in told(response)[-1]
    desk.advance(trio)
    desk.carry_until(trio, "OPEN")
    entries = [e for e in desk.requests("POST", "/fapi/v1/order") if e.path == "/fapi/v1/order"]
    assert len(entries) == 1
    assert the(trio).state == "OPEN"

"""What operators look at: a trio's page, the list, the journal, the first page."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Credential, ExchangeAccount
from exchange.types import OrderType
from orders.admin import trio_page
from orders.exchange_data.clock import db_now
from orders.models import (
    Clock,
    Fill,
    Heartbeat,
    Outcome,
    Request,
    Slot,
    Symbol,
    TrioEvent,
    TrioOrder,
    Watch,
)
from tests.builders import Desk, the
from tests.unit.orders.conftest import KEY, SECRET
from tests.unit.orders.operators import LIST, SUBMITTED, a_clerk, a_superuser, live_url, page_of, told

SIXTEEN_DECIMALS = re.compile(r"\d\.\d{16}\b")
READ_ONLY = [Symbol, Slot, Request, Fill, TrioEvent, Watch, Heartbeat, Clock]


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def shown(client: Client, url: str, **query: Any) -> str:
    response = client.get(url, query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_trio_whose_account_nobody_watches_says_so(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    assert "is not monitored" not in shown(operator, page_of(trio))
    assert "not watched now" not in shown(operator, reverse("admin:index"))

    # Given a runworker that is alive, but does not watch this account any more
    Watch.objects.update(beat=db_now() - timedelta(seconds=30))

    # Then neither its page nor the first page looks as if all were well
    page = shown(operator, page_of(trio))
    assert "This account is not monitored" in page
    assert "it is monitored until it ends" not in page
    assert "not watched now" in shown(operator, reverse("admin:index"))


# --- a trio's page ------------------------------------------------------------------------------


def test_a_trios_page_shows_all_that_happened(desk: Desk, operator: Client) -> None:
    # Given a trio that took its profit
    trio = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "111000")
    desk.carry_until(trio, "CLOSED")

    # When its page is opened
    page = shown(operator, page_of(trio))

    # Then orders, fills, story and calls are there, in plain numbers, and nothing secret
    for leg in trio.legs.all():
        assert leg.client_id in page
    for fill in trio.fills.all():
        assert f"{fill.price.normalize():f}" in page
    for event in trio.events.all():
        assert event.text.replace("'", "&#x27;") in page
    assert page.count("/fapi/v1/algoOrder") >= 2
    assert "take profit" in page
    assert f"{trio.uncovered_ms} ms" in page
    assert not SIXTEEN_DECIMALS.search(page)
    for secret in (KEY, SECRET, "signature"):
        assert secret not in page
    assert "Ended at" in page


def test_a_refusal_of_the_exchange_is_shown_with_its_code(desk: Desk, operator: Client) -> None:
    desk.simulator.refuses(OrderType.STOP_MARKET.value, code=-2021)
    trio = desk.placed(desk.a_trio())
    assert trio.state == "ROLLED_BACK"
    page = shown(operator, page_of(trio))
    assert "-2021" in page
    assert trio.reason in page


def test_a_payload_never_shows_what_signs(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    request = trio.requests.first()
    assert request is not None
    request.payload |= {"signature": "abc", "apiKey": "def", "quantity": "0.01"}
    row = trio_page.call_row(request)
    assert ("quantity", "0.01") in row.payload
    assert not {"signature", "apiKey"} & {name for name, _ in row.payload}


def test_the_work_on_a_trio_is_told_from_its_row(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()

    def work() -> str:
        return trio_page.trio_page(trio.pk).job.word

    assert work() == ""
    desk.queued(trio)
    assert work() == "queued"
    desk.advance(trio)
    desk.carry_until(trio, "OPEN")
    desk.carry()
    assert work() == "done"

    # When its close is asked for and nobody has acted on it yet
    from orders.services import trio_close

    trio_close(trio_id=trio.pk, by="test")
    assert work() == "running"
    assert "Close at market asked for" in trio_page.trio_page(trio.pk).job.sentence

    desk.carry_until(trio, "CLOSED")
    assert work() == "done"


def test_a_request_without_an_answer_is_work_under_way(desk: Desk) -> None:
    # Given an entry whose answer got lost with the process that sent it
    trio = desk.placed(desk.a_trio(entry_type="LIMIT", price=Decimal(99000)))
    entry = trio.requests.get(kind="SUBMIT", leg__role="ENTRY")
    page = trio_page.trio_page(trio.pk)
    legs, now = list(page.legs), trio.updated_at
    entry.leg.state = "SUBMITTED"
    bare = Request(**{f.attname: getattr(entry, f.attname) for f in Request._meta.concrete_fields})
    bare.leg = entry.leg
    bare._state.fields_cache["outcome"] = None

    job = trio_page.trio_job(trio, legs, [bare], now=now)

    assert (job.word, job.sentence) == ("running", "One request waits for the exchange's answer.")
    entry.leg.state = "CANCELLED"  # a look-up settled it: no longer waited for
    assert trio_page.trio_job(trio, legs, [bare], now=now).word != "running"


def test_the_ladder_runs_from_the_cheapest_to_the_dearest() -> None:
    trio = TrioOrder(state="OPEN", stop_loss=Decimal(110), take_profit=Decimal(90), price=None)
    rungs = trio_page.ladder(trio, entry_average=Decimal(100), mark=Decimal(95))
    assert {rung.kind: rung.percent for rung in rungs} == {
        "stop": "100",
        "entry": "50",
        "target": "0",
        "mark": "25",
    }
    assert trio_page.ladder(TrioOrder(state="DRAFT")) == ()


def test_a_long_story_shows_its_newest_lines(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_page, "ROWS_SHOWN", 2)
    trio = desk.placed(desk.a_trio())
    page = trio_page.trio_page(trio.pk)
    assert [event.pk for event in page.events] == list(
        trio.events.order_by("-id").values_list("pk", flat=True)[:2]
    )
    assert (len(page.calls), page.calls_count, page.events_count) == (2, 3, trio.events.count())


# --- the part that keeps itself fresh -----------------------------------------------------------


def test_the_panel_is_sent_only_when_it_changed(desk: Desk, operator: Client) -> None:
    # Given an open trio's page, which asks again every two seconds
    trio = desk.placed(desk.a_trio())
    page = shown(operator, page_of(trio))
    assert 'hx-trigger="every 2s"' in page
    again = page.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert again.startswith(live_url(trio))

    # Then nothing comes while nothing has happened
    answer = operator.get(again)
    assert (answer.status_code, answer.content) == (204, b"")

    # And a new panel when something has
    TrioEvent.objects.create(trio=trio, at=trio.created_at, kind="note", text="Something new.")
    answer = operator.get(again)
    assert answer.status_code == 200
    assert "Something new." in answer.content.decode()
    assert "<html" not in answer.content.decode()


def test_the_panel_of_an_ended_trio_asks_no_more(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    operator.post(reverse("admin:orders_trioorder_cancel", args=[trio.pk]), SUBMITTED)
    assert "hx-trigger" not in shown(operator, page_of(trio)).split('id="trio-live"')[1].split(">")[0]


def test_a_draft_that_was_placed_elsewhere_reloads_its_page(desk: Desk, operator: Client) -> None:
    trio = desk.queued(desk.a_trio())
    answer = operator.get(live_url(trio), {"was": "DRAFT"})
    assert answer.headers["HX-Refresh"] == "true"


def test_the_panel_is_for_who_may_see_the_trio(desk: Desk) -> None:
    trio = desk.a_trio()
    assert a_clerk().get(live_url(trio)).status_code == 403
    anonymous = Client().get(live_url(trio))
    assert anonymous.headers["HX-Refresh"] == "true", "the whole page asks for the login, not the panel"
    assert b"BTCUSDT" not in anonymous.content


def test_the_panel_changes_nothing_and_takes_no_post(desk: Desk, operator: Client) -> None:
    trio = desk.queued(desk.a_trio())
    before = TrioOrder.objects.filter(pk=trio.pk).values().get()
    operator.get(live_url(trio))
    assert operator.post(live_url(trio)).status_code == 405
    assert TrioOrder.objects.filter(pk=trio.pk).values().get() == before


@pytest.mark.parametrize("where", ["page", "panel", "list"])
def test_pages_bring_no_inline_script(desk: Desk, operator: Client, where: str) -> None:
    trio = desk.placed(desk.a_trio())
    url = {"page": page_of(trio), "panel": live_url(trio), "list": reverse(LIST)}[where]
    page = shown(operator, url)
    assert "<script>" not in page
    assert " onclick=" not in page


# --- the list -----------------------------------------------------------------------------------


def test_the_list_shows_plain_numbers_and_can_be_searched_and_filtered(desk: Desk, operator: Client) -> None:
    # Given one open trio that asks something, and a draft
    trio, draft = desk.placed(desk.a_trio()), desk.a_trio(side="SELL")
    TrioOrder.objects.filter(pk=trio.pk).update(
        question_kind="OTHER", question_facts={"text": "Is this yours?"}
    )

    def listed(**query: Any) -> set[str]:
        page = shown(operator, reverse(LIST), **query)
        assert not SIXTEEN_DECIMALS.search(page)
        return {name for name in (f"#{trio.pk}", f"#{draft.pk}") if re.search(f">{name}\\b", page)}

    both, first, second = {f"#{trio.pk}", f"#{draft.pk}"}, {f"#{trio.pk}"}, {f"#{draft.pk}"}
    assert listed() == both
    assert listed(q=trio.pk) == first
    assert listed(q="BTCUSDT") == both
    entry = trio.legs.get(role="ENTRY")
    assert listed(q=entry.client_id) == first
    assert listed(life="alive") == first
    assert listed(life="asks") == first
    assert listed(life="draft") == second
    assert listed(life="ended") == set()
    assert listed(state__exact="DRAFT") == second
    assert listed(account__environment__exact="LIVE") == set()
    assert "Is this yours?" in shown(operator, reverse(LIST))


def test_the_list_costs_the_same_for_many_trios(
    desk: Desk, operator: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        desk.a_trio()
    with django_assert_max_num_queries(14):
        shown(operator, reverse(LIST))


def test_a_wrong_master_key_breaks_no_page(desk: Desk, operator: Client) -> None:
    # Given credentials that no configured key can open
    trio = desk.placed(desk.a_trio())
    from django.db import connection

    with connection.cursor() as cursor:
        table = Credential._meta.db_table
        cursor.execute(f"UPDATE {table} SET api_key = 'AAAA', api_secret = 'AAAA'")

    # Then every page about trios still opens
    for url in (reverse(LIST), page_of(trio), live_url(trio), reverse("admin:index")):
        shown(operator, url)
    for model in READ_ONLY:
        shown(operator, reverse(f"admin:orders_{model._meta.model_name}_changelist"))


# --- what is only looked at ---------------------------------------------------------------------


def test_everything_else_is_looked_at_and_never_touched(desk: Desk, operator: Client) -> None:
    # Given rows of every kind
    desk.placed(desk.a_trio())
    assert Outcome.objects.exists()
    for model in READ_ONLY:
        name = f"admin:orders_{model._meta.model_name}"
        row = model._default_manager.first()
        assert row is not None, model

        # Then lists and pages open, numbers are plain
        assert not SIXTEEN_DECIMALS.search(shown(operator, reverse(f"{name}_changelist")))
        page = shown(operator, reverse(f"{name}_change", args=[row.pk]))
        assert 'name="_save"' not in page
        assert not SIXTEEN_DECIMALS.search(page)

        # And nothing can be added, changed or deleted
        assert operator.get(reverse(f"{name}_add")).status_code == 403
        assert operator.post(reverse(f"{name}_change", args=[row.pk]), {"x": 1}).status_code == 403
        assert operator.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        assert model._default_manager.filter(pk=row.pk).exists()


def test_symbols_are_synced_by_a_job(desk: Desk, operator: Client) -> None:
    from infrastructure import job_queue

    queue = job_queue.queue("default")
    queue.empty()  # type: ignore[no-untyped-call]
    url = reverse("admin:orders_symbol_sync")
    assert "Testnet" in shown(operator, url)
    assert queue.count == 0

    response = operator.post(url, {**SUBMITTED, "environment": "PAPER"})

    (job,) = queue.jobs
    assert (job.func_name, job.args) == ("orders.jobs.sync_symbols", ["PAPER"])
    assert "is queued" in told(response)[0]
    queue.empty()  # type: ignore[no-untyped-call]
    assert "HX-Redirect" not in operator.post(url, {**SUBMITTED, "environment": "MOON"}).headers
    assert queue.count == 0
    assert a_clerk("view").post(url, {**SUBMITTED, "environment": "PAPER"}).status_code == 403


# --- the first page -----------------------------------------------------------------------------


def test_the_first_page_puts_questions_on_top(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(
        question_kind="OTHER", question_facts={"text": "Is this yours?"}
    )
    Watch.objects.update(note="Swept late.")
    page = shown(operator, reverse("admin:index"))
    assert page.index("Is this yours?") < page.index("Open trios")
    assert page_of(trio) in page
    assert "Swept late." in page
    assert the(trio).state in page


def test_the_first_page_says_how_often_each_account_is_reconciled_and_why(
    desk: Desk, operator: Client
) -> None:
    Watch.objects.update(interval_ms=15_000)
    assert "reconciled every 15 s<" in shown(operator, reverse("admin:index"))

    # When more accounts share the address than half of its limit can watch as usual
    for number in range(100):
        other = ExchangeAccount.objects.create(
            name=f"other-{number}", environment="PAPER", position_mode="ONE_WAY", key_hash=f"{number}"
        )
        Credential.objects.create(account=other, api_key=f"key-{number}", api_secret="secret")
    Watch.objects.update(interval_ms=42_000)
    page = shown(operator, reverse("admin:index"))
    assert "reconciled every 42 s (stretched: 101 accounts share the address)" in page


def test_the_first_page_tells_no_trades_to_who_may_not_see_them(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    page = shown(a_clerk(), reverse("admin:index"))
    assert "BTCUSDT" not in page


def test_no_close_link_stands_beside_close_at_market(desk: Desk, operator: Client) -> None:
    trio = desk.placed(desk.a_trio())
    page = shown(operator, page_of(trio))
    assert "Close at market" in page
    assert not re.search(r">\s*Close\s*<", page)

    assert re.search(r'name="_save"', shown(operator, page_of(desk.a_trio(symbol="ETHUSDT"))))


def test_the_symbol_that_was_typed_is_offered_first(desk: Desk, operator: Client) -> None:
    Symbol.objects.filter(symbol="ADAUSDT").update(symbol="RAYBTCUSDT")
    found = operator.get(
        "/admin/autocomplete/",
        {"app_label": "orders", "model_name": "trioorder", "field_name": "symbol", "term": "btcusdt"},
    ).json()
    assert [row["text"].split()[0] for row in found["results"]] == ["BTCUSDT", "RAYBTCUSDT"]

"""One ticket to several accounts: each its own trio or its own refusal; sent twice, it is one ticket."""

from __future__ import annotations

import html
import re
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts.models import ExchangeAccount
from accounts.services import account_add
from orders.models import Fill, RiskLimit, TrioOrder
from signals.models import Signal, SignalResult, SizingRule
from tests.builders import Desk, until
from tests.unit.orders.operators import BACKEND, SUBMITTED, a_superuser
from worker.signal_execution import signals_execute

D = Decimal
TICKET = "admin:signals_signal_new_ticket"


def add(desk: Desk, name: str, balance: str, mode: str = "ONE_WAY") -> Desk:
    desk.simulator.add_account(name, f"paper-key-{name}", "its-secret", balance=balance, position_mode=mode)
    account = account_add(
        name=name, environment="PAPER", api_key=f"paper-key-{name}", api_secret="its-secret"
    )
    return Desk(desk.simulator, account, f"paper-key-{name}").watched()


def asked(*accounts: ExchangeAccount, **said: str) -> dict[str, Any]:
    usual = {
        "token": "one", "symbol": "BTCUSDT", "side": "BUY", "stop_kind": "PERCENT", "stop_value": "5",
        "target_kind": "R", "target_value": "2",
    }  # fmt: skip
    return SUBMITTED | usual | said | {"accounts": [str(account.pk) for account in accounts]}


def executed() -> dict[str, SignalResult]:
    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    return {r.account.name: r for r in SignalResult.objects.select_related("account", "trio")}


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser("anna")


def test_five_accounts_are_each_sized_by_their_own_rule_and_refused_by_their_own_limit(
    desk: Desk, operator: Client
) -> None:
    # Given different balances, modes, rules and limits
    rich, hedged = add(desk, "rich", "500000"), add(desk, "hedged", "100000", "HEDGE")
    limited, unruled = add(desk, "limited", "100000"), add(desk, "unruled", "100000")
    desks = (desk, rich, hedged, limited, unruled)
    for each in (desk, rich, hedged):
        SizingRule.objects.create(account=each.account, kind="RISK", value=D(1))
    SizingRule.objects.create(account=limited.account, kind="NOTIONAL", value=D(5000))
    RiskLimit.objects.create(account=limited.account, notional_order=D(1000))
    before = sum(e.path.endswith("/balance") for e in desk.simulator.log)

    operator.post(reverse(TICKET), asked(*(each.account for each in desks)))
    found = executed()

    assert {name: (r.outcome, r.refusal) for name, r in found.items()} == {
        "desk": ("PLACED", ""), "rich": ("PLACED", ""), "hedged": ("PLACED", ""),
        "limited": ("REFUSED", "LIMIT"), "unruled": ("REFUSED", "SIZE_UNKNOWN"),
    }  # fmt: skip
    quantities = {name: r.trio.quantity for name, r in found.items() if r.trio}
    assert quantities == {"desk": D("0.196"), "rich": D("0.980"), "hedged": D("0.196")}
    assert TrioOrder.objects.get(account=hedged.account).position_side == "LONG"
    assert found["limited"].facts["rule"] == "ORDER_NOTIONAL"
    assert sum(e.path.endswith("/balance") for e in desk.simulator.log) == before + 5
    assert set(TrioOrder.objects.values_list("source", flat=True)) == {"ticket:anna"}

    # Then one page shows them as one
    def all_open() -> bool:
        for each in desks:
            each.carry()
        return (
            set(TrioOrder.objects.values_list("state", flat=True)) == {"OPEN"} and Fill.objects.count() == 3
        )

    until(all_open)
    page = operator.get(reverse("admin:signals_signal_change", args=[Signal.objects.get().pk]))
    text = html.unescape(page.content.decode())
    (together,) = re.findall(r"3 trios, filled 1\.372[^<]*", text)
    assert (
        together == "3 trios, filled 1.372; 3 open, 3 of them protected; net -68.6 USDT"
    )  # the entries' fees


def test_a_ticket_that_is_sent_twice_is_one_and_a_new_form_is_another(desk: Desk, operator: Client) -> None:
    # Case 31
    body = asked(desk.account, size_kind="QUANTITY", size_value="0.010")
    first, second = operator.post(reverse(TICKET), body), operator.post(reverse(TICKET), body)
    assert first.headers["Location"] == second.headers["Location"]
    executed()
    assert TrioOrder.objects.count() == 1

    RiskLimit.objects.create(account=desk.account, duplicate_seconds=60)
    operator.post(reverse(TICKET), body | {"token": "two"})
    executed()
    assert SignalResult.objects.latest("id").outcome in ("SLOT_TAKEN", "REFUSED")
    assert TrioOrder.objects.count() == 1


@pytest.mark.parametrize(("price", "kind"), [("", "STOP_MARKET"), ("101000.5", "STOP")])
def test_a_ticket_with_a_trigger_waits_for_it_on_each_account(
    desk: Desk, operator: Client, price: str, kind: str
) -> None:
    hedged = add(desk, "hedged", "100000", "HEDGE")
    said = {"size_kind": "QUANTITY", "size_value": "0.010", "trigger_price": "101000.55", "price": price}
    operator.post(reverse(TICKET), asked(desk.account, hedged.account, **said, protection="ON_FIRST_FILL"))
    executed()

    trios = list(TrioOrder.objects.order_by("pk"))
    assert {(t.state, t.entry_type, t.protection) for t in trios} == {("WORKING", kind, "ON_FIRST_FILL")}
    assert {t.trigger_price for t in trios} == {D("101000.6")}  # on the tick, never before what was named
    page = operator.get(reverse("admin:signals_signal_change", args=[Signal.objects.get().pk]))
    assert "stop entry at 101000.55" in page.content.decode()

    desk.simulator.set_price("BTCUSDT", "100999")
    desk.simulator.set_price("BTCUSDT", "101010")

    def all_open() -> bool:
        for each in (desk, hedged):
            each.carry()
        return set(TrioOrder.objects.values_list("state", flat=True)) == {"OPEN"}

    if price:
        desk.simulator.set_price("BTCUSDT", "101000")  # back to its limit
    until(all_open)


def test_each_opened_form_has_a_token_of_its_own(desk: Desk, operator: Client) -> None:
    tokens = {operator.get(reverse(TICKET)).context["form"].fields["token"].initial for _ in range(2)}
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"symbol": "BYBIT:X"}, "symbol"),
        ({"stop_value": "5,5"}, "stop_value"),
        ({"target_value": "0"}, "target_value"),
        ({"price": "NaN"}, "price"),
        ({"trigger_price": "-1"}, "trigger_price"),
        ({"protection": "NEVER"}, "protection"),
        ({"size_kind": "RISK"}, "size_value"),
        ({"side": "HOLD"}, "side"),
    ],
)
def test_a_ticket_that_cannot_be_meant_is_refused_at_its_field(
    desk: Desk, operator: Client, said: dict[str, str], field: str
) -> None:
    response = operator.post(reverse(TICKET), asked(desk.account, **said))
    assert field in response.context["form"].errors
    assert not Signal.objects.exists()


def test_working_out_only_places_nothing(desk: Desk, operator: Client) -> None:
    operator.post(reverse(TICKET), asked(desk.account, size_kind="RISK", size_value="1", dry_run="on"))
    result = executed()["desk"]
    assert (result.outcome, result.facts["quantity"]) == ("DRY_RUN", "0.196")
    assert not TrioOrder.objects.exists()


def test_who_may_not_place_sends_no_ticket(desk: Desk) -> None:
    user = User.objects.create_user("clerk", password="x", is_staff=True)
    clerk = Client()
    clerk.force_login(user, backend=BACKEND)
    assert clerk.post(reverse(TICKET), asked(desk.account)).status_code == 403
    assert not Signal.objects.exists()

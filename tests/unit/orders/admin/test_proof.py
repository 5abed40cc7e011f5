"""Proof sheets: their totals are the exchange's own income to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse

from orders.income import income_read
from orders.models import Fill, Income, IncomeReading
from orders.selectors import net_pnl
from tests.builders import Desk
from tests.unit.orders.admin.test_trio_list import ended
from tests.unit.orders.conftest import KEY, SECRET
from tests.unit.orders.operators import a_clerk, a_superuser

D = Decimal


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def sheet(client: Client, name: str, *args: Any, **query: Any) -> Any:
    full = "orders_proof_day" if name == "proof_day" else f"orders_trioorder_{name}"
    return client.get(reverse(f"admin:{full}", args=args), query)


def test_a_trios_totals_are_the_exchanges_income(desk: Desk, operator: Client) -> None:
    # Given a trio that lost, and the account's income as the exchange has it
    trio = ended(desk, "94000")
    before = sheet(operator, "proof", trio.pk, format="json").json()
    assert before["income_is_read"] is False
    assert "not read yet" in sheet(operator, "proof", trio.pk).content.decode()
    income_read(desk.account)

    # Then the sheet's figures are those lines, and the trio's own
    found = sheet(operator, "proof", trio.pk, format="json").json()
    (total,) = found["totals"]
    lines = Income.objects.filter(account=desk.account)
    booked = {
        kind: sum((line.amount for line in lines if line.kind == kind), D(0))
        for kind in ("REALIZED_PNL", "COMMISSION")
    }
    assert D(total["realized"]) == D(total["booked_realized"]) == booked["REALIZED_PNL"]
    assert D(total["fees"]) == D(total["booked_fees"]) == -booked["COMMISSION"]
    assert D(total["net"]) == net_pnl([trio.pk])[trio.pk][0].net
    assert total["equal"] is True
    assert len(found["executions"]) == total["executions"] == 2
    assert {event["text"] for event in found["events"]} == {event.text for event in trio.events.all()}
    assert len(found["calls"]) == trio.requests.count()
    assert found["r"] is not None
    page = sheet(operator, "proof", trio.pk).content.decode()
    for secret in (KEY, SECRET, "signature"):
        assert secret not in page

    # And where the exchange booked otherwise, it says by how much
    Fill.objects.filter(trio=trio).update(commission=D("0.1"))
    (total,) = sheet(operator, "proof", trio.pk, format="json").json()["totals"]
    assert total["equal"] is False


def test_a_day_is_the_sum_of_its_executions_and_equals_the_income(desk: Desk, operator: Client) -> None:
    trios = [ended(desk, "94000"), ended(desk, "111000")]
    income_read(desk.account)
    found = sheet(
        operator, "proof_day", format="json", account="desk", day=f"{datetime.now(UTC):%Y-%m-%d}"
    ).json()
    (total,) = found["totals"]
    nets = [net_pnl([trio.pk])[trio.pk][0].net for trio in trios]
    assert D(total["net"]) == D(total["booked_net"]) == sum(nets, D(0))
    assert total["equal"] is True
    assert [row["trio"] for row in found["trios"]] == [trio.pk for trio in trios]
    kinds = {row["kind"]: D(row["amount"]) for row in found["income"]}
    assert kinds["REALIZED_PNL"] + kinds["COMMISSION"] == D(total["net"])
    assert sheet(operator, "proof_day", day="2020-01-01", format="json").json()["totals"] == []
    assert "not read yet" in sheet(operator, "proof_day").content.decode()
    IncomeReading.objects.update(read_ts=F("read_ts") + 60_000)  # a minute later it has settled
    assert "<td>equal</td>" in sheet(operator, "proof_day").content.decode()


def test_sheets_are_for_who_may_see_trios(desk: Desk, operator: Client) -> None:
    trio = desk.a_trio()
    assert sheet(operator, "proof", 999_999).status_code == 404
    assert sheet(operator, "proof_day", account="nobody").status_code == 404
    assert sheet(a_clerk(), "proof", trio.pk).status_code == 403
    assert sheet(Client(), "proof_day").status_code == 302
    assert "Nothing was executed" in sheet(operator, "proof", trio.pk).content.decode()

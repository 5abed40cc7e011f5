"""What a desk looks at all day, from trios that were really placed on the simulated exchange."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders import desk as desk_reads
from orders.badges import result_colour
from orders.exchange_data.clock import to_ms
from orders.models import Fill, Income
from orders.queueing import market_at_hand
from orders.selectors import net_pnl
from tests.builders import Desk, the
from tests.unit.orders.operators import a_clerk, a_superuser

D = Decimal
PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    market_at_hand.forget()
    yield
    market_at_hand.forget()


def opened(desk: Desk, **fields: Any) -> desk_reads.OpenTrio:
    trio = desk.placed(desk.a_trio(**fields))
    desk.sweep()
    return next(row for row in desk_reads.open_trios() if row.trio.pk == trio.pk)


def test_an_open_trio_says_where_it_stands_at_the_mark_and_at_its_levels(desk: Desk) -> None:
    # Given a long of 0.010, bought at the ask, with a stop at 95000 and a target at 110000; fees 0.05 %
    row = opened(desk)
    assert (row.position, row.entry, row.mark) == (D("0.010"), D("100000.1"), D(100000))

    # Then everything is net: the fee that the entry paid, and that of the order that closes it
    assert row.net == net_at("100000")
    assert (row.at_stop, row.at_target) == (net_at("95000"), net_at("110000"))
    assert (row.at_risk, row.r) == (-net_at("95000"), D("-0.02"))
    assert (row.stop_distance, row.target_distance) == (D("5.00"), D("10.00"))

    # And when the mark price falls, it follows
    desk.simulator.set_price("BTCUSDT", "98000")
    desk.sweep()
    (row,) = desk_reads.open_trios()
    assert (row.net, row.r) == (net_at("98000"), D("-0.41"))


def net_at(price: str) -> Decimal:
    """What 0.010 bought at 100000.1 comes to when it is sold at a price."""
    return D("0.010") * (D(price) - D("100000.1") - D("0.0005") * (D("100000.1") + D(price)))


def test_a_stop_beyond_break_even_puts_nothing_at_risk(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "105000")
    desk.sweep()
    type(trio).objects.filter(pk=trio.pk).update(stop_loss=D(102000))
    rows = desk_reads.open_trios()
    (total,) = desk_reads.risk_sums(rows)
    assert (total.environment, total.asset, total.at_risk, total.trios) == ("PAPER", "USDT", D(0), 1)
    assert total.locked_in == net_at("102000")


def test_what_accounts_have_is_read_seldom_and_says_when(desk: Desk) -> None:
    opened(desk)
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    positions = desk_reads.positions_held()
    asked = len(desk.requests("GET", "/fapi/v3/balance"))
    (funds,) = desk_reads.accounts_funds(positions)
    (again,) = desk_reads.accounts_funds(positions)
    (purse,) = again.purses
    assert len(desk.requests("GET", "/fapi/v3/balance")) == asked + 1
    assert funds.read_at == again.read_at is not None
    assert (purse.asset, purse.unrealized) == ("USDT", D("9.999"))
    assert purse.wallet == D(100000) - D("0.010") * D("100000.1") * D("0.0005")
    assert purse.equity == purse.wallet + purse.unrealized
    (equity,) = desk_reads.equity_sums([again])
    assert (equity.total, equity.accounts, equity.of) == (purse.equity, 1, 1)


def test_an_account_that_does_not_answer_is_not_known(desk: Desk) -> None:
    desk.account.credential.delete()
    (funds,) = desk_reads.accounts_funds(desk_reads.positions_held())
    assert funds.read_at is None
    assert all(purse.equity is None and purse.wallet is None for purse in funds.purses)


def test_what_was_earned_equals_the_trios_and_counts_on_the_viewers_day(desk: Desk) -> None:
    # Given two trios that lost, one closed at 20:00 UTC, one at 22:30 UTC: the next day in Paris
    trios = []
    for _ in range(2):
        trio = desk.placed(desk.a_trio())
        desk.simulator.set_price("BTCUSDT", "94000")
        desk.carry_until(trio, "CLOSED")
        desk.simulator.set_price("BTCUSDT", "100000")
        trios.append(trio)
    for trio, hour, minute in ((trios[0], 20, 0), (trios[1], 22, 30)):
        Fill.objects.filter(trio=trio).update(time_ts=to_ms(datetime(2026, 6, 21, hour, minute, tzinfo=UTC)))
    nets = [net_pnl([trio.pk])[trio.pk][0].net for trio in trios]
    now = datetime(2026, 6, 21, 23, 0, tzinfo=UTC)

    def earned(zone: Any, at: datetime = now) -> desk_reads.NetOfAsset:
        (row,) = desk_reads.net_by_asset([desk.account.pk], now=at, zone=zone)
        return row

    # Then “today” is the viewer's, and the sums are the trios' to the last digit
    paris, utc = earned(PARIS), earned(UTC)
    assert (paris.today, paris.week, paris.month) == (nets[1], sum(nets, D(0)), sum(nets, D(0)))
    assert (utc.today, utc.week) == (sum(nets, D(0)), sum(nets, D(0)))
    assert paris.curve[-1] == sum(nets, D(0))
    assert paris.curve[-2] == nets[0]
    later = earned(PARIS, now + timedelta(days=10))
    assert (later.today, later.week, later.month) == (D(0), D(0), sum(nets, D(0)))


def test_transfers_stand_apart(desk: Desk) -> None:
    now = datetime(2026, 6, 21, 23, 0, tzinfo=UTC)
    Income.objects.create(
        account=desk.account, kind="TRANSFER", amount=D(500), asset="USDT", tran_id=1, time_ts=to_ms(now)
    )
    (row,) = desk_reads.net_by_asset([desk.account.pk], now=now, zone=UTC)
    assert (row.transfers, row.month) == (D(500), D(0))


def test_the_last_refusals_are_named_with_their_code(desk: Desk) -> None:
    desk.simulator.refuses("STOP_MARKET", code=-2021)
    trio = desk.placed(desk.a_trio())
    assert the(trio).state == "ROLLED_BACK"
    found = desk_reads.refusals(6)
    assert {row.trio_id for row in found} == {trio.pk}
    assert -2021 in {row.code for row in found}
    assert desk_reads.refusals(1) == found[:1]


def test_no_colour_calls_a_loss_a_win() -> None:
    for result in ("TAKE_PROFIT", "MANUAL", "STOP_LOSS", ""):
        assert result_colour(result, [D("-0.01")]) == "danger"
        assert result_colour(result, [D("0.01")]) == "success"
        assert result_colour(result, []) != "success"
        assert result_colour(result, [D(0)]) != "success"
    # A fee in another asset makes no loss of a win, and none of a loss
    assert result_colour("TAKE_PROFIT", [D(3), D("-0.0015")], D("2.1")) == "success"
    assert result_colour("TAKE_PROFIT", [D(3), D("-0.0015")]) not in ("success", "danger")
    assert result_colour("TAKE_PROFIT", [D("0.1"), D("-0.0015")], D("-0.8")) == "danger"


def test_the_first_page_takes_few_statements(desk: Desk) -> None:
    client = a_superuser()
    desk.placed(desk.a_trio())
    client.get(reverse("admin:desk_live"))
    with CaptureQueriesContext(connection) as one:
        assert client.get(reverse("admin:desk_live")).status_code == 200
    with CaptureQueriesContext(connection) as two:
        page = client.get(reverse("admin:index"))
    assert len(one) <= 30
    assert len(two) <= 32
    assert "Risk to stops" in page.content.decode()


def test_the_parts_are_for_who_may_see_them(desk: Desk) -> None:
    desk.placed(desk.a_trio())
    assert "BTCUSDT" not in a_clerk().get(reverse("admin:desk_live")).content.decode()
    assert a_superuser().post(reverse("admin:desk_live")).status_code == 405
    assert Client().get(reverse("admin:desk_live")).status_code == 302


def test_days_are_the_viewers(desk: Desk) -> None:
    client = a_superuser()
    desk.placed(desk.a_trio())
    client.cookies["zone"] = "Europe/Paris"
    assert "Days in Europe/Paris" in client.get(reverse("admin:index")).content.decode()
    for nonsense in ("Moon/Base", "../../etc/passwd", "x" * 200):
        client.cookies["zone"] = nonsense
        assert "Days in UTC" in client.get(reverse("admin:index")).content.decode()

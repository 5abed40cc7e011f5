"""The list of trios: its figures, its filters, its search, its counts, and the file for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from orders.admin import trio_list
from orders.domain.csv_cells import Figure, cell, csv_lines
from orders.exchange_data.clock import to_ms
from orders.models import Fill, TrioOrder
from orders.selectors import net_pnl
from tests.builders import Desk
from tests.unit.orders.admin.workbook import rows_of
from tests.unit.orders.operators import LIST, a_clerk, a_superuser

D = Decimal
EXPORT = "admin:orders_trioorder_export"
EXPORT_XLSX = "admin:orders_trioorder_export_xlsx"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def listed(client: Client, **query: Any) -> set[int]:
    page = client.get(reverse(LIST), query)
    assert page.status_code == 200
    return {trio.pk for trio in page.context["cl"].result_list}


def ended(desk: Desk, price: str, **fields: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**fields))
    desk.simulator.set_price("BTCUSDT", price)
    desk.carry_until(trio, "CLOSED")
    desk.simulator.set_price("BTCUSDT", "100000")
    return trio


def test_trios_are_found_by_what_they_brought_by_day_and_by_any_id(desk: Desk, operator: Client) -> None:
    # Given one that won, one that lost, one that is open and a draft
    won, lost = ended(desk, "111000"), ended(desk, "94000")
    alive = desk.placed(desk.a_trio())
    draft = desk.a_trio(side="SELL", source="strategy:swing")
    everything = {won.pk, lost.pk, alive.pk, draft.pk}
    assert listed(operator) == everything

    # Then by what they brought
    assert listed(operator, outcome="won") == {won.pk}
    assert listed(operator, outcome="lost") == {lost.pk}
    assert listed(operator, outcome="lost", closed="today") == {lost.pk}
    assert listed(operator, closed="yesterday") == set()
    assert listed(operator, made="today") == everything
    assert listed(operator, life="alive") == {alive.pk}
    assert listed(operator, side="SELL") == {draft.pk}
    assert listed(operator, source="strategy:swing") == {draft.pk}
    assert listed(operator, result="STOP_LOSS") == {lost.pk}
    assert (
        listed(
            operator,
            account__id__exact=desk.account.pk,
            account__environment__exact="PAPER",
            symbol="BTCUSDT",
        )
        == everything
    )
    assert listed(operator, account__environment__exact="LIVE") == set()

    # And by any id
    entry = won.legs.get(role="ENTRY")
    stop = alive.legs.get(role="STOP_LOSS")
    trade = won.fills.first()
    assert trade is not None
    trade.trade_id += 10**9  # as large as an exchange's: a number that is a trio's own means that trio
    trade.save()
    assert listed(operator, q=f"#{won.pk}") == {won.pk}
    assert listed(operator, q=entry.client_id) == {won.pk}
    assert listed(operator, q=entry.client_id.rsplit("-", 1)[0] + "-") == {won.pk}
    assert won.pk in listed(operator, q=entry.order_id)
    assert alive.pk in listed(operator, q=stop.algo_id)
    assert won.pk in listed(operator, q=trade.trade_id)
    assert listed(operator, q="btcusdt") == everything
    assert listed(operator, q="strategy:") == {draft.pk}
    assert listed(operator, q="9" * 40) == set()
    assert listed(operator, q="nothing like it") == set()


def test_the_day_is_the_viewers_in_list_and_file(desk: Desk, operator: Client) -> None:
    # Given two losses, one closed at 20:00 UTC on 21 June, one at 22:30 UTC: on 22 June in Paris
    first, second = ended(desk, "94000"), ended(desk, "94000")
    for trio, hour, minute in ((first, 20, 0), (second, 22, 30)):
        Fill.objects.filter(trio=trio).update(time_ts=to_ms(datetime(2026, 6, 21, hour, minute, tzinfo=UTC)))
    operator.cookies["zone"] = "Europe/Paris"
    assert listed(operator, closed="2026-06-21") == {first.pk}
    assert listed(operator, closed="2026-06-22") == {second.pk}
    assert listed(operator, closed="2026-06-21..2026-06-22") == {first.pk, second.pk}
    rows = exported(operator, closed="2026-06-22")
    assert [row["trio"] for row in rows] == [str(second.pk)]
    # and the file has it on the day that the list has it on
    assert (rows[0]["closed"], rows[0]["zone"]) == ("2026-06-22 00:30:00", "Europe/Paris")
    assert rows[0]["closed_utc"] == "2026-06-21 22:30:00"
    operator.cookies["zone"] = "UTC"
    assert listed(operator, closed="2026-06-21") == {first.pk, second.pk}
    assert listed(operator, closed="nonsense") == {first.pk, second.pk}


def test_the_day_is_the_viewers_on_every_screen_and_utc_is_beside_it(desk: Desk, operator: Client) -> None:
    # Given one that was executed at 22:30 UTC on 21 June, and a viewer in Paris, where that is 22 June
    trio = ended(desk, "94000")
    moment = datetime(2026, 6, 21, 22, 30, tzinfo=UTC)
    Fill.objects.filter(trio=trio).update(time_ts=to_ms(moment))
    trio.events.update(at=moment)
    TrioOrder.objects.filter(pk=trio.pk).update(ended_at=moment)
    operator.cookies["zone"] = "Europe/Paris"
    list_page = operator.get(reverse(LIST)).content.decode()
    trio_page = operator.get(reverse("admin:orders_trioorder_change", args=[trio.pk])).content.decode()
    sheet = operator.get(reverse("admin:orders_trioorder_proof", args=[trio.pk])).content.decode()

    # Then the list, the trio's page and its proof have it on 22 June, with UTC on hover
    utc = 'title="2026-06-21 22:30:00 UTC"'
    assert f"<time {utc}>2026-06-22 00:30</time>" in list_page
    for page in (trio_page, sheet):
        assert page.count(f"{utc}>2026-06-22 00:30:00.000<") == trio.fills.count() + min(
            trio.events.count(), 200
        )
        assert "22:30:00" not in page.replace(utc, "")
        assert "UTC)" not in page, "no column's head names another zone"
    assert "Ended at 2026-06-22 00:30:00 CEST" in trio_page

    # And what is printed says whose day it is
    assert "Times are those of Europe/Paris" in sheet
    operator.cookies["zone"] = "UTC"
    sheet = operator.get(reverse("admin:orders_trioorder_proof", args=[trio.pk])).content.decode()
    assert "2026-06-21 22:30:00" in sheet
    assert "Times are those of UTC" in sheet


def exported(client: Client, **query: Any) -> list[dict[str, str]]:
    answer = client.get(reverse(EXPORT), query)
    assert answer.status_code == 200
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    return list(csv.DictReader(io.StringIO(content)))


def test_the_file_holds_the_list_as_it_is_narrowed_with_whole_figures(desk: Desk, operator: Client) -> None:
    won, lost = ended(desk, "111000"), ended(desk, "94000")
    TrioOrder.objects.filter(pk=lost.pk).update(reason='=HYPERLINK("http://x")')
    rows = {row["trio"]: row for row in exported(operator)}
    for trio in (won, lost):
        (part,) = net_pnl([trio.pk])[trio.pk]
        assert D(rows[str(trio.pk)]["net"]) == part.net
        assert rows[str(trio.pk)]["net_asset"] == "USDT"
    assert rows[str(lost.pk)]["reason"].startswith("'=")
    assert D(rows[str(lost.pk)]["r"]) <= -1
    assert [row["trio"] for row in exported(operator, outcome="won")] == [str(won.pk)]
    assert a_clerk().get(reverse(EXPORT)).status_code == 403
    assert operator.post(reverse(EXPORT)).status_code == 405


def test_the_workbook_has_the_same_rows_with_numbers_as_numbers_and_the_viewers_times(
    desk: Desk, operator: Client
) -> None:
    # Given one that won and one that lost, whose reason looks like a formula, its net like more than a spreadsheet counts
    won, lost = ended(desk, "111000"), ended(desk, "94000")
    TrioOrder.objects.filter(pk=lost.pk).update(reason='=HYPERLINK("http://x")')
    Fill.objects.filter(trio=lost, leg__role="STOP_LOSS").update(realized_pnl=D("-50.1234567890123456"))
    operator.cookies["zone"] = "Asia/Tokyo"
    in_csv = {row["trio"]: row for row in exported(operator)}

    # When it is taken along as a workbook
    answer = operator.get(reverse(EXPORT_XLSX))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="trios.xlsx"'
    rows = {row["trio"].text: row for row in rows_of(answer)}

    # Then its rows and figures are those of the other file; prices have the symbol's decimals
    assert set(rows) == set(in_csv) == {str(won.pk), str(lost.pk)}
    row = rows[str(won.pk)]
    for name in ("quantity", "filled", "stop_loss", "take_profit", "net", "r"):
        assert row[name].kind == "n"
        assert D(row[name].text) == D(in_csv[str(won.pk)][name])
    assert (row["stop_loss"].shown, row["quantity"].shown) == ("0.0", "0.000")

    # And a time is one, in the viewer's zone, which the column names
    made = won.created_at.astimezone(ZoneInfo("Asia/Tokyo")).replace(microsecond=0, tzinfo=None)
    assert abs(row["made (Asia/Tokyo)"].moment - made) <= timedelta(seconds=1)
    assert row["made (Asia/Tokyo)"].shown == "yyyy-mm-dd hh:mm:ss"

    # And what looks like a formula is text; so is a number of which a spreadsheet would lose digits
    row = rows[str(lost.pk)]
    assert (row["reason"].kind, row["reason"].text) == ("inlineStr", '=HYPERLINK("http://x")')
    assert (row["net"].kind, D(row["net"].text)) == ("inlineStr", D(in_csv[str(lost.pk)]["net"]))
    assert len(row["net"].text.replace(".", "")) > 15

    # And it is narrowed like the list, and for nobody else
    narrowed = rows_of(operator.get(reverse(EXPORT_XLSX), {"outcome": "won"}))
    assert [line["trio"].text for line in narrowed] == [str(won.pk)]
    assert a_clerk().get(reverse(EXPORT_XLSX)).status_code == 403
    assert operator.post(reverse(EXPORT_XLSX)).status_code == 405


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("-51.4", "-51.4"),
        ("12", "12"),
        ("=1+1", "'=1+1"),
        ("-1+cmd", "'-1+cmd"),
        ("+1", "'+1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_no_spreadsheet_runs_a_cell(written: str, kept: str) -> None:
    assert cell(written) == kept


def test_a_line_is_quoted_where_it_must_be() -> None:
    moment = datetime(2026, 6, 21, 14, tzinfo=UTC)
    assert list(csv_lines([["a,b", 1, None], ['"', Figure(D("1.10")), moment]])) == [
        '"a,b",1,\r\n',
        '"""",1.1,2026-06-21 14:00:00\r\n',
    ]


def test_a_loss_that_is_called_take_profit_is_not_green(desk: Desk, operator: Client) -> None:
    lost = ended(desk, "94000")
    TrioOrder.objects.filter(pk=lost.pk).update(result="TAKE_PROFIT")
    page = operator.get(reverse(LIST)).content.decode()
    badge = re.search(r'class="([^"]*)"[^>]*>\s*TAKE PROFIT', page)
    assert badge is not None
    assert "red" in badge.group(1)
    assert "green" not in badge.group(1)


def test_the_list_counts_no_further_than_pages_are_turned(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        desk.a_trio()
    monkeypatch.setattr(trio_list, "COUNTED_MAX", 3)
    with CaptureQueriesContext(connection) as asked:
        page = operator.get(reverse(LIST))
    assert page.context["cl"].result_count == 3
    assert len(asked) <= 30


def test_sorted_by_another_column_the_newest_are_sorted_and_the_file_has_all(
    desk: Desk, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [desk.a_trio(quantity=D(quantity)) for quantity in ("0.030", "0.010", "0.020")]
    monkeypatch.setattr(trio_list, "COUNTED_MAX", 2)
    by_quantity = operator.get(reverse(LIST), {"o": "4"})
    assert [trio.pk for trio in by_quantity.context["cl"].result_list] == [made[1].pk, made[2].pk]
    file = b"".join(operator.get(reverse(EXPORT), {"o": "4"}).streaming_content).decode()  # type: ignore[attr-defined]
    assert len(file.splitlines()) == 1 + len(made)


def test_an_id_is_looked_up_and_no_trio_is_read_for_it(desk: Desk, operator: Client) -> None:
    trio = ended(desk, "94000")
    other = desk.a_trio()
    stop = trio.legs.get(role="STOP_LOSS")
    for word in (
        stop.algo_id,
        stop.order_id,
        stop.client_id,
        Fill.objects.filter(trio=trio).values()[0]["trade_id"],
    ):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert listed(operator, q=str(word)) == {trio.pk}, word
        lists = [
            query["sql"]
            for query in asked
            if 'FROM "orders_trioorder"' in query["sql"] and "client_id" in query["sql"]
        ]
        assert not lists, "a join over all trios and their orders"
    assert listed(operator, q=str(other.pk)) == {other.pk}

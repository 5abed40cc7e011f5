"""The page of statistics says what the command says, in groups, and as files."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.test import Client
from django.urls import reverse

from orders.domain.statistics import statistics_of
from orders.exchange_data.clock import to_ms
from orders.models import Fill, TrioOrder
from orders.results import Wanted, trades_wanted
from tests.builders import Desk
from tests.unit.orders.admin.test_trio_list import ended
from tests.unit.orders.admin.workbook import rows_of
from tests.unit.orders.operators import a_clerk, a_superuser

URL = "admin:orders_statistics"


def asked(client: Client, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = client.get(reverse(URL), {"format": "json", **query}).json()
    return found


def test_the_page_says_what_the_trades_came_to_in_every_grouping(desk: Desk) -> None:
    # Given two that lost, at the two ends of a day in Paris, and one that won under a strategy
    won, first, second = (
        ended(desk, "111000", source="strategy:swing"),
        ended(desk, "94000"),
        ended(desk, "94000"),
    )
    for trio, hour, minute in ((won, 12, 0), (first, 20, 0), (second, 22, 30)):
        Fill.objects.filter(trio=trio).update(time_ts=to_ms(datetime(2026, 6, 21, hour, minute, tzinfo=UTC)))
    client = a_superuser()
    client.cookies["zone"] = "Europe/Paris"
    days = {"since": "2026-06-21", "until": "2026-06-22"}
    whole = statistics_of(trades_wanted(Wanted()).trades["USDT"])

    # Then the sums are those of all trades, however they are grouped
    groups = {}
    for by in ("day", "account", "symbol", "source", "side", "hour", "weekday", "result"):
        (usdt,) = asked(client, by=by, **days)["assets"]
        groups[by] = {row["group"]: row for row in usdt["groups"]}
        assert Decimal(usdt["net"]) == whole.net
        assert sum(Decimal(row["net"]) for row in usdt["groups"]) == whole.net
        assert (usdt["trades"], usdt["won"], usdt["lost"]) == (3, 1, 2)
    assert set(groups["day"]) == {"2026-06-21", "2026-06-22"}
    assert set(groups["hour"]) == {"14:00", "22:00", "00:00"}
    assert set(groups["source"]) == {"strategy:swing", TrioOrder.objects.get(pk=first.pk).source}
    assert groups["source"]["strategy:swing"]["profit_factor"] is None
    assert groups["source"]["strategy:swing"]["no_losses"] is True
    assert set(groups["weekday"]) == {"Sunday", "Monday"}

    # And the picture's days are the viewer's
    page = client.get(reverse(URL), days).content.decode()
    for label in ("21 Jun 14:00", "21 Jun 22:00", "22 Jun 00:30"):
        assert label in page

    # And one day, one side, one source alone
    assert asked(client, since="2026-06-22", until="2026-06-22")["assets"][0]["trades"] == 1
    assert asked(client, side="SELL", **days)["assets"] == []
    assert asked(client, account="desk", **days)["assets"][0]["trades"] == 3
    assert asked(client, account="another", **days)["assets"] == []
    assert asked(client, source="strategy:swing", **days)["assets"][0]["trades"] == 1

    # And as a file, with the same figures
    content = b"".join(client.get(reverse(URL), {"format": "csv", "by": "source", **days}).streaming_content)  # type: ignore[attr-defined]
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["net"] for row in rows if row["group"] == "all"] == [f"{whole.net.normalize():f}"]

    # And as a workbook
    lines = rows_of(client.get(reverse(URL), {"format": "xlsx", "by": "source", **days}))
    assert [row["group"].text for row in lines] == [row["group"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        for name in ("net", "trades", "win_rate", "largest_drawdown"):
            assert line[name].kind == "n"
            assert Decimal(line[name].text) == Decimal(row[name])

    # And the page shows it
    page = client.get(reverse(URL), {"by": "source", **days}).content.decode()
    for words in (
        "strategy:swing",
        "no losses",
        "Profit factor",
        "Average holding time",
        "in Europe/Paris",
        "trio-bad",
    ):
        assert words in page


def test_nothing_to_show_says_what_to_do_and_nonsense_is_no_filter(desk: Desk) -> None:
    client = a_superuser()
    assert "Widen the dates" in client.get(reverse(URL)).content.decode()
    assert (
        client.get(
            reverse(URL), {"since": "x", "until": "9999-99-99", "by": "moon", "side": "UP"}
        ).status_code
        == 200
    )
    assert a_clerk().get(reverse(URL)).status_code == 403
    assert client.post(reverse(URL)).status_code == 405

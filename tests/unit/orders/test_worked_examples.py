"""Money by examples that were worked out by hand: through the exchange, and as the commands and pages say it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from exchange.types import ExchangeMs
from orders import limits, services
from orders.domain.limits import Breach
from orders.exchange_data.clock import to_ms
from orders.models import Fill, RiskLimit, SizeChange, TrioOrder
from orders.selectors import entry_cost, net_pnl
from tests.builders import Desk, story, the, until
from tests.unit.orders.operators import LIST, a_superuser, live_url
from tests.unit.signals.hooks import a_sender

START = datetime(2026, 6, 21, 12, tzinfo=UTC)


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Return what a command prints for a script."""
    capsys.readouterr()
    call_command(*words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def text_of(client: Client, url: str, **query: str) -> str:
    page = client.get(url, query)
    assert page.status_code == 200
    return " ".join(re.sub(r"<[^>]*>", " ", page.content.decode().replace("−", "-")).split())


def worked(desk: Desk, trio: TrioOrder, holds: Any) -> None:
    def done() -> bool:
        desk.carry()
        return bool(holds())

    until(done, why=lambda: story(trio))


def bought_at(desk: Desk, symbol: str, price: str, tick: str) -> None:
    """Let a market order pay exactly this: it takes the other side of the spread."""
    desk.simulator.set_price(symbol, str(D(price) - D(tick)))


def opened(desk: Desk, **words: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL", **words))
    worked(desk, trio, lambda: len(desk.resting) >= 2 and trio.fills.exists())
    return trio


def eth_opened(desk: Desk, quantity: str) -> TrioOrder:
    bought_at(desk, "ETHUSDT", "2000.00", "0.01")
    levels = {"stop_loss": D("1900"), "take_profit": D("2200")}
    return opened(desk, symbol="ETHUSDT", quantity=D(quantity), **levels)


def changed(desk: Desk, trio: TrioOrder, executions: int) -> None:
    worked(
        desk,
        trio,
        lambda: not SizeChange.objects.filter(end="").exists() and trio.fills.count() == executions,
    )


def test_the_average_is_the_exchanges_after_each_step_and_a_sale_does_not_move_it(any_desk: Desk) -> None:
    desk = any_desk

    def averages() -> tuple[D, D]:
        cost = entry_cost(the(trio))
        assert cost is not None
        theirs = desk.simulator.position("ETHUSDT", side=trio.position_side).entry_price
        return cost.average, theirs

    # Given 0.300 bought at 2000.00
    trio = eth_opened(desk, "0.300")
    assert averages() == (D("2000.00"), D("2000.00"))

    # When 0.200 are added at 1950.00
    bought_at(desk, "ETHUSDT", "1950.00", "0.01")
    services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.200"))
    changed(desk, trio, 2)
    assert averages() == (D("1980.00"), D("1980.00"))

    # And half of it is sold at 2010.00
    desk.simulator.set_price("ETHUSDT", "2010.00")
    services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.250"))
    changed(desk, trio, 3)
    assert averages() == (D("1980.00"), D("1980.00"))
    assert net_pnl([trio.pk])[trio.pk][0].realized == D("7.50")

    # And 0.250 are added at 2020.00
    bought_at(desk, "ETHUSDT", "2020.00", "0.01")
    services.trio_add(trio_id=trio.pk, by="test", quantity=D("0.250"))
    changed(desk, trio, 4)
    assert averages() == (D("2000.00"), D("2000.00"))


def test_what_was_realised_counts_and_only_the_rest_is_open(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a long of 0.500 at 2000.00, of which 0.200 were closed at 2030.00
    trio = eth_opened(desk, "0.500")
    desk.simulator.set_price("ETHUSDT", "2030.00")
    services.trio_close_part(trio_id=trio.pk, by="test", quantity=D("0.200"))
    changed(desk, trio, 2)

    # When the mark price is 1990.00
    desk.simulator.set_price("ETHUSDT", "1990.00")
    desk.sweep()

    # Then the command says realised, unrealised, net, and the two break-evens apart
    (row,) = document(capsys, "list_positions", "--symbol", "ETHUSDT")["positions"]
    (part,) = row["net_pnl"]
    assert (part["realized"], part["fees"], row["unrealized"]) == ("6", "0.703", "-3")
    assert (row["net_now"], row["net_if_closed"]) == ("2.297", "1.9985")
    assert (row["break_even_of_trio"], row["break_even_of_rest"]) == ("1983.34", "2002.01")

    # And so does the page, whose labels say which is which
    page = text_of(a_superuser(), live_url(trio))
    assert "Net PnL now +2.00 USDT if closed at the mark price 1990, fees included" in page
    assert "Net realised so far +5.297 USDT realised +6, fees 0.703" in page
    assert re.search(r"Break-even of the trio\W+1983\.34", page), page
    assert re.search(r"Break-even of the remaining position\W+2002\.01", page), page


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_what_is_left_breaks_even_where_a_break_even_stop_goes_whatever_its_entry_paid(
    desk: Desk, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given an entry at 2000.00 that rested, and paid 0.02 % as a maker, of which nothing was closed
    desk.simulator.set_price("ETHUSDT", "2010" if side == "BUY" else "1990")
    levels = {"stop_loss": D("1900"), "take_profit": D("2200")}
    if side == "SELL":
        levels = {"stop_loss": D("2100"), "take_profit": D("1800")}
    words = {"entry_type": "LIMIT", "price": D("2000"), "protection": "ON_FIRST_FILL", "quantity": D("0.500")}
    trio = desk.placed(desk.a_trio("ETHUSDT", side, **words, **levels))
    desk.simulator.set_price("ETHUSDT", "1999.99" if side == "BUY" else "2000.01")
    worked(desk, trio, lambda: len(desk.resting) >= 2 and trio.fills.exists())
    desk.simulator.set_price("ETHUSDT", "2050" if side == "BUY" else "1950")
    desk.sweep()

    # Then the command, the page and the stop that goes there all say 2000 × 1.0002 / 0.9995, up; or the short's mirror
    level = "2001.41" if side == "BUY" else "1998.6"
    (row,) = document(capsys, "list_positions", "--symbol", "ETHUSDT")["positions"]
    assert (D(row["break_even_of_trio"]), D(row["break_even_of_rest"])) == (D(level), D(level))
    assert re.search(
        rf"Break-even of the remaining position\W+{level}", text_of(a_superuser(), live_url(trio))
    )
    assert services.trio_break_even(trio_id=trio.pk, by="test").level == D(level)


def ended(desk: Desk, number: int, *exits: str, fees: str = "0", source: str = "admin") -> TrioOrder:
    """Return a trio that has closed as the given one, with these results of its exits."""
    trio = opened(desk, source=source)
    services.trio_close(trio_id=trio.pk, by="test")
    worked(desk, trio, lambda: the(trio).state == "CLOSED" and trio.fills.count() == 2)
    out = trio.fills.get(side="SELL")
    sizes = [D("0.010")] if len(exits) == 1 else [D("0.004"), D("0.003"), D("0.003")]
    trio.fills.update(commission=D(0), time_ts=to_ms(START + timedelta(hours=number)))
    for place, (result, size) in enumerate(zip(exits, sizes, strict=True)):
        out.refresh_from_db()
        out.realized_pnl, out.quantity = D(result), size
        if place:
            out.pk, out.trade_id = None, out.trade_id + place * 10**9  # no trade of the exchange
        else:
            out.commission = D(fees)
        out.save()
        out = trio.fills.filter(side="SELL").order_by("trade_id")[0]
    return trio


def test_six_trades_a_cancelled_one_and_two_winners_alone(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given six trades in this order, and one that was cancelled without a fill
    results: list[tuple[tuple[str, ...], str, str]] = [
        (("-8.00",), "0", "admin"), (("0.30",), "0.87", "admin"), (("12.00",), "0", "strategy:two"),
        (("3.00", "2.50", "-1.00"), "0", "strategy:two"), (("0.00",), "0", "admin"), (("-6.00",), "0", "admin"),
    ]  # fmt: skip
    for number, (exits, fees, source) in enumerate(results):
        ended(desk, number, *exits, fees=fees, source=source)
    cancelled = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("96000")))
    services.trio_cancel(trio_id=cancelled.pk, by="test")
    desk.carry_until(cancelled, "CANCELLED")

    # Then they are counted as by hand
    (usdt,) = document(capsys, "statistics")["assets"]
    assert (usdt["trades"], usdt["won"], usdt["lost"], usdt["even"]) == (6, 2, 3, 1)
    assert (usdt["win_rate"], usdt["win_rate_without_even"]) == ("33.33", "40")
    assert (usdt["gains"], usdt["losses"], usdt["profit_factor"]) == ("16.5", "14.57", "1.1325")
    assert (usdt["expectancy"], usdt["largest_drawdown"]) == ("0.3217", "8.57")

    # And the page says so, each rate with its name
    client = a_superuser()
    days = {"since": "2026-06-21", "until": "2026-06-21"}
    page = text_of(client, reverse("admin:orders_statistics"), **days)
    for words in (r"33\.33", r"40(\.00)?", r"1\.1325", r"0\.3217", r"8\.57", "Win rate excl. break-even"):
        assert re.search(words, page), (words, page)

    # And of two winners alone there is no factor: null, and never Infinity
    capsys.readouterr()
    call_command("statistics", "--source", "strategy:two", "--json")
    printed = capsys.readouterr().out
    (two,) = json.loads(printed)["assets"]
    assert (two["trades"], two["profit_factor"], two["no_losses"]) == (2, None, True)
    assert "Infinity" not in printed
    assert "NaN" not in printed
    assert "no losses" in text_of(client, reverse("admin:orders_statistics"), source="strategy:two", **days)


def test_a_stop_that_was_gapped_over_is_booked_as_it_filled_and_stops_the_day(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a position on another symbol, and a long of 0.100 at 60000.0 with its stop at 59000.0
    other = eth_opened(desk, "0.050")
    bought_at(desk, "BTCUSDT", "60000.0", "0.1")
    trio = desk.placed(desk.a_trio(quantity=D("0.100"), stop_loss=D("59000"), take_profit=D("70000")))
    worked(desk, trio, lambda: trio.fills.exists())
    RiskLimit.objects.create(account=desk.account, daily_loss=D("200.00"))

    # When the stop is gapped over and fills at 57800.0
    desk.simulator.set_price("BTCUSDT", "57800.0", gap=True)
    worked(desk, trio, lambda: the(trio).state == "CLOSED" and trio.fills.count() == 2)

    # Then it is booked as it filled
    (part,) = net_pnl([trio.pk])[trio.pk]
    assert (part.realized, part.fees, part.net) == (D("-220.00"), D("5.89"), D("-225.89"))
    (usdt,) = document(capsys, "statistics", "--symbol", "BTCUSDT")["assets"]
    assert (usdt["slippage"], usdt["average_r"]) == ("120", "-2.13")  # 225.89 over a planned risk of 105.95

    # And the next signal is refused with both figures, while exits pass
    signal = a_sender(desk).sends({"symbol": "BTCUSDT", "action": "buy"})
    assert (signal.outcome, signal.refusal) == ("REFUSED", "LIMIT")
    # the fee of the position that is open has been paid as well: 0.050 × 2000.00 × 0.0005 = 0.05
    assert (signal.facts["rule"], signal.facts["value"], signal.facts["limit"]) == (
        "DAILY_LOSS",
        "225.94",
        "200.00",
    )
    services.trio_close(trio_id=other.pk, by="test")
    assert desk.carry_until(other, "CLOSED").result == "MANUAL"


def test_a_trade_is_on_the_viewers_day_everywhere_and_the_limits_day_is_utc(desk: Desk) -> None:
    # Given two losses, closed at 20:00 and at 22:30 UTC on 21 June, and somebody in Paris
    first, second = ended(desk, 0, "-20.00"), ended(desk, 0, "-40.00")
    for trio, hour, minute in ((first, 20, 0), (second, 22, 30)):
        Fill.objects.filter(trio=trio).update(time_ts=to_ms(datetime(2026, 6, 21, hour, minute, tzinfo=UTC)))
    client = a_superuser()
    client.cookies["zone"] = "Europe/Paris"

    # Then list, statistics and export have each on its day
    def listed(day: str) -> set[int]:
        return {trio.pk for trio in client.get(reverse(LIST), {"closed": day}).context["cl"].result_list}

    assert (listed("2026-06-21"), listed("2026-06-22")) == ({first.pk}, {second.pk})
    days = {"since": "2026-06-21", "until": "2026-06-22"}
    asked = client.get(reverse("admin:orders_statistics"), {"format": "json", "by": "day", **days}).json()
    (usdt,) = asked["assets"]
    assert {row["group"]: D(row["net"]) for row in usdt["groups"]} == {
        "2026-06-21": D(-20),
        "2026-06-22": D(-40),
    }

    # And the limit has one day for all, which its refusal names
    RiskLimit.objects.create(account=desk.account, daily_loss=D("50.00"))

    def refusal(moment: datetime) -> Breach | None:
        return limits.breach_of(
            desk.a_trio(), limited=True, mark=D(60_000), now_ts=ExchangeMs(to_ms(moment)), lock=False
        )

    found = refusal(datetime(2026, 6, 21, 23, 59, 59, tzinfo=UTC))
    assert found is not None
    assert (found.value, found.limit) == ("60.00", "50.00")
    assert "midnight UTC" in found.sentence
    assert refusal(datetime(2026, 6, 22, tzinfo=UTC)) is None

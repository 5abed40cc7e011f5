"""Lists and statistics by command: what is found, what is refused, and the figures of a trade through the exchange."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command

from orders import services
from orders.cli.filters import moment_of
from orders.domain.errors import TrioRefused
from orders.models import Fill, LevelMove, RiskLimit, TrioOrder
from orders.results import Wanted, trades_wanted
from tests.builders import Desk, story, until

PARIS = ZoneInfo("Europe/Paris")


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Return the document a command prints."""
    capsys.readouterr()
    call_command(*words, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the sentence a command refuses with."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call_command(*words, "--json")
    assert ended.value.code == 2
    return str(json.loads(capsys.readouterr().out)["error"])


def carried(desk: Desk, trio: TrioOrder, is_so: Any) -> None:
    def there() -> bool:
        desk.carry()
        trio.refresh_from_db()
        return bool(is_so())

    until(there, why=lambda: story(trio))


def opened(desk: Desk, **fields: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**fields))
    carried(desk, trio, lambda: len(desk.resting) == 2 and Fill.objects.filter(trio=trio).exists())
    return trio


def closed(desk: Desk, trio: TrioOrder) -> TrioOrder:
    services.trio_close(trio_id=trio.pk, by="test")
    carried(desk, trio, lambda: trio.state == "CLOSED" and Fill.objects.filter(trio=trio).count() >= 2)
    return trio


def test_trios_are_listed_newest_first_and_filtered(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a closed trio, an open one and a draft
    first = closed(desk, opened(desk))
    second = opened(desk, side="SELL")
    draft = desk.a_trio(source="hook:tv")

    # Then all are listed, with what they brought
    found = told(capsys, "list_trios")
    assert [row["trio"] for row in found["trios"]] == [draft.pk, second.pk, first.pk]
    assert found["more"] is False
    row = found["trios"][2]
    assert (row["state"], row["result"], row["side"], row["filled"]) == ("CLOSED", "MANUAL", "BUY", "0.010")
    assert set(row["net_pnl"][0]) == {"asset", "net", "realized", "fees", "funding"}

    # And each filter leaves what it says
    def trios(*words: str) -> list[int]:
        return [row["trio"] for row in told(capsys, "list_trios", *words)["trios"]]

    assert trios("--state", "open") == [second.pk]
    assert trios("--result", "MANUAL") == [first.pk]
    assert trios("--side", "short") == [second.pk]
    assert trios("--source", "hook:tv") == [draft.pk]
    assert trios("--symbol", "ETHUSDT") == []
    assert trios("--account", "desk", "--limit", "1") == [draft.pk]
    assert told(capsys, "list_trios", "--limit", "1")["more"] is True
    assert trios("--until", "2020-01-01") == []
    assert len(trios("--since", "2020-01-01")) == 3

    # And without --json a line each
    call_command("list_trios", "--state", "OPEN")
    assert capsys.readouterr().out.count("\n") == 1


def test_positions_are_listed_with_the_trio_that_holds_them(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "list_positions") == {"positions": [], "more": False}
    trio = opened(desk)
    desk.simulator.set_price("BTCUSDT", "99000")
    desk.sweep()
    (row,) = told(capsys, "list_positions", "--account", "desk", "--state", "OPEN")["positions"]
    assert (row["trio"], row["side"], row["quantity"], row["state"]) == (trio.pk, "BUY", "0.010", "OPEN")
    (pnl,) = row["net_pnl"]
    assert D(row["unrealized"]) == D("0.010") * (D("99000") - D(row["entry_price"]))
    assert D(row["net_now"]) == D(pnl["net"]) + D(row["unrealized"])
    assert D(row["net_if_closed"]) == D(row["net_now"]) - D("0.495")
    assert D(row["break_even_of_trio"]) > D(row["entry_price"])
    assert told(capsys, "list_positions", "--side", "SHORT")["positions"] == []
    assert told(capsys, "list_positions", "--source", "nobody")["positions"] == []
    call_command("list_positions")
    assert f"trio {trio.pk} OPEN" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["list_trios", "statistics"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--account", "nobody"), "There is no account named"),
        (("--side", "up"), "choose one of BUY, LONG, SELL, SHORT"),
        (("--since", "yesterday"), "write a day such as 2026-11-28"),
        (("--since", "2026-11-28T12:00:00"), "a time with its zone"),
        (("--since", "2026-11-28", "--until", "2026-11-27"), "nothing can lie between them"),
        (("--zone", "Paris"), "is not a time zone"),
    ],
)
def test_what_is_no_filter_is_refused(
    transactional_db: None,
    capsys: pytest.CaptureFixture[str],
    command: str,
    words: tuple[str, ...],
    says: str,
) -> None:
    assert says in refused(capsys, command, *words)


@pytest.mark.parametrize(
    "words", [("--state", "UP"), ("--result", "LUCK"), ("--limit", "0"), ("--limit", "x")]
)
def test_what_only_lists_know_is_refused_too(
    transactional_db: None, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert "is not a valid" in refused(capsys, "list_trios", *words)


def test_a_day_is_the_days_of_whom_was_named() -> None:
    assert moment_of("2026-06-22", PARIS) == datetime(2026, 6, 21, 22, tzinfo=UTC)
    assert moment_of("2026-06-22", PARIS, ends=True) == datetime(2026, 6, 22, 22, tzinfo=UTC)
    # the day on which the clocks go back has 25 hours
    day = moment_of("2026-10-25", PARIS, ends=True) - moment_of("2026-10-25", PARIS)
    assert moment_of("2026-10-25", PARIS, ends=True) == datetime(2026, 10, 25, 23, tzinfo=UTC), day
    assert moment_of("2026-06-22T00:00:00Z", PARIS) == datetime(2026, 6, 22, tzinfo=UTC)
    with pytest.raises(TrioRefused):
        moment_of("22.06.2026", UTC)


def test_a_stop_that_was_gapped_over_through_the_exchange(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Long 0.100 @ 60000.0, stop 59000.0, filled @ 57800.0; a daily loss limit of 200.00."""
    desk.simulator.set_price("BTCUSDT", "60000")
    trio = opened(desk, quantity=D("0.100"), stop_loss=D("59000"), take_profit=D("70000"))
    desk.simulator.set_price("BTCUSDT", "57800", gap=True)
    carried(desk, trio, lambda: trio.state == "CLOSED" and Fill.objects.filter(trio=trio).count() >= 2)

    (trade,) = trades_wanted(Wanted(account="desk")).trades["USDT"]
    entry, out = (Fill.objects.get(trio=trio, side=side).price for side in ("BUY", "SELL"))
    fees = D("0.1") * D("0.0005") * (entry + out)
    assert trade.realized == D("0.1") * (out - entry)
    assert trade.fees == fees
    assert trade.slippage == D("0.1") * (D(59000) - out)
    assert trade.planned == D("0.1") * (entry - 59000 + D("0.0005") * (entry + 59000))
    assert trade.net < D("-225")

    # the stop that counts for R is the first one, whatever became of it later
    LevelMove.objects.create(
        trio=trio,
        role="STOP_LOSS",
        level=D(59500),
        level_before=D(59000),
        wanted_at=trio.created_at,
        end="DONE",
    )
    TrioOrder.objects.filter(pk=trio.pk).update(stop_loss=D(59500))
    (again,) = trades_wanted(Wanted()).trades["USDT"]
    assert again.planned == trade.planned
    (asset,) = told(capsys, "statistics", "--account", "desk")["assets"]
    assert (asset["asset"], asset["trades"], asset["lost"], asset["profit_factor"]) == ("USDT", 1, 1, "0")
    assert D(asset["average_r"]) == trade.r

    # the daily loss counts all of it, and new risk is refused
    RiskLimit.objects.create(account=desk.account, daily_loss=D(200))
    refused_trio = desk.a_trio(quantity=D("0.010"), stop_loss=D("50000"), take_profit=D("70000"))
    with pytest.raises(TrioRefused, match=f"{-trade.net:.2f} of 200"):
        desk.queued(refused_trio)


def test_only_trades_are_counted_and_what_is_not_known_says_so(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a trade, an open trio, and one that was cancelled without a fill
    trade = closed(desk, opened(desk))
    cancelled = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("96000")))
    services.trio_cancel(trio_id=cancelled.pk, by="test")
    desk.carry_until(cancelled, "CANCELLED")
    opened(desk)
    found = told(capsys, "statistics")
    assert [(asset["trades"], asset["no_losses"]) for asset in found["assets"]] == [(1, False)]
    assert found["not_known"] == []

    # When a fee of it was paid in another asset without a price, its result is not known; nothing else waits for it
    Fill.objects.filter(trio=trade, side="SELL").update(commission=D("0.0007"), commission_asset="BNB")
    found = told(capsys, "statistics")
    assert found["assets"] == []
    assert found["not_known"][0]["trio"] == trade.pk
    assert "not yet known" in found["not_known"][0]["reason"]

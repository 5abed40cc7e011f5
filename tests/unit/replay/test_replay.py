"""A replay, whole: in a process of its own, on servers of its own, the same each time."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from orders.models import TrioOrder
from replay.process import replayed
from signals.models import ReplayRun, Signal, Strategy

BARS = 150
pytestmark = pytest.mark.slow


def a_replay(bars: int = BARS, **said: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "strategy": "breakout",
        "parameters": {"bars": "8", "atr_bars": "8"},
        "balance": "10000",
        "terms": {"size_kind": "RISK", "size_value": "0.5", "size_cap": True},
        "recordings": [{"symbol": "ADAUSDT", "bars": bars}],
    }
    return replayed(asked | said, strategies=settings.STRATEGIES)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return a_replay()


def test_the_same_bars_give_the_same_report(report: dict[str, Any]) -> None:
    assert a_replay()["hash"] == report["hash"]


def test_its_ledger_is_the_exchanges_to_the_last_digit(report: dict[str, Any]) -> None:
    ours = {name: value for name, value in report["ledger"].items() if name != "exchange"}
    assert report["statistics"]["trios"] >= 3
    assert ours == report["ledger"]["exchange"]


def test_nothing_is_unprotected_doubled_or_left_behind(report: dict[str, Any]) -> None:
    assert report["uncovered_longest_ms"] == 0
    assert report["verdict"] == {"uncovered_ms_max": 0, "reversed": 0, "orphans": 0}
    assert set(report["outcomes"]) == {"PLACED"}, report["refused"]
    assert {trio["result"] for trio in report["trios"] if trio["closed_bar"]} <= {"STOP_LOSS", "TAKE_PROFIT"}


def test_later_bars_change_no_decision(report: dict[str, Any]) -> None:
    shorter = a_replay(BARS - 40)
    last = shorter["recordings"][0]["last"]
    settled = [trio for trio in report["trios"] if (trio["closed_bar"] or last + 1) <= last]
    assert settled
    assert shorter["trios"][: len(settled)] == settled
    signals = [trio["signal_bar"] for trio in report["trios"] if trio["signal_bar"] <= last]
    assert [trio["signal_bar"] for trio in shorter["trios"]] == signals


@pytest.mark.parametrize("limit", [False, True])
def test_entries_that_wait_for_a_trigger_fill_there_and_are_covered_before_the_price_goes_on(
    limit: bool,
) -> None:
    report = replayed(
        {
            "strategy": "above",
            "parameters": {"limit": limit, "distance": "0.0008"},
            "balance": "10000",
            "terms": {"size_kind": "RISK", "size_value": "0.5", "size_cap": True},
            "recordings": [{"symbol": "ADAUSDT", "bars": 90}],
        },
        strategies={"above": "tests.unit.replay.entries:AboveTheHigh"},
    )

    ended = [trio for trio in report["trios"] if trio["closed_bar"]]
    assert {trio["result"] for trio in ended if trio["entry"]} == {"STOP_LOSS"}
    assert {trio["state"] for trio in ended if not trio["entry"]} == {"CANCELLED"}
    # Then each entered at its trigger, a tick worse at market, and left at its level
    tick, distance = Decimal("0.0001"), Decimal("0.0008")
    for trio in report["trios"]:
        if trio["entry"] and trio["signal_bar"]:
            trigger = Decimal(trio["stop"]) + distance
            assert trigger <= Decimal(trio["entry"]) <= trigger + (0 if limit else tick), trio
    assert report["uncovered_longest_ms"] == 0
    assert report["verdict"] == {"uncovered_ms_max": 0, "reversed": 0, "orphans": 0}


@pytest.mark.django_db
def test_the_command_keeps_the_report_and_touches_no_row_of_ours() -> None:
    out = StringIO()
    call_command(
        "replay", strategy="breakout", symbol=["ADAUSDT"], bars=60, set=["bars=8"], size="RISK:0.5", cap=True,
        json=True, stdout=out, stderr=StringIO(),
    )  # fmt: skip
    report = json.loads(out.getvalue())
    kept = ReplayRun.objects.get()
    assert (kept.hash, kept.report["trios"]) == (report["hash"], report["trios"])
    assert not TrioOrder.objects.exists()
    assert not Strategy.objects.exists()
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"strategy": "nonsense"}, "There is no strategy nonsense: known are breakout, crossover"),
        ({"set": ["bars=1"]}, "bars is at least 2"),
        ({"set": ["bars"]}, "write NAME=VALUE"),
        ({"set": ["code=1"]}, "no parameter code"),
        ({"symbol": ["BTCUSDT"]}, "No bars of BTCUSDT are shipped"),
        ({"klines": ["XRPUSDT=/none"]}, "--klines names XRPUSDT, --symbol does not"),
        ({"first": "yesterday"}, "write a time"),
        ({"last": "2001-01-01"}, "fewer than two bars"),
        ({"size": "ALL:1"}, "--size is one of QUANTITY"),
        ({"size": "RISK:1,5"}, "has a comma"),
        ({"balance": "-1"}, "greater than zero"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_runs(said: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {"strategy": "breakout", "symbol": ["ADAUSDT"]}
    for as_json in (False, True):
        out, err = StringIO(), StringIO()
        with pytest.raises(SystemExit) as refused:
            call_command("replay", **(usual | said), json=as_json, stdout=out, stderr=err)
        assert refused.value.code == 2
        assert words in (json.loads(out.getvalue())["error"] if as_json else err.getvalue())

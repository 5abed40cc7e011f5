"""How a run under load is judged; the runs themselves are ``make load``, too long for the suite."""

from __future__ import annotations

from typing import Any

import pytest

from tests.load.shared_address import SWEEP, Intervals
from tests.load.table import Table, spread


def sweep(ms: int, **changed: Any) -> dict[str, Any]:
    return {"account": "desk", "path": SWEEP, "status": 200, "ms": ms, "params": {}} | changed


@pytest.mark.parametrize(
    ("rows", "late"),
    [
        ([sweep(15_000), sweep(30_000)], 0),
        ([sweep(15_000)], 1),
        ([sweep(15_000), sweep(30_000, status=418)], 1),
        ([sweep(15_000), sweep(30_000, params={"symbol": "BTCUSDT"})], 1),
        ([sweep(15_000), sweep(30_000, account="other")], 1),
    ],
    ids=["in time", "one left out", "one refused", "one of a symbol only", "one of another account"],
)
def test_a_sweep_is_late_when_it_comes_after_any_interval_shown(
    rows: list[dict[str, Any]], late: int
) -> None:
    watch = Intervals({"desk": [(ms, 15_000) for ms in range(0, 45_000, 1000)]})
    assert watch.late(rows, 0, 44_000)[0] == late


def test_an_interval_that_stretches_allows_a_longer_pause_from_then_on() -> None:
    notes = [(ms, 15_000 if ms < 10_000 else 40_000) for ms in range(0, 45_000, 1000)]
    assert Intervals({"desk": notes}).late([sweep(5_000)], 0, 44_000) == (0, 39_000)


def test_a_table_fails_by_one_line_that_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("bulk")
    table.figure("trios", 3)
    table.holds("naked", spread([3, 1, 2]), condition=True)
    assert table.good
    table.holds("expired", 1, condition=False)
    assert not table.good
    table.print()
    assert capsys.readouterr().out.splitlines() == [
        "bulk",
        "      trios    3",
        "  ok  naked    p50 2, max 3 ms (3)",
        "  NOT expired  1",
    ]

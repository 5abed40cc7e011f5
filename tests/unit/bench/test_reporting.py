"""What a benchmark found is judged, shown and kept as it was measured."""

from __future__ import annotations

import json
import math

import pytest

from bench.reporting.figures import median, percentile, ratio, short, spread
from bench.reporting.page import anchor, as_page
from bench.reporting.report import Report, Target
from bench.reporting.text import as_text
from tests.unit.bench.support import report


@pytest.mark.parametrize(
    ("found", "verdict"),
    [(1.0, "met"), (0.99, "missed"), (0.5, "missed"), (0.49, "failed"), (None, "not measured"), (math.nan, "not measured")],
)  # fmt: skip
def test_what_is_under_the_bound_is_missed_and_far_under_it_failed(found: float | None, verdict: str) -> None:
    assert Target("speed", found, 1.0, "×", at_least=True, failure=0.5).verdict == verdict


@pytest.mark.parametrize(("found", "verdict"), [(12, "met"), (12.01, "missed"), (1000, "missed")])
def test_what_is_over_the_bound_is_missed(found: float, verdict: str) -> None:
    assert Target("CPU", found, 12, "ms").verdict == verdict


def test_a_percentile_is_one_of_the_values() -> None:
    values = [*range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50, 99, 100)
    assert percentile([7], 50) == percentile([7], 99) == 7
    assert percentile([3, 1, 2], 50) == 2
    with pytest.raises(ValueError, match="no percentile of nothing"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no median of nothing"):
        median([])


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (math.nan, "–"), ("text", "text"), (0.123, "0.12"), (12.34, "12.3"), (123.4, "123"), (12_345.6, "12 346"),
     (7, "7"), (-0.5, "-0.50")],
)  # fmt: skip
def test_a_figure_shows_the_digits_that_say_something(value: float | str | None, said: str) -> None:
    assert short(value) == said


def test_rounds_show_how_far_they_lie_apart() -> None:
    assert spread([]) == "–"
    assert spread([5.0]) == "5.00"
    assert spread([30.0, 10.0, 20.0]) == "20.0 (10.0–30.0)"
    assert ratio(1, 2) == 0.5
    assert math.isnan(ratio(1, 0))


def test_a_report_comes_back_from_json_as_it_was() -> None:
    raw = json.loads(json.dumps(report().as_dict()))
    assert [row["verdict"] for row in raw["targets"]] == ["missed", "met"]
    assert Report.from_dict(raw).as_dict() == raw
    assert json.loads(json.dumps(report(math.nan).as_dict(), allow_nan=False))["targets"][0]["found"] is None


def test_the_page_shows_what_is_missed_what_it_was_before_and_what_did_not_run() -> None:
    shown = report()
    shown.earlier = {"trios/s to the library's": 1.0}
    page = as_page([shown], broken=["scale"])

    assert "1 of 2 are met" in page
    row = "| **missed** | [bulk](#many-at-once) | trios/s to the library's | 0.80 × | ≥ 1.00 × | 1.00 × | -20% |"
    assert row in page
    assert "| met | [bulk](#many-at-once) | CPU | 11.0 ms a trio | ≤ 12 ms a trio | – | – |" in page
    assert "**Did not run to its end: scale.**" in page
    assert "| ours | 1 234 | 0.8 × |" in page
    assert "to it \\| them" in page
    assert "![Many at once](benchmarks/bulk.svg)" in page
    assert "Measured 28 November 2026, 09:05 UTC, within 61 s" in page
    assert "Did not run" not in as_page([shown])
    assert anchor("The request budget, under eight processes") == "the-request-budget-under-eight-processes"


def test_the_page_says_when_the_machine_had_other_work() -> None:
    busy, quiet = report(), report()
    busy.machine = {"cores": "2", "load when it began": "9.50 6.00 5.00"}
    quiet.machine = {"cores": "2", "load when it began": "0.30 6.00 5.00"}
    assert "**The machine had other work when this began (load 9.50 on 2 cores)" in as_page([busy, quiet])
    assert "had other work" not in as_page([quiet, busy])


def test_the_terminal_shows_the_same() -> None:
    shown = as_text(report(0.4))
    assert shown.startswith("Many at once (61 s)\n")
    assert "    FAILED  trios/s to the library's" in shown
    assert "    ok      CPU" in shown
    assert "    ours      1 234         0.8 ×" in shown

"""A report as a benchmark could make one."""

from __future__ import annotations

from bench.reporting.report import Panel, Report, Sheet, Target


def report(found: float | None = 0.8) -> Report:
    return Report(
        "bulk",
        "Many at once",
        "How it is measured.",
        sheets=[Sheet("At 0 ms", ["", "trios/s", "to it | them"], [["ours", 1234.5, "0.8 ×"], ["theirs", None, "–"]])],
        targets=[
            Target("trios/s to the library's", found, 1.0, "×", at_least=True, failure=0.5),
            Target("CPU", 11.0, 12, "ms a trio"),
        ],
        panels=[
            Panel("speed", "trios/s", ["0 ms", "50 ms"], {"ours": [3.0, 200.0], "theirs": [None, 0.0]}, limit=2.0),
            Panel("cores", "cores", ["1", "100"], {"ours": [0.1, 2.0]}, lines=True),
        ],
        notes=["Not measured: ccxt."],
        began="2026-11-28T09:05:00+00:00",
        seconds=61.4,
        machine={"cores": "2"},
    )  # fmt: skip

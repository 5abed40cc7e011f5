"""What every benchmark does with its report: print it, and keep JSON and picture where it is told to."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.reporting.machine import machine
from bench.reporting.report import Report
from bench.reporting.text import as_text

Measure = Callable[[argparse.Namespace], Report]


def present(
    name: str, words: str, measure: Measure, arguments: Callable[[argparse.ArgumentParser], None]
) -> int:
    """Run one benchmark from the command line. Return its exit code: a missed target is shown, and no failure."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=words,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--full", action="store_true", help="at full size, where the benchmark has one")
    parser.add_argument("--out", type=Path, help="keep JSON and picture in this folder")
    arguments(parser)
    options = parser.parse_args()
    found, began, started = machine(), datetime.now(UTC), time.monotonic()
    report = measure(options)
    report.machine, report.began = found, began.isoformat(timespec="seconds")
    report.seconds = round(time.monotonic() - started, 1)
    if options.out:
        keep(report, options.out)
    sys.stdout.write(json.dumps(report.as_dict()) + "\n" if options.json else as_text(report))
    return 0


def keep(report: Report, folder: Path) -> None:
    """Write JSON and picture; what the run before found goes along, to compare."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    if path.exists():
        before = json.loads(path.read_text())
        report.earlier = {row["what"]: row["found"] for row in before["targets"]}
    path.write_text(json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n")
    if report.panels:
        from bench.reporting.picture import draw

        draw(report, folder / f"{report.name}.svg")


def nothing(parser: argparse.ArgumentParser) -> None:
    """Take no further options."""

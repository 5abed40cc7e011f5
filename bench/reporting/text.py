"""A report in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.reporting.figures import short
from bench.reporting.report import Report

MARKS = {"met": "ok", "missed": "MISSED", "failed": "FAILED", "not measured": "?"}


def as_text(report: Report) -> str:
    """Return title, tables and targets, aligned."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"{report.title} ({report.seconds:.0f} s)"
    for sheet in report.sheets:
        yield ""
        yield f"  {sheet.title}"
        yield from _aligned([list(sheet.columns), *([short(cell) for cell in row] for row in sheet.rows)])
    if report.targets:
        yield ""
        yield "  targets"
        rows = [
            [MARKS[each.verdict], each.what, f"{short(each.found)} {each.unit}".rstrip(), each.wanted]
            for each in report.targets
        ]
        yield from _aligned([["", "figure", "found", "wanted"], *rows], left=3)
    for note in report.notes:
        yield f"  {note}"


def _aligned(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Yield lines whose columns stand under each other: the first ones to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield ("    " + "  ".join(cells)).rstrip()

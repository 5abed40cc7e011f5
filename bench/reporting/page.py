"""``docs/reference/benchmarks.md``: the reports as a page. Nobody writes a figure there by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from bench.reporting.figures import short
from bench.reporting.report import Cell, Report, Target

MARKS = {"met": "met", "missed": "**missed**", "failed": "**failed**", "not measured": "**not measured**"}
HEAD = """# Benchmarks

`make bench` measures and writes this page, its pictures and the JSON beside them (`docs/reference/benchmarks/`): no figure here is
written by hand. What counts are the ratios: both sides of one were measured in the same run, against the same exchange process. The
exchange is the [simulator](simulator.md) in a process of its own; *latency* is how late it lets answers and events leave, while what
it is asked is carried out at once. *Fill → stop* is what lies between the entry and its stop in the exchange's own log, with
ON_FIRST_FILL. PostgreSQL runs with fsync. How to run one benchmark alone, or larger: [commands](commands.md#make).
"""


def as_page(reports: Sequence[Report], broken: Sequence[str] = ()) -> str:
    """Return the whole page; ``broken``: what did not run to its end this time."""
    return "\n".join(_lines(reports, broken)) + "\n"


def _lines(reports: Sequence[Report], broken: Sequence[str]) -> Iterator[str]:
    yield HEAD
    if broken:
        yield f"**Did not run to its end: {', '.join(broken)}.** What stands here of it, if anything, is from a run before."
        yield ""
    if reports and (load := _busy(reports[0])):
        yield f"**The machine had other work when this began (load {load}): measure again before a figure here is believed.**"
        yield ""
    yield "## Targets"
    yield ""
    judged = [(report, target) for report in reports for target in report.targets]
    met = sum(target.verdict == "met" for _, target in judged)
    yield f"{met} of {len(judged)} are met. A run before, where there is one, shows how far two runs agree."
    yield ""
    rows = [
        [
            MARKS[target.verdict],
            f"[{report.name}](#{anchor(report.title)})",
            target.what,
            f"{short(target.found)} {target.unit}".rstrip(),
            target.wanted,
            *_before(report, target),
        ]
        for report, target in judged
    ]
    yield from _table(
        ["", "benchmark", "figure", "found", "wanted", "run before", "differs by"], rows, left=3
    )
    yield ""
    yield "## Machine"
    yield ""
    for report in reports[-1:]:
        yield from _table(["", ""], [[name, value] for name, value in report.machine.items()], left=2)
    for report in reports:
        yield ""
        yield from _section(report)


def _busy(first: Report) -> str:
    """Return the load before the first benchmark, where it is more than the machine has cores; later ones add to it."""
    load = first.machine.get("load when it began", "").split()[:1]
    busy = bool(load) and float(load[0]) > float(first.machine.get("cores", "inf"))
    return f"{load[0]} on {first.machine['cores']} cores" if busy else ""


def _section(report: Report) -> Iterator[str]:
    yield f"## {report.title}"
    yield ""
    yield report.how
    yield ""
    if report.panels:
        yield f"![{report.title}](benchmarks/{report.name}.svg)"
        yield ""
    for sheet in report.sheets:
        yield f"### {sheet.title}"
        yield ""
        yield from _table(sheet.columns, sheet.rows)
        yield ""
    for note in report.notes:
        yield f"* {note}"
    if report.notes:
        yield ""
    when = datetime.fromisoformat(report.began).strftime("%d %B %Y, %H:%M UTC").lstrip("0")
    yield f"Measured {when}, within {report.seconds:.0f} s. [JSON](benchmarks/{report.name}.json)"


def _before(report: Report, target: Target) -> tuple[str, str]:
    change = report.change(target)
    if change is None:
        return "–", "–"
    return f"{short(report.earlier[target.what])} {target.unit}".rstrip(), f"{change:+.0%}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], left: int = 1) -> Iterator[str]:
    yield "| " + " | ".join(_cell(column) for column in columns) + " |"
    yield "|" + "|".join("---" if at < left else "---:" for at in range(len(columns))) + "|"
    for row in rows:
        yield "| " + " | ".join(map(_cell, row)) + " |"


def _cell(cell: Cell) -> str:
    return short(cell).replace("|", "\\|")


def anchor(title: str) -> str:
    """Return how a link names a heading."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")

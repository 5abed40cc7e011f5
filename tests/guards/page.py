"""The page of guards, made from the list."""

from __future__ import annotations

from collections.abc import Iterable

from tests.guards.guard import Guard

PAGE = "docs/reference/guards.md"
HEAD = """# Guards

What stands between a fault and somebody's money, one line each: the promise it serves ([promises](../explanation/promises.md)), what happens
without it, where it is, and the test that fails when it is taken away.

`make guards` takes each away in turn, in a copy of the working tree with a database of its own, and shows which test notices and how; a
removal that nothing notices fails it. `.venv/bin/python -m tests.guards --only "the row lock"` does one, `--list` names them. This page is
made from the same list (`tests/guards/`) by `.venv/bin/python -m tests.guards --page`. What the adapter guarantees on the wire is listed in
[wire guarantees](wire-guarantees.md).

| guard | promise | without it | where | test |
|---|---|---|---|---|
"""


def page(guards: Iterable[Guard]) -> str:
    """Return the page as it should be."""
    return HEAD + "".join(_row(guard) for guard in guards)


def _row(guard: Guard) -> str:
    where = ", ".join(f"`{file}`" for file in guard.files)
    tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in guard.tests)
    return f"| {guard.name} | {guard.promises} | {guard.prevents} | {where} | {tests} |\n"

"""A pytest plugin that writes down how each test ended: one JSON line each, for the script to read."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


def _write(test: str, phase: str, outcome: str, kind: str = "", text: str = "") -> None:
    line = {"test": test, "phase": phase, "outcome": outcome, "kind": kind, "text": text}
    with Path(os.environ["GUARDS_WITNESS"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None:
        said = str(call.excinfo.value).strip().splitlines()
        _write(item.nodeid, report.when, report.outcome, call.excinfo.typename, said[0] if said else "")
    elif report.when == "call":
        _write(item.nodeid, report.when, report.outcome)
    return report


def pytest_collectreport(report: Any) -> None:
    if report.failed:
        said = str(report.longrepr).strip().splitlines()
        _write(report.nodeid, "collect", "failed", "CollectError", said[-1] if said else "")

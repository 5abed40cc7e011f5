"""JSON and pictures of a report, as they are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.reporting.picture import draw
from bench.reporting.present import keep
from bench.reporting.report import Report, Target
from tests.unit.bench.support import report


def test_what_is_kept_can_be_compared_with_the_run_before(tmp_path: Path) -> None:
    keep(report(0.5), tmp_path)
    keep(report(0.6), tmp_path)

    found = Report.from_dict(json.loads((tmp_path / "bulk.json").read_text()))
    assert found.change(found.targets[0]) == pytest.approx(0.2)
    assert found.change(found.targets[1]) == 0
    assert found.change(Target("a new one", 1, 2, "ms")) is None


def test_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    draw(report(), tmp_path / "one.svg")
    draw(report(), tmp_path / "two.svg")
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    for words in ("speed", "trios/s", "target", "cores"):
        assert words in drawn

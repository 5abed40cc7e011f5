"""A report's picture, as SVG: the same figures draw the same file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.reporting.report import Panel, Report

# Told apart also by who sees no colours well (Okabe and Ito).
COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "bench",
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "figure.facecolor": "white",
}
PANEL_INCHES: Final = (4.6, 3.2)
SPAN: Final = 30.0  # of the largest value to the smallest; beyond that the axis is logarithmic


def draw(report: Report, path: Path) -> None:
    """Write the picture of a report, a panel beside the other."""
    with mpl.rc_context(STYLE):
        width, height = PANEL_INCHES
        columns = min(2, len(report.panels))
        rows = math.ceil(len(report.panels) / columns)
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        places = [axes for row in grid for axes in row]
        for axes, panel in zip(places, report.panels, strict=False):
            _panel(axes, panel)
        for axes in places[len(report.panels) :]:
            axes.set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axes: Axes, panel: Panel) -> None:
    if panel.lines:
        _lines(axes, panel)
    else:
        _bars(axes, panel)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_ylabel(panel.unit)
    known = [value for values in panel.series.values() for value in values if value]
    if panel.lines and known and max(known) / min(known) > SPAN:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if panel.limit is not None:
        axes.axhline(panel.limit, color="black", linewidth=0.8, linestyle="--")
        axes.annotate(
            "target",
            (1, panel.limit),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=7,
        )
    if len(panel.series) > 1:
        axes.margins(y=0.3)  # room for the legend above the bars
        axes.autoscale()
        axes.legend(fontsize=7, frameon=False, ncols=2, loc="upper left")


def _bars(axes: Axes, panel: Panel) -> None:
    places = range(len(panel.ticks))
    width = 0.8 / len(panel.series)
    for number, (name, values) in enumerate(panel.series.items()):
        at = [place + (number - (len(panel.series) - 1) / 2) * width for place in places]
        heights = [math.nan if value is None else value for value in values]
        axes.bar(at, heights, width, label=name, color=COLOURS[number % len(COLOURS)])
    axes.set_xticks(list(places), [label.replace(", ", "\n") for label in panel.ticks], fontsize=8)
    axes.grid(visible=False, axis="x")


def _lines(axes: Axes, panel: Panel) -> None:
    places = [float(label) for label in panel.ticks]
    for number, (name, values) in enumerate(panel.series.items()):
        heights = [math.nan if value is None else value for value in values]
        axes.plot(places, heights, marker="o", label=name, color=COLOURS[number % len(COLOURS)])
    if min(places) > 0 and max(places) / min(places) > SPAN:
        axes.set_xscale("log")
    axes.set_xticks(places, list(panel.ticks))
    axes.minorticks_off()

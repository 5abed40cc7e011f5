"""What the page of a replay shows: figures, the curve of the wallet, and each trio. Drawn as SVG, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from signals.models import ReplayRun

WIDTH: Final = 600
HEIGHT: Final = 160
MARGIN: Final = 6
SHOWN_MAX: Final = 500
FIGURES: Final = (
    ("trios", "Trios"),
    ("won", "Won"),
    ("lost", "Lost"),
    ("even", "Even"),
    ("win_rate_percent", "Win rate, %"),
    ("profit_factor", "Profit factor"),
    ("expectancy", "Expectancy"),
    ("net", "Net"),
    ("largest_drawdown", "Largest drawdown"),
    ("average_r", "Average R"),
    ("best_r", "Best R"),
    ("worst_r", "Worst R"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """One trade on the curve: where it ended, and whether it won."""

    x: str
    y: str
    won: bool
    title: str


@dataclass(frozen=True, slots=True)
class ReplayPage:
    run: ReplayRun
    figures: list[tuple[str, str]]
    curve: str
    marks: list[Mark]
    trios: list[dict[str, Any]]
    lowest: str
    highest: str


def replay_page(run: ReplayRun) -> ReplayPage:
    """Return what the page of a replay shows."""
    report = run.report
    statistics, ledger = report["statistics"], report["ledger"]
    figures = [(words, _shown(statistics[name])) for name, words in FIGURES]
    figures += [
        ("Fees", ledger["fees"]),
        ("Funding", ledger["funding"]),
        ("Wallet", ledger["wallet"]),
        ("Exposure, %", _shown(report["exposure_percent"])),
        ("Longest unprotected, ms", str(report["uncovered_longest_ms"])),
        ("Bars with stop and target", str(report["ambiguous_bars"])),
        ("Hash", run.hash[:16]),
    ]
    ended = [trio for trio in report["trios"] if trio["closed_bar"] is not None and trio["entry"] is not None]
    levels = [Decimal(report["balance"])]
    for trio in ended:
        levels.append(levels[-1] + Decimal(trio["net"]))
    low, high = min(levels), max(levels)
    points = [_point(place, level, len(levels), low, high) for place, level in enumerate(levels)]
    marks = [
        Mark(
            x,
            y,
            Decimal(trio["net"]) > 0,
            f"#{trio['number']} {trio['side']} {trio['symbol']}: {trio['net']}",
        )
        for (x, y), trio in zip(points[1:], ended, strict=True)
    ]
    return ReplayPage(
        run,
        figures,
        " ".join(f"{x},{y}" for x, y in points),
        marks,
        report["trios"][:SHOWN_MAX],
        format(low, "f"),
        format(high, "f"),
    )


def _point(place: int, level: Decimal, count: int, low: Decimal, high: Decimal) -> tuple[str, str]:
    across = Decimal(place) / max(1, count - 1)
    up = (level - low) / (high - low) if high > low else Decimal("0.5")
    x = MARGIN + across * (WIDTH - 2 * MARGIN)
    y = HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)
    return f"{x:.1f}", f"{y:.1f}"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)

"""What a replay costs: ``python -m bench.replay [--json] [--full]``.

The example breakout over shipped bars of two symbols, on servers of its own (PostgreSQL with fsync, Valkey); starting
them is not counted. Each trio is sized, checked, placed, covered and closed as a real one. ``--full``: all shipped bars.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final

from bench.reporting.present import present
from bench.reporting.report import Panel, Report, Sheet, Target
from replay.process import replayed

BARS: Final = 300  # of each symbol
STRATEGIES: Final = {"breakout": "signals.strategies.examples.breakout:Breakout"}
PARAMETERS: Final = {"bars": "5", "atr_bars": "10", "stop_atr": "1.5", "target_r": "1.5"}
TERMS: Final = {"size_kind": "RISK", "size_value": "0.2", "size_cap": True}


def figures(bars: int | None) -> dict[str, Any]:
    """Replay so many bars of each symbol; return the report."""
    recordings = [{"symbol": symbol, "bars": bars} for symbol in ("ADAUSDT", "XRPUSDT")]
    asked = {"strategy": "breakout", "parameters": PARAMETERS, "balance": "10000", "terms": TERMS}
    return replayed({**asked, "recordings": recordings}, strategies=STRATEGIES)


def arguments(_: argparse.ArgumentParser) -> None:
    """Take no options of its own."""


def measure(options: argparse.Namespace) -> Report:
    """Say what a replay comes to."""
    found = figures(None if options.full else BARS)
    took, trios = found["took"], len(found["trios"])
    report = Report("replay", "Replay", (__doc__ or "").partition("\n\n")[2].strip())
    columns = ["bars", "trios", "seconds", "bars a second", "trios a second", "hash"]
    row = [
        took["bars"],
        trios,
        took["seconds"],
        took["bars_per_second"],
        took["trios_per_second"],
        found["hash"][:16],
    ]
    report.sheets.append(Sheet("Breakout on two symbols", columns, [row]))
    for_200 = took["seconds"] * 200 / trios if trios else None
    report.targets.append(Target("seconds for 200 trios, with their bars", for_200, 300, "s"))
    report.panels.append(
        Panel(
            "A second", "", ["bars", "trios"], {"replay": [took["bars_per_second"], took["trios_per_second"]]}
        )
    )
    return report


if __name__ == "__main__":
    sys.exit(present("replay", __doc__ or "", measure, arguments))

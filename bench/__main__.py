"""``python -m bench [NAME …]``: run benchmarks, one after the other, and write the page of all that were ever run here."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from bench.reporting.page import as_page
from bench.reporting.report import Report

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "reference" / "benchmarks.md"
# In the order of the page.
ALL: Final = (
    "bulk",
    "alone",
    "trio",
    "scale",
    "queueing",
    "signals",
    "million",
    "preview",
    "replay",
    "client",
    "budget",
    "watching",
    "simulator",
    "hotspots",
)


def main() -> int:
    """Return 1 when a benchmark did not run to its end; a missed target is shown, and no failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(ALL)}; without: all")
    parser.add_argument("--full", action="store_true", help="at full size: it takes an hour")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ALL):
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}.")
    folder: Path = options.page.with_suffix("")
    broken = []
    for name in options.names or ALL:
        words = ["--out", str(folder), *(["--full"] if options.full else [])]
        done = subprocess.run([sys.executable, "-m", f"bench.{name}", *words], cwd=ROOT, check=False)
        if done.returncode:
            broken.append(name)
        sys.stdout.write("\n")
        sys.stdout.flush()
    found = [folder / f"{name}.json" for name in ALL]
    reports = [Report.from_dict(json.loads(path.read_text())) for path in found if path.exists()]
    if reports:
        options.page.write_text(as_page(reports, broken))
        sys.stdout.write(f"Written: {options.page}\n")
    for name in broken:
        sys.stderr.write(
            f"{name} did not run to its end: the page shows what it found before, if anything.\n"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

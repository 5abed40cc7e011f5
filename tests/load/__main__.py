"""``python -m tests.load SCENARIO``: one run under load; prints what it came to, and 1 when a line does not hold."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.crash.stage import ROOT
from tests.load import ban, bulk, dead_keys, shared_address, stopped_servers
from tests.load.table import Table

SCENARIOS = {
    "shared-address": shared_address,
    "ban": ban,
    "bulk": bulk,
    "dead-keys": dead_keys,
    "stopped-servers": stopped_servers,
}


# What `all` runs: one after the other, each line of what is promised under load.
ALL = (
    # A window that our own entries can fill on a small machine.
    "shared-address --orders-10s 60",
    "shared-address --orders-10s 60 --weight 6000",
    *(f"shared-address --orders-10s 60 --seconds 180 --valkey {how}" for how in ("kill", "flush", "pause")),
    *(f"ban --meets {meets}" for meets in ban.MEETS),
    "bulk",
    "bulk --one-core",
    "bulk --dead 100",
    "dead-keys",
    "stopped-servers",
)


def main() -> int:
    """Run one scenario, or all; 0 when every line holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    scenarios = parser.add_subparsers(dest="scenario", required=True)
    scenarios.add_parser("all", help="everything that is promised, one run after the other; some 45 minutes")
    for name, module in SCENARIOS.items():
        words = (module.__doc__ or "").strip()
        one = scenarios.add_parser(
            name, help=words, description=words, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        one.add_argument("--keep", type=Path, help="keep logs and the exchange's requests in this folder")
        module.arguments(one)
    options = parser.parse_args()
    if options.scenario == "all":
        return max(_another(words.split()) for words in ALL)
    with tempfile.TemporaryDirectory(prefix="load-") as made:
        try:
            table = SCENARIOS[options.scenario].run(options, options.keep or Path(made))
        except TimeoutError as error:
            table = Table(options.scenario)
            table.holds("ran to its end", error, condition=False)
    table.print()
    return 0 if table.good else 1


def _another(words: list[str]) -> int:
    """Run one of several in a process of its own: database, exchange and workers are fresh each time."""
    return subprocess.run([sys.executable, "-m", "tests.load", *words], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

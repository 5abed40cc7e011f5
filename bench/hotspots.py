"""Where the workers' time goes in a bulk: ``python -m bench.hotspots [--trios 84] [--rounds 3]``.

py-spy looks at one runworker and one rqworker forty times a second while bulks are placed at 0 ms, without stopping them; threads that
wait are not counted, those that wait for PostgreSQL's answer mostly are. *Through* is a function of ours with all it calls, *itself* is
whatever was running. The sampling takes processor time too: speeds are measured elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet
from bench.stand.bulks import WATCHED_SECONDS, drafts, house_and_desk, place
from bench.stand.samples import Samples

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from tests.load.house import House

ACCOUNTS: Final = 6
WARM_UP: Final = 12
RATE: Final = 40
SHOWN: Final = 15


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=84, help="in a bulk")
    parser.add_argument("--rounds", type=int, default=3)


def measure(options: argparse.Namespace) -> Report:
    each = -(-options.trios // ACCOUNTS)
    with house_and_desk(ACCOUNTS, orders_10s=1200) as (house, desk):
        house.start_workers(2, 2)
        desk.watched(seconds=WATCHED_SECONDS)
        place(house, desk, drafts(desk, desk.accounts, WARM_UP, 0))
        with sampled(house) as found:
            for number in range(options.rounds):
                place(house, desk, drafts(desk, desk.accounts, options.trios, 2 + number * each))
    return report_of(found)


@contextmanager
def sampled(house: House) -> Iterator[dict[str, Samples]]:
    """Fill in where one worker of each kind spent its time meanwhile. Raises RuntimeError without py-spy."""
    beside = Path(sys.executable).with_name("py-spy")
    spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if spy is None:
        raise RuntimeError("py-spy is not installed: run `make setup`.")
    found: dict[str, Samples] = {}
    with TemporaryDirectory(prefix="samples-") as folder:
        watching = {}
        for name in ("runworker-0", "rqworker-0"):
            words = [spy, "record", "--pid", str(house.workers[name].pid), "--format", "raw", "--rate", str(RATE),
                     "--nonblocking", "--output", f"{folder}/{name}"]  # fmt: skip
            watching[name] = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield found
        for name, process in watching.items():
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
            path = Path(folder) / name
            found[name.rsplit("-", 1)[0]] = Samples.of(path.read_text().splitlines() if path.exists() else [])


def report_of(found: Mapping[str, Samples]) -> Report:
    """Say where the time went."""
    report = Report("hotspots", "Where the workers' time goes", (__doc__ or "").partition("\n\n")[2].strip())
    for name, samples in found.items():
        if not samples.total:
            report.notes.append(f"{name} could not be looked at (py-spy needs the right to trace it).")
            continue
        report.sheets += [
            Sheet(f"{name}, through", ["function", "of its time"], _shares(samples.through, samples.total)),
            Sheet(f"{name}, itself", ["function", "of its time"], _shares(samples.itself, samples.total)),
        ]
        rooms = samples.room.most_common(8)
        report.panels.append(
            Panel(
                f"{name}, by room", "of its time", [room.replace("/", "/\n") for room, _ in rooms],
                {name: [count / samples.total for _, count in rooms]},
            )
        )  # fmt: skip
    return report


def _shares(counted: Counter[str], total: int) -> list[list[Cell]]:
    return [[name, f"{count / total:.0%}"] for name, count in counted.most_common(SHOWN)]


if __name__ == "__main__":
    sys.exit(present("hotspots", __doc__ or "", measure, arguments))

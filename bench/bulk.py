"""Many market trios at once, beside plain loops over three libraries: ``python -m bench.bulk [--trios 84]``.

With PostgreSQL (fsync), journal, two runworkers and two rqworkers, all on one machine with the exchange. A bulk is queued as one
set, as a click on a selection does, and measured from the click to the last order's arrival; a plain loop from its first call, one
process, one trio after the other, unpaced, with no database, no worker and nothing else of ours running. Figures are medians of
rounds, least and most behind; fill → stop is over all rounds together. Processor time is of everything of ours, PostgreSQL and
Valkey included, the exchange not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from bench.reporting.figures import median, percentile, ratio, short, spread
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand import processes
from bench.stand.bulks import LOOPS, WATCHED_SECONDS, Bulk, drafts, house_and_desk, latency, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.load.desk import Desk
    from tests.load.house import House

LATENCIES: Final = (0, 50)
ACCOUNTS: Final = {0: 6, 50: 5}
WARM_UP: Final = 12
OURS: Final = "trio back office"
OFFICIAL: Final = "official library"
NAKED_MS: Final = 500  # the bound under load on two cores
Rounds = dict[str, list[Bulk]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=84, help="in a bulk at 0 ms")
    parser.add_argument("--late-trios", type=int, default=100, help="in a bulk at 50 ms")
    parser.add_argument(
        "--loop-trios", type=int, default=25, help="of a plain loop at 50 ms, which takes 150 ms for each"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runworkers", type=int, default=2)
    parser.add_argument("--rqworkers", type=int, default=2)


def measure(options: argparse.Namespace) -> Report:
    with house_and_desk(sum(ACCOUNTS.values())) as (house, desk):
        found = _of_us(options, house, desk)
        house.stop_workers()
        house.limits(enforce_rates=False)
        for ms, rounds in _of_loops(options, house, desk).items():
            found[ms] |= rounds
    return report_of(found)


def _of_us(options: argparse.Namespace, house: House, desk: Desk) -> dict[int, Rounds]:
    """Place our bulks: at each latency on accounts of its own, on other symbols in each round."""
    house.start_workers(options.runworkers, options.rqworkers)
    desk.watched(seconds=WATCHED_SECONDS)
    found: dict[int, Rounds] = {}
    first = 0
    for ms in LATENCIES:
        accounts = desk.accounts[first : first + ACCOUNTS[ms]]
        first += len(accounts)
        count = options.late_trios if ms else options.trios
        each = -(-count // len(accounts))
        latency(house, ms)
        place(house, desk, drafts(desk, accounts, WARM_UP, 0))
        start = -(-WARM_UP // len(accounts))
        found[ms] = {
            OURS: [
                place(house, desk, drafts(desk, accounts, count, start + number * each))
                for number in range(options.rounds)
            ]
        }
    return found


def _of_loops(options: argparse.Namespace, house: House, desk: Desk) -> dict[int, Rounds]:
    """Have each library place as many, in turns; at 50 ms fewer, and once: its pace is the network's."""
    found: dict[int, Rounds] = {ms: defaultdict(list) for ms in LATENCIES}
    for ms in LATENCIES:
        latency(house, ms)
        for _ in range(1 if ms else options.rounds):
            for loop in LOOPS:
                if not loop.installed:
                    continue
                try:
                    bulk = loop.place(house, desk, ACCOUNTS[ms], options.loop_trios if ms else options.trios)
                except subprocess.CalledProcessError as error:
                    sys.stderr.write(f"{loop.name} ended with {error.returncode}\n")
                    continue
                found[ms][loop.name].append(bulk)
    return found


# --- what it comes to -------------------------------------------------------------------------------------------


def report_of(found: Mapping[int, Rounds]) -> Report:
    """Say what these rounds come to."""
    report = Report("bulk", "Many at once", (__doc__ or "").partition("\n\n")[2].strip())
    for ms, rounds in found.items():
        report.sheets.append(_sheet(ms, rounds))
    report.sheets.append(_by_part(found))
    report.targets = _targets(found)
    names = [
        name for name in (OURS, *(loop.name for loop in LOOPS)) if any(r.get(name) for r in found.values())
    ]
    ticks = [f"{ms} ms" for ms in found]
    report.panels = [
        Panel(
            "trios a second", "trios/s", ticks,
            {name: [speed(rounds.get(name, [])) for rounds in found.values()] for name in names},
        ),
        Panel(
            "fill → stop, ON_FIRST_FILL", "ms", [f"{ms} ms, {what}" for ms in found for what in ("p50", "p99")],
            {
                name: [_gap(rounds.get(name, []), percent) for rounds in found.values() for percent in (50, 99)]
                for name in names
            },
        ),
    ]  # fmt: skip
    missing = [loop.name for loop in LOOPS if not any(rounds.get(loop.name) for rounds in found.values())]
    if missing:
        report.notes.append(f"Not measured: {', '.join(missing)} (`make contract-env` installs them).")
    return report


def speed(bulks: Sequence[Bulk]) -> float | None:
    """Return the median of trios a second; none when a round did not come to its end."""
    speeds = [bulk.per_second for bulk in bulks]
    known = [each for each in speeds if each is not None]
    return median(known) if known and len(known) == len(speeds) else None


def _gap(bulks: Sequence[Bulk], percent: float) -> float | None:
    gaps = [gap for bulk in bulks for gap in bulk.arrived.gaps]
    return percentile(gaps, percent) if gaps else None


def _sheet(ms: int, found: Rounds) -> Sheet:
    official = speed(found.get(OFFICIAL, []))
    rows: list[list[Cell]] = []
    for bulks in found.values():
        if not bulks:
            continue
        pace = speed(bulks)
        last = [bulk.covered_ms for bulk in bulks if bulk.covered_ms is not None]
        rows.append(
            [
                bulks[0].who,
                f"{len(bulks)} × {bulks[0].wanted}",
                spread([bulk.per_second or 0.0 for bulk in bulks]),
                f"{short(ratio(pace, official))} ×" if pace and official else "–",
                _gap(bulks, 50),
                _gap(bulks, 99),
                spread(last),
                median([processes.ours(bulk.cost) for bulk in bulks]),
            ]
        )
    columns = ["", "trios", "trios/s", "to the official library", "fill → stop p50, ms", "p99, ms", "all covered after, ms",
               "CPU ms a trio"]  # fmt: skip
    return Sheet(f"At {ms} ms", columns, rows)


def _by_part(found: Mapping[int, Rounds]) -> Sheet:
    rows: list[list[Cell]] = []
    for ms, rounds in found.items():
        bulks = rounds[OURS]
        parts = [
            median([bulk.cost.get(part, 0.0) for bulk in bulks]) for part in processes.PARTS if part != "web"
        ]
        orders = median([bulk.arrived.orders / bulk.wanted for bulk in bulks])
        requests = median([bulk.arrived.requests / bulk.wanted for bulk in bulks])
        rows.append([f"{ms} ms", *parts, orders, requests])
    columns = [
        "latency",
        *(part for part in processes.PARTS if part != "web"),
        "order requests",
        "all requests",
    ]
    return Sheet("CPU ms a trio, by process, and requests a trio", columns, rows)


def _targets(found: Mapping[int, Rounds]) -> list[Target]:
    at_once, late = found[0][OURS], found[50][OURS]
    pace, official = speed(at_once), speed(found[0].get(OFFICIAL, []))
    gaps = [gap for rounds in found.values() for bulk in rounds[OURS] for gap in bulk.arrived.gaps]
    covered = [bulk.covered_ms for bulk in late]
    whole = None if None in covered else max(each for each in covered if each is not None)
    ours = [bulk for rounds in found.values() for bulk in rounds[OURS]]
    return [
        Target(
            "trios of all our bulks that were opened with stop and target, to those placed",
            sum(bulk.arrived.whole for bulk in ours) / sum(bulk.wanted for bulk in ours),
            1.0,
            "×",
            at_least=True,
        ),
        Target(
            "bulk at 0 ms, trios/s to the official library's",
            ratio(pace, official) if pace and official else None,
            1.0,
            "×",
            at_least=True,
            failure=0.5,
        ),
        Target(
            "CPU of all our processes and PostgreSQL, bulk at 0 ms",
            median([processes.ours(bulk.cost) for bulk in at_once]),
            12,
            "ms a trio",
        ),
        Target(f"bulk at 50 ms, {late[0].wanted} trios over {ACCOUNTS[50]} accounts all covered, slowest round", whole, 3000, "ms"),
        Target("longest fill → stop in any bulk", max(gaps) if gaps else None, NAKED_MS, "ms"),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(present("bulk", __doc__ or "", measure, arguments))

"""What one good market trio costs, by process: ``python -m bench.trio [--alone 20] [--bulk 84] [--texts]``.

From the click until entry, stop and target stand and all the exchange reported has been taken in. Statements are
messages to PostgreSQL, counted from its own log (BEGIN and COMMIT apart; a commit is one that wrote, for which PostgreSQL waits for its
disk). They and the processor time are measured in two passes, for a log of statements costs time itself. What watching and heartbeats
cost anyway is measured while nothing happens and taken off, from requests too. Two runworkers, two rqworkers; *queueing* is what a click calls,
without the page around it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand import processes
from bench.stand.bulks import PATIENCE_SECONDS, WATCHED_SECONDS, drafts, house_and_desk, slots_of
from bench.stand.exchange_log import CONDITIONAL, ENTRIES, Arrived, Followed
from bench.stand.statement_log import Counts, StatementLog

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orders.models import TrioOrder
    from tests.load.desk import Desk
    from tests.load.house import House

ACCOUNTS: Final = 6
WARM_UP: Final = 12
QUIET_SECONDS: Final = 1.0  # until what the exchange reports has been taken in
IDLE_SECONDS: Final = 6.0
ALONE, IN_BULK = "alone", "in a bulk"
PARTS: Final = tuple(part for part in processes.PARTS if part != "web")
ASKING: Final = ("queueing", "rqworker", "runworker")  # who asks PostgreSQL


@dataclass(slots=True)
class Cost:
    """What each trio cost, by part."""

    statements: dict[str, float] = field(default_factory=dict)
    transactions: dict[str, float] = field(default_factory=dict)
    commits: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    orders: float = 0
    others: dict[str, float] = field(default_factory=dict)  # other requests, by path
    texts: Counter[str] = field(default_factory=Counter)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--alone", type=int, default=20, help="trios placed one after the other, in each pass"
    )
    parser.add_argument("--bulk", type=int, default=84, help="trios placed as one set, in each pass")
    parser.add_argument("--texts", action="store_true", help="name the statements too, most frequent first")


def measure(options: argparse.Namespace) -> Report:
    with house_and_desk(ACCOUNTS, settings={"PGAPPNAME": "queueing"}) as (house, desk):
        house.start_workers(2, 2)
        desk.watched(seconds=WATCHED_SECONDS)
        symbols = _Symbols(desk)
        _placed(house, desk, symbols.next(WARM_UP))
        for trio in symbols.next(2):
            _placed(house, desk, [trio])
        sizes = {ALONE: options.alone, IN_BULK: options.bulk}
        found = {
            name: _cost(house, desk, symbols, count, at_once=name == IN_BULK)
            for name, count in sizes.items()
            if count
        }
    return report_of(found, options)


class _Symbols:
    """Drafts where nothing is open yet."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._next = 0

    def next(self, count: int) -> list[TrioOrder]:
        made = drafts(self._desk, self._desk.accounts, count, self._next)
        self._next += -(-count // ACCOUNTS)
        return made


def _placed(house: House, desk: Desk, trios: Sequence[TrioOrder]) -> None:
    """Place them as a click does, one as one and several as a set. Raises TimeoutError."""
    from orders import services

    followed = Followed(house.log_path)
    if len(trios) == 1:
        services.trio_queue(trio_id=trios[0].pk, by="bench")
    else:
        desk.queue_all(trios)
    if not followed.wait(slots_of(trios), seconds=PATIENCE_SECONDS + len(trios)):
        raise TimeoutError(f"Not all of {len(trios)} trios are open with stop and target.")


def _cost(house: House, desk: Desk, symbols: _Symbols, count: int, *, at_once: bool) -> Cost:
    """Measure twice: processor time and requests, then statements."""
    from pathlib import Path

    from local_servers import manager
    from tests.load.house import now_ms

    cost, log = Cost(), StatementLog(Path(manager.run_dir()))

    def place(trios: Sequence[TrioOrder]) -> None:
        for some in [trios] if at_once else [[trio] for trio in trios]:
            _placed(house, desk, some)

    trios = symbols.next(count)
    before, since, idle_began = house.processor_seconds(), time.monotonic(), now_ms()
    time.sleep(IDLE_SECONDS)
    idle, idle_seconds = processes.each(before, house.processor_seconds(), 1), time.monotonic() - since
    before, since, began = house.processor_seconds(), time.monotonic(), now_ms()
    place(trios)
    time.sleep(QUIET_SECONDS)
    seconds = time.monotonic() - since
    used = processes.each(before, house.processor_seconds(), 1)
    cost.cpu = {part: max(0.0, used[part] - idle[part] * seconds / idle_seconds) / count for part in used}
    rows = house.rows(idle_began)
    cost.orders = Arrived.of(row for row in rows if row["ms"] >= began).orders / count
    idle_paths = Counter(other_path(row) for row in rows if row["ms"] < began)
    paths = Counter(other_path(row) for row in rows if row["ms"] >= began)
    share = seconds / idle_seconds
    cost.others = {
        path: max(0.0, number - idle_paths[path] * share) / count
        for path, number in paths.most_common()
        if path
    }

    trios = symbols.next(count)
    with log.counting() as standing:
        since = time.monotonic()
        time.sleep(IDLE_SECONDS)
        idle_seconds = time.monotonic() - since
    with log.counting() as counted:
        since = time.monotonic()
        place(trios)
        time.sleep(QUIET_SECONDS)
        seconds = time.monotonic() - since
    share = seconds / idle_seconds
    for name in ("statements", "transactions", "commits"):
        setattr(cost, name, less_idle(_by_part(counted, name), _by_part(standing, name), share, count))
    for who, counts in counted.items():
        if part_of(who) in ASKING:
            cost.texts.update({f"{part_of(who)}: {text}": number for text, number in counts.texts.items()})
    return cost


def other_path(row: Mapping[str, Any]) -> str:
    """Return what was asked, by method and path; nothing for an order that is placed."""
    placing = row["method"] == "POST" and row["path"] in (ENTRIES, CONDITIONAL)
    return "" if placing else f"{row['method']} {row['path']}"


def part_of(who: str) -> str:
    """Return what a process is for, from the name PostgreSQL knows it by."""
    return who.rsplit("-", 1)[0]


def _by_part(counted: Mapping[str, Counts], name: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for who, counts in counted.items():
        found[part_of(who)] += getattr(counts, name)
    return dict(found)


def less_idle(
    counted: Mapping[str, int], standing: Mapping[str, int], share: float, trios: int
) -> dict[str, float]:
    """Return counts a trio, without what happens anyway in that time."""
    return {part: max(0.0, counted.get(part, 0) - standing.get(part, 0) * share) / trios for part in ASKING}


# --- what it comes to -------------------------------------------------------------------------------------------


def report_of(found: Mapping[str, Cost], options: argparse.Namespace) -> Report:
    """Say what a trio costs."""
    report = Report("trio", "One good market trio, by process", (__doc__ or "").partition("\n\n")[2].strip())
    for name, cost in found.items():
        rows: list[list[Cell]] = [
            [
                part,
                *(kind.get(part, 0.0) if part in ASKING else None for kind in (cost.statements, cost.transactions, cost.commits)),
                cost.cpu.get(part, 0.0),
            ]
            for part in PARTS
        ]  # fmt: skip
        rows.append(
            [
                "all of ours",
                sum(cost.statements.values()),
                sum(cost.transactions.values()),
                sum(cost.commits.values()),
                processes.ours(cost.cpu),
            ]
        )
        count = options.alone if name == ALONE else options.bulk
        columns = ["process", "statements", "transactions", "commits that write", "CPU ms"]
        report.sheets.append(Sheet(f"{name.capitalize()}, each of {count}", columns, rows))
    paths = list(dict.fromkeys(path for cost in found.values() for path in cost.others))
    requests: list[list[Cell]] = [["orders placed", *(cost.orders for cost in found.values())]]
    requests += [[path, *(cost.others.get(path, 0.0) for cost in found.values())] for path in paths]
    report.sheets.append(Sheet("Requests a trio", ["", *found], requests))
    if options.texts:
        report.sheets += [
            Sheet(
                f"Statements {name}",
                ["a trio", "statement"],
                [
                    [number / (options.alone if name == ALONE else options.bulk), text]
                    for text, number in cost.texts.most_common(40)
                ],
            )
            for name, cost in found.items()
        ]
    for name, cost in found.items():
        report.targets += [
            Target(f"statements of a trio {name}", sum(cost.statements.values()), 25, ""),
            Target(f"commits of a trio {name}", sum(cost.commits.values()), 6, ""),
            Target(f"order requests of a trio {name}", cost.orders, 3, ""),
        ]
        if name == IN_BULK:
            report.targets.append(
                Target(f"other requests of a trio {name}", sum(cost.others.values()), 0.2, "")
            )
    report.panels = [
        Panel("statements a trio", "", list(ASKING), {n: [c.statements.get(p) for p in ASKING] for n, c in found.items()}),
        Panel("CPU a trio", "ms", list(PARTS), {n: [c.cpu.get(p) for p in PARTS] for n, c in found.items()}),
    ]  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("trio", __doc__ or "", measure, arguments))

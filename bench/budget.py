"""The request budget under eight processes: ``python -m bench.budget [--seconds 2]``.

Every request of every process asks one budget in Valkey before it leaves. First 1, 2, 4 and 8 processes ask as fast as they can with
room for everything: how long one waits, and how many pass in a second. Then eight want far more than the exchange's 2400 weight a
minute: what is granted to all of them together must not exceed the share that stops and exits may use (97 %). In turn and with
nothing else running; more processes than cores wait for a core as well.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.figures import percentile
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.servers import own_servers

if TYPE_CHECKING:
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Barrier

PROCESSES: Final = (1, 2, 4, 8)
WEIGHT_1M: Final = 2400
PLENTY: Final = 10**9
KEPT: Final = 20_000  # waits that a process reports


@dataclass(frozen=True, slots=True)
class Asked:
    """What one process was told."""

    granted: int
    held: int
    seconds: float
    cpu_ms: float  # a request
    waits_ms: list[float]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each number of processes asks")


def ask(egress: str, weight_1m: int, seconds: float, together: Barrier, told: Queue[Asked]) -> None:
    """Ask the budget of this address again and again, as one process of several."""
    import django

    django.setup()
    from accounts.rate_budget import AccountGate, Budget
    from exchange.errors import ExchangeUnavailable
    from exchange.rate_limits import Cost, Limits, Priority, Usage

    budget = Budget("PAPER", egress, process=str(os.getpid()))
    budget.limits = Limits(weight_1m=weight_1m, orders_10s=PLENTY, orders_1m=PLENTY)
    gate = AccountGate(budget, f"bench-{os.getpid()}")
    cost, nothing = Cost(weight=1), Usage()
    gate.enter(Cost(), Priority.PROTECT)  # connected
    together.wait()
    granted = held = 0
    waits: list[float] = []
    began, processor = time.perf_counter(), time.process_time()
    while (before := time.perf_counter()) - began < seconds:
        try:
            gate.enter(cost, Priority.PROTECT)
        except ExchangeUnavailable:
            held += 1
            continue
        waits.append((time.perf_counter() - before) * 1000)
        gate.leave(nothing)
        granted += 1
    spent, used = time.perf_counter() - began, time.process_time() - processor
    told.put(Asked(granted, held, spent, used * 1000 / max(1, granted + held), waits[:KEPT]))


def asked_by(processes: int, egress: str, weight_1m: int, seconds: float) -> list[Asked]:
    """Let so many processes ask at once."""
    context: Any = multiprocessing.get_context("spawn")
    together, told = context.Barrier(processes), context.Queue()
    made = [
        context.Process(target=ask, args=(egress, weight_1m, seconds, together, told))
        for _ in range(processes)
    ]
    for each in made:
        each.start()
    found: list[Asked] = [told.get(timeout=120) for _ in made]
    for each in made:
        each.join()
    return found


def measure(options: argparse.Namespace) -> Report:
    with own_servers():
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        free = {count: asked_by(count, f"room-{count}", PLENTY, options.seconds) for count in PROCESSES}
        pressed = asked_by(PROCESSES[-1], "pressed", WEIGHT_1M, options.seconds)
    return report_of(free, pressed)


def report_of(free: dict[int, list[Asked]], pressed: list[Asked]) -> Report:
    """Say what was told."""
    report = Report(
        "budget", "The request budget, under eight processes", (__doc__ or "").partition("\n\n")[2].strip()
    )
    rows: list[list[Cell]] = []
    for count, found in free.items():
        waits = [wait for each in found for wait in each.waits_ms]
        rows.append(
            [
                count,
                sum(each.granted / each.seconds for each in found),
                percentile(waits, 50),
                percentile(waits, 99),
                sum(each.cpu_ms for each in found) / count,
            ]
        )
    columns = ["processes", "requests a second", "wait p50, ms", "wait p99, ms", "CPU ms a request"]
    report.sheets.append(Sheet("With room for everything", columns, rows))
    granted, allowed = sum(each.granted for each in pressed), WEIGHT_1M * 97 // 100
    report.sheets.append(
        Sheet(
            f"Eight processes at a limit of {WEIGHT_1M} a minute",
            ["asked for", "granted", "allowed to them"],
            [[granted + sum(each.held for each in pressed), granted, allowed]],
        )
    )
    report.targets.append(
        Target("weight granted to eight processes, to what is allowed", granted / allowed, 1.0, "×")
    )
    ticks = [str(count) for count in free]
    report.panels += [
        Panel("requests a second", "requests/s", ticks, {"all processes": [_number(row[1]) for row in rows]}, lines=True),
        Panel("wait for a yes", "ms", ticks, {"p50": [_number(row[2]) for row in rows],
                                               "p99": [_number(row[3]) for row in rows]}, lines=True),
    ]  # fmt: skip
    return report


def _number(cell: Cell) -> float:
    return float(cell or 0)


if __name__ == "__main__":
    sys.exit(present("budget", __doc__ or "", measure, arguments))

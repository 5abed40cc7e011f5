"""Where it bends: ``python -m bench.scale [--full]``.

The same bulk is placed with more and more accounts watched, with 1, 2 and 4 rqworkers and runworkers (ten accounts), and with more
and more trios open; before each bulk it is measured what everything uses while nothing happens. Everything, the exchange too, shares this
machine's cores: more workers than cores gain nothing here. ``--full``: 100 accounts and 97 open trios on each, all placed as a
bulk is, which takes half an hour.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.reporting.figures import percentile, ratio
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet
from bench.stand import processes
from bench.stand.bulks import WATCHED_SECONDS, Bulk, drafts, house_and_desk, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.models import ExchangeAccount
    from tests.load.desk import Desk
    from tests.load.house import House

WORKERS: Final = (1, 2, 4)
ACCOUNTS: Final = (1, 10, 30)
ACCOUNTS_FULL: Final = (1, 10, 30, 100)
TRIOS: Final = (100, 300)
TRIOS_FULL: Final = (100, 1000, 3000, 9700)
QUIET_SECONDS: Final = 1.0  # after what was done last
IDLE_SECONDS: Final = 4.0
AT_ONCE: Final = 100  # while the desk is filled, not measured


@dataclass(frozen=True, slots=True)
class Step:
    """One size, and what was found there."""

    size: int
    accounts: int
    open_trios: int
    idle_cores: float
    bulk: Bulk


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=40, help="in the bulk that is measured")
    parser.add_argument("--accounts", type=int, nargs="+", help="how many accounts are watched")
    parser.add_argument("--open", type=int, nargs="+", help="how many trios are open")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS), help="of each kind")


def measure(options: argparse.Namespace) -> Report:
    accounts = options.accounts or list(ACCOUNTS_FULL if options.full else ACCOUNTS)
    trios = options.open or list(TRIOS_FULL if options.full else TRIOS)
    found: dict[str, list[Step]] = {"workers of each kind": [], "accounts": [], "open trios": []}
    # What an account may order in a minute is the exchange's limit, and not what is asked here.
    with house_and_desk(max(accounts), orders_10s=3000) as (house, desk):
        house.limits(orders_per_minute=12_000, conditional_max=10_000)
        scale = _Scale(house, desk, options.trios)
        scale.grow_to(accounts[0])
        scale.work(2)
        for number, count in enumerate(accounts):
            scale.grow_to(count)
            found["accounts"].append(scale.step(count))
            if number == min(1, len(accounts) - 1):  # here, where one account's limit is not what limits
                for workers in options.workers:
                    scale.work(workers)
                    found["workers of each kind"].append(scale.step(workers))
                scale.work(2)
        for count in trios:
            scale.fill_to(count)
            found["open trios"].append(scale.step(scale.opened))
    return report_of(found, options.trios)


class _Scale:
    """A desk that grows."""

    def __init__(self, house: House, desk: Desk, trios: int) -> None:
        self._house, self._desk, self._trios = house, desk, trios
        self._used: dict[str, int] = {}  # symbols by account
        self.opened = 0
        self.accounts: list[ExchangeAccount] = []

    def work(self, workers: int) -> None:
        """Start anew with so many workers of each kind; a first bulk warms them up."""
        self._house.stop_workers()
        self._house.start_workers(workers, workers)
        self._desk.watched(self.accounts, seconds=WATCHED_SECONDS)
        self._bulk(8)

    def grow_to(self, accounts: int) -> None:
        """Have so many accounts watched; the others are opened already, and switched off."""
        from accounts.models import ExchangeAccount

        self.accounts = self._desk.accounts[:accounts]
        on = [account.pk for account in self.accounts]
        ExchangeAccount.objects.exclude(pk__in=on).update(is_active=False)
        ExchangeAccount.objects.filter(pk__in=on).update(is_active=True)
        if self._house.workers:
            self._desk.watched(self.accounts, seconds=WATCHED_SECONDS)

    def fill_to(self, trios: int) -> None:
        while self.opened < trios:
            self._bulk(min(AT_ONCE, trios - self.opened))

    def step(self, size: int) -> Step:
        time.sleep(QUIET_SECONDS)
        before, since = self._house.processor_seconds(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        cost = processes.each(before, self._house.processor_seconds(), 1)
        idle = processes.ours(cost) / 1000 / (time.monotonic() - since)
        standing = self.opened
        step = Step(size, len(self.accounts), standing, idle, self._bulk(self._trios))
        sys.stderr.write(
            f"        {step.accounts} accounts, {standing} open: {step.bulk.per_second} trios/s\n"
        )
        return step

    def _bulk(self, count: int) -> Bulk:
        """Place so many, spread over all accounts, each on symbols where it has none."""
        accounts = sorted(self.accounts, key=lambda account: self._used.get(account.name, 0))
        made = []
        for number in range(count):
            account = accounts[number % len(accounts)]
            used = self._used.get(account.name, 0)
            self._used[account.name] = used + 1
            made += drafts(self._desk, [account], 1, used)
        self.opened += count
        return place(self._house, self._desk, made)


# --- what it comes to -------------------------------------------------------------------------------------------


def report_of(found: dict[str, list[Step]], trios: int) -> Report:
    """Say where it bends."""
    report = Report("scale", "At scale", (__doc__ or "").partition("\n\n")[2].strip())
    for what, steps in found.items():
        if not steps:
            continue
        first = steps[0].bulk.per_second
        rows: list[list[Cell]] = [
            [
                step.size,
                step.accounts,
                step.open_trios,
                step.idle_cores,
                pace,
                ratio(pace, first) if pace and first else None,
                *(percentile(step.bulk.arrived.gaps, percent) if step.bulk.arrived.gaps else None for percent in (50, 99)),
                processes.ours(step.bulk.cost),
            ]
            for step in steps
            for pace in (step.bulk.per_second,)
        ]  # fmt: skip
        columns = [what, "accounts", "open before", "cores used while nothing happens", "trios/s", "to the first row, ×",
                   "fill → stop p50, ms", "p99, ms", "CPU ms a trio"]  # fmt: skip
        report.sheets.append(Sheet(f"By {what}, a bulk of {trios}", columns, rows))
        ticks = [str(step.size) for step in steps]
        report.panels.append(
            Panel(f"by {what}", "trios/s", ticks, {"trios/s": _each(steps, lambda step: step.bulk.per_second)}, lines=True)
        )  # fmt: skip
        report.panels.append(
            Panel(f"while nothing happens, by {what}", "cores used by ours", ticks,
                  {"ours": _each(steps, lambda step: step.idle_cores)}, lines=True)
        )  # fmt: skip
    return report


def _each(steps: Sequence[Step], what: Callable[[Step], float | None]) -> list[float | None]:
    return [what(step) for step in steps]


if __name__ == "__main__":
    sys.exit(present("scale", __doc__ or "", measure, arguments))

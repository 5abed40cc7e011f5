"""Many market trios at once: how long is a position without its stop, and does it stay so on a slow machine?"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from pathlib import Path

from tests.load.house import House, housed, now_ms, say, until
from tests.load.table import Table, spread

FAST_MS = 500  # on two cores with nothing beside
ENDED = ("OPEN", "CLOSED", "EXPIRED", "ROLLED_BACK", "CANCELLED")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=500)
    parser.add_argument("--accounts", type=int, default=8)
    parser.add_argument("--runworkers", type=int, default=2)
    parser.add_argument("--rqworkers", type=int, default=2)
    parser.add_argument("--one-core", action="store_true", help="everything, the exchange too, on one core")
    parser.add_argument("--dead", type=int, default=0, help="so many accounts with dead keys beside")
    parser.add_argument("--weight", type=int, default=6000)


def run(options: argparse.Namespace, folder: Path) -> Table:
    if options.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # what is started from here inherits it
    with housed(folder) as house:
        return _run(options, house)


def _run(options: argparse.Namespace, house: House) -> Table:
    from django.conf import settings

    from orders.models import TrioOrder
    from tests.load.dead_keys import kill_keys
    from tests.load.desk import Desk

    desk = Desk(house, options.accounts + options.dead, weight=options.weight)
    living, dead = desk.accounts[: options.accounts], desk.accounts[options.accounts :]
    kill_keys(house, dead)
    house.start_workers(options.runworkers, options.rqworkers)
    desk.watched(living)
    trios = [
        desk.draft(living[number % len(living)], desk.symbols[number // len(living)])
        for number in range(options.trios)
    ]
    before = house.processor_seconds()
    began, processor = now_ms(), time.process_time()
    desk.queue_all(trios)
    queued, processor = now_ms(), time.process_time() - processor
    say(f"{len(trios)} queued within {queued - began} ms")
    mine = TrioOrder.objects.filter(pk__in=[trio.pk for trio in trios])
    until(
        lambda: mine.filter(state__in=ENDED).count() == len(trios),
        seconds=120 + options.trios,
        what="each trio open or ended",
        pause=0.5,
    )
    done = now_ms()
    used = {name: seconds - before[name] for name, seconds in house.processor_seconds().items()}
    until(
        lambda: not house.verdict()["uncovered"] or _all_over(house), seconds=30, what="each position covered"
    )

    verdict, rows = house.verdict(), house.rows(began)
    gaps = [gap["ms"] for gap in verdict["uncovered"] + verdict["uncovered_refused_by_us"]]
    entries = [row["ms"] for row in rows if row["path"] == "/fapi/v1/order" and row["effect"] == "executed"]
    ends = Counter(mine.values_list("state", flat=True))
    bound = settings.NAKED_LIMIT_MS
    plain = not options.one_core and not options.dead
    where = "one core" if options.one_core else f"{len(os.sched_getaffinity(0))} cores"
    table = Table(
        f"bulk: {options.trios} market trios on {options.accounts} accounts, {where}, {options.dead} dead keys"
    )
    table.figure(
        "queued within", f"{queued - began} ms, processor time {processor * 1000 / len(trios):.1f} ms each"
    )
    table.figure("entries executed within", f"{(max(entries) - began) if entries else 0} ms")
    table.figure(
        "all open or ended after",
        f"{done - began} ms, {options.trios * 1000 / max(1, done - began):.1f} trios/s",
    )
    each = ", ".join(f"{name} {seconds * 1000 / len(trios):.1f}" for name, seconds in used.items())
    table.figure("processor time a trio, ms", each)
    table.figure("states", dict(ends))
    limit = FAST_MS if plain else bound
    table.holds(f"naked, under {limit} ms", spread(gaps), max(gaps, default=0) < limit)
    table.holds(
        "naked for longer than the bound", sum(gap > bound for gap in gaps), all(gap <= bound for gap in gaps)
    )
    met = mine.filter(state="OPEN").count()
    table.holds("placed before place_before", f"{met} of {options.trios}", met == options.trios or not plain)
    table.holds("expired", ends["EXPIRED"], ends["EXPIRED"] == 0 or not plain)
    broken = len(verdict["orphans"]) + len(verdict["reversed"]) + _twice(verdict)
    table.holds("orphans, reversals, entries sent twice", broken, broken == 0)
    refused = Counter(row["status"] for row in rows if row["status"] in (418, 429))
    table.holds("429 and 418", dict(refused) or 0, not refused)
    return table


def _all_over(house: House) -> bool:
    return all(gap["end"] for gap in house.verdict()["uncovered"])


def _twice(verdict: dict[str, list[dict[str, str]]]) -> int:
    return sum(int(row["orders"]) > 1 for row in verdict["entries"])

"""Accounts whose keys the exchange no longer takes: what do they cost?"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.load.house import House, housed, now_ms
from tests.load.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from accounts.models import ExchangeAccount

PER_ACCOUNT = 2.0  # requests a minute
CORE_SHARE = 0.05


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accounts", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=180, help="how long is measured")
    parser.add_argument("--settle", type=int, default=60, help="seconds before")
    parser.add_argument("--runworkers", type=int, default=2)
    parser.add_argument("--weight", type=int, default=6000)


def kill_keys(house: House, accounts: Sequence[ExchangeAccount]) -> None:
    """Have the exchange refuse whatever these accounts sign."""
    if accounts:
        names = [account.name for account in accounts]
        refusal = {"match": {"account": names}, "then": {"do": "refuse", "code": -2015}}
        house.venue.ask("POST", "/sim/faults", refusal)


def run(options: argparse.Namespace, folder: Path) -> Table:
    with housed(folder) as house:
        from tests.load.desk import Desk

        desk = Desk(house, options.accounts, weight=options.weight)
        kill_keys(house, desk.accounts)
        house.start_workers(options.runworkers, 1)
        time.sleep(options.settle)
        began, cpu = now_ms(), house.cpu_seconds()
        time.sleep(options.seconds)
        spent = {name: seconds - cpu[name] for name, seconds in house.cpu_seconds().items()}
        rows = house.rows(began)
    names = {account.name for account in desk.accounts}
    minutes = options.seconds / 60
    theirs = [row for row in rows if row["account"] in names]
    table = Table(
        f"dead-keys: {options.accounts} accounts with dead keys, after {options.settle} s, for {options.seconds} s"
    )
    table.figure("requests a minute, all", f"{len(rows) / minutes:.0f}")
    table.figure("by path", dict(Counter(row["path"] for row in rows).most_common(5)))
    each = len(theirs) / minutes / options.accounts
    table.holds(f"requests a minute and account, at most {PER_ACCOUNT}", f"{each:.2f}", each <= PER_ACCOUNT)
    share = sum(spent.values()) / options.seconds
    table.holds(f"cores used by all workers, at most {CORE_SHARE}", f"{share:.3f}", share <= CORE_SHARE)
    refused = Counter(row["status"] for row in rows if row["status"] in (418, 429))
    table.holds("429 and 418", dict(refused) or 0, not refused)
    return table

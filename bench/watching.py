"""What watching costs in request weight: ``python -m bench.watching``.

An account is watched as the schedule plans it, idle and with 1, 10 and 95 open trios: each kind of request is made
once on the simulator, which says what it charges, and counted as often as it is made in a minute. Then what 40
accounts on one address come to, half of them idle.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from exchange.binance.client import BinanceExchange
from exchange.rate_limits import Limits
from exchange.types import Endpoints, ExchangeMs
from orders.domain.sweep_schedule import CLOCK_MS, EARLY, LISTEN_KEY_MS, MINUTE_MS, SweepPlan, plan_sweeps
from simulator import Simulator
from simulator.transport import InProcessAdapter

KEY, SECRET = "benchkey0", "benchsecret0"
TRIOS: Final = (0, 1, 10, 95)
SWEEP_MS, RULES_MS = 15_000, 600_000  # SWEEP_SECONDS and SYMBOLS_SECONDS as shipped


class Watched:
    """An account on a simulator, and what it charges for what a watch asks."""

    def __init__(self) -> None:
        self.simulator = Simulator(enforce_rates=False)
        self.simulator.add_account("bench", KEY, SECRET, "1000000")
        self.exchange = BinanceExchange(
            Endpoints("http://simulator.invalid", "ws://simulator.invalid"),
            api_key=KEY,
            api_secret=SECRET,
            transport=InProcessAdapter(self.simulator),
        )
        self.symbols = [row["symbol"] for row in self.exchange.exchange_info()["symbols"]]

    def charged(self, ask: Callable[[ExchangeMs], object]) -> int:
        """Return the weight the simulator charges for these requests."""
        before = sum(entry.weight for entry in self.simulator.log)
        ask(ExchangeMs(int(time.time() * 1000)))
        return sum(entry.weight for entry in self.simulator.log) - before

    def sweep(self, symbols: Collection[str] | None) -> int:
        """Return what one sweep costs that lists the orders of these symbols."""

        def ask(at: ExchangeMs) -> None:
            self.exchange.positions(at=at)
            for symbol in [None] if symbols is None else sorted(symbols):
                self.exchange.open_orders(symbol, at=at)

        return self.charged(ask)

    def clock(self) -> int:
        return self.charged(lambda _: [self.exchange.server_time() for _ in range(3)])

    def weight_1m(self, plan: SweepPlan) -> float:
        """Return what an account costs a minute that is watched by this plan."""
        usual, full = self.sweep(plan.symbols), self.sweep(None)
        modes = self.charged(lambda at: self.exchange.account_config(at=at))
        margins = self.charged(lambda at: self.exchange.symbol_configs(at=at))
        key = self.charged(lambda _: self.exchange.listen_key())
        return MINUTE_MS * (
            usual / (EARLY * plan.interval_ms)
            + (full - usual) / plan.full_ms
            + modes / plan.modes_ms
            + margins / plan.rules_ms
            + key / LISTEN_KEY_MS
        )


def _plans(watched: Watched, trios: Collection[int]) -> list[SweepPlan]:
    living = {account: watched.symbols[:count] for account, count in enumerate(trios)}
    limit = Limits().weight_1m
    return list(plan_sweeps(living, weight_1m=limit, sweep_ms=SWEEP_MS, rules_ms=RULES_MS).values())


def figures() -> dict[str, Any]:
    """Return weight a minute by how many trios are open, and of a whole address."""
    watched = Watched()
    shared = watched.clock() * MINUTE_MS / CLOCK_MS
    alone = {}
    for trios in TRIOS:
        (plan,) = _plans(watched, [trios])
        alone[trios] = {
            "weight_1m": round(watched.weight_1m(plan) + shared, 1),
            "interval_seconds": plan.interval_ms / 1000,
        }
    desk = _plans(watched, [0] * 20 + [10] * 20)
    idle, active = desk[0], desk[-1]
    return {
        "alone_by_open_trios": alone,
        "address_of_40": {
            "weight_1m": round(20 * (watched.weight_1m(idle) + watched.weight_1m(active)) + shared, 1),
            "interval_seconds_idle": idle.interval_ms / 1000,
            "interval_seconds_active": active.interval_ms / 1000,
        },
    }


def arguments(_: argparse.ArgumentParser) -> None:
    """Take no options of its own."""


def measure(_: argparse.Namespace) -> Report:
    """Say what watching comes to."""
    found = figures()
    report = Report("watching", "Watching", (__doc__ or "").partition("\n\n")[2].strip())
    rows: list[list[Cell]] = [
        [trios, cost["weight_1m"], cost["interval_seconds"]]
        for trios, cost in found["alone_by_open_trios"].items()
    ]
    report.sheets.append(Sheet("One account", ["open trios", "weight a minute", "swept every, s"], rows))
    desk, limit = found["address_of_40"], Limits().weight_1m
    report.sheets.append(
        Sheet(
            "40 accounts on one address, 20 idle and 20 with ten open trios",
            ["", "weight a minute", "of the limit", "idle ones swept every, s", "the others every, s"],
            [["all", desk["weight_1m"], f"{desk['weight_1m'] / limit:.0%}", desk["interval_seconds_idle"],
              desk["interval_seconds_active"]]],
        )
    )  # fmt: skip
    report.targets.append(
        Target("weight a minute of 40 accounts, to the limit", desk["weight_1m"] / limit, 1, "×")
    )
    report.panels.append(
        Panel("weight a minute by open trios", "weight", [str(row[0]) for row in rows],
              {"one account": [float(row[1] or 0) for row in rows]}, lines=True)
    )  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("watching", __doc__ or "", measure, arguments))

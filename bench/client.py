"""What one call of our client costs in CPU: ``python -m bench.client [--calls 1000]``.

The simulator answers from a process of its own, so the CPU time of this one is the client's alone. Figures: the least of several rounds,
in ms of CPU a call, for a market order and a read of the time; through the client alone, through the request budget in Valkey as
well, and through the official library as it comes, which neither keeps a budget nor reads an answer as ours does.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.servers import own_servers
from exchange.binance.client import BinanceExchange
from exchange.rate_limits import Cost, OpenGate, Priority, RateGate, Usage, spending
from exchange.types import Endpoints, ExchangeMs, NewOrder, OrderType, Side, Stamp

KEY, SECRET = "benchkey0", "benchsecret0"
ROUNDS: Final = 8


@contextmanager
def exchange_process() -> Iterator[str]:
    """Run a simulator in a process of its own; its URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--prices", "hand", "--switch", "enforce_rates=false",
         "--account", f"bench:{KEY}:{SECRET}:1000000000", "--die-with-parent"],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1],
    )  # fmt: skip
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        server.wait(timeout=10)


def budget_gate() -> RateGate:
    """Return the gate that an account's requests pass in the product, of an address nobody sends from."""
    import django

    django.setup()
    from django.core.management import call_command

    from accounts.rate_budget import AccountGate, Budget

    call_command("migrate", verbosity=0)
    budget = Budget("PAPER", "bench")
    # Room for the whole run, for what is measured is what asking costs.
    budget.limits = type(budget.limits)(weight_1m=10**9, orders_10s=10**9, orders_1m=10**9)
    return AccountGate(budget, "bench")


def cpu_ms(call: Callable[[int], object], calls: int) -> float:
    """Return the CPU a call costs, in milliseconds: the least of the rounds, for what disturbs only ever adds."""
    for number in range(20):
        call(number)
    found = []
    for turn in range(ROUNDS):
        began = time.process_time()
        for number in range(calls // ROUNDS):
            call(1000 + turn * calls + number)
        found.append((time.process_time() - began) * 1000 / (calls // ROUNDS))
    return min(found)


def of_client(url: str, calls: int, gate: RateGate) -> dict[str, float]:
    """Return what an order and a read cost through this gate."""
    exchange = BinanceExchange(Endpoints(url, ""), api_key=KEY, api_secret=SECRET, gate=gate)

    def order(number: int) -> None:
        request = exchange.submit_request(
            NewOrder(
                client_id=f"b{os.getpid()}-{number}", symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET,
                quantity=Decimal("0.002"),
            )
        )  # fmt: skip
        with spending(Priority.PLACE):
            exchange.send(request, stamp=Stamp(ExchangeMs(time.time_ns() // 1_000_000), 5000))

    return {
        "order_ms": round(cpu_ms(order, calls), 3),
        "time_ms": round(cpu_ms(lambda _: exchange.server_time(), calls), 3),
    }


def of_gate(gate: RateGate, calls: int) -> float:
    """Return what passing the gate costs by itself, before an order and after its answer."""
    used = Usage(weight_1m=1, orders_10s=1, orders_1m=1)

    def passing(_: int) -> None:
        gate.enter(Cost(orders=1), Priority.PLACE)
        gate.leave(used)

    return round(cpu_ms(passing, calls), 3)


def of_library(url: str, calls: int) -> dict[str, float]:
    """Return what the same order and read cost through the official library as it comes."""
    from bench.rivals.official import connect

    client = connect(url, KEY, SECRET)

    def order(_: int) -> None:
        client.new_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.002)

    return {
        "order_ms": round(cpu_ms(order, calls), 3),
        "time_ms": round(cpu_ms(lambda _: client.check_server_time(), calls), 3),
    }


def figures(calls: int) -> dict[str, Any]:
    with own_servers(), exchange_process() as url:
        gate = budget_gate()
        return {
            "client": of_client(url, calls, OpenGate()),
            "client_with_budget": of_client(url, calls, gate),
            "library": of_library(url, calls),
            "budget": of_gate(gate, calls),
        }


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=int, default=1000, help="how often each call is made")


def measure(options: argparse.Namespace) -> Report:
    """Say what a call comes to."""
    found = figures(options.calls)
    report = Report("client", "A call of our client", (__doc__ or "").partition("\n\n")[2].strip())
    alone, whole = found["client"], found["client_with_budget"]
    rows: list[list[Cell]] = [
        ["client alone", alone["order_ms"], alone["time_ms"]],
        ["with the budget", whole["order_ms"], whole["time_ms"]],
        ["the official library alone", found["library"]["order_ms"], found["library"]["time_ms"]],
    ]
    report.sheets.append(Sheet("CPU ms a call", ["", "an order", "a read of the time"], rows))
    report.sheets.append(
        Sheet("The budget by itself", ["", "CPU ms a request"], [["before and after", found["budget"]]])
    )
    report.targets += [
        Target("CPU of an order through our client, budget included", whole["order_ms"], 0.8, "ms"),
    ]  # fmt: skip
    report.panels.append(
        Panel("CPU a call", "ms", [str(row[0]) for row in rows],
              {"order": [float(row[1] or 0) for row in rows], "read": [float(row[2] or 0) for row in rows]}, limit=0.8)
    )  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("client", __doc__ or "", measure, arguments))

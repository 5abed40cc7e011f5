"""What one call of our client costs in CPU: ``python -m bench.client [--calls 2000] [--json]``.

The simulator answers from a process of its own, so the CPU time of this one is the client's alone. Figures: the least of
several rounds, in milliseconds of CPU a call, for an order and a read of the time; the same through the request
budget in Valkey; and the budget by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

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
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")
    import django
    from django.conf import settings

    django.setup()
    from accounts.rate_budget import AccountGate, Budget
    from local_servers import manager

    if settings.EMBEDDED_DATABASE:
        manager.ensure()
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


def figures(calls: int) -> dict[str, object]:
    with exchange_process() as url:
        gate = budget_gate()
        return {
            "calls": calls,
            "client": of_client(url, calls, OpenGate()),
            "client_with_budget": of_client(url, calls, gate),
            "budget_ms": of_gate(gate, calls),
        }


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.client", description=__doc__)
    options.add_argument("--calls", type=int, default=2000, help="how often each call is made")
    options.add_argument("--json", action="store_true", help="print one JSON document")
    given = options.parse_args()
    found = figures(given.calls)
    if given.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for name in ("client", "client_with_budget"):
        cost = found[name]
        assert isinstance(cost, dict)
        sys.stdout.write(
            f"{name.replace('_', ' ')}: {cost['order_ms']} ms of CPU an order, {cost['time_ms']} ms a read\n"
        )
    sys.stdout.write(f"the budget by itself: {found['budget_ms']} ms of CPU a request\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

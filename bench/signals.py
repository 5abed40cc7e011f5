"""What a webhook and a signal cost: ``python -m bench.signals [--json]``.

Posts go through the whole of Django in 20 threads of this process, on servers of their own (PostgreSQL with fsync,
Valkey): the same post over and over, then as many different ones. Then signals for several accounts are carried out by
the executor as one batch, on a simulated exchange whose own work is not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from bench.queueing import Counted, accounts_made, servers, symbols_priced

POSTS: Final = 1000
THREADS: Final = 20
SIGNALS: Final = 14


def _posted(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    """Post these in so many threads; return what was answered, and how long each took."""
    from django.db import connections
    from django.test import Client

    taken: list[float] = []

    of_thread = threading.local()

    def post(body: dict[str, Any]) -> str:
        if not hasattr(of_thread, "client"):
            of_thread.client = Client(
                SERVER_NAME="localhost"
            )  # it loads the middleware: once, as a server does
            of_thread.client.generic("POST", "/hooks/nobody/", "{}", "text/plain")
        began = time.perf_counter()
        answer = of_thread.client.generic("POST", "/hooks/bench/", json.dumps(body), "text/plain")
        taken.append(time.perf_counter() - began)
        return f"{answer.status_code}{' repeat' if 'Idempotent-Replay' in answer.headers else ''}"

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        answers = Counter(pool.map(post, bodies))
        seconds = time.perf_counter() - began
        list(pool.map(lambda _: connections.close_all(), range(THREADS)))
    taken.sort()
    return {
        "a_second": round(len(bodies) / seconds),
        "p50_ms": round(taken[len(taken) // 2] * 1000, 1),
        "p99_ms": round(taken[int(len(taken) * 0.99)] * 1000, 1),
        "answers": dict(answers),
    }


def _measured() -> dict[str, Any]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from accounts import endpoints
    from accounts.gateways import prepare
    from orders.exchange_data.symbol_sync import symbols_sync
    from orders.models import TrioOrder
    from signals.hooks import secret_add
    from signals.models import HookSource, Signal, SignalResult
    from signals.services import signals_end
    from worker.signal_execution import signals_execute

    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    prepare()
    counted = Counted()
    endpoints.use_transport("PAPER", counted.adapter)
    symbols_sync("PAPER")
    accounts = accounts_made(counted)
    symbols = symbols_priced(counted, SIGNALS + 1)
    source = HookSource.objects.create(
        name="bench", symbols=",".join(symbol.symbol for symbol in symbols), posts_minute=10**6,
        size_kind="QUANTITY", size_value=Decimal(2), stop_kind="PERCENT", stop_value=Decimal(5),
        target_kind="R", target_value=Decimal(2),
    )  # fmt: skip
    source.accounts.set(accounts[:1])
    said = {"secret": secret_add(source), "symbol": symbols[0].symbol, "action": "buy"}
    _posted(
        [said | {"id": f"warm {number}"} for number in range(THREADS)]
    )  # what is loaded and connected once
    found = {"same_post": _posted([said] * POSTS)}
    found["different_posts"] = _posted([said | {"id": number} for number in range(POSTS)])
    SignalResult.objects.update(outcome="TOO_LATE")  # they are not what is measured next
    signals_end(Signal.objects.values_list("pk", flat=True))
    found["batch"] = _executed(counted, accounts, symbols, signals_execute)
    found["batch"]["trios"] = TrioOrder.objects.count()
    return found


def _executed(counted: Counted, accounts: Any, symbols: Any, execute: Any) -> dict[str, Any]:
    """Carry signals out on all accounts as one batch; return what each trio has cost."""
    from exchange.types import Side
    from orders.exchange_data.clock import db_now
    from orders.models import TrioOrder
    from signals.domain.enums import Origin
    from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms
    from signals.services import signal_record

    terms = Terms(
        Level(LevelKind.PERCENT, Decimal(5)),
        Level(LevelKind.R, Decimal(2)),
        Size(SizeKind.RISK, Decimal("0.1")),
    )

    def record(symbol: Any) -> int:
        signal, _ = signal_record(
            origin=Origin.STRATEGY, source="bench", key=symbol.symbol, symbol=symbol.symbol, side=Side.BUY, terms=terms,
            accounts=accounts, act_before=db_now() + timedelta(minutes=5),
        )  # fmt: skip
        return signal.pk

    execute([record(symbols[-1])])  # what is loaded, compiled and kept once
    ids = [record(symbol) for symbol in symbols[:SIGNALS]]
    before = TrioOrder.objects.count()
    reads = sum(entry.path.endswith("/balance") for entry in counted.simulator.log)
    began = time.perf_counter()
    execute(ids)
    seconds = time.perf_counter() - began
    trios = TrioOrder.objects.count() - before
    return {
        "signals": len(ids),
        "accounts": len(accounts),
        "trios_a_second": round(trios / seconds, 1),
        "balance_reads": sum(entry.path.endswith("/balance") for entry in counted.simulator.log) - reads,
    }


def figures() -> dict[str, Any]:
    """Return what posts and batches cost."""
    folder = servers()
    from local_servers import manager

    try:
        return _measured()
    finally:
        manager.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.signals", description=__doc__)
    options.add_argument("--json", action="store_true", help="print one JSON document")
    found = figures() if (chosen := options.parse_args()) else {}
    if chosen.json:
        sys.stdout.write(json.dumps(found) + "\n")
        return 0
    for name in ("same_post", "different_posts"):
        cost = found[name]
        sys.stdout.write(
            f"{POSTS} × {name.replace('_', ' ')}, {THREADS} at once: {cost['a_second']} a second, p50 {cost['p50_ms']} ms,"
            f" p99 {cost['p99_ms']} ms, answered {cost['answers']}\n"
        )
    batch = found["batch"]
    sys.stdout.write(
        f"{batch['signals']} signals on {batch['accounts']} accounts: {batch['trios_a_second']} trios a second,"
        f" {batch['balance_reads']} balance reads\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

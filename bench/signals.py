"""What a webhook and a signal cost: ``python -m bench.signals``.

Posts go through the whole of Django in 20 threads of this process, on servers of their own (PostgreSQL with fsync,
Valkey): the same post over and over, then as many different ones. Then signals for several accounts are carried out by
the executor as one batch, on a simulated exchange whose own work is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from bench.queueing import Counted, accounts_made, symbols_priced
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.servers import own_servers

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
    with own_servers():
        return _measured()


def arguments(parser: argparse.ArgumentParser) -> None:
    """Take none of its own."""


def measure(options: argparse.Namespace) -> Report:
    """Say what webhooks and batches of signals come to."""
    found = figures()
    report = Report("signals", "Webhooks and signals", (__doc__ or "").partition("\n\n")[2].strip())
    posts: list[list[Cell]] = [
        [
            name.replace("_", " "),
            *(found[name][kind] for kind in ("a_second", "p50_ms", "p99_ms")),
            answered(found[name]),
        ]
        for name in ("same_post", "different_posts")
    ]
    report.sheets.append(
        Sheet(f"{POSTS} posts, {THREADS} at once", ["", "a second", "p50 ms", "p99 ms", "answered"], posts)
    )
    batch = found["batch"]
    kinds = ("signals", "accounts", "trios_a_second", "balance_reads")
    report.sheets.append(
        Sheet("One batch", [kind.replace("_", " ") for kind in kinds], [[batch[kind] for kind in kinds]])
    )
    report.targets.append(
        Target("balance reads of a batch, an account", batch["balance_reads"] / batch["accounts"], 1, "")
    )
    report.panels.append(
        Panel("An answer", "ms", [str(row[0]) for row in posts],
              {"p50": [float(row[2] or 0) for row in posts], "p99": [float(row[3] or 0) for row in posts]})
    )  # fmt: skip
    return report


def answered(cost: dict[str, Any]) -> str:
    """Return which answers there were, and how many of each."""
    return ", ".join(f"{count} × {answer}" for answer, count in cost["answers"].items())


if __name__ == "__main__":
    sys.exit(present("signals", __doc__ or "", measure, arguments))

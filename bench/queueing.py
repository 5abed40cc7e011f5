"""What queueing a trio costs: ``python -m bench.queueing [--debug]``.

Drafts are queued one by one, then 84 of 6 accounts as one set, on servers of their own (PostgreSQL with fsync,
Valkey) and a simulated exchange in this process, whose own work is not counted. Figures are for each trio: ms of
our processor time, statements, commits, requests to the exchange, ms that pass. ``--debug``: with DEBUG=true.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.figures import ratio
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.servers import own_servers

if TYPE_CHECKING:
    from accounts.models import ExchangeAccount
    from orders.models import Symbol, TrioOrder

ACCOUNTS, TRIOS, ALONE = 6, 84, 30
PRICE: Final = "100"


class Counted:
    """What was used while it counts."""

    def __init__(self) -> None:
        from simulator import Simulator
        from simulator.transport import InProcessAdapter

        counted = self
        self.elsewhere, self.statements, self.commits = 0.0, 0, 0
        self.simulator = Simulator(enforce_rates=False)
        lock = threading.Lock()

        class Adapter(InProcessAdapter):
            def send(self, *args: Any, **kwargs: Any) -> Any:
                began = time.thread_time()
                try:
                    return super().send(*args, **kwargs)
                finally:
                    with lock:
                        counted.elsewhere += time.thread_time() - began

        self.adapter = Adapter(self.simulator)

    def statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.statements += 1
        return execute(sql, params, many, context)

    @contextmanager
    def each_of(self, trios: int) -> Iterator[dict[str, float]]:
        """Fill in what each of so many trios has cost."""
        from django.db import connection

        found: dict[str, float] = {}
        self.elsewhere, self.statements, self.commits = 0.0, 0, 0
        asked, began, cpu = len(self.simulator.log), time.perf_counter(), time.process_time()
        wrapper: Any = connection
        commit = wrapper._commit

        def counting() -> None:
            self.commits += 1
            commit()

        wrapper._commit = counting
        with connection.execute_wrapper(self.statement):
            yield found
        wrapper._commit = commit
        found |= {
            "cpu_ms": round((time.process_time() - cpu - self.elsewhere) / trios * 1000, 2),
            "statements": round(self.statements / trios, 2),
            "commits": round(self.commits / trios, 3),
            "requests": round((len(self.simulator.log) - asked) / trios, 2),
            "ms": round((time.perf_counter() - began) / trios * 1000, 2),
        }


def accounts_made(counted: Counted) -> list[ExchangeAccount]:
    from accounts.services import account_add
    from orders.exchange_data.clock import clock_measure, db_now
    from orders.installation import install_row
    from orders.models import Heartbeat, Watch

    found = []
    for number in range(ACCOUNTS):
        name, key, secret = f"bench-{number}", f"bench-key-{number}", f"bench-secret-{number}"
        counted.simulator.add_account(name, key, secret, "1000000")
        found.append(account_add(name=name, environment="PAPER", api_key=key, api_secret=secret))
    clock_measure("PAPER")
    install_row()
    now = db_now()
    Heartbeat.objects.create(process="bench", beat=now.replace(year=now.year + 1), started_at=now)
    for account in found:
        Watch.objects.create(account=account)
    return found


def symbols_priced(counted: Counted, count: int) -> list[Symbol]:
    from orders.models import Symbol

    fine = Symbol.objects.filter(
        status="TRADING", margin_asset="USDT", step_size__lte=1, tick_size__lte="0.1", orders_max__gt=1
    )
    found = list(fine.filter(market_quantity_min__lte=2).order_by("pk")[:count])
    for symbol in found:
        counted.simulator.set_price(symbol.symbol, PRICE)
    return found


def _draft(account: ExchangeAccount, symbol: Symbol) -> TrioOrder:
    from orders import services

    draft = services.trio_draft(
        account=account, symbol=symbol, side="BUY", quantity=Decimal(2), stop_loss=Decimal(95), take_profit=Decimal(110)
    )  # fmt: skip
    draft.save()
    return draft


def _measured(*, debug: bool) -> dict[str, Any]:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from accounts import endpoints
    from accounts.gateways import prepare
    from orders import services
    from orders.exchange_data.symbol_sync import symbols_sync
    from orders.models import TrioOrder

    settings.DEBUG = debug
    call_command("migrate", verbosity=0)
    prepare()
    counted = Counted()
    endpoints.use_transport("PAPER", counted.adapter)
    symbols_sync("PAPER")
    accounts = accounts_made(counted)
    each = -(-TRIOS // ACCOUNTS)
    symbols = symbols_priced(counted, each + ALONE + 2)
    drafts = [_draft(account, symbol) for symbol in symbols[:each] for account in accounts][:TRIOS]
    alone = [_draft(accounts[0], symbol) for symbol in symbols[each : each + ALONE]]
    for number, symbol in enumerate(symbols[-2:]):  # what is loaded, compiled and kept once
        first = [_draft(account, symbol).pk for account in accounts]
        _queued(services.trios_queue(first, by="bench") if number else [
            services.trios_queue([trio_id], by="bench")[0] for trio_id in first
        ])  # fmt: skip
    with counted.each_of(ALONE) as one:
        for draft in alone:
            services.trio_queue(trio_id=draft.pk, by="bench")
    with counted.each_of(TRIOS) as many:
        _queued(services.trios_queue([draft.pk for draft in drafts], by="bench"))
    assert TrioOrder.objects.filter(state="QUEUED").count() == TRIOS + ALONE + 2 * ACCOUNTS
    return {"alone": one, f"set_of_{TRIOS}_over_{ACCOUNTS}": many}


def _queued(results: Any) -> None:
    for result in results:
        assert result.error is None, result.error


def figures(*, debug: bool = False) -> dict[str, Any]:
    """Return what each trio costs, alone and in a set."""
    with own_servers():
        return _measured(debug=debug)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", help="with DEBUG=true")


def measure(options: argparse.Namespace) -> Report:
    """Say what queueing comes to."""
    found = figures(debug=options.debug)
    report = Report("queueing", "Queueing", (__doc__ or "").partition("\n\n")[2].strip())
    kinds = ("cpu_ms", "statements", "commits", "requests", "ms")
    rows: list[list[Cell]] = [
        [what.replace("_", " "), *(cost[kind] for kind in kinds)] for what, cost in found.items()
    ]
    columns = ["", "CPU ms", "statements", "commits", "requests", "ms that pass"]
    report.sheets.append(Sheet("Each trio", columns, rows))
    alone, many = found.values()
    report.sheets.append(
        Sheet(
            "In a set to alone",
            ["", *columns[1:]],
            [["×", *(ratio(many[kind], alone[kind]) for kind in kinds)]],
        )
    )
    report.targets.append(Target("requests of a trio queued in a set", many["requests"], 0.2, ""))
    report.panels.append(
        Panel("CPU and time that pass, a trio", "ms", [str(row[0]) for row in rows],
              {"CPU": [float(row[1] or 0) for row in rows], "passes": [float(row[5] or 0) for row in rows]})
    )  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("queueing", __doc__ or "", measure, arguments))
